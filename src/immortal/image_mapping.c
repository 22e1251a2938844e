/* Images of mappings: a dict with its table, and around it what makes it read-only.
 *
 * One block. Up to 3.14, a mappingproxy over a dict:
 *     [gc head of dict][dict ......, ma_values][prev][proxy][keys: head, indices, entries]
 *                                    `-- gc head of proxy: its `next` is the dict's ma_values, both are 0 for ever
 * from 3.15, a frozendict:
 *     [gc head][frozendict][keys]
 * Entries are laid for the pairs there are, not for as many as the index table allows, although dict.copy() copies the
 * keys at their full nominal size: what it reads beyond the block is never used (it looks at `nentries` entries only),
 * it just must be mapped, so a block is cut short only where its full size still lies in the granule it begins in.
 */
#include "immortal/image.h"

#include <stdlib.h>

#include "immortal/content.h"
#include "immortal/equal.h"
#include "immortal/image_parts.h"
#include "immortal/lookup.h"

#if STOA_HAS_FROZENDICT
#define DICT_AT STOA_GC_HEAD
#define OBJECT_AT STOA_GC_HEAD
#define KEYS_AT (STOA_GC_HEAD + sizeof(stoa_frozendict))
#else
#define DICT_AT STOA_GC_HEAD
#define OBJECT_AT (DICT_AT + sizeof(PyDictObject) + sizeof(uintptr_t))
#define KEYS_AT (OBJECT_AT + sizeof(stoa_proxy))
_Static_assert(offsetof(PyDictObject, ma_values) + 2 * sizeof(uintptr_t) == OBJECT_AT - DICT_AT,
               "the proxy's gc head begins at the dict's ma_values");
#endif

typedef struct pairs {
    stoa_shared *const *items; /* key, value, key, value … */
    Py_ssize_t count;
    const stoa_keys *like; /* the table of a dict of these pairs, in this order, or NULL */
} pairs;

