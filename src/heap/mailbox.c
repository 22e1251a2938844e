#include "heap/mailbox.h"

#include "heap/error.h"
#include "heap/waiter.h"

void
stoa__mailbox_init(stoa_mailbox *mailbox)
{
    stoa__lock_init(&mailbox->lock, STOA_RANK_MAILBOX);
    mailbox->first = mailbox->last = NULL;
    mailbox->closed = false;
    atomic_init(&mailbox->count, 0);
    atomic_init(&mailbox->summoned, 0);
}

/* Lock held. The list's reference goes over to the caller. */
static void
unlink_call(stoa_mailbox *mailbox, stoa_posted *call)
{
    if (call->prev != NULL) {
        call->prev->next = call->next;
    }
    else {
        mailbox->first = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
    else {
        mailbox->last = call->prev;
    }
    call->next = call->prev = NULL;
    atomic_fetch_sub(&mailbox->count, 1);
}

static void
tell_sender(stoa_posted *call)
{
    if (call->sender != NULL) {
        stoa__waiter_wake(call->sender);
    }
}

void
stoa__mailbox_close(stoa_mailbox *mailbox)
{
    stoa__lock(&mailbox->lock);
    mailbox->closed = true;
    stoa_posted *rest = mailbox->first;
    mailbox->first = mailbox->last = NULL;
    atomic_store(&mailbox->count, 0);
    for (stoa_posted *call = rest; call != NULL; call = call->next) {
        atomic_store(&call->state, STOA_CALL_REFUSED);
    }
    stoa__unlock(&mailbox->lock);
    while (rest != NULL) {
        stoa_posted *call = rest;
        rest = call->next;
        call->next = call->prev = NULL;
        tell_sender(call);
        stoa__call_unref(call);
    }
}

void
stoa__mailbox_reopen(stoa_mailbox *mailbox)
{
    /* who was summoned before it was closed may never have come. Before the first can post: he would think that somebody is
     * on the way, and the call that he leaves would be nobody's */
    stoa__mailbox_arrive(mailbox);
    stoa__lock(&mailbox->lock);
    mailbox->closed = false;
    stoa__unlock(&mailbox->lock);
}

void
stoa__mailbox_fork_child(stoa_mailbox *mailbox)
{
    bool closed = mailbox->closed;
    for (stoa_posted *call = mailbox->first; call != NULL; call = call->next) {
        atomic_store(&call->state, STOA_CALL_REFUSED); /* it may be this thread's own */
    }
    stoa__mailbox_init(mailbox);
    mailbox->closed = closed;
}

void
stoa__call_init(stoa_posted *call, struct stoa_waiter *sender, void (*run)(stoa_posted *),
                void (*dispose)(stoa_posted *))
{
    atomic_init(&call->state, STOA_CALL_NEW);
    atomic_init(&call->refs, 1);
    call->next = call->prev = NULL;
    call->mailbox = NULL;
    call->runner = NULL;
    call->edge = NULL;
    call->sender = sender == NULL ? NULL : stoa__waiter_ref(sender);
    call->run = run;
    call->dispose = dispose;
}

stoa_posted *
stoa__call_ref(stoa_posted *call)
{
    /* relaxed: who makes a reference has one */
    (void)atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
    return call;
}

void
stoa__call_unref(stoa_posted *call)
{
    /* acq_rel: pairs with itself; all uses happen before the disposal */
    if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct stoa_waiter *sender = call->sender;
    call->dispose(call);
    if (sender != NULL) {
        stoa__waiter_unref(sender);
    }
}

stoa_err
stoa__mailbox_post(stoa_mailbox *mailbox, stoa_posted *call, bool *out_summon)
{
    *out_summon = false;
    stoa__lock(&mailbox->lock);
    if (mailbox->closed) {
        stoa__unlock(&mailbox->lock);
        return stoa__fail(STOA_EGONE,
                          "a call was posted to somebody who takes no more: the interpreter is closed, or "
                          "the thread has ended");
    }
    stoa__call_ref(call);
    call->mailbox = mailbox;
    call->next = NULL;
    call->prev = mailbox->last;
    if (mailbox->last != NULL) {
        mailbox->last->next = call;
    }
    else {
        mailbox->first = call;
    }
    mailbox->last = call;
    atomic_fetch_add(&mailbox->count, 1);
    atomic_store(&call->state, STOA_CALL_POSTED);
    stoa__unlock(&mailbox->lock);
    *out_summon = atomic_exchange(&mailbox->summoned, 1) == 0;
    return STOA_OK;
}

void
stoa__mailbox_arrive(stoa_mailbox *mailbox)
{
    /* before the takes: a call posted after the last take finds the flag down and summons anew */
    atomic_store(&mailbox->summoned, 0);
}

stoa_posted *
stoa__mailbox_take(stoa_mailbox *mailbox)
{
    if (stoa__mailbox_count(mailbox) == 0) {
        return NULL;
    }
    stoa__lock(&mailbox->lock);
    stoa_posted *call = mailbox->first;
    if (call != NULL) {
        unlink_call(mailbox, call);
        atomic_store(&call->state, STOA_CALL_CLAIMED);
    }
    stoa__unlock(&mailbox->lock);
    return call;
}

bool
stoa__call_withdraw(stoa_posted *call)
{
    if (atomic_load(&call->state) != STOA_CALL_POSTED) {
        return false;
    }
    stoa_mailbox *mailbox = call->mailbox;
    stoa__lock(&mailbox->lock);
    bool mine = atomic_load(&call->state) == STOA_CALL_POSTED;
    if (mine) {
        unlink_call(mailbox, call);
        atomic_store(&call->state, STOA_CALL_WITHDRAWN);
    }
    stoa__unlock(&mailbox->lock);
    if (mine) {
        stoa__call_unref(call); /* the list's */
    }
    return mine;
}

void
stoa__call_done(stoa_posted *call)
{
    atomic_store(&call->state, STOA_CALL_DONE);
    tell_sender(call);
    stoa__call_unref(call);
}
