#include "immortal/cpython/instance.h"

#define MANAGED_DICT (-3) /* words from the object to its dict, or to what stands there for it (layout.c) */

static PyObject *
word_at(PyObject *object, ptrdiff_t word)
{
    return ((PyObject **)(void *)object)[word];
}

#if PY_MINOR_VERSION == 12

/* The word is the dict, or, marked by its lowest bit, the array of values less one; the bytes before the array are its
 * capacity, the number of attributes, and, downwards, their order. */
static bool
look(PyObject *object, stoa_instance *out)
{
    uintptr_t word = (uintptr_t)word_at(object, MANAGED_DICT);
    if ((word & 1) == 0) {
        out->dict = (PyObject *)word;
        return true;
    }
    const uint8_t *values = (const uint8_t *)(word + 1);
    out->keys = (const stoa_keys *)((PyHeapTypeObject *)Py_TYPE(object))->ht_cached_keys;
    out->values = (PyObject *const *)(const void *)values;
    out->order = values - 3;
    out->step = -1;
    out->count = values[-2];
    return out->keys != NULL;
}

#else

/* The values lie behind the object: capacity, number, two flags; the values; their order. A dict that was made shares them
 * while `valid`. */
typedef struct inline_values {
    uint8_t capacity, size, embedded, valid;
    PyObject *values[];
} inline_values;

static bool
look(PyObject *object, stoa_instance *out)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type->tp_flags & Py_TPFLAGS_INLINE_VALUES) {
        const inline_values *values = (const void *)((const char *)object + type->tp_basicsize);
        if (values->valid) {
            out->keys = (const stoa_keys *)((PyHeapTypeObject *)type)->ht_cached_keys;
            out->values = values->values;
            out->order = (const uint8_t *)&values->values[values->capacity];
            out->step = 1;
            out->count = values->size;
            return out->keys != NULL;
        }
    }
    out->dict = word_at(object, MANAGED_DICT);
    return true;
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
    return look(object, out) && (out->dict == NULL || PyDict_CheckExact(out->dict));
}
