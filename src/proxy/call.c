#include "proxy/call.h"

#include <string.h>

#include "heap/error.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "immortal/cpython/gilstate.h"
#include "immortal/exceptions.h"
#include "proxy/home_post.h"
#include "proxy/service.h"
#include "proxy/stead.h"
#include "proxy/stop.h"
#include "proxy/thread_table.h"
#include "proxy/wait.h"

/* After this a posted call that nobody has begun is taken back. */
#define POST_PATIENCE_NS INT64_C(1000000)
/* How long who waits for a home thread waits before it has it reminded, and before it sees to it again. */
#define ASK_FIRST_NS INT64_C(1000000)
#define ASK_LAST_NS INT64_C(100000000)

/* ---- running, on whichever thread -------------------------------------------------------------------------------- */

typedef struct aside { /* what belongs to the code that is interrupted */
    PyObject *handled, *context;
} aside;

/* The work is done in the middle of other code of this thread: that keeps its exception and its context variables. */
static void
step_aside(aside *a)
{
    a->handled = PyErr_GetHandledException();
    PyErr_SetHandledException(NULL);
    a->context = PyContext_New();
    if (a->context != NULL && PyContext_Enter(a->context) < 0) {
        Py_CLEAR(a->context);
    }
    PyErr_Clear();
}

static void
step_back(aside *a)
{
    if (a->context != NULL && PyContext_Exit(a->context) < 0) {
        PyErr_Clear(); /* the work has left it by itself */
    }
    Py_XDECREF(a->context);
    PyErr_SetHandledException(a->handled);
    Py_XDECREF(a->handled);
}

/* In its caller's stead, here and in what it enters from here. */
static void
do_served(stoa_work *work, PyThreadState *state)
{
    stoa_thread_table *table = stoa__thread_table_here;
    const stoa_work *before = table->in_stead;
    stoa_stead stead;
    bool lent = stoa__stead_begin(&stead, work, state);
    table->in_stead = work;
    work->inside(work);
    table->in_stead = before;
    if (lent) {
        stoa__stead_end(&stead, state);
    }
}

/* In the owner. */
static void
do_work(stoa_work *work, PyThreadState *state)
{
    if (!stoa__stop_begins(work, state)) {
        work->err = STOA_ETIMEDOUT;
        return;
    }
    if (work->served_until != 0) {
        do_served(work, state);
    }
    else {
        work->inside(work);
    }
    stoa__stop_over(work);
}

static void
run_work(stoa_posted *call)
{
    stoa_work *work = (stoa_work *)call;
    stoa_visit visit;
    stoa__home_post_over(work);
    work->err = stoa__visit(work->owner, &visit);
    if (work->err != STOA_OK) {
        return;
    }
    if (visit.entry.entered == visit.entry.previous && !work->called_back) {
        aside a;
        step_aside(&a);
        do_work(work, visit.entry.entered);
        step_back(&a);
    }
    else {
        do_work(work, visit.entry.entered);
    }
    stoa__visit_end(&visit);
}

static void
dispose(stoa_posted *call)
{
    stoa_work *work = (stoa_work *)call;
    stoa_interp_record *owner = work->owner;
    stoa_waiter *runner = work->runner;
    stoa_work *beneath = work->beneath;
    stoa__home_post_over(work); /* not run: the thread has ended, or the caller has left */
    work->free(work);
    if (beneath != NULL) {
        stoa__work_unref(beneath);
    }
    stoa__interp_unref(owner);
    if (runner != NULL) {
        stoa__waiter_unref(runner);
    }
}

stoa_err
stoa__work_init(stoa_work *work, stoa_interp_record *owner, void (*inside)(stoa_work *),
                void (*free_work)(stoa_work *))
{
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        return STOA_ENOMEM;
    }
    stoa__call_init(&work->call, self, run_work, dispose);
    work->owner = stoa__interp_ref(owner);
    work->inside = inside;
    work->free = free_work;
    work->err = STOA_OK;
    work->runner = NULL;
    work->entry = NULL;
    work->outer = work->beneath = NULL;
    work->caller = PyThread_get_thread_ident();
    work->served_until = 0;
    work->called_back = false;
    atomic_init(&work->at_home, false);
    atomic_init(&work->late, false);
    atomic_init(&work->stop, STOA_STOP_NOT_BEGUN);
    return STOA_OK;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* On a thread that has no Python: STOA_OK, STOA_ETIMEDOUT, STOA_EDEADLOCK. */
