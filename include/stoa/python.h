/* \file stoa/python.h
 * \brief Freezing, sharing and thawing PyObjects from C. The only public header that includes Python.h.
 *
 * All functions here need a thread state: they run in the current interpreter under its GIL, raise Python exceptions
 * (never stoa_err), and follow the reference rules of CPython's own C API. The runtime is opened when nobody has yet.
 * On a thread that is in no interpreter, where nothing can be raised, they return NULL (0) and leave STOA_ESTATE as
 * stoa_error_message(): stoa_interp_enter first.
 */
#ifndef STOA_PYTHON_H
#define STOA_PYTHON_H

#include <Python.h>

#include "stoa/call.h"
#include "stoa/region.h"
#include "stoa/value.h"

STOA_BEGIN_DECLS

#define STOA_NO_INTERN 1u /* equal values are not made one object: faster, and larger */

/* The frozen twin of `object`, as stoa.freeze() in Python: list, set, dict, bytearray inside become their frozen forms.
 * New reference. NULL with NotFreezable (path, type and remedy in it), MemoryError, or what a signal handler raised.
 * `region` NULL: the default one. */
STOA_API PyObject *stoa_freeze(PyObject *object, stoa_region *region, unsigned flags);

/* The same, but anything mutable inside is refused: stoa.share(). */
STOA_API PyObject *stoa_share(PyObject *object, stoa_region *region, unsigned flags);

/* A private, mutable deep copy: stoa.thaw(). New reference, NULL with TypeError or MemoryError. */
STOA_API PyObject *stoa_thaw(PyObject *object);

/* Usable by pointer in every interpreter? Needs no GIL. */
STOA_API bool stoa_is_shared(const PyObject *object);

/* The view of a shared object that stoa/value.h reads, also of what was frozen or received and stands for one here (an
 * instance of a dataclass, …); NULL (no exception) when `object` is neither. The second needs the GIL, the first does not. */
STOA_API const stoa_object *stoa_object_from_python(const PyObject *object);

/* New reference to the object as the current interpreter sees it; on the way the interpreter is noted as a receiver of
 * the object's region. NULL with an exception. */
STOA_API PyObject *stoa_object_to_python(const stoa_object *object);

/* A handle of `object`, for stoa/handle.h: of what it stands for where it is a proxy. Owned: stoa_handle_release. 0 with an
 * exception. */
STOA_API stoa_handle stoa_handle_from_python(PyObject *object);

/* New reference to what the handle stands for: the object itself in its own interpreter, elsewhere a proxy. NULL with an
 * exception: InterpreterGone where the handle was released, or its interpreter closed. */
STOA_API PyObject *stoa_handle_to_python(stoa_handle handle);

STOA_END_DECLS

#endif /* STOA_PYTHON_H */
