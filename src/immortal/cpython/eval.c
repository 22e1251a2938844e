#define Py_BUILD_CORE 1 /* before Python.h: 3.12's internal headers want to be first */
#include <Python.h>

#include <internal/pycore_ceval.h>
#include <internal/pycore_gil.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#include "immortal/cpython/eval.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "immortal/cpython/gilstate.h"

/* Written once under a GIL, by threads that find the same; 1: the places are as the headers say. */
static _Atomic int gil_known;
static _Atomic int runtime_known;

const int *
stoa__gil_word(PyInterpreterState *interp)
{
    if (!gil_known) {
        return NULL;
    }
#if PY_MINOR_VERSION == 12
    return (const int *)&interp->ceval.gil->locked._value;
#else
    return &interp->ceval.gil->locked;
#endif
}

static PyThreadState *
last_holder(const struct _gil_runtime_state *gil)
{
#if PY_MINOR_VERSION == 12
    return (PyThreadState *)gil->last_holder._value;
#else
    return gil->last_holder;
#endif
}

void
stoa__eval_init(void)
{
    PyThreadState *state = stoa__current_state();
    if (_PyRuntime.interpreters.main == PyInterpreterState_Main()) {
        runtime_known = 1;
    }
    /* a wrong place is most likely NULL or odd; then nothing is followed */
    struct _gil_runtime_state *gil = state->interp->ceval.gil;
    if (runtime_known && gil != NULL && (uintptr_t)gil % sizeof(void *) == 0 &&
        (gil == &state->interp->_gil || gil == &_PyRuntime.interpreters.main->_gil) &&
        last_holder(gil) == state) {
        gil_known = 1;
        gil_known = *stoa__gil_word(state->interp) == 1;
    }
}

bool
stoa__pending_call(PyInterpreterState *interp, int (*function)(void *), void *arg)
{
    return _PyEval_AddPendingCall(interp, function, arg, 0) == 0;
}

void
stoa__pending_calls_go_on(PyInterpreterState *interp)
{
    /* that it says so of us shows that this is the place */
#if PY_MINOR_VERSION == 12
    if (runtime_known && interp->ceval.pending.busy == 1) {
        interp->ceval.pending.busy = 0;
    }
#else
    if (runtime_known && interp->ceval.pending.handling_thread == stoa__current_state()) {
        interp->ceval.pending.handling_thread = NULL;
    }
#endif
}

bool
stoa__is_signal_thread(void)
{
    return runtime_known ? PyThread_get_thread_ident() == _PyRuntime.main_thread
                         : getpid() == (pid_t)syscall(SYS_gettid);
}

bool
stoa__signal_waits(void)
{
#if PY_MINOR_VERSION == 12
    return !runtime_known || _PyRuntime.signals.is_tripped._value != 0;
#else
    return !runtime_known || __atomic_load_n(&_PyRuntime.signals.is_tripped, __ATOMIC_RELAXED) != 0;
#endif
}
