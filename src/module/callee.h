/* What is called, with what in front: a bound method is its function and its self (which crosses by the rule, as all
 * arguments do), an object with a __call__ written in Python likewise, a functools.partial what it calls and its arguments.
 * So all of them go wherever their function goes.
 */
#ifndef STOA_MODULE_CALLEE_H
#define STOA_MODULE_CALLEE_H

#include <Python.h>

typedef struct stoa_callee {
    PyObject *function, *args, *kwargs; /* owned; args: a tuple or NULL; kwargs: a dict or NULL */
} stoa_callee;

/* Until `function` is no method of a Python function, and no partial. -1 with an exception. GIL. */
int stoa__callee_unwrap(stoa_callee *c);
void stoa__callee_clear(stoa_callee *c);
/* The argument tuples of a chunk, each with `front` (NULL: nothing) before it: new reference. */
PyObject *stoa__callee_prepend_each(PyObject *chunk, PyObject *front);

#endif
