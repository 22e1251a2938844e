/* Records: instances whose class made them out of attributes and nothing else.
 *
 * What delivery needs to know of a class is found out once a SHAPE and interpreter: how each attribute is set. It is kept
 * in a capsule, which is what a SHAPE is delivered as. No __new__, __init__, __setattr__ or __setstate__ runs.
 */
#include <stdlib.h>

#include "immortal/build_node.h"
#include "immortal/names_of.h"
#include "immortal/plan.h"
#include "immortal/record.h"

typedef struct field {
    PyObject *name;       /* a str that this interpreter has interned: a reference */
    PyObject *descriptor; /* of a slot: a reference; NULL: in __dict__ */
    bool hidden;          /* the class has a data descriptor of this name: only __dict__ itself can be used */
} field;

typedef struct shape {
    PyTypeObject *type; /* a reference */
    unsigned version;   /* of the type when `hidden` and `descriptor` were found; 0: look each time */
    size_t count;
    field fields[];
} shape;

/* ---- shapes -------------------------------------------------------------------------------------------------------- */

static void
free_shape(PyObject *capsule)
{
    shape *s = PyCapsule_GetPointer(capsule, "stoa.shape");
    for (size_t i = 0; i < s->count; i++) {
        Py_XDECREF(s->fields[i].name);
        Py_XDECREF(s->fields[i].descriptor);
    }
    Py_XDECREF(s->type);
    free(s);
}

/* What the class has under the name: borrowed, NULL: nothing. */
static PyObject *
class_attribute(PyTypeObject *type, PyObject *name)
{
    PyObject *mro = type->tp_mro;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *dict = PyType_GetDict((PyTypeObject *)PyTuple_GET_ITEM(mro, i));
        PyObject *found = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);
        Py_XDECREF(dict); /* the class keeps what was found */
        if (found != NULL) {
            return found;
        }
    }
    PyErr_Clear();
    return NULL;
}

static int
find_fields(shape *s)
{
    (void)PyUnstable_Type_AssignVersionTag(s->type);
    s->version = s->type->tp_version_tag;
    for (size_t i = 0; i < s->count; i++) {
        field *f = &s->fields[i];
        PyObject *found = class_attribute(s->type, f->name);
        bool data = found != NULL && Py_TYPE(found)->tp_descr_set != NULL;
        bool slot = data && Py_IS_TYPE(found, &PyMemberDescr_Type);
        Py_XSETREF(f->descriptor, slot ? Py_NewRef(found) : NULL);
        f->hidden = data && !slot;
        if (!slot && s->type->tp_dictoffset == 0) {
            PyErr_Format(PyExc_AttributeError,
                         "the class has no place for attribute %R here: was it changed?", f->name);
            return -1;
        }
    }
    return 0;
}

/* Only a registered class has records without being a dataclass. Registered where the record comes from, it is so here from now
 * on: what has arrived can be frozen and sent again, changes of its holder with it. */
static int
note_registered(PyTypeObject *type)
{
    stoa_foreign_side *side = stoa__is_data(type) ? NULL : stoa__foreign_side();
    if (side == NULL || side->registered == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *entry = PyTuple_Pack(2, Py_None, Py_None);
    PyObject *kept = entry == NULL ? NULL : PyDict_SetDefault(side->registered, (PyObject *)type, entry);
    if (kept != NULL && kept == entry) {
        stoa__plans_outdate(side);
    }
    Py_XDECREF(entry);
    return kept == NULL ? -1 : 0;
}

PyObject *
stoa__build_shape(const stoa_node *node, PyObject *const *parts)
{
    if (!PyType_Check(parts[0]) || !stoa__is_plain_class((PyTypeObject *)parts[0])) {
        PyErr_SetString(PyExc_TypeError,
                        "what is found under its name is no class whose instances are attributes only");
        return NULL;
    }
    if (note_registered((PyTypeObject *)parts[0]) < 0) {
        return NULL;
    }
    shape *s = calloc(1, sizeof(*s) + (node->count - 1) * sizeof(field));
    PyObject *capsule = s == NULL ? PyErr_NoMemory() : PyCapsule_New(s, "stoa.shape", free_shape);
    if (capsule == NULL) {
        free(s);
        return NULL;
    }
    s->type = (PyTypeObject *)Py_NewRef(parts[0]);
    s->count = node->count - 1;
    for (size_t i = 0; i < s->count; i++) {
        if ((s->fields[i].name = stoa__own_name(parts[1 + i])) == NULL) {
            Py_DECREF(capsule);
            return NULL;
        }
    }
    if (find_fields(s) < 0) {
        Py_CLEAR(capsule);
    }
    return capsule;
}

/* ---- instances ----------------------------------------------------------------------------------------------------- */

static int
set_in_dict(PyObject *object, PyObject *name, PyObject *value)
{
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    int result = dict == NULL ? -1 : PyDict_SetItem(dict, name, value);
    Py_XDECREF(dict);
    return result;
}

static int
set_field(PyObject *object, const field *f, PyObject *value)
{
    if (f->descriptor != NULL) {
        return Py_TYPE(f->descriptor)->tp_descr_set(f->descriptor, object, value);
    }
    return f->hidden ? set_in_dict(object, f->name, value) : PyObject_GenericSetAttr(object, f->name, value);
}

PyObject *
stoa__shape_class(PyObject *capsule)
{
    const shape *s = PyCapsule_GetPointer(capsule, "stoa.shape");
    return s == NULL ? NULL : (PyObject *)s->type;
}

static shape *
shape_of(PyObject *capsule)
{
    shape *s = PyCapsule_GetPointer(capsule, "stoa.shape");
    return s == NULL || ((s->version == 0 || s->version != s->type->tp_version_tag) && find_fields(s) < 0)
               ? NULL
               : s;
}

PyObject *
stoa__record_new(PyObject *capsule)
{
    const shape *s = shape_of(capsule);
    return s == NULL ? NULL : s->type->tp_alloc(s->type, 0);
}

int
stoa__record_set(PyObject *object, PyObject *capsule, size_t index, PyObject *value)
{
    const shape *s = PyCapsule_GetPointer(capsule, "stoa.shape");
    return s == NULL ? -1 : set_field(object, &s->fields[index], value);
}

PyObject *
stoa__record_of(PyObject *capsule, PyObject *const *values)
{
    const shape *s = shape_of(capsule);
    PyObject *object = s == NULL ? NULL : s->type->tp_alloc(s->type, 0);
    for (size_t i = 0; object != NULL && i < s->count; i++) {
        if (set_field(object, &s->fields[i], values[i]) < 0) {
            Py_CLEAR(object);
        }
    }
    return object;
}

PyObject *
stoa__build_record(const stoa_node *node, PyObject *const *parts)
{
    (void)node; /* it has as many values as its shape has names */
    return stoa__record_of(parts[0], parts + 1);
}
