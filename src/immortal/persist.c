#include "immortal/persist_hamt.h"

#include "heap/error.h"
#include "heap/process.h"
#include "immortal/equal.h"
#include "immortal/hash.h"
#include "immortal/lookup.h"

#include <stdlib.h>
#include <string.h>

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

int64_t
stoa__persist_number(const stoa_persist *version, PyObject *key, Py_hash_t hash)
{
    const stoa_keys *keys = base_keys(version);
    stoa_keys_probe probe;
    stoa__keys_probe_begin(&probe, keys, hash);
    for (Py_ssize_t at; (at = stoa__keys_probe_next(&probe)) >= 0;) {
        PyObject *stored, *value;
        stoa__keys_entry(keys, at, &stored, &value);
        int same = stoa__same_key(stored, key);
        if (same != 0) {
            return same > 0 ? (int64_t)at : -2;
        }
    }
    return stoa__hamt_find(version->added, key, hash);
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
        uint32_t bit = stoa__trie_bit(number, shift);
        node = node->bits & bit ? node->children[stoa__count_bits(node->bits & (bit - 1))] : NULL;
    }
    return node;
}

static inline const stoa_pair *
pair_in(const stoa_trie *bottom, uint64_t number)
{
    uint32_t bit = stoa__trie_bit(number, 0);
    return bottom != NULL && bottom->bits & bit ? &bottom->pairs[stoa__count_bits(bottom->bits & (bit - 1))]
                                                : NULL;
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

static PyObject *
find_node(const stoa_persist *version, const PyObject *key)
{
    stoa_persist_cursor cursor = stoa__persist_cursor_at(version, version->base_count);
    PyObject *stored, *value;
    while (stoa__persist_next(version, &cursor, &stored, &value)) {
        if (stored == key) {
            return value;
        }
    }
    return NULL;
}

PyObject *
stoa__persist_find_shared(const stoa_persist *version, PyObject *key)
{
    Py_hash_t hash;
    if (stoa__is_node(key)) {
        return find_node(version, key);
    }
    if (stoa__hash_fast(key, &hash) != STOA_OK) {
        return NULL;
    }
    int64_t number = -1;
    PyObject *stored, *value;
    stoa_keys_probe probe;
    stoa__keys_probe_begin(&probe, base_keys(version), hash);
    for (Py_ssize_t at; number < 0 && (at = stoa__keys_probe_next(&probe)) >= 0;) {
        stoa__keys_entry(probe.keys, at, &stored, &value);
        number = stoa__shared_equal(stored, key) ? (int64_t)at : -1;
    }
    if (number < 0) {
        number = stoa__hamt_find_shared(version->added, key, hash);
    }
    bool live = number >= 0 &&
                pair_of(version, find_bottom(version, (uint64_t)number), (uint64_t)number, &stored, &value);
    return live ? value : NULL;
}

/* Who iterates reads the head of each key and value, which lie anywhere: they are on their way while others are looked at. */
static inline void
look_ahead(const stoa_persist *version, uint64_t number)
{
    enum { AHEAD = 12 };
    PyObject *key, *value;
    if (number + AHEAD < version->base_count) {
        stoa__keys_entry(base_keys(version), (Py_ssize_t)(number + AHEAD), &key, &value);
        __builtin_prefetch(key);
        __builtin_prefetch(value);
    }
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
        look_ahead(version, number);
        if (pair_of(version, cursor->bottom, number, key, value)) {
            return true;
        }
    }
    return false;
}

