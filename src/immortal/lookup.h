/* Finding things in shared mappings and frozensets without a GIL: the probing that CPython does, as iterators.
 *
 * An iterator yields the entries whose hash is the wanted one, until an empty slot ends the chain; the caller compares.
 * So a comparison that must look inside (tuples, sets) can be made without recursion (equal.c).
 */
#ifndef STOA_IMMORTAL_LOOKUP_H
#define STOA_IMMORTAL_LOOKUP_H

#include "immortal/cpython/cpython.h"

/* ---- set tables ---------------------------------------------------------------------------------------------------- */

typedef struct stoa_set_probe {
    const setentry *table;
    size_t mask, round, perturb; /* round: slot at which this run of neighbours began */
    size_t at, last;             /* the next slot to look at, the last one of this run */
    Py_hash_t hash;
} stoa_set_probe;

static inline void
stoa__set_probe_run(stoa_set_probe *probe)
{
    probe->at = probe->round;
    probe->last = probe->round +
                  (probe->round + STOA_SET_LINEAR_PROBES <= probe->mask ? STOA_SET_LINEAR_PROBES : 0);
}

static inline void
stoa__set_probe_begin(stoa_set_probe *probe, const setentry *table, size_t mask, Py_hash_t hash)
{
    probe->table = table;
    probe->mask = mask;
    probe->hash = hash;
    probe->perturb = (size_t)hash;
    probe->round = (size_t)hash & mask;
    stoa__set_probe_run(probe);
}

/* The next entry that is empty (key NULL: end of the chain) or has the wanted hash. */
static inline const setentry *
stoa__set_probe_next(stoa_set_probe *probe)
{
    for (;;) {
        const setentry *entry = &probe->table[probe->at];
        if (probe->at < probe->last) {
            probe->at++;
        }
        else {
            probe->perturb >>= STOA_SET_PERTURB;
            probe->round = (probe->round * 5 + 1 + probe->perturb) & probe->mask;
            stoa__set_probe_run(probe);
        }
        if (entry->key == NULL || entry->hash == probe->hash) {
            return entry;
        }
    }
}

/* ---- dict tables --------------------------------------------------------------------------------------------------- */

typedef struct stoa_keys_probe {
    const stoa_keys *keys;
    size_t mask, slot, perturb;
    Py_hash_t hash;
} stoa_keys_probe;

static inline void
stoa__keys_probe_begin(stoa_keys_probe *probe, const stoa_keys *keys, Py_hash_t hash)
{
    probe->keys = keys;
    probe->mask = ((size_t)1 << keys->log2_size) - 1;
    probe->hash = hash;
    probe->perturb = (size_t)hash;
    probe->slot = (size_t)hash & probe->mask;
}

/* Index of the next entry whose key has the wanted hash; -1: there is none. */
static inline Py_ssize_t
stoa__keys_probe_next(stoa_keys_probe *probe)
{
    for (;;) {
        Py_ssize_t index = stoa__keys_index(probe->keys, probe->slot);
        if (index < 0) {
            return -1; /* a shared table has no deleted entries */
        }
        probe->perturb >>= STOA_DICT_PERTURB;
        probe->slot = (probe->slot * 5 + probe->perturb + 1) & probe->mask;
        const void *entries = stoa__keys_entries(probe->keys);
        Py_hash_t hash = probe->keys->kind == STOA_KEYS_GENERAL
                             ? ((const stoa_entry *)entries)[index].hash
                             : ((const PyASCIIObject *)((const stoa_str_entry *)entries)[index].key)->hash;
        if (hash == probe->hash) {
            return index;
        }
    }
}

/* ---- for readers --------------------------------------------------------------------------------------------------- */

/* The value of `key` (a shared object) in a shared mapping, or NULL: not there, or the key is not hashable. No GIL. */
PyObject *stoa__mapping_find(const PyObject *mapping, const PyObject *key);

/* Is `member` (a shared object) in a shared frozenset? No GIL. */
bool stoa__frozenset_has(const PyObject *frozenset, const PyObject *member);

#endif
