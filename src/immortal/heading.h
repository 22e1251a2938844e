/* Headings: the keys of dicts alike, known as a whole.
 *
 * Records of a document have the same keys in the same order; a parser gives them even the same key objects. Looking each key
 * up would be nearly half of the visits of a walk. So the walk remembers, of mappings that it has frozen, which source
 * keys they had and what these became; a dict whose keys are the same objects takes the frozen ones at once, and only its
 * values are visited. Nothing is guessed: each key is compared, by its address, and within a walk no source dies, so an
 * address stands for one object.
 */
#ifndef STOA_IMMORTAL_HEADING_H
#define STOA_IMMORTAL_HEADING_H

#include "immortal/cpython/cpython.h"

#define STOA_HEADINGS 64      /* a power of two; direct-mapped */
#define STOA_HEADING_KEYS 24u /* of longer ones nothing is kept */

typedef struct stoa_heading {
    size_t count; /* 0: none here */
    const PyObject *sources[STOA_HEADING_KEYS];
    PyObject *twins[STOA_HEADING_KEYS];
} stoa_heading;

typedef struct stoa_headings {
    stoa_heading all[STOA_HEADINGS];
} stoa_headings;

/* The entries of a dict of str keys that has no gaps and no more of them than a heading holds, or NULL. */
static inline const stoa_str_entry *
stoa__headed_entries(const PyDictObject *dict)
{
    const stoa_keys *keys = stoa__dict_keys(dict);
    return dict->ma_values == NULL && keys->kind == STOA_KEYS_STR && keys->nentries == dict->ma_used &&
                   (size_t)keys->nentries - 1 < STOA_HEADING_KEYS
               ? stoa__keys_entries(keys)
               : NULL;
}

/* Where the heading of such a dict is, if anywhere. */
static inline stoa_heading *
stoa__heading_of(stoa_headings *headings, const stoa_str_entry *entries, size_t count)
{
    uintptr_t first = (uintptr_t)entries[0].key, last = (uintptr_t)entries[count - 1].key;
    return &headings->all[((first >> 4) ^ (first >> 12) ^ (last >> 5) ^ (last >> 11) ^ count) % STOA_HEADINGS];
}

/* Lays the pairs of a dict: its values, and what its keys have become. False: this heading is not its own; what is laid is
 * of no use then. */
static inline bool
stoa__heading_lay(const stoa_heading *heading, const stoa_str_entry *entries, size_t count, PyObject **pairs)
{
    if (heading->count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].key != heading->sources[i]) {
            return false;
        }
        __builtin_prefetch(entries[i].value);
        pairs[2 * i] = heading->twins[i];
        pairs[2 * i + 1] = entries[i].value;
    }
    return true;
}

/* Remembers what the keys of a dict have become: those of `pairs`. */
static inline void
stoa__heading_keep(stoa_heading *heading, const stoa_str_entry *entries, size_t count, PyObject *const *pairs)
{
    heading->count = count;
    for (size_t i = 0; i < count; i++) {
        heading->sources[i] = entries[i].key;
        heading->twins[i] = pairs[2 * i];
    }
}

#endif
