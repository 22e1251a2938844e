/* Persistent mappings: a new version for a few changed keys, in time and memory proportional to the change.
 *
 * Problem: who publishes a new version of a table of a million keys many times a second cannot lay the table out anew each
 * time. A hash trie shares structure between versions, but looking up in one costs several cache misses more than in a
 * dict, and the first version would have to be converted.
 * Mechanism: a version is a base, which is an ordinary shared mapping that is never copied, and what has changed since. Every key
 * has a number: its place in the base, or, for keys that came later, the next one; those are found by a hash trie (`added`).
 * A sparse trie by number (`changes`) holds key and value of what is not as in the base; value NULL: removed. So a
 * look-up is the base's own, plus a few steps that mostly end at once; iteration runs along the base in order and meets the
 * changes in the same order. Both tries are copied along the path that changes, and shared but for that.
 * When there are more changes than half of the base, the next version gets a base of its own: as a dict that grows.
 *
 * Keys of builtin types lie in the base, or come later; keys of classes (foreign nodes) are always found by `added`,
 * under the hash that their class gave them where they were put in, and compared as what they are here. So they need a
 * hash that is the same in every interpreter: one by identity is refused. All of this needs the GIL, since classes
 * compare by Python code.
 */
#ifndef STOA_IMMORTAL_PERSIST_H
#define STOA_IMMORTAL_PERSIST_H

#include "immortal/foreign.h"

#define STOA_TRIE_BITS 5
#define STOA_TRIE_MASK ((1u << STOA_TRIE_BITS) - 1)

typedef struct stoa_pair {
    PyObject *key, *value; /* value NULL: removed */
} stoa_pair;

/* By number. Inner: `children` as many as bits; at the bottom: `pairs`. */
typedef struct stoa_trie {
    uint32_t bits;
    union {
        const struct stoa_trie *children[1];
        stoa_pair pairs[1];
    };
} stoa_trie;

typedef struct stoa_added {
    Py_hash_t hash;
    PyObject *key;
    uint64_t number;
} stoa_added;

/* By hash, five bits a level: first the entries of `here`, then the children of `below`. Below the last level of the
 * hash all entries stand side by side, and `here` is their number. */
typedef struct stoa_hamt {
    uint32_t here, below;
    stoa_added entries[];
} stoa_hamt;

/* A version. All const once sealed.
 * Invariants: (1) numbers < base_count are places in the base, the others are in `added`, each once; (2) changes holds
 * every number >= base_count, and none >= base_count + added_count; (3) count is the number of live pairs. (4) no key of the base
 * is a foreign node; `settled` numbers were in `added` when the base was laid out. */
typedef struct stoa_persist {
    PyObject *base;           /* a shared mapping; its values may be foreign nodes */
    const stoa_trie *changes; /* NULL: none */
    const stoa_hamt *added;   /* NULL: none */
    uint64_t count, base_count, added_count, changed, settled;
    uint32_t shift;      /* of the root of `changes`; 0: it is the bottom */
    uint32_t changeable; /* a value is STOA_NODE_CHANGEABLE, or was since the base was laid out */
} stoa_persist;

#define STOA_PERSIST_WORDS ((sizeof(stoa_persist) - sizeof(PyObject *)) / sizeof(PyObject *))

static inline const stoa_persist *
stoa__persist_of_node(const PyObject *node)
{
    return (const stoa_persist *)(const void *)((const stoa_node *)node)->parts;
}

/* The first version of a mapping without foreign nodes: nothing has changed. */
void stoa__persist_begin(stoa_persist *version, PyObject *mapping);

/* The first version of one with foreign nodes among its values alone: `pairs` are key, value, key, value … */
void stoa__persist_begin_with(stoa_persist *version, PyObject *mapping, PyObject *const *pairs, size_t count);

/* How a key is found: the number of a live or removed key; -1: unknown; -2: an exception is set (an __eq__ raised).
 * `key` as it is in this interpreter, no node; `hash` is its hash. */
int64_t stoa__persist_number(const stoa_persist *version, PyObject *key, Py_hash_t hash);

/* The value of a key: borrowed (perhaps a foreign node), and its number; or NULL: not there, or an exception is set. */
PyObject *stoa__persist_find(const stoa_persist *version, PyObject *key, Py_hash_t hash, uint64_t *out_number);

/* The pair of a number that there is: borrowed; false: it is removed. */
bool stoa__persist_pair(const stoa_persist *version, uint64_t number, PyObject **key, PyObject **value);

/* The same for readers with no GIL: `key` is a shared object, or laid out like one. Keys of builtin types are found by
 * what they are; one that is a node by being that node, among the keys that came later: in time of how many they are.
 * NULL: not there, or unhashable. */
PyObject *stoa__persist_find_shared(const stoa_persist *version, PyObject *key);

/* Turns `version`, which is the caller's own copy, into the next one, in `batch`; what it was copied from stays as it
 * is. First the `removed` keys go, then the `pairs` (key, value, key, value …) come; all are shared. STOA_ENOTFOUND: a
 * removed key is not there, *out_missing is which; STOA_ETYPE: a key is unhashable, or its hash is by identity;
 * STOA_ENOMEM: these leave the message; STOA_EPYTHON: an exception is set. Runs Python code where keys are of classes. */
stoa_err stoa__persist_evolve(stoa_batch *batch, stoa_persist *version, PyObject *const *pairs, size_t count,
                              PyObject *const *removed, size_t removed_count, size_t *out_missing);

/* A number, and what its value is to be. */
typedef struct stoa_new_value {
    uint64_t number;
    PyObject *value;
} stoa_new_value;

/* Turns `version` into the next one, as above, in which the pairs of these numbers, ascending, have other values. In time and
 * memory of how many they are. No Python code. false: batch->err is set. */
bool stoa__persist_set(stoa_batch *batch, stoa_persist *version, const stoa_new_value *values, size_t count);

/* Are pairs, key, value, key, value …, with foreign nodes among them to be such a mapping: are they many, and no key is a node?
 * (Numbers among them may wait: numbers.h.) */
bool stoa__persist_suits(stoa_shared *const *pairs, size_t count);

/* The node of the first version of a long mapping with foreign nodes among its values, as freezing lays it: `base` is what
 * stoa__make_mapping made of the pairs; one for each base where there is interning. NULL: batch->err is set. */
stoa_shared *stoa__persist_first(stoa_batch *batch, stoa_shared *base, stoa_shared *const *pairs, size_t count);

/* The foreign node of a version; NULL: batch->err is set. */
PyObject *stoa__persist_node(stoa_batch *batch, const stoa_persist *version);

/* Iteration in order of number. Start with a zeroed struct; false at the end. Borrowed. */
typedef struct stoa_persist_cursor {
    uint64_t next;
    const stoa_trie *bottom; /* of the 32 numbers around `next`, NULL: nothing has changed there */
} stoa_persist_cursor;
bool
stoa__persist_next(const stoa_persist *version, stoa_persist_cursor *cursor, PyObject **key, PyObject **value);

/* A cursor that stands at `number`. */
stoa_persist_cursor stoa__persist_cursor_at(const stoa_persist *version, uint64_t number);

#endif
