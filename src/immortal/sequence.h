/* stoa.SharedSequence: a long frozen tuple whose items are built when somebody looks at them (late.h).
 *
 * A tuple of STOA_LATE_MIN items and more, with foreign ones among them, is delivered as a sequence that refers to the node;
 * shorter ones are built at once, as the tuples they are. To compare, hash, slice, concatenate and pickle it is the tuple it
 * stands for; it is no instance of tuple.
 */
#ifndef STOA_IMMORTAL_SEQUENCE_H
#define STOA_IMMORTAL_SEQUENCE_H

#include "immortal/foreign.h"

/* As stoa_foreign_kind.build_lazily of TUPLE. */
PyObject *stoa__sequence_of(const stoa_node *node);

/* The type, of this interpreter: borrowed, or NULL with an exception. GIL. */
PyTypeObject *stoa__sequence_type(void);

#endif
