/* The standard library's `threading`, when an interpreter ends on a thread that it does not know.
 *
 * Py_EndInterpreter aborts when a thread state is left, waits only for threads that `threading` knows, and takes its module
 * down with a substitute Thread object in it for the thread that ends the interpreter.
 */
#ifndef STOA_HOST_THREADING_END_H
#define STOA_HOST_THREADING_END_H

#include <Python.h>

/* In a new interpreter, on the thread that will end it. -1 with an exception. GIL. */
int stoa__threading_prepare(void);
/* Before it ends: waits for threads that Py_EndInterpreter would abort over. `own`: the state of the thread that ends
 * it. GIL, given up meanwhile. */
void stoa__threading_wait_for_strays(PyInterpreterState *interp, PyThreadState *own);

#endif
