/* Taking objects apart, and making them again, by the protocol that pickle and copy use. May run Python code. GIL. */
#ifndef STOA_IMMORTAL_REDUCE_H
#define STOA_IMMORTAL_REDUCE_H

#include "immortal/foreign.h"

#define STOA_CALL_PARTS 7 /* of a CALL node, at least: reduce.c says which */

/* What is to be frozen instead of an object: new reference to (kind, flags, part …), NULL with an exception. */
PyObject *stoa__reduce(PyObject *object, unsigned flags);
/* The same when its __reduce__ has been asked, or another says what that should give; `reduced`: a reference that it takes. */
PyObject *stoa__reduce_as(PyObject *object, PyObject *reduced, unsigned flags);
/* The same for what is rebuilt as function(*arguments); `name`: (module, name) of its class, for messages. */
PyObject *stoa__reduce_to(PyObject *name, PyObject *function, PyObject *arguments, unsigned flags);
/* As stoa_foreign_kind.build. */
PyObject *stoa__build_call(const stoa_node *node, PyObject *const *parts);

#endif
