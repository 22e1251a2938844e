/* Containers of whatever is shared, as C builds them.
 *
 * Who builds in C passes on what he has: a text, an array that he has sealed, a record that an interpreter has frozen. The
 * latter are foreign nodes, and a container of one is a node, too (foreign.h): the same that freezing an equal container
 * makes. Equal keys and members are dropped as dict() and set() do; those of classes are compared where they are delivered.
 */
#ifndef STOA_IMMORTAL_CONTAINER_H
#define STOA_IMMORTAL_CONTAINER_H

#include "immortal/foreign.h"

/* `kind`: TUPLE, MAPPING (key, value, key, value …) or FROZENSET. `foreign`: there may be nodes among the children. NULL:
 * batch->err and the message are set; STOA_ETYPE: a key or member is unhashable. Thread: the batch's; no GIL. */
stoa_shared *stoa__make_container(stoa_batch *batch, stoa_node_kind kind, stoa_shared *const *children,
                                  size_t count, bool foreign);

#endif
