#include "immortal/cpython/instance.h"

#define MANAGED_DICT (-3) /* words from the object to its dict, or to what stands there for it (layout.c) */

static PyObject *
word_at(PyObject *object, ptrdiff_t word)
{
    return ((PyObject **)(void *)object)[word];
}

static bool
has_odd_names(PyObject *dict)
{
    PyObject *name;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &name, NULL)) {
        if (!PyUnicode_CheckExact(name)) {
            return true;
        }
    }
    return false;
}

static void look_at_values(const PyTypeObject *type, const void *values, stoa_instance *out);

/* A dict that was made. It may share values and the class's names with the instance still. */
static bool
look_at_dict(const PyTypeObject *type, PyObject *object, stoa_instance *out)
{
    if (object == NULL) {
        return true;
    }
    if (!PyDict_CheckExact(object)) {
        return false;
    }
    const PyDictObject *dict = (const PyDictObject *)object;
    const stoa_keys *keys = stoa__dict_keys(dict);
    out->count = (size_t)dict->ma_used;
    if (dict->ma_values != NULL && (const void *)keys == ((const PyHeapTypeObject *)type)->ht_cached_keys) {
        look_at_values(type, dict->ma_values, out);
    }
    else if (dict->ma_values == NULL && keys->kind == STOA_KEYS_STR && keys->nentries == dict->ma_used) {
        out->entries = stoa__keys_entries(keys);
    }
    else {
        out->dict = object;
        return !has_odd_names(object);
    }
    return true;
}

#if PY_MINOR_VERSION == 12

/* The bytes before the array are its capacity, the number of attributes, and, downwards, their order. */
static void
look_at_values(const PyTypeObject *type, const void *values, stoa_instance *out)
{
    const uint8_t *bytes = values;
    out->keys = (const stoa_keys *)((const PyHeapTypeObject *)type)->ht_cached_keys;
    out->values = values;
    out->order = bytes - 3;
    out->step = -1;
    out->count = bytes[-2];
}

/* The word is the dict, or, marked by its lowest bit, the array of values less one. */
static bool
look(PyObject *object, stoa_instance *out)
{
    PyTypeObject *type = Py_TYPE(object);
    uintptr_t word = (uintptr_t)word_at(object, MANAGED_DICT);
    if ((word & 1) == 0) {
        return look_at_dict(type, (PyObject *)word, out);
    }
    look_at_values(type, (const void *)(word + 1), out);
    return out->keys != NULL;
}

#else

/* The values lie behind the object: capacity, number, two flags; the values; their order. A dict that was made shares them
 * while `valid`. */
typedef struct inline_values {
    uint8_t capacity, size, embedded, valid;
    PyObject *values[];
} inline_values;

static void
look_at_values(const PyTypeObject *type, const void *at, stoa_instance *out)
{
    const inline_values *values = at;
    out->keys = (const stoa_keys *)((const PyHeapTypeObject *)type)->ht_cached_keys;
    out->values = values->values;
    out->order = (const uint8_t *)&values->values[values->capacity];
    out->step = 1;
    out->count = values->size;
}

static bool
look(PyObject *object, stoa_instance *out)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type->tp_flags & Py_TPFLAGS_INLINE_VALUES) {
        const inline_values *values = (const void *)((const char *)object + type->tp_basicsize);
        if (values->valid) {
            look_at_values(type, values, out);
            return out->keys != NULL;
        }
    }
    return look_at_dict(type, word_at(object, MANAGED_DICT), out);
}

#endif

bool
stoa__instance_look(PyObject *object, stoa_instance *out)
{
    *out = (stoa_instance){.step = 1};
    PyTypeObject *type = Py_TYPE(object);
    if (type->tp_dictoffset == 0) {
        return true; /* slots only */
    }
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE) || !(type->tp_flags & Py_TPFLAGS_MANAGED_DICT)) {
        return false;
    }
    return look(object, out);
}
