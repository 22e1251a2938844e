/* The strings that a walk without interning has met lately, by content.
 *
 * Documents say the same few words over and over: kinds, names, cities. Each copy costs fresh memory, which costs more than
 * all the rest of laying it down. So a freeze that does not look into the intern table still remembers, per slot of a small
 * table, the last str that came there. What tells them apart is a mix of their length and ends, much cheaper than their hash,
 * and 64 equal bits of it are nearly always the same text, so whoever is not found costs one look at memory that is in
 * cache.
 */
#ifndef STOA_IMMORTAL_TEXTS_H
#define STOA_IMMORTAL_TEXTS_H

#include <Python.h>

#define STOA_TEXTS_LOG2 9
#define STOA_TEXTS (1u << STOA_TEXTS_LOG2)

typedef struct stoa_texts {
    struct {
        uint64_t mix;     /* stoa__text_mix, with the kind */
        PyObject *shared; /* NULL: none */
    } last[STOA_TEXTS];
} stoa_texts;

#endif
