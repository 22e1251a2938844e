/* What Python keeps for a thread in an interpreter: context variables, threading.local, the thread's dict.
 *
 * They hang on the thread state. Who runs something in another thread's stead, while that one waits, needs them: so they can be
 * put into his own state for a while. The fields are in the public struct; which there are depends on the version.
 */
#ifndef STOA_IMMORTAL_CPYTHON_THREAD_VALUES_H
#define STOA_IMMORTAL_CPYTHON_THREAD_VALUES_H

#include <Python.h>

#include <stdbool.h>

typedef struct stoa_thread_values { /* references; NULL: there is none */
    PyObject *dict, *context;
    PyObject *local_key, *local_sentinel; /* of threading.local, 3.13 and later; before, it is all in the dict */
} stoa_thread_values;

/* The state of the thread of this ident (PyThread_get_thread_ident) in the current interpreter, or NULL. Other than the
 * current one. GIL. */
PyThreadState *stoa__thread_values_find(unsigned long thread);
/* New references of what `state` has; its dict and its context are made if there are none. false: no memory, no exception
 * set, nothing in `out`. GIL of its interpreter, the current one. */
bool stoa__thread_values_get(PyThreadState *state, stoa_thread_values *out);
/* Puts `values` in, and what was there into `values`. */
void stoa__thread_values_exchange(PyThreadState *state, stoa_thread_values *values);
/* What `state` lacks and `values` has (threading.local was used for the first time) goes there, the rest is given up. state
 * NULL: all is. May run code. */
void stoa__thread_values_put_back(PyThreadState *state, stoa_thread_values *values);

#endif
