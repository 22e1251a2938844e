#include "proxy/reaper.h"

#include <pthread.h>
#include <signal.h>

#include "heap/counters.h"
#include "heap/fork.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "proxy/proxy.h"
#include "proxy/visit.h"

/* How long the end waits for a __del__ that does not come back. */
#define STOP_SECONDS 5.0

enum { RESTING, VISITING, STOPPED };

/* RESTING <-> VISITING by the reaper, RESTING -> STOPPED by who stops it, STOPPED -> RESTING by who allows it. Futex. */
static _Atomic uint32_t state;

static void
visit(stoa_interp_record *record, void *arg)
{
    (void)arg;
    stoa_visit door;
    if (!stoa__handle_awaits_release(record) || stoa__visit(record, &door) != STOA_OK) {
        return; /* one that is being closed frees its objects itself */
    }
    while (stoa__handle_awaits_release(record) && stoa__side_apply_releases(record) > 0) {
    }
    stoa__visit_end(&door);
    STOA_COUNT(&stoa__process->counters, idle_releases);
}

static void *
reap(void *unused)
{
    (void)unused;
    for (;;) {
        (void)stoa__handle_await_release();
        _Atomic uint32_t never = 0;
        stoa_deadline deadline;
        (void)stoa__deadline_in(STOA_REAPER_PATIENCE, &deadline);
        while (stoa__futex_wait(&never, 0, deadline) != STOA_TIMED_OUT) {
        }
        uint32_t resting = RESTING;
        if (atomic_compare_exchange_strong(&state, &resting, VISITING)) {
            (void)stoa__interp_each(visit, NULL); /* no memory: at the next ring */
            state = RESTING;
            stoa__futex_wake(&state, 1);
        }
    }
    return NULL;
}

void
stoa__reaper_start(void)
{
    static _Atomic uint64_t started; /* fork generation it runs in, + 1; 0: none yet */
    uint64_t here = stoa__fork_generation() + 1;
    uint64_t before = started;
    if (before == here || !atomic_compare_exchange_strong(&started, &before, here)) {
        return;
    }
    sigset_t all, signals;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &signals);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, reap, NULL) != 0) {
        started = before;
    }
    else if (before != 0) { /* a forked child: the parent's may have been on a visit */
        uint32_t visiting = VISITING;
        (void)atomic_compare_exchange_strong(&state, &visiting, RESTING);
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
}

void
stoa__reaper_stop(void)
{
    stoa_deadline deadline;
    (void)stoa__deadline_in(STOP_SECONDS, &deadline);
    PyThreadState *here = PyEval_SaveThread(); /* the visit may be one to this interpreter */
    uint32_t seen = RESTING;
    stoa_wait_result waited = STOA_WOKEN;
    while (!atomic_compare_exchange_strong(&state, &seen, STOPPED) && seen == VISITING &&
           waited != STOA_TIMED_OUT) {
        waited = stoa__futex_wait(&state, VISITING, deadline);
        seen = RESTING;
    }
    PyEval_RestoreThread(here);
}

void
stoa__reaper_allow(void)
{
    uint32_t stopped = STOPPED;
    (void)atomic_compare_exchange_strong(&state, &stopped, RESTING);
}
