#include "proxy/wait.h"

#include "heap/error.h"
#include "immortal/cpython/eval.h" // stoa__signal_waits
#include "immortal/exceptions.h"
#include "proxy/membership.h"
#include "proxy/signals.h"

/* Answers of running threads come within microseconds; sleeping and being woken costs 5 to 50. */
#define SPIN_NS INT64_C(5000)
/* How long the thread that handles signals sleeps at once. */
#define SIGNAL_SLICE_NS INT64_C(250000000)

typedef struct wait_state {
    bool (*ready)(void *);
    void *arg;
    stoa_deadline deadline;
    stoa_waiter *self;
    stoa_interp_record *record; /* of the interpreter that waits; NULL: its closing does not matter */
    bool handles_signals;
    bool spun;
} wait_state;

void
stoa__serve_home(stoa_waiter *self)
{
    stoa_posted *call;
    stoa_wait_edge edge;
    stoa__waiter_push(self, &edge, NULL); /* runs, whatever it waits for below */
    stoa__mailbox_arrive(&self->home);
    while ((call = stoa__mailbox_take(&self->home)) != NULL) {
        stoa__waiter_runs(self, call);
        call->run(call);
        stoa__waiter_ran(call);
        stoa__call_done(call);
    }
    stoa__waiter_pop(self, &edge);
}

/* What interrupt() left in the thread state for the next bytecode is raised here instead. 0: nothing. */
static int
raise_interrupt(stoa_waiter *self)
{
    PyThreadState *state = PyThreadState_Get();
    if (!stoa__waiter_take_interrupt(self) || state->async_exc == NULL) {
        return 0;
    }
    PyObject *class = Py_NewRef(state->async_exc);
    (void)PyThreadState_SetAsyncExc(state->thread_id, NULL);
    PyErr_SetNone(class);
    Py_DECREF(class);
    return -1;
}

int
stoa__wait_allowed(stoa_interp_record *record)
{
    if (record->state == STOA_INTERP_LIVE) {
        return 0;
    }
    PyErr_Format(stoa__exception(STOA_EXC_InterpreterGone),
                 "interpreter '%s' is being closed: nothing is waited for in it any more", record->name);
    return -1;
}

/* GIL. */
static int
look_around(wait_state *w)
{
    if (raise_interrupt(w->self) < 0) { /* before others are served: it is meant for what waits here */
        return -1;
    }
    if (stoa__mailbox_count(&w->self->home) > 0) {
        stoa__serve_home(w->self);
        stoa_err err = stoa__waiter_still_waits(w->self);
        if (err != STOA_OK) {
            stoa__raise(err);
            return -1;
        }
    }
    if (w->handles_signals && stoa__check_signals() < 0) {
        return -1;
    }
    if (raise_interrupt(w->self) < 0) {
        return -1;
    }
    return w->record == NULL ? 0 : stoa__wait_allowed(w->record);
}

int
stoa__wait_attend(void)
{
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        stoa__raise(STOA_ENOMEM);
        return -1;
    }
    if (stoa__mailbox_count(&self->home) > 0) {
        stoa__serve_home(self);
    }
    return stoa__check_signals() < 0 || raise_interrupt(self) < 0 ? -1 : 0;
}

static bool
has_news(const wait_state *w)
{
    return stoa__mailbox_count(&w->self->home) > 0 || atomic_load(&w->self->interrupted) ||
           (w->record != NULL && w->record->state != STOA_INTERP_LIVE);
}

static stoa_deadline
slice_from(int64_t now, stoa_deadline deadline)
{
    return deadline > now + SIGNAL_SLICE_NS ? now + SIGNAL_SLICE_NS : deadline;
}

stoa_deadline
stoa__wait_slice(stoa_deadline deadline)
{
    return stoa__handles_signals() ? slice_from(stoa__now(), deadline) : deadline;
}

/* No GIL. Ready, out of time, or something to look at with the GIL held: 0, 1, 2. */
static int
sleep_once(wait_state *w)
{
    for (;;) {
        uint32_t seen = stoa__waiter_look(w->self);
        if (w->ready(w->arg)) {
            return 0;
        }
        if (has_news(w)) {
            return 2;
        }
        int64_t now = stoa__now();
        if (now >= w->deadline) {
            return 1;
        }
        stoa_deadline until = w->handles_signals ? slice_from(now, w->deadline) : w->deadline;
        stoa_wait_result result = w->spun ? stoa__waiter_sleep(w->self, seen, until)
                                          : stoa__waiter_spin_sleep(w->self, seen, SPIN_NS, until);
        w->spun = true;
        if (result == STOA_SIGNALLED || (result == STOA_TIMED_OUT && until != w->deadline)) {
            if (w->handles_signals) {
                return 2;
            }
        }
    }
}