static stoa_err
wait_without_python(stoa_work *work, stoa_deadline deadline)
{
    stoa_waiter *self = stoa__waiter_here();
    stoa_wait_edge edge;
    stoa_err err = STOA_OK;
    stoa__waiter_push(self, &edge, NULL);
    stoa__waiter_waits_for_call(&work->call, &edge);
    err = stoa__waiter_still_waits(self);
    while (err == STOA_OK) {
        uint32_t seen = stoa__waiter_look(self);
        if (stoa__call_over(&work->call)) {
            break;
        }
        if (stoa__now() >= deadline) {
            err = STOA_ETIMEDOUT;
            break;
        }
        (void)stoa__waiter_spin_sleep(self, seen, 5000, deadline);
    }
    stoa__waiter_waits_for_call(&work->call, NULL);
    stoa__waiter_pop(self, &edge);
    return err;
}

static stoa_err
wait_some(stoa_work *work, stoa_deadline deadline)
{
    if (stoa__current_state() == NULL) {
        return wait_without_python(work, deadline);
    }
    int result = stoa__wait_for_call(&work->call, deadline);
    return result < 0 ? STOA_EPYTHON : result > 0 ? STOA_ETIMEDOUT : STOA_OK;
}

static stoa_err
gone(const stoa_interp_record *owner)
{
    return stoa__fail(STOA_EGONE, "interpreter '%s' was closed before the call began", owner->name);
}

/* It is over, one way or the other. */
static stoa_err
outcome(stoa_work *work)
{
    if (atomic_load(&work->call.state) == STOA_CALL_REFUSED) {
        return work->owner->state == STOA_INTERP_LIVE
                   ? stoa__fail(STOA_EGONE,
                                "the thread that alone may touch this object of interpreter '%s' has ended",
                                work->owner->name)
                   : gone(work->owner);
    }
    if (work->err == STOA_EGONE) {
        return gone(work->owner);
    }
    return work->err == STOA_OK
               ? STOA_OK
               : stoa__fail(work->err, "the call could not be begun: %s", stoa_err_text(work->err));
}

/* Waits, and asks again for as long as nobody has begun: `again` is called on the way. */
static stoa_err
wait_asking(stoa_work *work, stoa_deadline deadline)
{
    int64_t pause = ASK_FIRST_NS;
    for (;;) {
        bool waiting = atomic_load(&work->call.state) == STOA_CALL_POSTED;
        int64_t now = stoa__now();
        stoa_deadline until = waiting && deadline - now > pause ? now + pause : deadline;
        stoa_err err = wait_some(work, until);
        if (err == STOA_OK) {
            return outcome(work);
        }
        if (err != STOA_ETIMEDOUT || until == deadline) {
            stoa__stop_ask(work);
            return err;
        }
        if (atomic_load(&work->call.state) != STOA_CALL_POSTED) {
            continue;
        }
        if (stoa__interp_enter(work->owner) != STOA_OK) {
            if (stoa__call_withdraw(&work->call)) {
                return gone(work->owner);
            }
            continue;
        }
        stoa__home_remind(work->owner);
        stoa__interp_leave(work->owner);
        pause = pause < ASK_LAST_NS ? pause * 2 : pause;
    }
}

/* ---- the ways ---------------------------------------------------------------------------------------------------- */

static stoa_err
enter_and_do(stoa_work *work)
{
    stoa_visit visit;
    stoa_err err = stoa__visit(work->owner, &visit);
    if (err == STOA_OK) {
        do_work(work, visit.entry.entered);
        stoa__visit_end(&visit);
    }
    return err;
}

static stoa_err
by_home(stoa_waiter *home, stoa_deadline deadline, stoa_work *work)
{
    if (home == work->call.sender) {
        return enter_and_do(work);
    }
    stoa_err err = stoa__interp_enter(work->owner);
    if (err != STOA_OK) {
        return err;
    }
    err = stoa__home_post(home, work);
    stoa__interp_leave(work->owner);
    if (err != STOA_OK) {
        return stoa__fail(STOA_EGONE,
                          "the thread that alone may touch this object of interpreter '%s' has ended",
                          work->owner->name);
    }
    STOA_COUNT(&stoa__process->counters, calls_home);
    return wait_asking(work, deadline);
}

_Atomic uint32_t stoa__works_served;

static stoa_err
wait_served(stoa_work *work, stoa_deadline deadline)
{
    stoa_err err = stoa__serve(&work->call);
    if (err == STOA_OK) {
        STOA_COUNT(&stoa__process->counters, calls_served);
        err = wait_some(work, deadline);
        if (err == STOA_OK) {
            return work->late ? STOA_ETIMEDOUT : outcome(work);
        }
        stoa__stop_ask(work);
    }
    return err;
}

/* The innermost served work at or below `work`: in the midst of it, on this thread, that one is done. */
static stoa_work *
served_from(stoa_work *work)
{
    while (work != NULL && work->served_until == 0) {
        work = work->outer;
    }
    return work;
}

/* That of this thread, or NULL. From there on `beneath` leads to those in the midst of which it was sent: callers that wait,
 * on threads of their own. */
