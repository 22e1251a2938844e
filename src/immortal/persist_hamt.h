/* The hash trie of keys that came after the base (persist.h), and when two keys are the same. */
#ifndef STOA_IMMORTAL_PERSIST_HAMT_H
#define STOA_IMMORTAL_PERSIST_HAMT_H

#include "immortal/equal.h"
#include "immortal/persist.h"

/* No instruction for it can be relied upon, and without one the compiler calls a function. */
static inline unsigned
stoa__count_bits(uint32_t x)
{
    x -= x >> 1 & 0x55555555;
    x = (x & 0x33333333) + (x >> 2 & 0x33333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f;
    return x * 0x01010101 >> 24;
}

static inline uint32_t
stoa__trie_bit(uint64_t number, unsigned shift)
{
    return (uint32_t)1 << (number >> shift & STOA_TRIE_MASK);
}

/* As stoa__same_key, of a stored key that is a node: by what it is here. */
int stoa__same_node(PyObject *stored, PyObject *key);

/* 1: the same key; 0: another; -1: an exception. `stored` is shared. */
static inline int
stoa__same_key(PyObject *stored, PyObject *key)
{
    if (stored == key) {
        return 1;
    }
    if (stored->ob_type == &PyUnicode_Type && key->ob_type == &PyUnicode_Type) {
        return stoa__str_is_compact(key) && stoa__equal_str(stored, key);
    }
    if (stoa__in_heap(key)) {
        return stoa__is_node(stored) ? stoa__same_node(stored, key) : stoa__shared_equal(stored, key);
    }
    if (stoa__is_node(stored)) {
        return stoa__same_node(stored, key);
    }
    return PyObject_RichCompareBool(stored, key, Py_EQ); /* what it runs cannot change a version */
}

/* The number of a key; -1: unknown; -2: an exception. */
int64_t stoa__hamt_find(const stoa_hamt *node, PyObject *key, Py_hash_t hash);

/* The same with no GIL: `key` is of a builtin type, shared or laid out like that, and no node equals it. */
int64_t stoa__hamt_find_shared(const stoa_hamt *node, PyObject *key, Py_hash_t hash);

/* `node`, `level` levels below the root, with a key that it does not have: what is not on the way is shared. NULL: no memory. */
const stoa_hamt *
stoa__hamt_add(stoa_batch *batch, const stoa_hamt *node, unsigned level, const stoa_added *entry);

#endif
