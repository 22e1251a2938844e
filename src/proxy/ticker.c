#include "proxy/ticker.h"

#include <pthread.h>

#include "heap/error.h"
#include "heap/os.h"
#include "immortal/cpython/eval.h"
#include "proxy/membership.h"
#include "proxy/signals.h"

#define TICK_NS INT64_C(20000000)
#define IDLE_TICKS 50

/* relaxed loads by who is watched: he wrote it himself, or sees late that the ticker has gone, and is seen by its last
 * look, which is later still */
_Atomic(stoa_waiter *) stoa__ticker_watched;

static stoa_lock lock = STOA_LOCK_INIT(STOA_RANK_MESSAGE); /* guards starting and ending */
static _Atomic uint32_t never;                             /* nobody wakes the ticker */
static bool fork_hooked;

/* The pending call, in whichever interpreter the watched thread was. GIL. */
static int
look_for_signals(void *unused)
{
    (void)unused;
    return stoa__is_signal_thread() ? stoa__check_signals() : 0;
}

static void
make_it_look(stoa_interp_record *record)
{
    if (stoa__interp_enter(record) == STOA_OK) { /* so it does not end meanwhile */
        (void)stoa__pending_call(stoa__member(record)->interp, look_for_signals, NULL);
        stoa__interp_leave(record);
    }
}

/* The thread may just be entering, not have seen that nobody watches, and not be seen inside either. One tick later it is, or
 * has another ticker by then. */
static bool
ends_now(stoa_waiter *waiter)
{
    stoa__lock(&lock);
    atomic_store(&stoa__ticker_watched, NULL);
    stoa__unlock(&lock);
    (void)stoa__futex_wait(&never, 0, stoa__now() + TICK_NS);
    stoa__lock(&lock);
    bool ends = atomic_load(&stoa__ticker_watched) != NULL || atomic_load(&waiter->innermost) == NULL;
    if (!ends) {
        atomic_store(&stoa__ticker_watched, waiter); /* it looked as if nobody watched: we go on */
    }
    stoa__unlock(&lock);
    return ends;
}

static void *
tick(void *arg)
{
    stoa_waiter *waiter = arg;
    bool waited = false;
    for (int idle = 0; idle < IDLE_TICKS || !ends_now(waiter);) {
        (void)stoa__futex_wait(&never, 0, stoa__now() + TICK_NS);
        stoa_interp_record *record = atomic_load_explicit(&waiter->innermost, memory_order_relaxed);
        idle = record == NULL ? idle + 1 : 0;
        bool waits = record != NULL && stoa__signal_waits();
        if (waits && waited) {
            make_it_look(record);
        }
        waited = waits;
    }
    stoa__waiter_unref(waiter);
    return NULL;
}

static void
forget(void)
{
    stoa__lock_reset(&lock);
    stoa__ticker_watched = NULL;
}

void
stoa__ticker_start(stoa_waiter *waiter)
{
    stoa__lock(&lock);
    if (atomic_load(&stoa__ticker_watched) == NULL) {
        fork_hooked = fork_hooked || pthread_atfork(NULL, NULL, forget) == 0;
        stoa__waiter_ref(waiter);
        atomic_store(&stoa__ticker_watched, waiter);
        if (stoa__os_thread_start(tick, waiter) != 0) {
            stoa__waiter_unref(waiter); /* the next call tries again */
            atomic_store(&stoa__ticker_watched, NULL);
        }
    }
    stoa__unlock(&lock);
}
