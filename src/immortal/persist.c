#include "immortal/persist_hamt.h"

#include "heap/error.h"
#include "heap/process.h"
#include "immortal/equal.h"
#include "immortal/hash.h"
#include "immortal/image_parts.h"
#include "immortal/late.h"
#include "immortal/lookup.h"
#include "immortal/numbers.h"

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

static inline bool
is_changeable(const PyObject *value)
{
    return stoa__slot_is_node(value) && ((const stoa_node *)value)->flags & STOA_NODE_CHANGEABLE;
}

void
stoa__persist_begin_with(stoa_persist *version, PyObject *mapping, PyObject *const *pairs, size_t count)
{
    stoa__persist_begin(version, mapping);
    for (size_t i = 0; i < count && !version->changeable; i++) {
        version->changeable = is_changeable(pairs[2 * i + 1]);
    }
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

bool
stoa__persist_pair(const stoa_persist *version, uint64_t number, PyObject **key, PyObject **value)
{
    return pair_of(version, find_bottom(version, number), number, key, value);
}

PyObject *
stoa__persist_find(const stoa_persist *version, PyObject *key, Py_hash_t hash, uint64_t *out_number)
{
    int64_t number = stoa__persist_number(version, key, hash);
    PyObject *stored, *value;
    if (number < 0) {
        return NULL;
    }
    *out_number = (uint64_t)number;
    return stoa__persist_pair(version, (uint64_t)number, &stored, &value) ? value : NULL;
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

/* A pair that is to stand at a number. */
typedef struct placed {
    uint64_t number;
    stoa_pair pair;
} placed;

/* A trie node of `count` children or pairs, each of `size` bytes. Writable; NULL: no memory. */
static stoa_trie *
new_trie(stoa_batch *batch, uint32_t bits, size_t size, const stoa_trie **out_public)
{
    char *made = stoa__batch_alloc(batch, offsetof(stoa_trie, pairs) + stoa__count_bits(bits) * size);
    if (made == NULL) {
        return NULL;
    }
    stoa_trie *w = stoa__rw(made);
    w->bits = bits;
    *out_public = (const stoa_trie *)(void *)made;
    return w;
}

/* `node` with these pairs, whose numbers ascend and go through it. NULL: no memory. */
static const stoa_trie *
put_pairs(stoa_batch *batch, const stoa_trie *node, unsigned shift, const placed *pairs, size_t count)
{
    static const stoa_trie nothing;
    node = node == NULL ? &nothing : node;
    size_t size = shift == 0 ? sizeof(stoa_pair) : sizeof(node), at = 0, taken = 0;
    uint32_t old = node->bits, fresh = 0;
    for (size_t i = 0; i < count; i++) {
        fresh |= stoa__trie_bit(pairs[i].number, shift);
    }
    const stoa_trie *made;
    stoa_trie *w = new_trie(batch, old | fresh, size, &made);
    if (w == NULL) {
        return NULL;
    }
    const char *from = (const char *)node + offsetof(stoa_trie, pairs);
    char *to = (char *)w + offsetof(stoa_trie, pairs);
    for (size_t i = 0, end; i < count; i = end) {
        uint32_t bit = stoa__trie_bit(pairs[i].number, shift);
        size_t before = stoa__count_bits(old & (bit - 1));
        memcpy(to + at * size, from + taken * size, (before - taken) * size);
        at += before - taken;
        taken = before + ((old & bit) != 0);
        for (end = i + 1; end < count && stoa__trie_bit(pairs[end].number, shift) == bit;) {
            end++;
        }
        if (shift == 0) {
            w->pairs[at++] = pairs[i].pair;
            continue;
        }
        const stoa_trie *child = old & bit ? node->children[before] : NULL;
        child = put_pairs(batch, child, shift - STOA_TRIE_BITS, pairs + i,
                          end - i); /* as deep as numbers are long: 13 */
        if (child == NULL) {
            return NULL;
        }
        w->children[at++] = child;
    }
    memcpy(to + at * size, from + taken * size, (stoa__count_bits(old) - taken) * size);
    return made;
}

/* Puts pairs in, whose numbers ascend. */
static bool
change(stoa_batch *batch, stoa_persist *version, const placed *pairs, size_t count)
{
    uint64_t last = count == 0 ? 0 : pairs[count - 1].number;
    while (version->changes != NULL && last >> version->shift >> STOA_TRIE_BITS != 0) {
        const stoa_trie *made;
        stoa_trie *w = new_trie(batch, 1, sizeof(made), &made); /* one level more */
        if (w == NULL) {
            return false;
        }
        w->children[0] = version->changes;
        version->changes = made;
        version->shift += STOA_TRIE_BITS;
    }
    if (version->changes == NULL) {
        version->shift = 0;
        while (last >> version->shift >> STOA_TRIE_BITS != 0) {
            version->shift += STOA_TRIE_BITS;
        }
    }
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        known += pair_in(find_bottom(version, pairs[i].number), pairs[i].number) != NULL;
        version->changeable |= pairs[i].pair.value != NULL && is_changeable(pairs[i].pair.value);
    }
    const stoa_trie *root = put_pairs(batch, version->changes, version->shift, pairs, count);
    if (root == NULL) {
        return false;
    }
    version->changes = root;
    version->changed += count - known;
    return true;
}

bool
stoa__persist_set(stoa_batch *batch, stoa_persist *version, const stoa_new_value *values, size_t count)
{
    placed *pairs = malloc((count + 1) * sizeof(*pairs));
    if (pairs == NULL) {
        batch->err = stoa__fail(STOA_ENOMEM, "no memory to change %zu values of a mapping", count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *old;
        pairs[i] = (placed){values[i].number, {NULL, values[i].value}};
        (void)stoa__persist_pair(version, values[i].number, &pairs[i].pair.key, &old);
    }
    bool done = count == 0 || change(batch, version, pairs, count);
    free(pairs);
    return done;
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
    if (!change(batch, version, &(placed){(uint64_t)number, {stored, value}}, 1)) {
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
    stoa__persist_begin_with(version, mapping, all, based);
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

static bool
same_first(const void *candidate, const void *base)
{
    const stoa_node *node = candidate;
    return stoa__is_node(candidate) && node->kind == STOA_NODE_PERSISTENT && node->parts[0] == base &&
           stoa__persist_of_node(candidate)->changes == NULL;
}

bool
stoa__persist_suits(stoa_shared *const *pairs, size_t count)
{
    for (size_t i = 0; i < count && count >= STOA_LATE_MIN; i++) {
        if (stoa__slot_is_node(pairs[2 * i])) {
            return false;
        }
    }
    return count >= STOA_LATE_MIN;
}

stoa_shared *
stoa__persist_first(stoa_batch *batch, stoa_shared *base, stoa_shared *const *pairs, size_t count)
{
    uintptr_t words[2] = {STOA_NODE_PERSISTENT, (uintptr_t)base};
    stoa_key key = stoa__key(STOA_TAG_MAPPING, words, sizeof(words));
    stoa_shared *found = stoa__interning(batch) ? stoa__find_image(batch, key, same_first, base) : NULL;
    if (found != NULL) {
        return found;
    }
    stoa_persist version;
    stoa__persist_begin_with(&version, base, pairs, count);
    stoa_shared *made = stoa__persist_node(batch, &version);
    if (made != NULL && stoa__interning(batch)) {
        stoa__intern_add(batch, key, made);
    }
    return made;
}

PyObject *
stoa__persist_node(stoa_batch *batch, const stoa_persist *version)
{
    PyObject *parts[1 + STOA_PERSIST_WORDS];
    _Static_assert(sizeof(parts) == sizeof(*version), "a version is the words of its node");
    memcpy(parts, version, sizeof(parts));
    return stoa__make_node(batch, STOA_NODE_PERSISTENT, version->changeable ? STOA_NODE_CHANGEABLE : 0, parts,
                           1 + STOA_PERSIST_WORDS, STOA_PERSIST_WORDS);
}
