#include "immortal/persist_hamt.h"

#include "heap/process.h"

#include <string.h>

#define HASH_LEVELS 13 /* of five bits: past them two hashes are equal */

int
stoa__same_node(PyObject *stored, PyObject *key)
{
    PyObject *here = stoa__deliver(stored);
    int same = here == NULL ? -1 : here == key ? 1 : PyObject_RichCompareBool(here, key, Py_EQ);
    Py_XDECREF(here);
    return same;
}

static int
same_here(PyObject *stored, PyObject *key)
{
    return stoa__same_key(stored, key);
}

static int
same_shared(PyObject *stored, PyObject *key)
{
    return !stoa__is_node(stored) && stoa__shared_equal(stored, key);
}

static inline int64_t
find(const stoa_hamt *node, PyObject *key, Py_hash_t hash, int (*same_key)(PyObject *stored, PyObject *key))
{
    for (unsigned level = 0; node != NULL; level++) {
        if (level == HASH_LEVELS) {
            for (uint32_t i = 0; i < node->here; i++) {
                int same = same_key(node->entries[i].key, key);
                if (same != 0) {
                    return same > 0 ? (int64_t)node->entries[i].number : -2;
                }
            }
            return -1;
        }
        uint32_t bit = stoa__trie_bit((uint64_t)hash, level * STOA_TRIE_BITS);
        if (node->here & bit) {
            const stoa_added *entry = &node->entries[stoa__count_bits(node->here & (bit - 1))];
            int same = entry->hash == hash ? same_key(entry->key, key) : 0;
            return same > 0 ? (int64_t)entry->number : same - 1;
        }
        if (!(node->below & bit)) {
            return -1;
        }
        const stoa_hamt *const *children = (const void *)(node->entries + stoa__count_bits(node->here));
        node = children[stoa__count_bits(node->below & (bit - 1))];
    }
    return -1;
}

int64_t
stoa__hamt_find(const stoa_hamt *node, PyObject *key, Py_hash_t hash)
{
    return find(node, key, hash, same_here);
}

int64_t
stoa__hamt_find_shared(const stoa_hamt *node, PyObject *key, Py_hash_t hash)
{
    return find(node, key, hash, same_shared);
}

static size_t
hamt_size(size_t entries, size_t children)
{
    return sizeof(stoa_hamt) + entries * sizeof(stoa_added) + children * sizeof(stoa_hamt *);
}

/* A node of one or two entries: goes down as long as their hashes agree. */
static const stoa_hamt *
make_entries(stoa_batch *batch, unsigned level, const stoa_added *a, const stoa_added *b)
{
    if (level == HASH_LEVELS) {
        stoa_hamt *made = stoa__batch_alloc(batch, hamt_size(2, 0));
        if (made != NULL) {
            stoa_hamt *w = stoa__rw(made);
            w->here = 2;
            w->entries[0] = *a;
            w->entries[1] = *b;
        }
        return made;
    }
    uint32_t bit_a = stoa__trie_bit((uint64_t)a->hash, level * STOA_TRIE_BITS);
    uint32_t bit_b = b == NULL ? bit_a : stoa__trie_bit((uint64_t)b->hash, level * STOA_TRIE_BITS);
    bool split = b == NULL || bit_a != bit_b;
    const stoa_hamt *child = split ? NULL : make_entries(batch, level + 1, a, b);
    if (!split && child == NULL) {
        return NULL;
    }
    stoa_hamt *made = stoa__batch_alloc(batch, split ? hamt_size(b == NULL ? 1 : 2, 0) : hamt_size(0, 1));
    if (made == NULL) {
        return NULL;
    }
    stoa_hamt *w = stoa__rw(made);
    if (!split) {
        w->below = bit_a;
        memcpy(w->entries, &child, sizeof(child));
        return made;
    }
    w->here = bit_a | bit_b;
    w->entries[b != NULL && bit_b < bit_a] = *a;
    if (b != NULL) {
        w->entries[bit_b > bit_a] = *b;
    }
    return made;
}

/* A copy of `node` in which the child of `bit` is `child`; the entry of that bit, if there was one, has moved there. */
static const stoa_hamt *
with_child(stoa_batch *batch, const stoa_hamt *node, uint32_t bit, const stoa_hamt *child)
{
    size_t entries = stoa__count_bits(node->here), children = stoa__count_bits(node->below);
    size_t entry_at = stoa__count_bits(node->here & (bit - 1)),
           child_at = stoa__count_bits(node->below & (bit - 1));
    bool moved = node->here & bit, known = node->below & bit;
    stoa_hamt *made = stoa__batch_alloc(batch, hamt_size(entries - moved, children + !known));
    if (made == NULL) {
        return NULL;
    }
    stoa_hamt *w = stoa__rw(made);
    w->here = node->here & ~bit;
    w->below = node->below | bit;
    memcpy(w->entries, node->entries, entry_at * sizeof(stoa_added));
    memcpy(w->entries + entry_at, node->entries + entry_at + moved,
           (entries - moved - entry_at) * sizeof(stoa_added));
    const stoa_hamt *const *from = (const void *)(node->entries + entries);
    const stoa_hamt **to = (void *)(w->entries + (entries - moved));
    memcpy(to, from, child_at * sizeof(child));
    to[child_at] = child;
    memcpy(to + child_at + 1, from + child_at + known, (children - child_at - known) * sizeof(child));
    return made;
}

/* A copy of `node` with one entry more. */
static const stoa_hamt *
with_entry(stoa_batch *batch, const stoa_hamt *node, unsigned level, const stoa_added *entry)
{
    bool last = level == HASH_LEVELS;
    uint32_t bit = last ? 0 : stoa__trie_bit((uint64_t)entry->hash, level * STOA_TRIE_BITS);
    size_t entries = last ? node->here : stoa__count_bits(node->here),
           at = last ? entries : stoa__count_bits(node->here & (bit - 1));
    size_t children = last ? 0 : stoa__count_bits(node->below);
    stoa_hamt *made = stoa__batch_alloc(batch, hamt_size(entries + 1, children));
    if (made == NULL) {
        return NULL;
    }
    stoa_hamt *w = stoa__rw(made);
    w->here = last ? node->here + 1 : node->here | bit;
    w->below = node->below;
    memcpy(w->entries, node->entries, at * sizeof(stoa_added));
    w->entries[at] = *entry;
    memcpy(w->entries + at + 1, node->entries + at,
           (entries - at) * sizeof(stoa_added) + children * sizeof(node));
    return made;
}

const stoa_hamt *
stoa__hamt_add(stoa_batch *batch, const stoa_hamt *node, unsigned level, const stoa_added *entry)
{
    if (node == NULL) {
        return make_entries(batch, level, entry, NULL);
    }
    if (level == HASH_LEVELS) {
        return with_entry(batch, node, level, entry);
    }
    uint32_t bit = stoa__trie_bit((uint64_t)entry->hash, level * STOA_TRIE_BITS);
    const stoa_hamt *child;
    if (node->here & bit) {
        const stoa_added *other = &node->entries[stoa__count_bits(node->here & (bit - 1))];
        child = make_entries(batch, level + 1, other, entry);
    }
    else if (node->below & bit) {
        const stoa_hamt *const *children = (const void *)(node->entries + stoa__count_bits(node->here));
        child = stoa__hamt_add(batch, children[stoa__count_bits(node->below & (bit - 1))], level + 1, entry);
    }
    else {
        return with_entry(batch, node, level, entry);
    }
    return child == NULL ? NULL : with_child(batch, node, bit, child);
}
