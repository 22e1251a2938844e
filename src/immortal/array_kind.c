#include "immortal/array_kind.h"

#include "heap/region.h"
#include "immortal/apart.h"
#include "immortal/array_source.h"
#include "immortal/array_view.h"
#include "immortal/exceptions.h"
#include "immortal/image.h"

static PyObject *
build(const stoa_node *node, PyObject *const *parts)
{
    (void)parts; /* the pickled dtype, which is native */
    return stoa__array_wrap(stoa__array_of_node((const PyObject *)node));
}

/* array.array is a type of each interpreter, found by its name: a class of Python code with that name would be in a module
 * of its own. */
static bool
is_typed_array(PyObject *object)
{
    return strcmp(Py_TYPE(object)->tp_name, "array.array") == 0 &&
           Py_TYPE(object)->tp_flags & Py_TPFLAGS_IMMUTABLETYPE;
}

static bool
takes(PyObject *object)
{
    return PyMemoryView_Check(object) || is_typed_array(object);
}

/* Nobody can change these. */
static bool
is_view_of_bytes(PyObject *object)
{
    const PyObject *base = PyMemoryView_Check(object) ? PyMemoryView_GET_BASE(object) : NULL;
    return base != NULL && PyBytes_CheckExact(base);
}

static stoa_shared *
freeze(stoa_batch *batch, PyObject *object, bool convert, const char **why)
{
    Py_buffer view;
    PyObject *known = stoa__delivered_node(object);
    if (known != NULL && stoa__region_reaches(batch->region, stoa__region_of(known))) {
        return known;
    }
    if (PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) < 0) {
        PyErr_Clear();
        *why = "its memory was released";
        return NULL;
    }
    stoa_array *node = NULL;
    if (view.format != NULL && stoa__format_holds_pointers(view.format)) {
        *why = "its items are Python objects or pointers; freeze a list of what it holds instead";
    }
    else if (!convert && !stoa__in_heap(view.buf) && !is_view_of_bytes(object)) {
        *why = "its memory can change; freeze() copies it, array() makes a shared array of it";
    }
    else {
        node = stoa__array_of_buffer(batch, &view, NULL, NULL, 0, NULL, true);
    }
    PyBuffer_Release(&view);
    return node == NULL ? NULL : stoa__array_node(node);
}

const stoa_foreign_kind stoa__array_kind = {.name = "array", .build = build, .takes = takes, .freeze = freeze};

/* Not one that stands for a shared array: that goes by pointer, and is what reduce_ndarray gives. */
static bool
takes_ndarray(PyObject *object)
{
    if (strcmp(Py_TYPE(object)->tp_name, "numpy.ndarray") != 0) {
        return false;
    }
    PyObject *node = stoa__delivered_node(object);
    return node == NULL || !stoa__is_array(node);
}

/* What was delivered is what it was: it is read-only. */
static stoa_shared *
freeze_ndarray(stoa_batch *batch, PyObject *object, bool convert, const char **why)
{
    PyObject *known = stoa__delivered_node(object);
    if (known != NULL && stoa__region_reaches(batch->region, stoa__region_of(known))) {
        return known;
    }
    *why = convert ? NULL : "its memory can change; freeze() copies it, array() makes a shared array of it";
    return NULL;
}

/* Lays an array of the bytes that `view` shows beside what is being frozen. */
static PyObject *
copy_beside(stoa_apart *apart, PyObject *view_object, PyObject *dtype_object)
{
    Py_buffer view;
    stoa_batch *batch = stoa__apart_beside(apart);
    if (batch == NULL || PyObject_GetBuffer(view_object, &view, PyBUF_FULL_RO) < 0) {
        return NULL;
    }
    PyObject *dtype = stoa__make_bytes(batch, PyBytes_AS_STRING(dtype_object),
                                       (size_t)PyBytes_GET_SIZE(dtype_object), -1);
    const stoa_array *node = dtype == NULL ? NULL
                                           : stoa__array_of_buffer(batch, &view, NULL, NULL, 0, dtype, false);
    PyBuffer_Release(&view);
    if (node == NULL) {
        return PyErr_Occurred() ? NULL : stoa__raise(batch->err != STOA_OK ? batch->err : STOA_ENOMEM);
    }
    return stoa__apart_laid(stoa__array_node(node));
}

static PyObject *
reduce_ndarray(PyObject *object, stoa_apart *apart, unsigned *flags)
{
    (void)flags;
    PyObject *module = PyImport_ImportModule("stoa._array");
    PyObject *part = module == NULL ? NULL : PyObject_CallMethod(module, "_for_freeze", "O", object);
    Py_XDECREF(module);
    if (part == NULL) {
        return NULL;
    }
    bool is_buffer = PyTuple_CheckExact(part); /* and a dtype; else it carries objects */
    PyObject *result = is_buffer ? copy_beside(apart, PyTuple_GET_ITEM(part, 0), PyTuple_GET_ITEM(part, 1))
                                 : PyTuple_Pack(1, part);
    Py_DECREF(part);
    return result;
}

const stoa_foreign_kind stoa__ndarray_kind = {
    .name = "numpy.ndarray", .takes = takes_ndarray, .freeze = freeze_ndarray, .reduce = reduce_ndarray};
