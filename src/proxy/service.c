#include "proxy/service.h"

#include <limits.h>
#include <pthread.h>

#include "heap/error.h"
#include "heap/os.h"
#include "heap/waiter.h"

#define IDLE_NS INT64_C(1000000000)

/* Of this copy of the library: threads of one pool share nothing with those of another. */
static stoa_mailbox work;      /* has a lock of its own */
static _Atomic uint32_t event; /* grows with each call posted; futex of idle threads */
static _Atomic uint32_t idle;  /* threads that look for work, or are about to */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The threads, and those who wait for what is posted, are the parent's. */
static void
forget(void)
{
    stoa__mailbox_fork_child(&work);
    idle = 0;
}

static void
set_up(void)
{
    stoa__mailbox_init(&work);
    (void)pthread_atfork(NULL, NULL,
                         forget); /* fails for want of memory only; then a child has calls that nobody does */
}

static void
run_all(stoa_waiter *self)
{
    while (stoa__mailbox_count(&work) > 0) {
        /* before it takes one: else who posts meanwhile sees no call waiting and a thread that is free */
        atomic_fetch_sub(&idle, 1);
        stoa_posted *call = stoa__mailbox_take(&work);
        if (call != NULL) {
            stoa__waiter_runs(self, call);
            call->run(call);
            stoa__waiter_ran(call);
            stoa__call_done(call);
        }
        atomic_fetch_add(&idle, 1);
    }
}

static void *
serve(void *unused)
{
    (void)unused;
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        atomic_fetch_sub(&idle, 1);
        return NULL;
    }
    for (;;) {
        uint32_t seen = atomic_load(&event);
        run_all(self);
        if (stoa__futex_wait(&event, seen, stoa__now() + IDLE_NS) == STOA_TIMED_OUT &&
            atomic_load(&event) == seen) {
            atomic_fetch_sub(&idle, 1);
            if (stoa__mailbox_count(&work) == 0) {
                return NULL;
            }
            /* posted while it was counted as idle, as the next may be: it ends another time */
            atomic_fetch_add(&idle, 1);
        }
    }
}

static stoa_err
start_thread(void)
{
    atomic_fetch_add(&idle, 1);
    int os_error = stoa__os_thread_start(serve, NULL);
    if (os_error != 0) {
        atomic_fetch_sub(&idle, 1);
        return stoa__fail_os(os_error, "cannot start a thread to serve calls");
    }
    return STOA_OK;
}

stoa_err
stoa__serve(stoa_posted *call)
{
    (void)pthread_once(&once, set_up);
    bool summon;
    stoa_err err = stoa__mailbox_post(&work, call, &summon);
    /* Looked at when it is posted: a thread that ends counts itself out and looks for calls after, so one of the two sees the
     * other. One that is idle may be taken by several at once: so all that wait count. */
    if (err == STOA_OK && atomic_load(&idle) < stoa__mailbox_count(&work)) {
        err = start_thread();
        if (err != STOA_OK && !stoa__call_withdraw(call)) {
            err = STOA_OK; /* another has it */
        }
    }
    atomic_fetch_add(&event, 1);
    stoa__futex_wake(&event, 1);
    return err;
}
