#include "immortal/cpython/thread_values.h"

PyThreadState *
stoa__thread_values_find(unsigned long thread)
{
    PyThreadState *here = PyThreadState_Get(), *state = PyInterpreterState_ThreadHead(here->interp);
    while (state != NULL && (state->thread_id != thread || state == here)) {
        state = PyThreadState_Next(state);
    }
    return state;
}

bool
stoa__thread_values_get(PyThreadState *state, stoa_thread_values *out)
{
    if (state->dict == NULL) {
        state->dict = PyDict_New();
    }
    if (state->context == NULL) {
        state->context = PyContext_New();
    }
    if (state->dict == NULL || state->context == NULL) {
        PyErr_Clear();
        return false;
    }
    *out = (stoa_thread_values){Py_NewRef(state->dict), Py_NewRef(state->context), NULL, NULL};
#if PY_VERSION_HEX >= 0x030D0000
    out->local_key = Py_XNewRef(state->threading_local_key);
    out->local_sentinel = Py_XNewRef(state->threading_local_sentinel);
#endif
    return true;
}

static void
swap(PyObject **one, PyObject **other)
{
    PyObject *before = *one;
    *one = *other;
    *other = before;
}

void
stoa__thread_values_exchange(PyThreadState *state, stoa_thread_values *values)
{
    swap(&state->dict, &values->dict);
    swap(&state->context, &values->context);
    state->context_ver++; /* each context variable remembers its last value by this */
#if PY_VERSION_HEX >= 0x030D0000
    swap(&state->threading_local_key, &values->local_key);
    swap(&state->threading_local_sentinel, &values->local_sentinel);
#endif
}

void
stoa__thread_values_put_back(PyThreadState *state, stoa_thread_values *values)
{
#if PY_VERSION_HEX >= 0x030D0000
    if (state != NULL && state->threading_local_key == NULL && state->threading_local_sentinel == NULL) {
        swap(&state->threading_local_key, &values->local_key);
        swap(&state->threading_local_sentinel, &values->local_sentinel);
    }
#else
    (void)state;
#endif
    Py_CLEAR(values->local_key);
    Py_CLEAR(values->local_sentinel);
    Py_CLEAR(values->context);
    Py_CLEAR(values->dict);
}
