/* A mailbox: calls posted to somebody who will run them: an interpreter, or one thread.
 *
 * A posted call is run exactly once, by whoever claims it: the receiver when it comes by, or the sender, who takes it back
 * to run it himself or because his patience has ended. One compare-and-swap on `state` decides. A sender that gives up
 * while the receiver is already running the call cannot wait for it, so a call is counted: the mailbox holds one
 * reference while the call is in its list, the claimer while it runs it, the sender as long as it cares.
 *
 * States:  POSTED -> CLAIMED -> DONE          run by the claimer
 *          POSTED -> WITHDRAWN                taken back by the sender, who may run it himself
 *          POSTED -> REFUSED                  the mailbox was closed first
 * DONE and REFUSED are followed by news for the sender's waiter (heap/waiter.h). What the runner wrote into the call is
 * published by the change to DONE (release) and read by the sender after seeing DONE (acquire).
 *
 * Invariants
 *  1. A call is in the list of its mailbox  <=>  state == POSTED, as seen under the mailbox's lock.
 *  2. closed  =>  the list is empty.
 *  3. count == number of calls in the list, as seen under the lock; without it, a hint.
 */
#ifndef STOA_HEAP_MAILBOX_H
#define STOA_HEAP_MAILBOX_H

#include "heap/lock.h"
#include "stoa/error.h"

struct stoa_waiter;

#define STOA_CALL_NEW 0u
#define STOA_CALL_POSTED 1u
#define STOA_CALL_CLAIMED 2u
#define STOA_CALL_DONE 3u
#define STOA_CALL_WITHDRAWN 4u
#define STOA_CALL_REFUSED 5u

typedef struct stoa_posted {
    _Atomic uint32_t state;
    _Atomic uint32_t refs;
    struct stoa_posted *next, *prev; /* guarded by the mailbox's lock */
    struct stoa_mailbox *mailbox;    /* written by post; const afterwards */
    struct stoa_waiter *sender; /* const: told when the call is over; a reference is held. NULL: nobody */
    struct stoa_waiter *runner; /* guarded by the lock of the waits: who runs it now; borrowed */
    struct stoa_wait_edge *edge; /* guarded by the lock of the waits: the sender's while it waits; heap/waiter.h */
    void (*run)(struct stoa_posted *);     /* const: does the work, in the receiver */
    void (*dispose)(struct stoa_posted *); /* const: the last reference is gone; any thread */
} stoa_posted;

typedef struct stoa_mailbox {
    stoa_lock lock; /* STOA_RANK_MAILBOX; guards first, last, closed */
    stoa_posted *first, *last;
    bool closed;
    _Atomic uint32_t count;
    _Atomic uint32_t summoned; /* 1: the receiver has been asked to come by and has not come yet */
} stoa_mailbox;

void stoa__mailbox_init(stoa_mailbox *mailbox);
/* All calls in it are refused, and all later ones. Idempotent. */
void stoa__mailbox_close(stoa_mailbox *mailbox);
/* Takes calls again. */
void stoa__mailbox_reopen(stoa_mailbox *mailbox);
/* In a forked child: the senders are in the parent, but for this thread; what is in the list is refused, and forgotten. */
void stoa__mailbox_fork_child(stoa_mailbox *mailbox);

/* One reference, for the caller. `sender` may be NULL. */
void stoa__call_init(stoa_posted *call, struct stoa_waiter *sender, void (*run)(stoa_posted *),
                     void (*dispose)(stoa_posted *));
stoa_posted *stoa__call_ref(stoa_posted *call);
void stoa__call_unref(stoa_posted *call);

/* Behind all others. STOA_EGONE: closed; the call stays NEW. *out_summon: nobody has summoned the receiver yet, the caller
 * should do so now. Never blocks but for the short lock. */
stoa_err stoa__mailbox_post(stoa_mailbox *mailbox, stoa_posted *call, bool *out_summon);
/* The receiver comes by: from now on posting says again that a summons is needed. Called before the first take. */
void stoa__mailbox_arrive(stoa_mailbox *mailbox);
/* Claims the oldest call, with a reference for the caller, who must run it and then say stoa__call_done; NULL: none. */
stoa_posted *stoa__mailbox_take(stoa_mailbox *mailbox);
/* A hint without a lock. */
static inline uint32_t
stoa__mailbox_count(const stoa_mailbox *mailbox)
{
    return atomic_load(&mailbox->count);
}

/* The sender takes it back: true, and it will not be run by anybody else; false: it is claimed, over or refused. */
bool stoa__call_withdraw(stoa_posted *call);
/* The claimer has run it: tells the sender; gives up the claimer's reference. */
void stoa__call_done(stoa_posted *call);
/* DONE or REFUSED, or WITHDRAWN. */
static inline bool
stoa__call_over(const stoa_posted *call)
{
    return atomic_load(&call->state) >= STOA_CALL_DONE;
}

#endif
