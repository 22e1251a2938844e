/* Reading shared containers, by their own tables.
 *
 * A key given as text or number is laid out as the object it would be, on the stack, and looked up as such: so there is
 * one way of finding, and text of up to KEY_BYTES bytes needs no memory.
 */
#include "immortal/read.h"

#include "heap/error.h"
#include "immortal/equal.h"
#include "immortal/hash.h"
#include "immortal/lookup.h"
#include "immortal/persist.h"
#include "immortal/source.h"
#include "immortal/utf8.h"

#include <stdlib.h>

#define KEY_BYTES 512

/* What evolve() made. NULL: it is not that. */
static const stoa_persist *
as_version(const stoa_object *mapping)
{
    const stoa_node *node = stoa__as_node(mapping, STOA_KIND_MAPPING);
    return node != NULL && node->kind == STOA_NODE_PERSISTENT ? stoa__persist_of_node((const PyObject *)node)
                                                              : NULL;
}

/* ---- lengths and items ------------------------------------------------------------------------------------------- */

stoa_err
stoa_get_length(const stoa_object *object, size_t *out_length)
{
    const PyObject *o = (const PyObject *)object;
    if (out_length == NULL) {
        return stoa__null_out(__func__);
    }
    stoa_kind kind = stoa_object_kind(object);
    const stoa_node *node = stoa__as_node(object, kind);
    if (node != NULL && (kind == STOA_KIND_TUPLE || kind == STOA_KIND_SET)) {
        *out_length = node->count;
        return STOA_OK;
    }
    if (node != NULL && kind == STOA_KIND_MAPPING) {
        *out_length = as_version(object) != NULL ? (size_t)as_version(object)->count : node->count / 2;
        return STOA_OK;
    }
    switch (kind) {
    case STOA_KIND_RECORD: /* behind the shape or the class */
    case STOA_KIND_NAMED_TUPLE:
        *out_length = node->count - 1;
        return STOA_OK;
    case STOA_KIND_TEXT:
        *out_length = (size_t)((const PyASCIIObject *)o)->length;
        return STOA_OK;
    case STOA_KIND_BYTES:
    case STOA_KIND_TUPLE:
        *out_length = (size_t)((const PyVarObject *)o)->ob_size;
        return STOA_OK;
    case STOA_KIND_SET:
        *out_length = (size_t)((const PySetObject *)o)->used;
        return STOA_OK;
    case STOA_KIND_MAPPING:
        *out_length = (size_t)stoa__mapping_dict(o)->ma_used;
        return STOA_OK;
    default:
        return stoa__wrong_kind(__func__, object, "text, bytes, tuple, set, mapping or record");
    }
}

stoa_err
stoa_tuple_item(const stoa_object *tuple, size_t index, const stoa_object **out_item)
{
    const PyObject *o = (const PyObject *)tuple;
    PyObject *const *items;
    size_t count = 3;
    if (out_item == NULL) {
        return stoa__null_out(__func__);
    }
    stoa_kind kind = stoa_object_kind(tuple);
    const stoa_node *node = stoa__as_node(tuple, kind);
    if (node != NULL && (kind == STOA_KIND_TUPLE || kind == STOA_KIND_NAMED_TUPLE || kind == STOA_KIND_SLICE)) {
        size_t first = kind == STOA_KIND_NAMED_TUPLE;
        if (index >= node->count - first) {
            return stoa__fail(STOA_ENOTFOUND, "%s: no item %zu, the length is %zu", __func__, index,
                              node->count - first);
        }
        *out_item = (const stoa_object *)node->parts[first + index];
        return STOA_OK;
    }
    switch (kind) {
    case STOA_KIND_TUPLE:
        items = ((const PyTupleObject *)o)->ob_item;
        count = (size_t)((const PyVarObject *)o)->ob_size;
        break;
    case STOA_KIND_RANGE:
        items = &((const stoa_range *)o)->start;
        break;
    case STOA_KIND_SLICE:
        items = stoa__slice_fields(o);
        break;
    default:
        return stoa__wrong_kind(__func__, tuple, "tuple, range or slice");
    }
    if (index >= count) {
        return stoa__fail(STOA_ENOTFOUND, "%s: no item %zu, the length is %zu", __func__, index, count);
    }
    *out_item = (const stoa_object *)items[index];
    return STOA_OK;
}

