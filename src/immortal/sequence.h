/* stoa.SharedSequence: a long frozen tuple whose items are built when somebody looks at them.
 *
 * A frozen list of a million records would cost its receiver a million objects, of which it may want ten. So a tuple of
 * STOA_SEQUENCE_MIN items and more, with foreign ones among them, is delivered as a sequence that refers to the node;
 * shorter ones are built at once, as the tuples they are. An item is built on first touch and kept by the sequence. To
 * compare, hash, slice, concatenate and pickle it is the tuple it stands for; it is no instance of tuple.
 */
#ifndef STOA_IMMORTAL_SEQUENCE_H
#define STOA_IMMORTAL_SEQUENCE_H

#include "immortal/foreign.h"

#define STOA_SEQUENCE_MIN 1024u

/* As stoa_foreign_kind.build_lazily of TUPLE. */
PyObject *stoa__sequence_of(const stoa_node *node);

bool stoa__is_sequence(const PyObject *object);
/* Borrowed. */
PyObject *stoa__sequence_node(PyObject *sequence);
/* How many of the items have been built. */
size_t stoa__sequence_built(const PyObject *sequence);
/* The position of the first item from `from` on that was built; SIZE_MAX: none was. In time of what was built, and a
 * little for each 256 items that lie between. No Python code. */
size_t stoa__sequence_next_built(const PyObject *sequence, size_t from);
/* The item if it was built, else its part of the node: borrowed. No Python code. */
PyObject *stoa__sequence_part(PyObject *sequence, size_t index);

#endif
