#include "immortal/persist.h"

#include "heap/error.h"
#include "heap/process.h"
#include "immortal/equal.h"
#include "immortal/hash.h"
#include "immortal/lookup.h"

#include <stdlib.h>
#include <string.h>

#define HASH_LEVELS 13 /* of five bits: past them two hashes are equal */

/* No instruction for it can be relied upon, and without one the compiler calls a function. */
static inline unsigned
count_bits(uint32_t x)
{
    x -= x >> 1 & 0x55555555;
    x = (x & 0x33333333) + (x >> 2 & 0x33333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f;
    return x * 0x01010101 >> 24;
}

static inline uint32_t
bit_of(uint64_t number, unsigned shift)
{
    return (uint32_t)1 << (number >> shift & STOA_TRIE_MASK);
}

static inline const stoa_keys *
base_keys(const stoa_persist *version)
{
    return stoa__dict_keys(stoa__mapping_dict(version->base));
}

void
stoa__persist_begin(stoa_persist *version, PyObject *mapping)
{
    *version = (stoa_persist){.base = mapping};
    version->count = version->base_count = (uint64_t)base_keys(version)->nentries;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* 1: the same key; 0: another; -1: an exception. `stored` is shared. */
static inline int
same_key(PyObject *stored, PyObject *key)
{
    if (stored == key) {
        return 1;
    }
    if (stored->ob_type == &PyUnicode_Type && key->ob_type == &PyUnicode_Type) {
        return stoa__str_is_compact(key) && stoa__equal_str(stored, key);
    }
    if (stoa__in_heap(key)) {
        return stoa__shared_equal(stored, key);
    }
    return PyObject_RichCompareBool(stored, key, Py_EQ); /* what it runs cannot change a version */
}

static int64_t
find_added(const stoa_hamt *node, PyObject *key, Py_hash_t hash)
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
        uint32_t bit = bit_of((uint64_t)hash, level * STOA_TRIE_BITS);
        if (node->here & bit) {
            const stoa_added *entry = &node->entries[count_bits(node->here & (bit - 1))];
            int same = entry->hash == hash ? same_key(entry->key, key) : 0;
            return same > 0 ? (int64_t)entry->number : same - 1;
        }
        if (!(node->below & bit)) {
            return -1;
        }
        const stoa_hamt *const *children = (const void *)(node->entries + count_bits(node->here));
        node = children[count_bits(node->below & (bit - 1))];
    }
    return -1;
}

int64_t
stoa__persist_number(const stoa_persist *version, PyObject *key, Py_hash_t hash)
{
    const stoa_keys *keys = base_keys(version);
    stoa_keys_probe probe;
    stoa__keys_probe_begin(&probe, keys, hash);
    for (Py_ssize_t at; (at = stoa__keys_probe_next(&probe)) >= 0;) {
        PyObject *stored, *value;
        stoa__keys_entry(keys, at, &stored, &value);
        int same = same_key(stored, key);
        if (same != 0) {
            return same > 0 ? (int64_t)at : -2;
        }
    }
    return find_added(version->added, key, hash);
}

/* The bottom that holds `number`, or NULL. */
static inline const stoa_trie *
find_bottom(const stoa_persist *version, uint64_t number)
{
    const stoa_trie *node = version->changes;
    if (node == NULL || number >> version->shift >> STOA_TRIE_BITS != 0) {
        return NULL;
    }
    for (unsigned shift = version->shift; shift != 0 && node != NULL; shift -= STOA_TRIE_BITS) {
        uint32_t bit = bit_of(number, shift);
        node = node->bits & bit ? node->children[count_bits(node->bits & (bit - 1))] : NULL;
    }
    return node;
}

static inline const stoa_pair *
pair_in(const stoa_trie *bottom, uint64_t number)
{
    uint32_t bit = bit_of(number, 0);
    return bottom != NULL && bottom->bits & bit ? &bottom->pairs[count_bits(bottom->bits & (bit - 1))] : NULL;
}