static bool
same_mapping(const void *candidate, const void *wanted)
{
    const stoa_content *content = wanted;
    if (((const PyObject *)candidate)->ob_type != &STOA_MAPPING_TYPE) {
        return false;
    }
    /* not by the pointers inside: the candidate may be a writable twin */
    const stoa_keys *keys = (const stoa_keys *)(const void *)((const char *)candidate - OBJECT_AT + KEYS_AT);
    if ((size_t)keys->nentries != content->count / 2) {
        return false;
    }
    for (Py_ssize_t i = 0; i < keys->nentries; i++) {
        PyObject *key, *value;
        stoa__keys_entry(keys, i, &key, &value);
        if (!stoa__same_child(key, content->items[2 * i]) ||
            !stoa__same_child(value, content->items[2 * i + 1])) {
            return false;
        }
    }
    return true;
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

static inline void
set_index(stoa_keys *keys, size_t slot, Py_ssize_t index)
{
    switch (keys->log2_index_bytes - keys->log2_size) {
    case 0:
        ((int8_t *)keys->indices)[slot] = (int8_t)index;
        break;
    case 1:
        ((int16_t *)(void *)keys->indices)[slot] = (int16_t)index;
        break;
    case 2:
        ((int32_t *)(void *)keys->indices)[slot] = (int32_t)index;
        break;
    default:
        ((int64_t *)(void *)keys->indices)[slot] = (int64_t)index;
        break;
    }
}

/* Entry of an equal key, or -1 and the slot where the new one goes. */
static Py_ssize_t
find_key(const stoa_keys *keys, const PyObject *wanted, Py_hash_t hash, size_t *slot, stoa_err *err)
{
    size_t mask = ((size_t)1 << keys->log2_size) - 1, at = (size_t)hash & mask;
    const void *entries = stoa__keys_entries(keys);
    for (size_t perturb = (size_t)hash;;) {
        Py_ssize_t index = stoa__keys_index(keys, at);
        if (index < 0) {
            *slot = at;
            return -1;
        }
        bool equal = false;
        if (keys->kind == STOA_KEYS_STR) {
            const PyObject *key = ((const stoa_str_entry *)entries)[index].key;
            equal = key == wanted ||
                    (((const PyASCIIObject *)key)->hash == hash && stoa__equal_str(key, wanted));
        }
        else {
            const stoa_entry *entry = &((const stoa_entry *)entries)[index];
            if (entry->hash == hash) {
                *err = stoa__equal(entry->key, wanted, &equal);
            }
        }
        if (equal || *err != STOA_OK) {
            return index;
        }
        perturb >>= STOA_DICT_PERTURB;
        at = (at * 5 + perturb + 1) & mask;
    }
}

/* `hashes` is NULL when all keys are str. Returns the number of entries, or -1: no memory for a comparison. */
static Py_ssize_t
fill_keys(stoa_keys *keys, const pairs *p, const Py_hash_t *hashes)
{
    Py_ssize_t count = 0;
    void *entries = stoa__keys_entries(keys);
    for (Py_ssize_t i = 0; i < p->count; i++) {
        PyObject *key = p->items[2 * i], *value = p->items[2 * i + 1];
        Py_hash_t hash = hashes != NULL ? hashes[i] : ((const PyASCIIObject *)key)->hash;
        size_t slot = 0;
        stoa_err err = STOA_OK;
        Py_ssize_t index = find_key(keys, key, hash, &slot, &err);
        if (err != STOA_OK) {
            return -1;
        }
        bool fresh = index < 0;
        if (fresh) {
            index = count++;
            set_index(keys, slot, index);
        }
        if (keys->kind == STOA_KEYS_STR) {
            stoa_str_entry *entry = &((stoa_str_entry *)entries)[index];
            entry->key = fresh ? key : entry->key;
            entry->value = value;
        }
        else {
            stoa_entry *entry = &((stoa_entry *)entries)[index];
            entry->hash = hash;
            entry->key = fresh ? key : entry->key;
            entry->value = value;
        }
    }
    return count;
}

/* Where a key's index lies in a table depends on the hashes of the keys, their order, and the size of the table alone. So
 * a dict of str that was never larger or smaller, and lost no key, has the index table that ours would get. */
static inline bool
has_our_indices(const stoa_keys *like, const pairs *p, int log2_size)
{
    return like != NULL && like->kind == STOA_KEYS_STR && like->log2_size == log2_size &&
           like->nentries == p->count;
}

static void
copy_keys(stoa_keys *keys, const pairs *p)
{
    memcpy(keys->indices, p->like->indices, (size_t)1 << keys->log2_index_bytes);
    stoa_str_entry *entries = stoa__keys_entries(keys);
    memcpy(entries, p->items, (size_t)p->count * sizeof *entries);
}
_Static_assert(sizeof(stoa_str_entry) == 2 * sizeof(PyObject *), "an entry of str keys is a pair");

#if STOA_HAS_FROZENDICT
/* -1: a value is unhashable. Members in any order, each hashed as a tuple of two. */
static stoa_err
frozendict_hash(const stoa_keys *keys, Py_hash_t *out)
{
    uint64_t acc = 0;
    for (Py_ssize_t i = 0; i < keys->nentries; i++) {
        PyObject *key, *value;
        Py_hash_t key_hash, value_hash;
        stoa__keys_entry(keys, i, &key, &value);
        stoa_err err = stoa__hash_fast(key, &key_hash);
        err = err == STOA_OK ? stoa__hash_fast(value, &value_hash) : err;
        if (err != STOA_OK) {
            *out = -1;
            return err == STOA_ETYPE ? STOA_OK : err;
        }
        uint64_t pair = stoa__hash_mix(stoa__hash_mix(STOA_TUPLE_SEED, key_hash), value_hash);
        acc ^= stoa__hash_shuffle((uint64_t)stoa__hash_tuple_end(pair, 2));
    }
    *out = stoa__hash_set_end(acc, (size_t)keys->nentries);
    return STOA_OK;
}
#endif

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

static inline int
log2_size_for(size_t count)
{
    int log2_size = STOA_KEYS_LOG2_MIN;
    while (stoa__keys_usable(log2_size) < count) {
        log2_size++;
    }
    return log2_size;
}

static inline bool
in_one_granule(const void *address, size_t size)
{
    return ((uintptr_t)address & (STOA_GRANULE - 1)) + size <= STOA_GRANULE;
}

/* A block of `size` bytes whose first `full` bytes are mapped memory. */
static char *
alloc_block(stoa_batch *batch, size_t size, size_t full)
{
    if (full >= STOA_BATCH_LARGE || !in_one_granule(batch->next, full)) {
        size = full;
    }
    char *block = stoa__batch_alloc(batch, size);
    if (block != NULL && size < full &&
        !in_one_granule(block, full)) { /* it came from another chunk, near its end */
        block = stoa__batch_alloc(batch, full);
    }
    return block;
}

/* Hashes of all keys, when not all are str. *hashes stays NULL if they are; else `few` or malloc'ed. */
static stoa_err
hash_keys(const pairs *p, Py_hash_t *few, size_t few_count, Py_hash_t **hashes)
{
    Py_ssize_t i = p->like != NULL && p->like->kind == STOA_KEYS_STR ? p->count : 0;
    while (i < p->count && p->items[2 * i]->ob_type == &PyUnicode_Type) {
        i++;
    }
    if (i == p->count) {
        return STOA_OK;
    }
    *hashes = (size_t)p->count <= few_count ? few : malloc((size_t)p->count * sizeof **hashes);
    if (*hashes == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory to hash the %zd keys of a mapping", p->count);
    }
    for (i = 0; i < p->count; i++) {
        stoa_err err = stoa__hash_fast(p->items[2 * i], &(*hashes)[i]);
        if (err == STOA_ETYPE) {
            return stoa__fail(err, "key number %zd of a mapping, a '%.200s', is not hashable", i,
                              p->items[2 * i]->ob_type->tp_name);
        }
        if (err != STOA_OK) {
            return stoa__fail(err, "no memory to hash a deeply nested key of a mapping");
        }
    }
    return STOA_OK;
}

static stoa_shared *
lay_mapping(stoa_batch *batch, const pairs *p, const Py_hash_t *hashes)
{
    int log2_size = log2_size_for((size_t)p->count);
    size_t entry = hashes != NULL ? sizeof(stoa_entry) : sizeof(stoa_str_entry);
    size_t fixed = KEYS_AT + sizeof(stoa_keys) + ((size_t)1 << stoa__keys_log2_index_bytes(log2_size));
    char *block = alloc_block(batch, fixed + (size_t)p->count * entry,
                              fixed + stoa__keys_usable(log2_size) * entry);
    if (block == NULL) {
        return NULL;
    }
    char *image = stoa__rw(block);
    stoa_keys *keys = (stoa_keys *)(void *)(image + KEYS_AT);
    keys->refcnt = 1;
    keys->log2_size = (uint8_t)log2_size;
    keys->log2_index_bytes = (uint8_t)stoa__keys_log2_index_bytes(log2_size);
    keys->kind = hashes != NULL ? STOA_KEYS_GENERAL : STOA_KEYS_STR;
    Py_ssize_t count = p->count;
    if (hashes == NULL && has_our_indices(p->like, p, log2_size)) {
        copy_keys(keys, p);
    }
    else {
        memset(keys->indices, 0xFF, (size_t)1 << keys->log2_index_bytes); /* all empty */
        count = fill_keys(keys, p, hashes);
    }
    if (count < 0) {
        return stoa__image_fail(batch, STOA_ENOMEM, "no memory to compare the keys of a mapping");
    }
    keys->nentries = count;
    keys->usable = (Py_ssize_t)stoa__keys_usable(log2_size) - count;

    PyDictObject *dict = (PyDictObject *)(void *)(image + DICT_AT);
    stoa__lay_head(dict, STOA_HAS_FROZENDICT ? &STOA_MAPPING_TYPE : &PyDict_Type);
    dict->ma_used = count;
    dict->ma_keys = (PyDictKeysObject *)(void *)(block + KEYS_AT);
#if STOA_HAS_FROZENDICT
    if (frozendict_hash(keys, &((stoa_frozendict *)dict)->hash) != STOA_OK) {
        return stoa__image_fail(batch, STOA_ENOMEM, "no memory to hash what a mapping holds");
    }
#else
    stoa_proxy *proxy = (stoa_proxy *)(void *)(image + OBJECT_AT);
    stoa__lay_head(proxy, &PyDictProxy_Type);
    proxy->mapping = (PyObject *)(void *)(block + DICT_AT);
#endif
    return (stoa_shared *)(void *)(block + OBJECT_AT);
}

stoa_shared *
stoa__find_mapping(stoa_batch *batch, const stoa_content *content, stoa_key *key)
{
    *key = stoa__content_key(STOA_TAG_MAPPING, content);
    return stoa__find_image(batch, *key, same_mapping, content);
}

stoa_shared *
stoa__new_mapping(stoa_batch *batch, stoa_key key, stoa_shared *const *items, Py_ssize_t count,
                  const stoa_keys *like)
{
    pairs p = {items, count, like};
    if (count < 0 || (size_t)count > STOA_LARGEST / (4 * sizeof(stoa_entry))) {
        return stoa__no_room(batch, "mapping");
    }
    Py_hash_t few[32], *hashes = NULL;
    stoa_shared *object = NULL;
    stoa_err err = hash_keys(&p, few, sizeof few / sizeof few[0], &hashes);
    if (err != STOA_OK) {
        batch->err = err;
    }
    else {
        object = lay_mapping(batch, &p, hashes);
    }
    if (hashes != few) {
        free(hashes);
    }
    if (object != NULL && stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

stoa_shared *
stoa__make_mapping(stoa_batch *batch, stoa_shared *const *items, Py_ssize_t count)
{
    stoa_key key = {0};
    if (stoa__interning(batch) && count >= 0) {
        stoa_content content = {items, (size_t)count * 2, STOA_NUMBERS_LAID};
        stoa_shared *found = stoa__find_mapping(batch, &content, &key);
        if (found != NULL) {
            return found;
        }
    }
    return stoa__new_mapping(batch, key, items, count, NULL);
}