static int
wait_here(wait_state *w)
{
    for (;;) {
        PyThreadState *state = PyEval_SaveThread();
        int result = sleep_once(w);
        PyEval_RestoreThread(state);
        if (result != 2) {
            return result;
        }
        if (look_around(w) < 0) {
            return -1;
        }
    }
}

static int
wait_begun(wait_state *w, stoa_waiter *whom, const char *what)
{
    stoa_err err = whom == NULL ? stoa__waiter_still_waits(w->self)
                                : stoa__waiter_waits_for(w->self, whom, what);
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    /* a signal that came while this thread was on its way here */
    return look_around(w) < 0 ? -1 : wait_here(w);
}

int
stoa__wait_until(bool (*ready)(void *), void *arg, stoa_deadline deadline, stoa_waiter *whom, const char *what)
{
    if (ready(arg)) {
        return 0;
    }
    stoa_interp_record *record = stoa__current_record();
    stoa_waiter *self = record == NULL ? NULL : stoa__waiter_here();
    if (self == NULL) {
        if (record != NULL) {
            stoa__raise(STOA_ENOMEM);
        }
        return -1;
    }
    wait_state w = {ready, arg, deadline, self, record, stoa__handles_signals(), false};
    stoa_wait_edge edge;
    stoa__waiter_push(self, &edge, record->name);
    int result = wait_begun(&w, whom, what);
    stoa__waiter_pop(self, &edge);
    return result;
}

static bool
call_is_over(void *arg)
{
    return stoa__call_over(arg);
}

int
stoa__wait_for_call(stoa_posted *call, stoa_deadline deadline)
{
    stoa_waiter *self = stoa__waiter_here();
    wait_state w = {call_is_over, call, deadline, self, NULL, stoa__handles_signals(), false};
    stoa_interp_record *record = stoa__current_record();
    PyErr_Clear();
    stoa_wait_edge edge;
    stoa__waiter_push(self, &edge, record == NULL ? NULL : record->name);
    stoa__waiter_waits_for_call(call, &edge);
    int result = wait_begun(&w, NULL, NULL);
    stoa__waiter_waits_for_call(call, NULL);
    stoa__waiter_pop(self, &edge);
    return result;
}

/* After a sleep that ended by something else than news. */
static stoa_err
last_look(bool (*ready)(void *), void *arg, stoa_wait_result result)
{
    return ready(arg) ? STOA_OK : result == STOA_TIMED_OUT ? STOA_ETIMEDOUT : STOA_EINTERRUPTED;
}

static stoa_err
sleep_outside(stoa_waiter *self, bool (*ready)(void *), void *arg, stoa_deadline deadline)
{
    for (;;) {
        uint32_t seen = stoa__waiter_look(self);
        if (ready(arg)) {
            return STOA_OK;
        }
        if (stoa__mailbox_count(&self->home) > 0) {
            stoa__serve_home(self);
            stoa_err err = stoa__waiter_still_waits(self);
            if (err != STOA_OK) {
                return err;
            }
            continue;
        }
        stoa_deadline until = stoa__wait_slice(deadline);
        stoa_wait_result result = stoa__waiter_sleep(self, seen, until);
        if (result == STOA_TIMED_OUT && until != deadline) {
            result = stoa__signal_waits() ? STOA_SIGNALLED : STOA_WOKEN;
        }
        if (result != STOA_WOKEN) {
            return last_look(ready, arg, result);
        }
    }
}

stoa_err
stoa__wait_outside(bool (*ready)(void *), void *arg, stoa_deadline deadline, const void *topic,
                   stoa_waiter *whom)
{
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        return STOA_ENOMEM;
    }
    stoa_wait_edge edge;
    stoa__waiter_push_on(self, &edge, NULL, topic);
    stoa_err err = whom == NULL || deadline != STOA_FOREVER
                       ? STOA_OK
                       : stoa__waiter_waits_for(self, whom, "a submitted call");
    if (err == STOA_OK) {
        err = sleep_outside(self, ready, arg, deadline);
    }
    stoa__waiter_pop(self, &edge);
    return err;
}