/* The pair of a number; false: it is removed. */
static inline bool
pair_of(const stoa_persist *version, const stoa_trie *bottom, uint64_t number, PyObject **key, PyObject **value)
{
    const stoa_pair *pair = pair_in(bottom, number);
    if (pair == NULL) {
        stoa__keys_entry(base_keys(version), (Py_ssize_t)number, key, value);
        return true;
    }
    *key = pair->key;
    *value = pair->value;
    return pair->value != NULL;
}

PyObject *
stoa__persist_find(const stoa_persist *version, PyObject *key, Py_hash_t hash)
{
    int64_t number = stoa__persist_number(version, key, hash);
    PyObject *stored, *value;
    if (number < 0) {
        return NULL;
    }
    return pair_of(version, find_bottom(version, (uint64_t)number), (uint64_t)number, &stored, &value) ? value
                                                                                                       : NULL;
}

bool
stoa__persist_next(const stoa_persist *version, stoa_persist_cursor *cursor, PyObject **key, PyObject **value)
{
    uint64_t end = version->base_count + version->added_count;
    while (cursor->next < end) {
        uint64_t number = cursor->next++;
        if ((number & STOA_TRIE_MASK) == 0) {
            cursor->bottom = find_bottom(version, number);
        }
        if (pair_of(version, cursor->bottom, number, key, value)) {
            return true;
        }
    }
    return false;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* A copy of a trie node with room for one more word group at `at`, which the caller fills. Writable. `size`: of a group. */
static stoa_trie *
copy_trie(stoa_batch *batch, const stoa_trie *node, uint32_t bit, size_t size, stoa_trie **out_public)
{
    uint32_t bits = node == NULL ? 0 : node->bits;
    size_t count = count_bits(bits), at = count_bits(bits & (bit - 1)), head = offsetof(stoa_trie, pairs);
    bool more = (bits & bit) == 0;
    char *made = stoa__batch_alloc(batch, head + (count + more) * size);
    if (made == NULL) {
        return NULL;
    }
    stoa_trie *w = stoa__rw(made);
    w->bits = bits | bit;
    if (node != NULL) {
        const char *from = (const char *)node + head;
        char *to = (char *)w + head;
        memcpy(to, from, at * size);
        memcpy(to + (at + more) * size, from + at * size, (count - at) * size);
    }
    *out_public = (stoa_trie *)(void *)made;
    return w;
}

/* `node` with the pair at `number`. NULL: no memory. */
static const stoa_trie *
put_pair(stoa_batch *batch, const stoa_trie *node, unsigned shift, uint64_t number, stoa_pair pair)
{
    uint32_t bit = bit_of(number, shift);
    size_t at = node == NULL ? 0 : count_bits(node->bits & (bit - 1));
    stoa_trie *made, *w;
    if (shift == 0) {
        w = copy_trie(batch, node, bit, sizeof(stoa_pair), &made);
        if (w == NULL) {
            return NULL;
        }
        w->pairs[at] = pair;
        return made;
    }
    const stoa_trie *child = node != NULL && node->bits & bit ? node->children[at] : NULL;
    child = put_pair(batch, child, shift - STOA_TRIE_BITS, number, pair); /* as deep as numbers are long: 13 */
    w = child == NULL ? NULL : copy_trie(batch, node, bit, sizeof(child), &made);
    if (w == NULL) {
        return NULL;
    }
    w->children[at] = child;
    return made;
}

static bool
change(stoa_batch *batch, stoa_persist *version, uint64_t number, stoa_pair pair)
{
    while (version->changes != NULL && number >> version->shift >> STOA_TRIE_BITS != 0) {
        stoa_trie *made, *w = copy_trie(batch, NULL, 1, sizeof(made), &made); /* one level more */
        if (w == NULL) {
            return false;
        }
        w->children[0] = version->changes;
        version->changes = made;
        version->shift += STOA_TRIE_BITS;
    }
    if (version->changes == NULL) {
        version->shift = 0;
        while (number >> version->shift >> STOA_TRIE_BITS != 0) {
            version->shift += STOA_TRIE_BITS;
        }
    }
    bool known = pair_in(find_bottom(version, number), number) != NULL;
    const stoa_trie *root = put_pair(batch, version->changes, version->shift, number, pair);
    if (root == NULL) {
        return false;
    }
    version->changes = root;
    version->changed += !known;
    return true;
}

/* ---- new keys ---------------------------------------------------------------------------------------------------- */

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
    uint32_t bit_a = bit_of((uint64_t)a->hash, level * STOA_TRIE_BITS);
    uint32_t bit_b = b == NULL ? bit_a : bit_of((uint64_t)b->hash, level * STOA_TRIE_BITS);
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
    size_t entries = count_bits(node->here), children = count_bits(node->below);
    size_t entry_at = count_bits(node->here & (bit - 1)), child_at = count_bits(node->below & (bit - 1));
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
    uint32_t bit = last ? 0 : bit_of((uint64_t)entry->hash, level * STOA_TRIE_BITS);
    size_t entries = last ? node->here : count_bits(node->here),
           at = last ? entries : count_bits(node->here & (bit - 1));
    size_t children = last ? 0 : count_bits(node->below);
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

/* `node` with a key that it does not have. NULL: no memory. */
static const stoa_hamt *
add_key(stoa_batch *batch, const stoa_hamt *node, unsigned level, const stoa_added *entry)
{
    if (node == NULL) {
        return make_entries(batch, level, entry, NULL);
    }
    if (level == HASH_LEVELS) {
        return with_entry(batch, node, level, entry);
    }
    uint32_t bit = bit_of((uint64_t)entry->hash, level * STOA_TRIE_BITS);
    const stoa_hamt *child;
    if (node->here & bit) {
        const stoa_added *other = &node->entries[count_bits(node->here & (bit - 1))];
        child = make_entries(batch, level + 1, other, entry);
    }
    else if (node->below & bit) {
        const stoa_hamt *const *children = (const void *)(node->entries + count_bits(node->here));
        child = add_key(batch, children[count_bits(node->below & (bit - 1))], level + 1, entry);
    }
    else {
        return with_entry(batch, node, level, entry);
    }
    return child == NULL ? NULL : with_child(batch, node, bit, child);
}

/* ---- versions ---------------------------------------------------------------------------------------------------- */

/* 1: done; 0: there was nothing to remove; -1: batch->err is set, or an exception is. value NULL: remove. */
static int
set_key(stoa_batch *batch, stoa_persist *version, PyObject *key, Py_hash_t hash, PyObject *value)
{
    int64_t number = stoa__persist_number(version, key, hash);
    PyObject *stored = key, *old = NULL;
    bool live = number >= 0 &&
                pair_of(version, find_bottom(version, (uint64_t)number), (uint64_t)number, &stored, &old);
    if (!live && value == NULL) {
        return 0;
    }
    if (live && old == value) {
        return 1;
    }
    if (number < 0) {
        stoa_added entry = {hash, key, version->base_count + version->added_count};
        const stoa_hamt *root = add_key(batch, version->added, 0, &entry);
        if (root == NULL) {
            return -1;
        }
        number = (int64_t)entry.number;
        version->added = root;
        version->added_count++;
        stored = key;
    }
    if (!change(batch, version, (uint64_t)number, (stoa_pair){stored, value})) {
        return -1;
    }
    version->count += (value != NULL);
    version->count -= live;
    return 1;
}

static stoa_err
hash_key(PyObject *key, Py_hash_t *hash)
{
    stoa_err err = stoa__is_node(key) ? STOA_ETYPE : stoa__hash_fast(key, hash);
    return err != STOA_ETYPE
               ? err
               : stoa__fail(STOA_ETYPE,
                            "a key of type %s is unhashable, or its class belongs to an interpreter: it "
                            "cannot be a key of an evolved mapping",
                            stoa__is_node(key) ? "outside the heap" : key->ob_type->tp_name);
}

/* A base of its own: what is live and not removed, and the pairs behind it. */
static stoa_err
rebuild(stoa_batch *batch, stoa_persist *version, PyObject *const *pairs, size_t count, const uint8_t *gone)
{
    size_t room = 2 * (version->count + count) + 2;
    PyObject **all = malloc(room * sizeof(*all));
    if (all == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory to lay out a mapping of %zu keys anew", room / 2);
    }
    stoa_persist_cursor cursor = {0};
    size_t top = 0;
    while (stoa__persist_next(version, &cursor, &all[top], &all[top + 1])) {
        uint64_t number = cursor.next - 1;
        top += gone != NULL && gone[number / 8] >> (number % 8) & 1 ? 0 : 2;
    }
    memcpy(all + top, pairs, 2 * count * sizeof(*all));
    unsigned flags = batch->flags;
    batch->flags &= ~STOA_BATCH_INTERN; /* nobody has the like, and it may hold foreign nodes */
    PyObject *mapping = stoa__make_mapping(batch, all, (Py_ssize_t)(top / 2 + count));
    batch->flags = flags;
    free(all);
    if (mapping != NULL) {
        stoa__persist_begin(version, mapping);
    }
    return mapping != NULL ? STOA_OK : batch->err;
}

/* Marks the numbers of the removed keys. */
static stoa_err
mark_removed(const stoa_persist *version, PyObject *const *removed, size_t count, uint8_t *gone,
             size_t *out_missing)
{
    for (size_t i = 0; i < count; i++) {
        Py_hash_t hash;
        stoa_err err = hash_key(removed[i], &hash);
        if (err != STOA_OK) {
            return err;
        }
        int64_t number = stoa__persist_number(version, removed[i], hash);
        PyObject *key, *value;
        if (number < 0 || gone[number / 8] >> (number % 8) & 1 ||
            !pair_of(version, find_bottom(version, (uint64_t)number), (uint64_t)number, &key, &value)) {
            *out_missing = i;
            return STOA_ENOTFOUND;
        }
        gone[number / 8] |= (uint8_t)(1 << (number % 8));
    }
    return STOA_OK;
}

static stoa_err
evolve_anew(stoa_batch *batch, stoa_persist *version, PyObject *const *pairs, size_t count,
            PyObject *const *removed, size_t removed_count, size_t *out_missing)
{
    uint8_t *gone = calloc((version->base_count + version->added_count) / 8 + 1, 1);
    if (gone == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory to remove keys from a mapping");
    }
    stoa_err err = mark_removed(version, removed, removed_count, gone, out_missing);
    for (size_t i = 0; i < count && err == STOA_OK; i++) {
        Py_hash_t hash;
        err = hash_key(pairs[2 * i], &hash);
    }
    if (err == STOA_OK) {
        err = rebuild(batch, version, pairs, count, gone);
    }
    free(gone);
    return err;
}

stoa_err
stoa__persist_evolve(stoa_batch *batch, stoa_persist *version, PyObject *const *pairs, size_t count,
                     PyObject *const *removed, size_t removed_count, size_t *out_missing)
{
    if (version->changed + count + removed_count > version->base_count / 2 + 32) {
        return evolve_anew(batch, version, pairs, count, removed, removed_count, out_missing);
    }
    for (size_t i = 0; i < removed_count + count; i++) {
        bool remove = i < removed_count;
        PyObject *key = remove ? removed[i] : pairs[2 * (i - removed_count)];
        Py_hash_t hash;
        stoa_err err = hash_key(key, &hash);
        if (err != STOA_OK) {
            return err;
        }
        int done = set_key(batch, version, key, hash, remove ? NULL : pairs[2 * (i - removed_count) + 1]);
        if (done <= 0) {
            *out_missing = i;
            return done == 0 ? STOA_ENOTFOUND : batch->err;
        }
    }
    return STOA_OK;
}

PyObject *
stoa__persist_node(stoa_batch *batch, const stoa_persist *version)
{
    PyObject *parts[1 + STOA_PERSIST_WORDS];
    _Static_assert(sizeof(parts) == sizeof(*version), "a version is the words of its node");
    memcpy(parts, version, sizeof(parts));
    return stoa__make_node(batch, STOA_NODE_PERSISTENT, 0, parts, 1 + STOA_PERSIST_WORDS, STOA_PERSIST_WORDS);
}
