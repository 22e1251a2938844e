/* Checks that a frozen graph is what it promises to be: every invariant of the images, for every object reached.
 *
 * Used by tests, and by debug builds after a freeze. Walks iteratively; each object once.
 */
#ifndef STOA_IMMORTAL_VERIFY_H
#define STOA_IMMORTAL_VERIFY_H

#include "immortal/cpython/cpython.h"
#include "stoa/error.h"

/* STOA_OK: all holds; *out_objects (may be NULL) is how many distinct objects of the heap were reached.
 * STOA_ESTATE: the message names the object and the invariant. STOA_ENOMEM. No GIL; the graph must be sealed or be made by
 * the caller's own open batch. */
stoa_err stoa__verify(const PyObject *object, size_t *out_objects);

#endif
