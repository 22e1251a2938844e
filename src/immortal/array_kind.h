/* Arrays as a kind of foreign node: how they are frozen and delivered. */
#ifndef STOA_IMMORTAL_ARRAY_KIND_H
#define STOA_IMMORTAL_ARRAY_KIND_H

#include "immortal/foreign.h"

extern const stoa_foreign_kind stoa__array_kind;
/* NumPy's arrays: Python code makes a shared array of one (STOA_NODE_SAME), which then stands for it. */
extern const stoa_foreign_kind stoa__ndarray_kind;

#endif
