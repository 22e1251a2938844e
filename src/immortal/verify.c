#include "immortal/verify.h"

#include <stdlib.h>

#include "heap/error.h"
#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/describe.h"
#include "immortal/foreign.h"
#include "immortal/hash.h"
#include "immortal/image.h"
#include "immortal/lookup.h"
#include "immortal/persist.h"
#include "immortal/utf8.h"

typedef struct verifier {
    const PyObject **todo;
    size_t todo_count, todo_room;
    const PyObject **seen; /* open addressing; a power of two */
    size_t seen_count, seen_room;
    stoa_err err;
} verifier;

static bool
holds(verifier *v, bool condition, const PyObject *object, const char *invariant)
{
    if (!condition && v->err == STOA_OK) {
        char text[200];
        stoa__describe(object, text, sizeof text);
        v->err = stoa__fail(STOA_ESTATE, "%s: %s", text, invariant);
    }
    return condition;
}

/* ---- what was seen and what is to do --------------------------------------------------------------------------------- */

static void
put_seen(const PyObject **table, size_t room, const PyObject *object)
{
    size_t at = (size_t)((uintptr_t)object >> 3) * UINT64_C(0x9E3779B97F4A7C15) >> 20 & (room - 1);
    while (table[at] != NULL) {
        at = (at + 1) & (room - 1);
    }
    table[at] = object;
}

static bool
was_seen(const verifier *v, const PyObject *object)
{
    size_t at = (size_t)((uintptr_t)object >> 3) * UINT64_C(0x9E3779B97F4A7C15) >> 20 & (v->seen_room - 1);
    while (v->seen[at] != NULL) {
        if (v->seen[at] == object) {
            return true;
        }
        at = (at + 1) & (v->seen_room - 1);
    }
    return false;
}

static bool
grow(verifier *v)
{
    if (v->todo_count == v->todo_room) {
        size_t room = v->todo_room ? 2 * v->todo_room : 256;
        const PyObject **more = realloc(v->todo, room * sizeof *more);
        if (more == NULL) {
            return false;
        }
        v->todo = more;
        v->todo_room = room;
    }
    if (2 * (v->seen_count + 1) > v->seen_room) {
        size_t room = v->seen_room ? 2 * v->seen_room : 1024;
        const PyObject **more = calloc(room, sizeof *more);
        if (more == NULL) {
            return false;
        }
        for (size_t i = 0; i < v->seen_room; i++) {
            if (v->seen[i] != NULL) {
                put_seen(more, room, v->seen[i]);
            }
        }
        free(v->seen);
        v->seen = more;
        v->seen_room = room;
    }
    return true;
}

/* A child, or the root. */
static void
visit(verifier *v, const PyObject *object, const PyObject *parent)
{
    if (v->err != STOA_OK || !holds(v, object != NULL, parent, "holds a NULL")) {
        return;
    }
    if (!stoa__in_heap(object)) {
        holds(v, stoa__is_canonical(object), parent,
              "points at an object that is neither in the heap nor the runtime's own");
        return;
    }
    if (!grow(v)) {
        v->err = stoa__fail(STOA_ENOMEM, "no memory to verify a graph");
        return;
    }
    if (!was_seen(v, object)) {
        put_seen(v->seen, v->seen_room, object);
        v->seen_count++;
        v->todo[v->todo_count++] = object;
    }
}

/* ---- each kind ----------------------------------------------------------------------------------------------------- */

/* `next` is 0 (not tracked), the low bits of `prev` are 0 (not in a collection, not finalized). */
static void
check_gc_head(verifier *v, const PyObject *object)
{
    const stoa_gc_head *head = (const stoa_gc_head *)(const void *)object - 1;
    holds(v, head->next == 0 && head->prev == 0, object, "the gc head is not zero");
}

