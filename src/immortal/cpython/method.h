/* Is an attribute of an object a function of its class, and is it so still?
 *
 * Asked first under the GIL of the object's interpreter; and later again by threads that do not have that GIL, who only read
 * single words of memory that cannot go away: the object's type, the type's version tag, the word of the object's dict, and
 * how many names the type's instances have shared so far. CPython gives a type another version whenever anything that a
 * look-up in it may find is changed; an instance without a dict of its own has only attributes that the type has a name for,
 * and names are only added. So while none of these words changes, the answer stays. */
#ifndef STOA_CPYTHON_METHOD_H
#define STOA_CPYTHON_METHOD_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct stoa_method_view {
    PyTypeObject *type;
    uint32_t version; /* of the type */
    Py_ssize_t names; /* of attributes that its instances have shared */
} stoa_method_view;

/* The function that `object.name` binds: found in the class, by the generic look-up, and not hidden by an attribute of the
 * object. Borrowed; NULL, no exception: it is something else, or may become so unseen. GIL of its interpreter. */
PyObject *stoa__find_method(PyObject *object, PyObject *name, stoa_method_view *view);

/* As it is this moment. Any thread: the object is kept alive, and its interpreter. */
static inline PyTypeObject *
stoa__peek_type(const PyObject *object)
{
    return (PyTypeObject *)__atomic_load_n((const uintptr_t *)(const void *)&object->ob_type, __ATOMIC_ACQUIRE);
}

/* Is what stoa__find_method saw still so? Any thread: object and view->type are kept alive, and their interpreter. */
bool stoa__method_stands(const PyObject *object, const stoa_method_view *view);

#endif
