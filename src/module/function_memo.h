/* The function that was submitted last, and what it was packed into.
 *
 * A loop, and map(), submit one function again and again, and packing it takes longer than the rest of a submit. But a
 * function can change while it is the same object: its code, its defaults, a closure's cells, the globals it names where
 * those go along. So what is kept is checked against all of that, and functions where it cannot be are packed each time.
 */
#ifndef STOA_MODULE_FUNCTION_MEMO_H
#define STOA_MODULE_FUNCTION_MEMO_H

#include <Python.h>

#include "host/pool_call.h"

/* All under the interpreter's GIL. Zeroes: nothing yet. Who has one visits all four objects. */
typedef struct stoa_function_memo {
    PyObject *function;
    PyObject *code, *defaults; /* its, at the time; references, so that no other gets the address of one */
    PyObject *globals;         /* those that it names, at the time */
    stoa_function *packed;
} stoa_function_memo;

/* New reference; NULL with TypeError, NotFreezable, … GIL. */
stoa_function *stoa__function_memo_get(stoa_function_memo *memo, PyObject *function);
void stoa__function_memo_clear(stoa_function_memo *memo);

#endif
