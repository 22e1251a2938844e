/* Persistent mappings as an interpreter sees them: `stoa.PersistentMapping`, one type an interpreter. It holds nothing
 * but the address of the version; values that are foreign nodes are delivered when they are touched.
 */
#ifndef STOA_IMMORTAL_PERSIST_VIEW_H
#define STOA_IMMORTAL_PERSIST_VIEW_H

#include "immortal/persist.h"

extern const stoa_foreign_kind stoa__persist_kind;

/* The class: borrowed, NULL with an exception. GIL. */
PyTypeObject *stoa__persist_type(void);

/* A new dict of the pairs; NULL: `object` is no persistent mapping, or an exception is set. GIL. */
PyObject *stoa__persist_as_dict(PyObject *object);

#endif