static void
check_str(verifier *v, const PyObject *object)
{
    const PyASCIIObject *str = (const PyASCIIObject *)object;
    const PyCompactUnicodeObject *wide = (const PyCompactUnicodeObject *)object;
    size_t kind = str->state.kind, length = (size_t)str->length, size = length * kind;
    const char *data = stoa__str_data(str);
    holds(v,
          str->state.interned == STOA_INTERNED_STATIC && str->state.statically_allocated && str->state.compact,
          object, "state is not that of an interned static str");
    holds(v, kind == 1 || (!str->state.ascii && (kind == 2 || kind == 4)), object, "kind is none");
    holds(v, str->hash == stoa__hash_bytes(data, size), object, "the hash is not that of the characters");
    for (size_t i = 0; i < kind; i++) {
        holds(v, data[size + i] == 0, object, "no zero behind the characters");
    }
    size_t ascii = kind == 1 ? stoa__ascii_prefix(data, length) : 0;
    holds(v, str->state.ascii == (kind == 1 && ascii == length), object, "the ascii flag is wrong");
    if (str->state.ascii) {
        return;
    }
    size_t utf8 = stoa__utf8_size((int)kind, data, length);
    stoa_text_shape shape;
    if (utf8 == SIZE_MAX) {
        holds(v, wide->utf8 == NULL && wide->utf8_length == 0, object, "UTF-8 of a lone surrogate");
        return;
    }
    holds(v,
          wide->utf8 != NULL && (size_t)wide->utf8_length == utf8 && stoa__in_heap(wide->utf8) &&
              wide->utf8[utf8] == 0 && stoa__utf8_shape(wide->utf8, utf8, &shape) && shape.length == length &&
              (size_t)shape.kind == kind,
          object, "the UTF-8 form is missing, wrong, or the kind is not the narrowest");
}

static void
check_int(verifier *v, const PyObject *object)
{
    size_t count = stoa__int_digit_count(object);
    const digit *digits = stoa__int_digits(object);
    uintptr_t tag = ((const PyLongObject *)object)->long_value.lv_tag;
    holds(v, count > 0 && digits[count - 1] != 0 && tag == stoa__int_tag((tag & STOA_INT_SIGN) == 2, count),
          object, "not normalised");
    for (size_t i = 0; i < count; i++) {
        holds(v, digits[i] <= PyLong_MASK, object, "a digit is too large");
    }
}

static void
check_tuple(verifier *v, const PyObject *object)
{
    check_gc_head(v, object);
    holds(v, Py_SIZE(object) > 0, object, "an empty tuple of our own");
    for (Py_ssize_t i = 0; i < Py_SIZE(object); i++) {
        visit(v, ((const PyTupleObject *)object)->ob_item[i], object);
    }
#if STOA_TUPLE_HAS_HASH
    uint64_t acc = STOA_TUPLE_SEED;
    bool hashable = v->err == STOA_OK;
    for (Py_ssize_t i = 0; hashable && i < Py_SIZE(object); i++) {
        Py_hash_t hash;
        hashable = stoa__hash_of(((const PyTupleObject *)object)->ob_item[i], &hash) == STOA_OK;
        acc = stoa__hash_mix(acc, hash);
    }
    Py_hash_t wanted = hashable ? stoa__hash_tuple_end(acc, (size_t)Py_SIZE(object)) : -1;
    holds(v, v->err != STOA_OK || STOA_TUPLE_HASH(object) == wanted, object,
          "the hash is not that of the items");
#endif
}