stoa_err
stoa_tuple_items(const stoa_object *tuple, const stoa_object *const **out_items, size_t *out_count)
{
    const PyObject *o = stoa__as_type(tuple, &PyTuple_Type);
    if (out_items == NULL || out_count == NULL) {
        return stoa__null_out(__func__);
    }
    const stoa_node *plain = stoa__as_node(tuple, STOA_KIND_TUPLE),
                    *named = stoa__as_node(tuple, STOA_KIND_NAMED_TUPLE);
    if (plain != NULL || named != NULL) {
        const stoa_node *node = plain != NULL ? plain : named;
        *out_items = (const stoa_object *const *)(const void *)(node->parts + (named != NULL));
        *out_count = node->count - (named != NULL);
        return STOA_OK;
    }
    if (o == NULL) {
        return stoa__wrong_kind(__func__, tuple, "tuple");
    }
    *out_items = (const stoa_object *const *)(const void *)((const PyTupleObject *)o)->ob_item;
    *out_count = (size_t)((const PyVarObject *)o)->ob_size;
    return STOA_OK;
}

/* ---- keys that are no objects ------------------------------------------------------------------------------------ */

typedef struct key_object {
    PyObject *object;
    void *spare; /* malloc'd, for long text */
    union {
        PyCompactUnicodeObject str;
        PyLongObject number;
        char room[KEY_BYTES];
    } u;
} key_object;

static stoa_err
key_from_text(key_object *key, const char *utf8, size_t size)
{
    stoa_text_shape shape;
    key->spare = NULL;
    if (utf8 == NULL && size != 0) {
        return stoa__fail(STOA_EINVAL, "the key is NULL, but its size is %zu", size);
    }
    if (!stoa__utf8_shape(utf8 != NULL ? utf8 : "", size, &shape)) {
        return stoa__fail(STOA_EUTF8, "the key is not valid UTF-8 from byte %zu on", shape.length);
    }
    size_t wanted = sizeof(PyCompactUnicodeObject) + (shape.length + 1) * (size_t)shape.kind;
    void *room = key->u.room;
    if (wanted > sizeof(key->u)) {
        room = key->spare = malloc(wanted);
        if (room == NULL) {
            return stoa__fail(STOA_ENOMEM, "no memory for a key of %zu bytes", size);
        }
    }
    PyASCIIObject *str = room;
    memset(str, 0, sizeof(PyCompactUnicodeObject));
    stoa__lay_str(str, shape.kind, shape.ascii, (Py_ssize_t)shape.length, -1);
    void *data = stoa__str_data(str);
    if (shape.ascii && size != 0) {
        memcpy(data, utf8, size);
    }
    else if (size != 0) {
        stoa__utf8_decode(utf8, size, shape.kind, data);
    }
    str->hash = stoa__hash_bytes(data, shape.length * (size_t)shape.kind);
    key->object = (PyObject *)str;
    return STOA_OK;
}

static void
key_from_int(key_object *key, int64_t value)
{
    digit *digits = (digit *)(void *)(key->u.room + STOA_INT_HEAD);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t count = 0;
    for (digits[0] = 0; rest != 0; rest >>= PyLong_SHIFT) {
        digits[count++] = (digit)(rest & PyLong_MASK);
    }
    stoa__lay_head(key->u.room, &PyLong_Type);
    key->u.number.long_value.lv_tag = stoa__int_tag(value < 0, count);
    key->spare = NULL;
    key->object = (PyObject *)key->u.room;
}

