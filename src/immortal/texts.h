/* The strings that a walk without interning has met lately, by content.
 *
 * Documents say the same few words over and over: kinds, names, cities. Each copy costs fresh memory, which costs more than
 * all the rest of laying it down. So a freeze that does not look into the intern table still remembers, per slot of a small
 * table, the last str that hashed there. The hash is needed anyway, and 64 equal bits of it are nearly always the same text,
 * so whoever is not found costs one look at memory that is in cache.
 */
#ifndef STOA_IMMORTAL_TEXTS_H
#define STOA_IMMORTAL_TEXTS_H

#include <Python.h>

#define STOA_TEXTS 512 /* a power of two */

typedef struct stoa_texts {
    struct {
        Py_hash_t hash;
        PyObject *shared; /* NULL: none */
    } last[STOA_TEXTS];
} stoa_texts;

#endif
