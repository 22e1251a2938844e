#include "proxy/stop.h"

#include <sched.h>
#include <stdlib.h>

#include "immortal/cpython/gilstate.h"
#include "immortal/exceptions.h"
#include "proxy/service.h"
#include "proxy/visit.h"

/* ---- the exception ----------------------------------------------------------------------------------------------- */

/* To the runner, who is in `there`, and in no other work there. Its GIL. */
static void
send(stoa_work *work, stoa_interp_record *there)
{
    PyObject *class = stoa__exception_out_of_time();
    uint32_t running = STOA_STOP_RUNNING;
    if (class != NULL && atomic_compare_exchange_strong(&work->stop, &running, STOA_STOP_STOPPING)) {
        work->stopped_in = there;
        if (PyThreadState_SetAsyncExc(work->thread, class) > 0) {
            stoa__waiter_interrupt(work->runner); /* it may be waiting */
        }
        atomic_store(&work->stop, STOA_STOP_STOPPED);
    }
    PyErr_Clear();
}

static void
take_back(const stoa_work *work)
{
    (void)PyThreadState_SetAsyncExc(work->thread, NULL);
}

/* ---- the runner -------------------------------------------------------------------------------------------------- */

/* The exception is on its way to `outer`, and has not been raised; the work that begins now must not get it. */
static void
hold_back(stoa_work *outer, const stoa_interp_record *inside, PyThreadState *state)
{
    if (atomic_load(&outer->stop) == STOA_STOP_STOPPED && outer->stopped_in == inside &&
        outer->owner == inside && stoa__awaits_async_exception(state)) {
        take_back(outer);
        atomic_store(&outer->wanted, 1);
        atomic_store(&outer->stop, STOA_STOP_RUNNING);
    }
}

bool
stoa__stop_begins(stoa_work *work, PyThreadState *state)
{
    stoa_waiter *self = stoa__waiter_here();
    work->runner = self == NULL ? NULL : stoa__waiter_ref(self);
    work->thread = state->thread_id;
    uint32_t stage = STOA_STOP_NOT_BEGUN;
    if (!atomic_compare_exchange_strong(&work->stop, &stage, STOA_STOP_RUNNING)) {
        return false;
    }
    if (self != NULL) {
        work->outer = atomic_load(&self->work);
        atomic_store(&self->work, work);
        if (work->outer != NULL) {
            hold_back(work->outer, work->owner, state);
        }
    }
    return true;
}

static void
end_stopped(stoa_work *work)
{
    stoa_entry entry;
    while (atomic_load(&work->stop) == STOA_STOP_STOPPING) {
        (void)sched_yield();
    }
    if (work->stopped_in == work->owner) {
        take_back(work); /* we are there, even if it is being closed */
    }
    else if (stoa__enter(work->stopped_in, &entry) == STOA_OK) {
        take_back(work);
        stoa__leave(&entry);
    }
    atomic_store(&work->stop, STOA_STOP_OVER);
}

void
stoa__stop_over(stoa_work *work)
{
    uint32_t stage = STOA_STOP_RUNNING;
    if (!atomic_compare_exchange_strong(&work->stop, &stage, STOA_STOP_OVER)) {
        end_stopped(work);
    }
    stoa_work *outer = work->outer;
    if (work->runner == NULL) {
        return;
    }
    atomic_store(&work->runner->work, outer);
    if (outer != NULL && atomic_load(&outer->wanted) && outer->owner == work->owner) {
        send(outer, outer->owner); /* it was to be stopped while this one was in the way */
    }
}

/* ---- the caller -------------------------------------------------------------------------------------------------- */

typedef struct stopper {
    stoa_posted call;
    stoa_work *work; /* a reference */
    bool held; /* counted as inside of the owner: who closes it as soon as the caller is back waits for the stop */
} stopper;

/* On a service thread: to where the runner is now. */
static void
stop_work(stoa_posted *call)
{
    stopper *s = (stopper *)call;
    stoa_work *work = s->work;
    stoa_interp_record *there = atomic_load_explicit(&work->runner->innermost, memory_order_relaxed);
    stoa_visit visit;
    if (there == NULL) {
        there = work->owner;
    }
    if (atomic_load(&work->stop) != STOA_STOP_RUNNING) {
        return;
    }
    bool by_hold = s->held && there == work->owner;
    s->held = s->held && !by_hold;
    if ((by_hold ? stoa__visit_held(there, &visit) : stoa__visit(there, &visit)) != STOA_OK) {
        return;
    }
    atomic_store(&work->wanted, 1);
    if (atomic_load(&work->runner->work) == work) {
        send(work, there);
    }
    stoa__visit_end(&visit);
}

static void
free_stopper(stoa_posted *call)
{
    stopper *s = (stopper *)call;
    if (s->held) {
        stoa__interp_leave(s->work->owner);
    }
    stoa__work_unref(s->work);
    free(s);
}

void
stoa__stop_ask(stoa_work *work)
{
    stopper *s;
    uint32_t stage = STOA_STOP_NOT_BEGUN;
    if (stoa__call_withdraw(&work->call) ||
        atomic_compare_exchange_strong(&work->stop, &stage, STOA_STOP_CANCELLED) ||
        stage != STOA_STOP_RUNNING || work->runner == NULL || (s = malloc(sizeof(*s))) == NULL) {
        return;
    }
    stoa__call_init(&s->call, NULL, stop_work, free_stopper);
    s->work = work;
    s->held = stoa__interp_enter(work->owner) == STOA_OK;
    stoa__call_ref(&work->call);
    (void)stoa__serve(&s->call); /* else it runs on, and what comes of it is dropped */
    stoa__call_unref(&s->call);
}
