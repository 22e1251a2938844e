/* Running code in another interpreter, from Python: exec, call, submit, prepare_main.
 *
 * The caller's thread enters the other interpreter and runs there; arguments, results and exceptions cross as proxy/cross.h
 * says. A function is an object of one interpreter, so what crosses is where to find it: "module:qualname". A function
 * that has no such place there (a lambda, one defined in __main__ or in another function) crosses as its code, if it
 * closes over nothing and its defaults can cross; its globals are those of its module there, or __main__.
 */
#ifndef STOA_HOST_INVOKE_H
#define STOA_HOST_INVOKE_H

#include "proxy/thread_state.h"

/* All: GIL of the caller's interpreter, given up meanwhile. Exceptions of the code there are raised here. */

/* `code`: str or code object. -1 with an exception; SystemExit there is a RemoteError here. */
int stoa__invoke_exec(stoa_interp_record *record, PyObject *code);
/* `args` a tuple, `kwargs` a dict or NULL. New reference. */
PyObject *stoa__invoke_call(stoa_interp_record *record, PyObject *function, PyObject *args, PyObject *kwargs);
/* The same, with nanoseconds that it may take: on a service thread. Timeout. */
int stoa__invoke_exec_timed(stoa_interp_record *record, PyObject *code, int64_t timeout);
PyObject *stoa__invoke_call_timed(stoa_interp_record *record, PyObject *function, PyObject *args,
                                  PyObject *kwargs, int64_t timeout);
/* A stoa.Future, new reference. */
PyObject *stoa__invoke_submit(stoa_interp_record *record, PyObject *function, PyObject *args, PyObject *kwargs);
/* Globals of __main__ there, from a dict. */
int stoa__invoke_prepare(stoa_interp_record *record, PyObject *names);

/* Inside an interpreter: calls a function that came from outside, with no Python frame below. New reference, or NULL. */
PyObject *stoa__invoke_function(PyObject *function, PyObject *args, PyObject *kwargs);
/* The same with an array, which has room for one more before its first. */
PyObject *stoa__invoke_array(PyObject *function, PyObject *const *args, size_t count);

/* Inside an interpreter: its __main__'s globals: new reference. NULL with an exception. */
PyObject *stoa__main_globals(void);
/* Inside an interpreter: runs source or a code object in __main__; `label` names the source in tracebacks. New reference
 * to nothing of interest; NULL with the exception. */
PyObject *stoa__run_in_main(PyObject *code, const char *label);

#endif
