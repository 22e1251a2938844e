#include "immortal/cpython/method.h"

#include "immortal/cpython/cpython.h"

#define MANAGED_DICT (-3) /* words from the object to its dict, or to what stands there for it (layout.c) */

/* Atomic for the compiler's sake only, and acquire so that the words are read in this order: it is CPython that writes them,
 * plainly, and each is right by itself. */
static uintptr_t
peek(const void *address)
{
    return __atomic_load_n((const uintptr_t *)address, __ATOMIC_ACQUIRE);
}

/* The object has no dict. False also where that cannot be seen. `type`: the object's. */
static bool
has_no_dict(const PyObject *object, const PyTypeObject *type)
{
    if (type->tp_dictoffset == 0) {
        return true;
    }
    if (type->tp_flags & Py_TPFLAGS_MANAGED_DICT) {
        uintptr_t word = peek((const uintptr_t *)(const void *)object + MANAGED_DICT);
#if PY_MINOR_VERSION == 12
        return word == 0 || (word & 1) != 0; /* values instead of a dict */
#else
        return word == 0;
#endif
    }
    return type->tp_dictoffset > 0 && peek((const char *)object + type->tp_dictoffset) == 0;
}

/* The names that instances of the type share; NULL: none. */
static const stoa_keys *
shared_keys(const PyTypeObject *type)
{
    return (type->tp_flags & Py_TPFLAGS_HEAPTYPE) && (type->tp_flags & Py_TPFLAGS_MANAGED_DICT)
               ? (const stoa_keys *)((const PyHeapTypeObject *)type)->ht_cached_keys
               : NULL;
}

static Py_ssize_t
count_names(const PyTypeObject *type)
{
    const stoa_keys *keys = shared_keys(type);
    return keys == NULL ? 0 : (Py_ssize_t)peek(&keys->nentries);
}

static bool
is_shared_name(const PyTypeObject *type, PyObject *name)
{
    const stoa_keys *keys = shared_keys(type);
    for (Py_ssize_t i = 0; keys != NULL && i < keys->nentries; i++) {
        PyObject *key, *value;
        stoa__keys_entry(keys, i, &key, &value);
        if (key == NULL || key == name || PyUnicode_Compare(key, name) == 0) {
            return true;
        }
    }
    return false;
}

PyObject *
stoa__find_method(PyObject *object, PyObject *name, stoa_method_view *view)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type->tp_getattro != PyObject_GenericGetAttr || !PyUnicode_CheckExact(name) ||
        !has_no_dict(object, type)) {
        return NULL;
    }
    PyObject *found = _PyType_Lookup(type, name);
    if (found == NULL || !(Py_IS_TYPE(found, &PyFunction_Type) || Py_IS_TYPE(found, &PyMethodDescr_Type)) ||
        is_shared_name(type, name) || type->tp_version_tag == 0) {
        return NULL;
    }
    *view = (stoa_method_view){type, type->tp_version_tag, count_names(type)};
    return found;
}

bool
stoa__method_stands(const PyObject *object, const stoa_method_view *view)
{
    return stoa__peek_type(object) == view->type &&
           __atomic_load_n(&view->type->tp_version_tag, __ATOMIC_ACQUIRE) == view->version &&
           has_no_dict(object, view->type) && count_names(view->type) == view->names;
}
