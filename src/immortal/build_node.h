/* The kinds of nodes that this layer knows, and the table of all kinds. */
#ifndef STOA_IMMORTAL_BUILD_NODE_H
#define STOA_IMMORTAL_BUILD_NODE_H

#include "immortal/foreign.h"

/* record.c */
PyObject *stoa__build_shape(const stoa_node *node, PyObject *const *parts);
PyObject *stoa__build_record(const stoa_node *node, PyObject *const *parts);

#endif
