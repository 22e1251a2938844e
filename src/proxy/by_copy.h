/* The marker that by_copy(x) returns: around an argument, a result or an item, it says that x crosses as a deep copy.
 *
 * A class of its own, so that nothing else can be taken for it; one an interpreter, made on first need and kept in the
 * interpreter's own dict, as the exception classes are.
 */
#ifndef STOA_PROXY_BY_COPY_H
#define STOA_PROXY_BY_COPY_H

#include <Python.h>

/* A marker around `object`: new reference, NULL with an exception. GIL. */
PyObject *stoa__by_copy(PyObject *object);
/* What a marker is around (markers around markers included), borrowed; NULL: `object` is no marker. GIL. */
PyObject *stoa__by_copy_content(PyObject *object);

#endif
