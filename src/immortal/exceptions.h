/* Stoa's exception classes: one set per interpreter, made on first need, kept in the interpreter's own dict.
 *
 * They are classes, so they cannot be shared; C code asks for them by number. Names and bases as in the public face:
 * stoa.Error and its subclasses. `import stoa` and a C host that never imports it see the same classes.
 */
#ifndef STOA_IMMORTAL_EXCEPTIONS_H
#define STOA_IMMORTAL_EXCEPTIONS_H

#include <Python.h>

#include "stoa/error.h"

typedef enum stoa_exc {
    STOA_EXC_Error,
    STOA_EXC_NotFreezable,
    STOA_EXC_NameTaken,
    STOA_EXC_InterpreterGone,
    STOA_EXC_ReleasedProxy,
    STOA_EXC_RemoteError,
    STOA_EXC_Deadlock,
    STOA_EXC_Timeout,
    STOA_EXC_UnsupportedPython,
    STOA_EXC_ShutDown,
    STOA_EXC_BrokenLock,
    STOA_EXC_COUNT
} stoa_exc;

/* Borrowed (the interpreter keeps it); NULL with an exception set. GIL of the interpreter. */
PyObject *stoa__exception(stoa_exc which);
/* What is raised in code whose caller has no more time: a BaseException, so that it is not taken for one of the code's own.
 * It is for the code only; the caller gets Timeout. As above. */
PyObject *stoa__exception_out_of_time(void);
/* Raises the Python exception that stands for `err` with this thread's message: STOA_ENOMEM -> MemoryError,
 * STOA_EEXIST -> NameTaken, STOA_EGONE -> InterpreterGone, STOA_ETIMEDOUT -> Timeout, STOA_EDEADLOCK -> Deadlock,
 * STOA_EVERSION -> UnsupportedPython, STOA_EPYTHON -> leaves the one set, … Always returns NULL. */
PyObject *stoa__raise(stoa_err err);
/* The same message, as an exception of another type. */
PyObject *stoa__raise_as(PyObject *type, stoa_err err);
/* NotFreezable with .path and .type_name. Always returns NULL. */
PyObject *stoa__raise_not_freezable(const char *path, const char *type_name, const char *why_and_remedy);

/* UnsupportedPython: "Stoa cannot work with this Python (version): <fact>". Always returns NULL. */
PyObject *stoa__raise_unsupported(const char *fact);

#endif
