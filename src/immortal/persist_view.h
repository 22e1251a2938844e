/* Persistent mappings as an interpreter sees them: `stoa.PersistentMapping`, one type an interpreter: what evolve() makes, and
 * long frozen mappings with foreign nodes among their values. Such values are built when they are touched, and kept (late.h).
 */
#ifndef STOA_IMMORTAL_PERSIST_VIEW_H
#define STOA_IMMORTAL_PERSIST_VIEW_H

#include "immortal/persist.h"

extern const stoa_foreign_kind stoa__persist_kind;

/* The class: borrowed, NULL with an exception. GIL. */
PyTypeObject *stoa__persist_type(void);

/* Is it one? No Python code. */
bool stoa__is_persistent(PyObject *object);

/* A new dict of the pairs of one; NULL with an exception. `keep`: the mapping keeps the values that are built for it, as it must
 * where somebody gets hold of them. GIL. */
PyObject *stoa__persist_as_dict(PyObject *object, bool keep);

#endif
