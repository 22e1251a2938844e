/* Reading containers by their fields: what the walks need that CPython's functions do not tell fast enough, or not
 * without making an iterator. No GIL for shared objects, the owner's GIL for others.
 */
#ifndef STOA_IMMORTAL_SOURCE_H
#define STOA_IMMORTAL_SOURCE_H

#include "immortal/cpython/cpython.h"

/* The next member at or after table position *position (start with 0), or NULL at the end. Set or frozenset. */
static inline PyObject *
stoa__set_next(const PyObject *set, size_t *position)
{
    const PySetObject *so = (const PySetObject *)set;
    for (size_t i = *position; i <= (size_t)so->mask; i++) {
        const setentry *entry = &so->table[i];
        if (entry->key != NULL && entry->hash != -1) { /* -1: a dummy */
            *position = i + 1;
            return entry->key;
        }
    }
    *position = (size_t)so->mask + 1;
    return NULL;
}

/* What a mappingproxy shows, through proxies of proxies: borrowed. */
static inline PyObject *
stoa__proxy_target(PyObject *object)
{
    while (Py_IS_TYPE(object, &PyDictProxy_Type)) {
        object = ((stoa_proxy *)object)->mapping;
    }
    return object;
}

/* Exactly a dict, or a frozendict where there is one. */
static inline bool
stoa__is_any_dict(PyObject *object)
{
#if STOA_HAS_FROZENDICT
    return PyAnyDict_CheckExact(object);
#else
    return PyDict_CheckExact(object);
#endif
}

/* start, stop, step of a slice: borrowed. */
static inline PyObject *const *
stoa__slice_fields(const PyObject *slice)
{
    return &((const PySliceObject *)slice)->start;
}

/* The children of a list or tuple, or the values of a dict that has a table of its own; a NULL among the values stands for
 * what was deleted, a key lies before its value. */
typedef struct stoa_children {
    PyObject *const *first;
    Py_ssize_t count;
    size_t stride;
} stoa_children;

static inline bool
stoa__children_of(const PyObject *container, stoa_children *out)
{
    const PyTypeObject *type = container->ob_type;
    if (type == &PyList_Type) {
        *out = (stoa_children){((const PyListObject *)container)->ob_item, Py_SIZE(container), 1};
        return true;
    }
    if (type == &PyTuple_Type) {
        *out = (stoa_children){((const PyTupleObject *)container)->ob_item, Py_SIZE(container), 1};
        return true;
    }
    if (!stoa__is_any_dict((PyObject *)container) || ((const PyDictObject *)container)->ma_values != NULL) {
        return false;
    }
    const stoa_keys *keys = stoa__dict_keys((const PyDictObject *)container);
    bool general = keys->kind == STOA_KEYS_GENERAL;
    PyObject *const *entries = stoa__keys_entries(keys);
    *out = (stoa_children){entries + (general ? 2 : 1), keys->nentries, general ? 3 : 2};
    return true;
}

/* Asks for the memory that entering `object` will touch next, once its header is in the cache. */
static inline void
stoa__prefetch_inside(PyObject *object)
{
    if (Py_IS_TYPE(object, &PyDict_Type)) {
        const char *keys = (const char *)((const PyDictObject *)object)->ma_keys;
        __builtin_prefetch(keys);
        __builtin_prefetch(keys + 64);
        __builtin_prefetch(keys + 128);
    }
    else if (Py_IS_TYPE(object, &PyList_Type)) {
        __builtin_prefetch(((const PyListObject *)object)->ob_item);
    }
}

#endif
