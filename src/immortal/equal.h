/* Equality of shared objects without a GIL, as dict keys and set members compare: identical or ==.
 *
 * 1 == 1.0 == True == 1+0j; a NaN equals itself only; frozensets and mappings in any order. Iterative: two tuples that
 * are nested a million deep are compared without using the C stack.
 */
#ifndef STOA_IMMORTAL_EQUAL_H
#define STOA_IMMORTAL_EQUAL_H

#include "immortal/cpython/cpython.h"
#include "stoa/error.h"

/* STOA_OK with the answer; STOA_ENOMEM: no memory for the stack of a deep comparison. Leaves no message. */
stoa_err stoa__equal(const PyObject *a, const PyObject *b, bool *out);

/* Two str: same kind, length and characters. */
static inline bool
stoa__equal_str(const PyObject *a, const PyObject *b)
{
    const PyASCIIObject *s = (const PyASCIIObject *)a, *t = (const PyASCIIObject *)b;
    return s->length == t->length && s->state.kind == t->state.kind &&
           memcmp(stoa__str_data(s), stoa__str_data(t), (size_t)s->length * s->state.kind) == 0;
}

#endif
