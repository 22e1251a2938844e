#include "proxy/by_copy.h"

#include <stdbool.h>

#include "immortal/interpreter_state.h"

typedef struct by_copy_object {
    PyObject_HEAD
    PyObject *content; /* owned; NULL only while the gc takes it apart */
} by_copy_object;

static int
by_copy_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((by_copy_object *)self)->content);
    return 0;
}

static int
by_copy_clear(PyObject *self)
{
    Py_CLEAR(((by_copy_object *)self)->content);
    return 0;
}

static void
by_copy_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)by_copy_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *
by_copy_repr(PyObject *self)
{
    return PyUnicode_FromFormat("by_copy(%R)", ((by_copy_object *)self)->content);
}

static PyType_Slot by_copy_slots[] = {
    {Py_tp_dealloc, by_copy_dealloc},
    {Py_tp_traverse, by_copy_traverse},
    {Py_tp_clear, by_copy_clear},
    {Py_tp_repr, by_copy_repr},
    {Py_tp_doc, "Marks an argument or a result that crosses to another interpreter as a deep copy."},
    {0, NULL},
};

static PyType_Spec by_copy_spec = {
    .name = "stoa.ByCopy",
    .basicsize = sizeof(by_copy_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = by_copy_slots,
};

static PyObject *
make_class(void)
{
    return PyType_FromSpec(&by_copy_spec);
}

PyObject *
stoa__by_copy(PyObject *object)
{
    PyTypeObject *type = (PyTypeObject *)stoa__interpreter_keeps(by_copy_spec.name, make_class);
    by_copy_object *self = type == NULL ? NULL : PyObject_GC_New(by_copy_object, type);
    if (self != NULL) {
        self->content = Py_NewRef(object);
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static bool
is_marker(const PyObject *object)
{
    return Py_TYPE(object)->tp_dealloc ==
           by_copy_dealloc; /* one function, however many interpreters have the class */
}

PyObject *
stoa__by_copy_content(PyObject *object)
{
    PyObject *content = NULL;
    while (object != NULL && is_marker(object)) {
        object = content = ((by_copy_object *)object)->content;
    }
    return content;
}
