/* The runtime's own process-wide objects, and which of them a value must become.
 *
 * A copy of '__len__' is equal to the runtime's '__len__' but type slots are updated by pointer (hazards.md section 2), so
 * freezing must return the runtime's object where there is one: None, True, False, Ellipsis, NotImplemented, small ints,
 * empty and one-character str, bytes of length 0 and 1, (), dunder names, timezone.utc (3.13+), static builtin types.
 * The table is filled once per domain, under a GIL, by stoa__canonical_init; after that it is const and read by any thread.
 */
#ifndef STOA_IMMORTAL_CANONICAL_H
#define STOA_IMMORTAL_CANONICAL_H

#include <Python.h>

#include <stdbool.h>

/* Fills the table and runs the layout probes (cpython/probe.h), once a process. Call it in every interpreter before the
 * first shared object gets there: it also imports what a receiver needs (_datetime from 3.13 on). GIL. Idempotent, cheap
 * after the first time. 0, or -1 with an exception set: UnsupportedPython when a layout fact does not hold. */
int stoa__canonical_init(void);

/* Is this one of CPython's own process-wide objects (usable by pointer in every interpreter)? Static builtin types,
 * singletons, small ints, … No GIL. */
bool stoa__is_canonical(const PyObject *object);

PyObject *stoa__canonical_int(int64_t value);       /* NULL: not a small int */
PyObject *stoa__canonical_char(uint32_t character); /* NULL: >= 256 */
PyObject *
stoa__canonical_ascii(const char *text, size_t size); /* static string (dunders, identifiers), or NULL */
PyObject *stoa__canonical_bytes(const void *bytes, size_t size); /* length 0 or 1, or NULL */
PyObject *stoa__canonical_empty_tuple(void);

/* In the heap, or canonical: what is_shared() answers. */
bool stoa__is_shared(const PyObject *object);

#endif