/* ---- mappings ---------------------------------------------------------------------------------------------------- */

/* Why a look-up of `key` found nothing. */
static stoa_err
not_found(const char *function, const PyObject *key)
{
    Py_hash_t hash;
    stoa_err err = stoa__hash_fast(key, &hash);
    if (err == STOA_ETYPE) {
        return stoa__fail(err, "%s: the key is unhashable (of kind %s, or with a mapping inside)", function,
                          stoa_kind_name(stoa_object_kind((const stoa_object *)key)));
    }
    if (err != STOA_OK) {
        return stoa__fail(err, "%s: no memory to look at the key", function);
    }
    return STOA_ENOTFOUND;
}

/* Looks at every step-th part of a node for one that is equal. NULL: none is. */
static PyObject *const *
find_part(const stoa_node *node, const PyObject *wanted, size_t step)
{
    for (size_t i = 0; i < node->count; i += step) {
        bool equal = false;
        if (stoa__equal(node->parts[i], wanted, &equal) == STOA_OK && equal) {
            return &node->parts[i];
        }
    }
    return NULL;
}

static stoa_err
find_value(const char *function, const stoa_object *mapping, const PyObject *key, const stoa_object **out_value)
{
    const stoa_node *node = stoa__as_node(mapping, STOA_KIND_MAPPING);
    const stoa_persist *version = as_version(mapping);
    if (version != NULL) {
        PyObject *value = stoa__persist_find_shared(version, (PyObject *)(uintptr_t)key);
        if (value == NULL) {
            return stoa__is_node(key) ? STOA_ENOTFOUND : not_found(function, key);
        }
        *out_value = (const stoa_object *)value;
        return STOA_OK;
    }
    if (node != NULL) {
        PyObject *const *found = find_part(node, key, 2);
        if (found == NULL) {
            return stoa__is_node(key) ? STOA_ENOTFOUND : not_found(function, key);
        }
        *out_value = (const stoa_object *)found[1];
        return STOA_OK;
    }
    PyObject *value = stoa__mapping_find((const PyObject *)mapping, key);
    if (value == NULL) {
        return not_found(function, key);
    }
    *out_value = (const stoa_object *)value;
    return STOA_OK;
}

stoa_err
stoa_mapping_get(const stoa_object *mapping, const stoa_object *key, const stoa_object **out_value)
{
    if (out_value == NULL || key == NULL) {
        return stoa__fail(STOA_EINVAL, "%s: the key or out_value is NULL", __func__);
    }
    if (stoa_object_kind(mapping) != STOA_KIND_MAPPING) {
        return stoa__wrong_kind(__func__, mapping, "mapping");
    }
    return find_value(__func__, mapping, (const PyObject *)key, out_value);
}

stoa_err
stoa_mapping_get_text(const stoa_object *mapping, const char *utf8, size_t size, const stoa_object **out_value)
{
    if (out_value == NULL) {
        return stoa__null_out(__func__);
    }
    if (stoa_object_kind(mapping) != STOA_KIND_MAPPING) {
        return stoa__wrong_kind(__func__, mapping, "mapping");
    }
    key_object key;
    stoa_err err = key_from_text(&key, utf8, size);
    if (err == STOA_OK) {
        err = find_value(__func__, mapping, key.object, out_value);
    }
    free(key.spare);
    return err;
}

stoa_err
stoa_mapping_get_int(const stoa_object *mapping, int64_t key, const stoa_object **out_value)
{
    if (out_value == NULL) {
        return stoa__null_out(__func__);
    }
    if (stoa_object_kind(mapping) != STOA_KIND_MAPPING) {
        return stoa__wrong_kind(__func__, mapping, "mapping");
    }
    key_object number;
    key_from_int(&number, key);
    return find_value(__func__, mapping, number.object, out_value);
}