static void
check_set(verifier *v, const PyObject *object)
{
    const PySetObject *set = (const PySetObject *)object;
    const PyWeakReference *ref = (const PyWeakReference *)(const void *)set->weakreflist;
    uint64_t acc = 0;
    Py_ssize_t count = 0;
    check_gc_head(v, object);
    holds(v,
          set->mask >= 7 && (set->mask & (set->mask + 1)) == 0 && set->used == set->fill &&
              set->finger == 0 && set->used * 5 < set->mask * 3 && stoa__in_heap(set->table),
          object, "size of the table");
    for (Py_ssize_t i = 0; v->err == STOA_OK && i <= set->mask; i++) {
        const setentry *entry = &set->table[i];
        if (entry->key == NULL) {
            holds(v, entry->hash == 0, object, "a deleted entry");
            continue;
        }
        Py_hash_t hash;
        visit(v, entry->key, object);
        holds(v, stoa__hash_of(entry->key, &hash) == STOA_OK && hash == entry->hash, object,
              "hash of an entry");
        holds(v, stoa__frozenset_has(object, entry->key), object, "a member is not found");
        acc ^= stoa__hash_shuffle((uint64_t)entry->hash);
        count++;
    }
    holds(v, count == set->used && set->hash == stoa__hash_set_end(acc, (size_t)count), object,
          "the hash or the count");
    if (holds(v, ref != NULL && stoa__in_heap(ref), object, "no weak reference of its own")) {
        check_gc_head(v, &ref->ob_base);
        holds(v,
              stoa__has_shared_refcount(ref) && ref->ob_base.ob_type == &_PyWeakref_RefType &&
                  ref->wr_object == object && ref->wr_callback == NULL && ref->hash == set->hash &&
                  ref->wr_prev == NULL && ref->wr_next == NULL && ref->vectorcall != NULL,
              object, "its weak reference");
    }
}

static void
check_keys(verifier *v, const PyObject *object, const stoa_keys *keys)
{
    Py_ssize_t used = 0;
    size_t usable = stoa__keys_usable(keys->log2_size);
    holds(v,
          keys->refcnt == 1 && keys->version == 0 && keys->log2_size >= STOA_KEYS_LOG2_MIN &&
              keys->log2_index_bytes == stoa__keys_log2_index_bytes(keys->log2_size) &&
              (keys->kind == STOA_KEYS_STR || keys->kind == STOA_KEYS_GENERAL) &&
              (size_t)(keys->usable + keys->nentries) == usable,
          object, "head of the keys");
    for (size_t slot = 0; v->err == STOA_OK && slot >> keys->log2_size == 0; slot++) {
        Py_ssize_t index = stoa__keys_index(keys, slot);
        used += index >= 0;
        holds(v, index >= STOA_INDEX_EMPTY && index < keys->nentries, object, "an index");
    }
    holds(v, used == keys->nentries, object, "indices and entries do not match");
    for (Py_ssize_t i = 0; v->err == STOA_OK && i < keys->nentries; i++) {
        PyObject *key, *value;
        Py_hash_t hash;
        stoa__keys_entry(keys, i, &key, &value);
        visit(v, key, object);
        visit(v, value, object);
        if (v->err != STOA_OK) {
            return;
        }
        holds(v,
              keys->kind == STOA_KEYS_GENERAL ||
                  (key->ob_type == &PyUnicode_Type && ((PyASCIIObject *)key)->hash != -1),
              object, "a key of a str table");
        holds(v,
              stoa__hash_of(key, &hash) == STOA_OK &&
                  (keys->kind == STOA_KEYS_STR ||
                   ((const stoa_entry *)stoa__keys_entries(keys))[i].hash == hash),
              object, "hash of a key");
        holds(v, stoa__mapping_find(object, key) == value, object, "a key is not found");
    }
}

static void
check_mapping(verifier *v, const PyObject *object)
{
    const PyDictObject *dict = stoa__mapping_dict(object);
    uint64_t tag;
    memcpy(&tag, (const char *)dict + offsetof(PyDictObject, ma_used) + sizeof(Py_ssize_t), sizeof tag);
    if (!holds(v, stoa__in_heap(dict) && stoa__in_heap(dict->ma_keys), object, "its dict is not in the heap")) {
        return;
    }
    check_gc_head(v, object);
    check_gc_head(v, (const PyObject *)dict);
    holds(v,
          stoa__has_shared_refcount(dict) &&
              dict->ob_base.ob_type == (STOA_HAS_FROZENDICT ? &STOA_MAPPING_TYPE : &PyDict_Type) &&
              dict->ma_values == NULL && tag == 0 && dict->ma_used == stoa__dict_keys(dict)->nentries,
          object, "its dict");
    check_keys(v, object, stoa__dict_keys(dict));
}

