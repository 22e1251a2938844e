#include "proxy/reaper.h"

#include <pthread.h>
#include <stdlib.h>

#include "heap/counters.h"
#include "heap/fork.h"
#include "heap/os.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "proxy/errand.h"
#include "proxy/proxy.h"
#include "proxy/service.h"

/* How long the end waits for a __del__ that does not come back. */
#define STOP_SECONDS 5.0

#define STOPPED 0x80000000u

/* Errands under way, and STOPPED; futex of who stops it. */
static _Atomic uint32_t errands;

/* ---- errands ----------------------------------------------------------------------------------------------------- */

/* In a record's `errand`. Who finds somebody THERE asks him to look AGAIN: he may have seen the queue before what the other
 * round is about was in it. */
enum { NOBODY, THERE, AGAIN };

static bool
begin_errand(stoa_interp_record *record)
{
    uint32_t who = NOBODY, before = errands;
    if (!stoa__handle_awaits_release(record)) {
        return false;
    }
    while (who != AGAIN && !atomic_compare_exchange_weak(&record->errand, &who, who == NOBODY ? THERE : AGAIN)) {
    }
    if (who != NOBODY) {
        return false;
    }
    while (!(before & STOPPED)) {
        if (atomic_compare_exchange_weak(&errands, &before, before + 1)) {
            return true;
        }
    }
    record->errand = NOBODY;
    return false;
}

/* Was it asked for another look? */
static bool
end_errand(stoa_interp_record *record)
{
    bool again = atomic_exchange(&record->errand, NOBODY) == AGAIN;
    (void)atomic_fetch_sub(&errands, 1);
    stoa__futex_wake(&errands, 1);
    return again;
}

static void
visit(stoa_interp_record *record, void *arg)
{
    (void)arg;
    stoa_errand door;
    bool again = true;
    while (again && begin_errand(record)) {
        if (stoa__errand_begin(record, &door) == STOA_OK) { /* one that is being closed frees its objects itself */
            while (stoa__side_apply_releases(record) > 0) {
            }
            stoa__errand_end(&door);
            STOA_COUNT(&stoa__process->counters, idle_releases);
        }
        again = end_errand(record);
    }
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

typedef struct sweep {
    stoa_posted call;      /* first */
    _Atomic uint32_t over; /* futex */
} sweep;

static void
make_round(stoa_posted *call)
{
    sweep *round = (sweep *)call;
    (void)stoa__interp_each(visit, NULL); /* no memory: at the next ring */
    round->over = 1;
    stoa__futex_wake(&round->over, 1);
}

static void
free_round(stoa_posted *call)
{
    free(call);
}

/* false: it is stuck in a __del__, and other owners may be waiting behind that one. */
static bool
is_over_soon(sweep *round)
{
    stoa_deadline deadline;
    (void)stoa__deadline_in(STOA_REAPER_PATIENCE, &deadline);
    while (round->over == 0 && stoa__futex_wait(&round->over, 0, deadline) != STOA_TIMED_OUT) {
    }
    return round->over != 0;
}

static void
send_round(void)
{
    bool over;
    do {
        sweep *round = calloc(1, sizeof(*round));
        if (round == NULL) {
            return;
        }
        stoa__call_init(&round->call, NULL, make_round, free_round);
        if (stoa__serve(&round->call) != STOA_OK) {
            make_round(&round->call); /* no other thread to be had */
        }
        over = is_over_soon(round);
        stoa__call_unref(&round->call);
    } while (!over);
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
        send_round();
    }
    return NULL;
}

/* Those under way are the parent's. */
static void
forget_errands(void)
{
    (void)atomic_fetch_and(&errands, STOPPED);
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
    if (before == 0) {
        (void)pthread_atfork(NULL, NULL, forget_errands); /* no memory: a child's end waits STOP_SECONDS */
    }
    if (stoa__os_thread_start(reap, NULL) != 0) {
        started = before;
    }
}

void
stoa__reaper_stop(void)
{
    stoa_deadline deadline;
    (void)stoa__deadline_in(STOP_SECONDS, &deadline);
    uint32_t seen = atomic_fetch_or(&errands, STOPPED) | STOPPED;
    PyThreadState *here = PyEval_SaveThread(); /* an errand may be one to this interpreter */
    while (seen != STOPPED && stoa__futex_wait(&errands, seen, deadline) != STOA_TIMED_OUT) {
        seen = errands;
    }
    PyEval_RestoreThread(here);
}

void
stoa__reaper_allow(void)
{
    (void)atomic_fetch_and(&errands, ~STOPPED);
}
