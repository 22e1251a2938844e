/* Exceptions across interpreters.
 *
 * An exception is an object of the interpreter that raised it; its class may not exist elsewhere, and its traceback holds
 * frames. So it crosses as a description: module and name of the class, arguments, attributes and notes as far as they
 * can cross (by copy; else their repr), the exceptions of a group, and the traceback as text. The receiver looks for the
 * class (builtin, Stoa's, importable) and makes an instance without running a class's own __init__; where there is no
 * such class it makes a RemoteError with .type_name and .text. In both cases __cause__ carries the text, so that an
 * ordinary traceback shows where it happened.
 */
#ifndef STOA_PROXY_EXCEPTION_H
#define STOA_PROXY_EXCEPTION_H

#include "proxy/parcel.h"

/* Takes the exception that is set in the current interpreter and describes it. Cannot fail (what cannot be described is
 * left out). The parcel holds no references. GIL of the sender. */
void stoa__exception_pack(stoa_parcel *out);
/* The description of an exception object as a tuple, new reference; and the instance that one stands for. GIL. */
PyObject *stoa__exception_describe(PyObject *exception);
PyObject *stoa__exception_make(PyObject *description);
/* str(exception), an exact str; what traceback says where that fails. New reference; NULL only for want of memory. GIL. */
PyObject *stoa__exception_text(PyObject *exception);
/* One of the class "module.name" or "module:Outer.Inner" with a message; a RemoteError where there is no such class here. New
 * reference; NULL with an exception only for want of memory. GIL. */
PyObject *stoa__exception_named(const char *type_name, const char *message);
/* The instance for this interpreter, new reference; NULL with an exception only for want of memory. GIL. */
PyObject *stoa__exception_unpack(const stoa_parcel *parcel);
/* Raises one that was just made, with the cause that it was made with, as `raise` does: what this thread is handling is its
 * context, and shows in the traceback before the owner's. Steals the reference. GIL. */
void stoa__exception_raise_made(PyObject *instance);
/* Raises what the parcel describes, and frees the parcel. Always NULL. */
PyObject *stoa__exception_raise(stoa_parcel *parcel);

#endif