/* The pair at *position, which goes on. */
static bool
next_pair(const stoa_object *mapping, size_t *position, PyObject **key, PyObject **value)
{
    const PyObject *o = stoa__as_type(mapping, &STOA_MAPPING_TYPE);
    const stoa_node *node = stoa__as_node(mapping, STOA_KIND_MAPPING);
    const stoa_persist *version = as_version(mapping);
    if (version != NULL) {
        stoa_persist_cursor cursor = stoa__persist_cursor_at(version, *position);
        bool found = stoa__persist_next(version, &cursor, key, value);
        *position = (size_t)cursor.next;
        return found;
    }
    if (node != NULL && *position < node->count / 2) {
        PyObject *const *pair = &node->parts[2 * (*position)++];
        *key = pair[0];
        *value = pair[1];
        return true;
    }
    const stoa_keys *keys = o == NULL ? NULL : stoa__dict_keys(stoa__mapping_dict(o));
    if (keys != NULL && *position < (size_t)keys->nentries) { /* a shared table has no deleted entries */
        stoa__keys_entry(keys, (Py_ssize_t)(*position)++, key, value);
        return true;
    }
    return false;
}

bool
stoa_mapping_next(const stoa_object *mapping, size_t *position, const stoa_object **out_key,
                  const stoa_object **out_value)
{
    PyObject *key, *value;
    if (position == NULL || !next_pair(mapping, position, &key, &value)) {
        return false;
    }
    if (out_key != NULL) {
        *out_key = (const stoa_object *)key;
    }
    if (out_value != NULL) {
        *out_value = (const stoa_object *)value;
    }
    return true;
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

static stoa_err
find_member(const char *function, const stoa_object *set, const PyObject *member)
{
    const stoa_node *node = stoa__as_node(set, STOA_KIND_SET);
    bool found = node != NULL ? find_part(node, member, 1) != NULL
                              : stoa__frozenset_has((const PyObject *)set, member);
    return found ? STOA_OK : stoa__is_node(member) ? STOA_ENOTFOUND : not_found(function, member);
}

stoa_err
stoa_set_contains(const stoa_object *set, const stoa_object *member)
{
    if (member == NULL) {
        return stoa__fail(STOA_EINVAL, "%s: the member is NULL", __func__);
    }
    if (stoa_object_kind(set) != STOA_KIND_SET) {
        return stoa__wrong_kind(__func__, set, "set");
    }
    return find_member(__func__, set, (const PyObject *)member);
}

stoa_err
stoa_set_contains_text(const stoa_object *set, const char *utf8, size_t size)
{
    if (stoa_object_kind(set) != STOA_KIND_SET) {
        return stoa__wrong_kind(__func__, set, "set");
    }
    key_object key;
    stoa_err err = key_from_text(&key, utf8, size);
    if (err == STOA_OK) {
        err = find_member(__func__, set, key.object);
    }
    free(key.spare);
    return err;
}

stoa_err
stoa_set_contains_int(const stoa_object *set, int64_t member)
{
    if (stoa_object_kind(set) != STOA_KIND_SET) {
        return stoa__wrong_kind(__func__, set, "set");
    }
    key_object number;
    key_from_int(&number, member);
    return find_member(__func__, set, number.object);
}

bool
stoa_set_next(const stoa_object *set, size_t *position, const stoa_object **out_member)
{
    const PyObject *o = stoa__as_type(set, &PyFrozenSet_Type);
    const stoa_node *node = stoa__as_node(set, STOA_KIND_SET);
    PyObject *member = NULL;
    if (position != NULL && node != NULL) {
        member = *position < node->count ? node->parts[(*position)++] : NULL;
    }
    else if (position != NULL && o != NULL) {
        member = stoa__set_next(o, position);
    }
    if (member == NULL) {
        return false;
    }
    if (out_member != NULL) {
        *out_member = (const stoa_object *)member;
    }
    return true;
}