/* A version: its base is a part, the pairs that have changed since lie beside it. */
static void
check_version(verifier *v, const PyObject *object)
{
    const stoa_persist *version = stoa__persist_of_node(object);
    stoa_persist_cursor cursor = {0};
    PyObject *key, *value;
    uint64_t count = 0;
    for (; v->err == STOA_OK && stoa__persist_next(version, &cursor, &key, &value); count++) {
        visit(v, key, object);
        visit(v, value, object);
        holds(v,
              version->changeable || !stoa__is_node(value) ||
                  !(((const stoa_node *)value)->flags & STOA_NODE_CHANGEABLE),
              object, "a value can be changed, but the version says that none can");
    }
    holds(v, v->err != STOA_OK || count == version->count, object, "the number of pairs");
}

static void
check(verifier *v, const PyObject *object)
{
    const PyTypeObject *type = object->ob_type;
    holds(v, ((uintptr_t)object & 7) == 0 && stoa__has_shared_refcount(object), object,
          "address or reference count");
    holds(v, !stoa__is_canonical(object), object, "the runtime has an object of its own for this");
    if (type == &PyUnicode_Type) {
        check_str(v, object);
    }
    else if (type == &PyLong_Type) {
        check_int(v, object);
    }
    else if (type == &PyTuple_Type) {
        check_tuple(v, object);
    }
    else if (type == &STOA_MAPPING_TYPE) {
        check_mapping(v, object);
    }
    else if (type == &PyFrozenSet_Type) {
        check_set(v, object);
    }
    else if (type == &PyBytes_Type) {
        const PyBytesObject *bytes = (const PyBytesObject *)object;
        size_t size = (size_t)Py_SIZE(object);
        holds(v,
              size > 1 && bytes->ob_sval[size] == 0 &&
                  *stoa__bytes_hash((void *)(uintptr_t)bytes) == stoa__hash_bytes(bytes->ob_sval, size),
              object, "the hash or the final zero");
    }
    else if (type == &PyRange_Type || type == &PySlice_Type) {
        PyObject *const *parts = &((const stoa_range *)object)->start;
        for (int i = 0; i < (type == &PyRange_Type ? 4 : 3); i++) {
            visit(v, parts[i], object);
        }
        if (type == &PySlice_Type) {
            check_gc_head(v, object);
        }
    }
    else if (stoa__is_node(object)) {
        const stoa_node *node = (const stoa_node *)object;
        holds(v, node->kind > STOA_NODE_SAME && node->kind < STOA_NODE_KINDS && node->raw <= node->count,
              object, "kind or parts of a node");
        for (size_t i = 0; v->err == STOA_OK && i < node->count - node->raw; i++) {
            visit(v, node->parts[i], object);
        }
        if (v->err == STOA_OK && node->kind == STOA_NODE_PERSISTENT) {
            check_version(v, object);
        }
    }
    else {
        bool date = type == stoa__runtime.date || type == stoa__runtime.time ||
                    type == stoa__runtime.datetime || type == stoa__runtime.timedelta;
        Py_hash_t hash = 0;
        holds(v, date || type == &PyFloat_Type || type == &PyComplex_Type, object,
              "this type cannot be shared");
        holds(v, stoa__hash_of(object, &hash) == STOA_OK && hash != -1, object, "no hash");
    }
}

stoa_err
stoa__verify(const PyObject *object, size_t *out_objects)
{
    verifier v = {.err = STOA_OK};
    visit(&v, object, object);
    while (v.err == STOA_OK && v.todo_count > 0) {
        check(&v, v.todo[--v.todo_count]);
    }
    if (out_objects != NULL) {
        *out_objects = v.seen_count;
    }
    free(v.todo);
    free(v.seen);
    return v.err;
}
