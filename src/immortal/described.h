/* Paths through what describes an object instead of being a part of it.
 *
 * A function, and an object that pickle takes apart, are frozen as a description: tuples of names, values and flattened dicts
 * (function_parts.h, reduce.c). Their numbers say nothing to who reads a path, "$[0][1][3]"; so the levels of a walk or a
 * delivery are looked at together, and a step inside a description is shown as what it stands for: "$.__closure__[1]",
 * "$.__reduce__()[2]['name']".
 */
#ifndef STOA_IMMORTAL_DESCRIBED_H
#define STOA_IMMORTAL_DESCRIBED_H

#include "immortal/foreign.h"
#include "immortal/path.h"

/* One level of a walk, or of a delivery. */
typedef struct stoa_level {
    int kind;     /* stoa_node_kind; -1: a container of Python's own */
    size_t index; /* of the part that it stands at */
    PyObject *const *parts; /* children (content.h); those before that part are there, those behind it may be in no form yet */
} stoa_level;

/* Level `i`; 0 is the outermost one. */
typedef stoa_level (*stoa_level_fn)(const void *arg, size_t i);

/* How level `i` is shown, if it is inside a description. false: it is not, or it is inside what a value there holds. GIL. */
bool stoa__described_step(stoa_level_fn level, const void *arg, size_t i, stoa_step *out);

#endif
