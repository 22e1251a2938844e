/* stoa_data and stoa_exception: Python's objects and exceptions as a C host sees them.
 *
 * All but the check need the GIL of an interpreter, current. An argument becomes an object there; a result becomes a C value,
 * which never holds a PyObject: text is copied, what is shared goes by pointer, anything else by handle, if asked for.
 */
#ifndef STOA_HOST_DATA_H
#define STOA_HOST_DATA_H

#include <Python.h>

#include "stoa/call.h"

/* No GIL: what can be said of an argument before anything is done. `what`, with `index` in it, names it: "args[%zu]". */
stoa_err stoa__data_check(const stoa_data *data, const char *what, size_t index);
/* STOA_OK with a new reference. STOA_EUTF8; STOA_EGONE: the handle; STOA_EPYTHON with the exception set. */
stoa_err stoa__data_to_python(const stoa_data *data, const char *what, size_t index, PyObject **out);
/* No GIL: all arguments of a call, and its flags (STOA_CALL_*_RESULT). STOA_EINVAL. */
stoa_err stoa__data_check_call(const stoa_data *args, size_t count, unsigned flags);
/* Calls `callable`, or its method `name`, with `args`. Codes as above; a new reference. */
stoa_err
stoa__data_call(PyObject *callable, const char *name, const stoa_data *args, size_t count, PyObject **out);
/* `flags`: STOA_CALL_*_RESULT. `what` names the object in messages. No Python exception is left set. */
stoa_err stoa__data_from_python(PyObject *object, unsigned flags, const char *what, stoa_data *out);

/* As stoa__data_from_python, with what fits no other kind as a handle; text and bytes stay those of `object`. */
stoa_err stoa__data_borrow(PyObject *object, const char *what, stoa_data *out);
/* A handle whose clearing releases it. */
stoa_data stoa__data_own_handle(stoa_handle handle);
/* No GIL: a copy that owns what it holds. STOA_ENOMEM, STOA_EGONE. */
stoa_err stoa__data_copy(const stoa_data *data, stoa_data *out);

/* ---- exceptions ---- */

/* Takes the exception that is set. STOA_EPYTHON with its text as the message; STOA_ENOMEM. `out` may be NULL. */
stoa_err stoa__exception_take(stoa_exception **out);
/* A callback that passes STOA_EPYTHON on means the last exception that this thread met in C: taken by the function above, or
 * said by stoa_callback_raise. note: remembers one (no GIL); forget: none from here on; raise_noted: raises it, as an
 * exception of the current interpreter. Always NULL. */
typedef struct stoa_noted {
    char type[160], message[1000]; /* type "": none */
} stoa_noted;
void stoa__exception_get_noted(stoa_noted *out); /* no GIL, as the next: from one thread to another */
void stoa__exception_set_noted(const stoa_noted *noted);
void stoa__exception_note(const char *type_name, const char *message);
void stoa__exception_forget(void);
PyObject *stoa__exception_raise_noted(void);

#endif