static stoa_work *
served_here(void)
{
    stoa_waiter *self = stoa__waiter_here_if_any();
    return self == NULL ? NULL : served_from(atomic_load(&self->work));
}

static stoa_err
by_service(stoa_deadline deadline, stoa_work *work)
{
    work->beneath = served_here();
    if (work->beneath != NULL) {
        stoa__call_ref(&work->beneath->call);
        work->caller = work->beneath->caller; /* this thread is there in that one's stead */
    }
    work->served_until = deadline;
    size_t count = stoa__current_state() == NULL /* such a wait serves nobody */
                       ? 0
                       : stoa__thread_inside(work->caller_inside, STOA_CALLER_INSIDE);
    memset(work->caller_inside + count, 0, (STOA_CALLER_INSIDE - count) * sizeof(work->caller_inside[0]));
    atomic_fetch_add(&stoa__works_served, 1);
    stoa_err err = wait_served(work, deadline);
    atomic_fetch_sub(&stoa__works_served, 1);
    return err;
}

static bool
is_caller_inside(const stoa_work *work, const stoa_interp_record *owner)
{
    for (size_t i = 0; i < STOA_CALLER_INSIDE && work->caller_inside[i] != 0; i++) {
        if (work->caller_inside[i] == owner->serial) {
            return true;
        }
    }
    return false;
}

stoa_waiter *
stoa__caller_served(const stoa_interp_record *owner, stoa_deadline *out_deadline)
{
    stoa_deadline until = STOA_FOREVER;
    for (const stoa_work *work = served_here(); work != NULL; work = work->beneath) {
        if (!stoa__stop_is_away(work)) { /* its caller has left */
            return NULL;
        }
        until = work->served_until < until ? work->served_until : until;
        if (is_caller_inside(work, owner)) {
            *out_deadline = until;
            return work->call.sender;
        }
    }
    return NULL;
}

/* What this thread had called back was not over by `deadline`, and who was asked could not leave: the served works whose time
 * was up then are too late, whatever comes of them. */
static void
note_late(stoa_deadline deadline)
{
    for (stoa_work *work = served_here(); work != NULL; work = work->beneath) {
        if (work->served_until <= deadline) {
            work->late = true;
        }
    }
}

static bool
is_running_python(stoa_interp_record *owner)
{
    PyThreadState *state = stoa__current_state();
    const int *gil = stoa__member(owner)->gil;
    return stoa__gil_is_held(gil) && (state == NULL || stoa__gil_word(state->interp) != gil);
}

static stoa_err
by_post(stoa_work *work)
{
    stoa_err err = stoa__interp_enter(work->owner);
    if (err != STOA_OK) {
        return err;
    }
    bool posted = is_running_python(work->owner) && stoa__post_to_running(work->owner, &work->call) == STOA_OK;
    stoa__interp_leave(work->owner);
    if (!posted) {
        return enter_and_do(work);
    }
    err = wait_some(work, stoa__now() + POST_PATIENCE_NS);
    if (err == STOA_ETIMEDOUT) {
        if (stoa__call_withdraw(&work->call)) {
            STOA_COUNT(&stoa__process->counters, calls_withdrawn);
            return enter_and_do(work);
        }
        err = wait_some(work, STOA_FOREVER);
    }
    if (err != STOA_OK) {
        stoa__stop_ask(work);
        return err;
    }
    STOA_COUNT(&stoa__process->counters, calls_posted);
    return outcome(work);
}

stoa_err
stoa__call_owner(const stoa_route *route, stoa_deadline deadline, stoa_work *work)
{
    stoa_err err;
    if (route != NULL && route->home != NULL) {
        err = by_home(route->home, deadline, work);
    }
    else if (deadline != STOA_FOREVER) {
        err = by_service(deadline, work);
    }
    else if (route != NULL && route->via == STOA_VIA_POST) {
        err = by_post(work);
    }
    else {
        err = enter_and_do(work);
    }
    if (err == STOA_ETIMEDOUT) {
        if (work->called_back) {
            note_late(deadline);
        }
        STOA_COUNT(&stoa__process->counters, calls_timed_out);
    }
    return err;
}

PyObject *
stoa__call_failed(const stoa_interp_record *owner, stoa_err err, double seconds)
{
    if (err == STOA_ETIMEDOUT) {
        PyObject *class = stoa__exception(STOA_EXC_Timeout);
        PyObject *allowed = class == NULL ? NULL : PyFloat_FromDouble(seconds);
        if (allowed != NULL) {
            PyErr_Format(
                class,
                "a call into interpreter '%s' was not over after %R seconds; it was interrupted, and "
                "what still comes of it is dropped",
                owner->name, allowed);
        }
        Py_XDECREF(allowed);
        return NULL;
    }
    return stoa__enter_failed(err);
}