stoa_persist_cursor
stoa__persist_cursor_at(const stoa_persist *version, uint64_t number)
{
    return (stoa_persist_cursor){number, find_bottom(version, number)};
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* A copy of a trie node with room for one more word group at `at`, which the caller fills. Writable. `size`: of a group. */
static stoa_trie *
copy_trie(stoa_batch *batch, const stoa_trie *node, uint32_t bit, size_t size, stoa_trie **out_public)
{
    uint32_t bits = node == NULL ? 0 : node->bits;
    size_t count = stoa__count_bits(bits), at = stoa__count_bits(bits & (bit - 1)),
           head = offsetof(stoa_trie, pairs);
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
    uint32_t bit = stoa__trie_bit(number, shift);
    size_t at = node == NULL ? 0 : stoa__count_bits(node->bits & (bit - 1));
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

/* ---- versions ---------------------------------------------------------------------------------------------------- */

/* A key that is to be put in, or out. */
typedef struct sought {
    PyObject *key;  /* shared, or a node */
    PyObject *here; /* reference: what it is in this interpreter */
    Py_hash_t hash;
} sought;

/* `out` is to be let go by Py_DECREF(out->here) when this has succeeded. */
static stoa_err
seek(PyObject *key, sought *out)
{
    out->key = key;
    if (!stoa__is_node(key)) {
        out->here = key; /* immortal: no reference to count */
        stoa_err err = stoa__hash_fast(key, &out->hash);
        return err != STOA_ETYPE
                   ? err
                   : stoa__fail(STOA_ETYPE, "a key of type %s is unhashable: it cannot be a key of a mapping",
                                key->ob_type->tp_name);
    }
    out->here = stoa__deliver(key);
    if (out->here == NULL) {
        return STOA_EPYTHON;
    }
    if (Py_TYPE(out->here)->tp_hash == PyBaseObject_Type.tp_hash) {
        stoa_err err = stoa__fail(
            STOA_ETYPE,
            "a key of type %.200s has a hash by identity, which is another one in every "
            "interpreter; give its class __eq__ and __hash__",
            Py_TYPE(out->here)->tp_name);
        Py_DECREF(out->here);
        return err;
    }
    out->hash = PyObject_Hash(out->here);
    if (out->hash == -1) {
        Py_DECREF(out->here);
        return STOA_EPYTHON;
    }
    return STOA_OK;
}

/* 1: done; 0: there was nothing to remove; -1: batch->err is set, or an exception is. value NULL: remove. */
static int
set_key(stoa_batch *batch, stoa_persist *version, const sought *what, PyObject *value)
{
    int64_t number = stoa__persist_number(version, what->here, what->hash);
    PyObject *key = what->key, *stored = key, *old = NULL;
    if (number == -2) {
        return -1;
    }
    bool live = number >= 0 &&
                pair_of(version, find_bottom(version, (uint64_t)number), (uint64_t)number, &stored, &old);
    if (!live && value == NULL) {
        return 0;
    }
    if (live && old == value) {
        return 1;
    }
    if (number < 0) {
        stoa_added entry = {what->hash, key, version->base_count + version->added_count};
        const stoa_hamt *root = stoa__hamt_add(batch, version->added, 0, &entry);
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

/* Puts pairs in, one after the other. */
static stoa_err
put_all(stoa_batch *batch, stoa_persist *version, PyObject *const *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sought what;
        stoa_err err = seek(pairs[2 * i], &what);
        if (err != STOA_OK) {
            return err;
        }
        int done = set_key(batch, version, &what, pairs[2 * i + 1]);
        Py_DECREF(what.here);
        if (done < 0) {
            return PyErr_Occurred() ? STOA_EPYTHON : batch->err;
        }
    }
    return STOA_OK;
}

/* Moves the pairs whose keys are nodes behind the others. Returns how many others there are; SIZE_MAX: no memory. */
static size_t
part_nodes(PyObject **pairs, size_t count)
{
    size_t native = 0, nodes = 0;
    PyObject **apart = malloc((2 * count + 1) * sizeof(*apart));
    if (apart == NULL) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        bool node = stoa__is_node(pairs[2 * i]);
        memmove(node ? apart + 2 * nodes : pairs + 2 * native, pairs + 2 * i, 2 * sizeof(*pairs));
        nodes += node;
        native += !node;
    }
    memcpy(pairs + 2 * native, apart, 2 * nodes * sizeof(*pairs));
    free(apart);
    return native;
}

/* Lays out `all` pairs, of which the first `old` have keys of their own each: a base for those of builtin types, the others to
 * `added`. Those behind `old` go to the base with them, unless a class has a say in what is equal. */
static stoa_err
lay_out(stoa_batch *batch, stoa_persist *version, PyObject **all, size_t old, size_t count)
{
    bool nodes = false;
    for (size_t i = 0; i < count && !nodes; i++) {
        nodes = stoa__is_node(all[2 * i]);
    }
    size_t based = nodes ? part_nodes(all, old) : count;
    if (based == SIZE_MAX) {
        return stoa__fail(STOA_ENOMEM, "no memory to lay out a mapping of %zu keys anew", count);
    }
    unsigned flags = batch->flags;
    batch->flags &= ~STOA_BATCH_INTERN; /* nobody has the like, and it may hold foreign nodes */
    PyObject *mapping = stoa__make_mapping(batch, all, (Py_ssize_t)based);
    batch->flags = flags;
    if (mapping == NULL) {
        return batch->err;
    }
    stoa__persist_begin(version, mapping);
    stoa_err err = put_all(batch, version, all + 2 * based, count - based);
    version->settled = version->added_count;
    return err;
}

/* What is live and not removed, and the pairs behind it. */
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
    stoa_err err = lay_out(batch, version, all, top / 2, top / 2 + count);
    free(all);
    return err;
}

/* Marks the numbers of the removed keys. */
static stoa_err
mark_removed(const stoa_persist *version, PyObject *const *removed, size_t count, uint8_t *gone,
             size_t *out_missing)
{
    for (size_t i = 0; i < count; i++) {
        sought what;
        stoa_err err = seek(removed[i], &what);
        if (err != STOA_OK) {
            return err;
        }
        int64_t number = stoa__persist_number(version, what.here, what.hash);
        PyObject *key, *value;
        Py_DECREF(what.here);
        if (number == -2) {
            return STOA_EPYTHON;
        }
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
        sought what;
        err = stoa__is_node(pairs[2 * i]) ? STOA_OK : seek(pairs[2 * i], &what);
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
    uint64_t there = version->base_count + version->settled;
    if (version->changed - version->settled + count + removed_count > there / 2 + 32) {
        return evolve_anew(batch, version, pairs, count, removed, removed_count, out_missing);
    }
    for (size_t i = 0; i < removed_count; i++) {
        sought what;
        stoa_err err = seek(removed[i], &what);
        if (err != STOA_OK) {
            return err;
        }
        int done = set_key(batch, version, &what, NULL);
        Py_DECREF(what.here);
        if (done <= 0) {
            *out_missing = i;
            return done == 0 ? STOA_ENOTFOUND : PyErr_Occurred() ? STOA_EPYTHON : batch->err;
        }
    }
    return put_all(batch, version, pairs, count);
}

PyObject *
stoa__persist_node(stoa_batch *batch, const stoa_persist *version)
{
    PyObject *parts[1 + STOA_PERSIST_WORDS];
    _Static_assert(sizeof(parts) == sizeof(*version), "a version is the words of its node");
    memcpy(parts, version, sizeof(parts));
    return stoa__make_node(batch, STOA_NODE_PERSISTENT, 0, parts, 1 + STOA_PERSIST_WORDS, STOA_PERSIST_WORDS);
}
