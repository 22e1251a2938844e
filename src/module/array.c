/* Arrays for Python: the C half of python/stoa/_array.py, which knows NumPy's dtypes and iterables. */
#include "immortal/array_source.h"
#include "immortal/array_view.h"
#include "immortal/arrow.h"
#include "immortal/arrow_tree.h"
#include "immortal/exceptions.h"
#include "module/module.h"
#include "module/region.h"
#include "proxy/membership.h"
#include "stoa/python.h"

/* Commits or aborts, and wraps. */
static PyObject *
finish(stoa_batch *batch, const stoa_array *node)
{
    if (node == NULL) {
        stoa_err err = batch->err;
        stoa__batch_abort(batch);
        return PyErr_Occurred() ? NULL : stoa__raise(err != STOA_OK ? err : STOA_ENOMEM);
    }
    stoa__batch_commit(batch);
    return batch->err != STOA_OK ? stoa__raise(batch->err) : stoa__deliver(stoa__array_node(node));
}

typedef struct shape_argument {
    int64_t numbers[STOA_ARRAY_MAX_NDIM];
    size_t ndim;
    bool given;
} shape_argument;

static int
read_number(PyObject *number, int64_t *out)
{
    PyObject *index = PyNumber_Index(number);
    if (index == NULL) {
        return -1;
    }
    *out = PyLong_AsLongLong(index);
    Py_DECREF(index);
    if (*out < 0 && !PyErr_Occurred()) {
        PyErr_Format(PyExc_ValueError, "a dimension cannot be negative: %lld", (long long)*out);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* None, a number, or a sequence of numbers. */
static int
read_shape(PyObject *shape, shape_argument *out)
{
    out->ndim = 0;
    out->given = shape != Py_None;
    if (!out->given) {
        return 0;
    }
    if (PyIndex_Check(shape)) {
        out->ndim = 1;
        return read_number(shape, &out->numbers[0]);
    }
    PyObject *tuple = PySequence_Tuple(shape);
    if (tuple == NULL) {
        return -1;
    }
    int result = 0;
    if (PyTuple_GET_SIZE(tuple) > STOA_ARRAY_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError, "%zd dimensions: at most %d are possible", PyTuple_GET_SIZE(tuple),
                     STOA_ARRAY_MAX_NDIM);
        result = -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple) && result == 0; i++) {
        result = read_number(PyTuple_GET_ITEM(tuple, i), &out->numbers[out->ndim++]);
    }
    Py_DECREF(tuple);
    return result;
}

/* None or a region. */
static bool
begin(stoa_batch *batch, PyObject *region_object)
{
    const stoa_interp_record *here = stoa__current_record();
    stoa_region *region;
    if (here == NULL || stoa__region_argument(region_object, &region) < 0) {
        return false;
    }
    stoa_err err = stoa__batch_begin(batch, region, STOA_BATCH_INTERN);
    stoa__region_unref(region);
    if (err != STOA_OK) {
        stoa__raise(err);
        return false;
    }
    stoa__region_mark(batch->region, here->serial); /* what is made will be used here */
    return true;
}

/* _array(buffer, format, shape, dtype, region): dtype is pickled bytes or None. */
static PyObject *
array_of_buffer(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object, *shape_object, *dtype_object, *region_object;
    const char *format;
    shape_argument shape;
    stoa_batch batch;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "OzOOO:_array", &object, &format, &shape_object, &dtype_object, &region_object) ||
        read_shape(shape_object, &shape) < 0 || PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) < 0) {
        return NULL;
    }
    if (!begin(&batch, region_object)) {
        PyBuffer_Release(&view);
        return NULL;
    }
    PyObject *dtype = NULL;
    const stoa_array *node = NULL;
    if (dtype_object != Py_None && PyBytes_Check(dtype_object)) {
        dtype = stoa__make_bytes(&batch, PyBytes_AS_STRING(dtype_object),
                                 (size_t)PyBytes_GET_SIZE(dtype_object), -1);
    }
    if (dtype != NULL || dtype_object == Py_None) {
        node = stoa__array_of_buffer(&batch, &view, format, shape.given ? shape.numbers : NULL, shape.ndim,
                                     dtype, false);
    }
    PyObject *result = finish(&batch, node);
    PyBuffer_Release(&view);
    return result;
}

/* _array_arrow(schema, array, region): an array, or the tree (a tuple) of what is none. */
static PyObject *
array_of_arrow(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *schema_capsule, *array_capsule, *region_object;
    const arrow_schema *schema;
    const arrow_array *array;
    stoa_batch batch;
    bool other;
    if (!PyArg_ParseTuple(args, "OOO:_array_arrow", &schema_capsule, &array_capsule, &region_object) ||
        !stoa__arrow_open(schema_capsule, array_capsule, &schema, &array) || !begin(&batch, region_object)) {
        return NULL;
    }
    const stoa_array *node = stoa__arrow_import(&batch, schema, array, &other);
    return other ? stoa__arrow_take(&batch, schema, array) : finish(&batch, node);
}

/* _arrow_give(tree): two capsules. */
static PyObject *
arrow_give(PyObject *Py_UNUSED(module), PyObject *tree)
{
    return stoa__arrow_give(tree);
}

/* _array_file(fd, offset, size, format, shape, region) */
static PyObject *
array_of_file(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *shape_object, *region_object;
    int fd;
    long long offset;
    Py_ssize_t size;
    const char *format;
    shape_argument shape;
    stoa_batch batch;
    if (!PyArg_ParseTuple(args, "iLnzOO:_array_file", &fd, &offset, &size, &format, &shape_object,
                          &region_object) ||
        read_shape(shape_object, &shape) < 0) {
        return NULL;
    }
    if (size < 0) {
        return PyErr_Format(PyExc_ValueError, "size cannot be negative: %zd", size);
    }
    if (!begin(&batch, region_object)) {
        return NULL;
    }
    return finish(&batch, stoa__array_of_file(&batch, fd, offset, (size_t)size, format,
                                              shape.given ? shape.numbers : NULL, shape.ndim));
}

/* _array_is(x): is it a shared array? */
static PyObject *
array_is(PyObject *Py_UNUSED(module), PyObject *object)
{
    return PyBool_FromLong(stoa__array_of_object(object) != NULL);
}

/* _array_numpy(): the module if arrays arrive as ndarrays here, else None. */
static PyObject *
array_numpy(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    PyObject *numpy = stoa__array_numpy();
    return numpy == NULL && PyErr_Occurred() ? NULL : Py_NewRef(numpy == NULL ? Py_None : numpy);
}

PyDoc_STRVAR(arrow_doc,
             "arrow($module, array, /)\n--\n\n"
             "What to give to Arrow: an object over the same memory that speaks its C data interface\n"
             "(__arrow_c_array__), as in pyarrow.array(stoa.arrow(a)).\n\n"
             "array: what array() returned. Nothing is copied. TypeError for items that Arrow has no form "
             "for (booleans,\n"
             "which are bits there; records; swapped bytes) comes when Arrow asks.");

static PyObject *
py_arrow(PyObject *Py_UNUSED(module), PyObject *object)
{
    const stoa_array *array = stoa__array_of_object(object);
    if (array == NULL && PyObject_HasAttrString((PyObject *)Py_TYPE(object), "__arrow_c_array__")) {
        return Py_NewRef(object); /* an ArrowArray, for one, speaks for itself */
    }
    if (array == NULL) {
        return PyErr_Format(PyExc_TypeError, "arrow() takes a shared array, as array() makes it, not %.100s",
                            Py_TYPE(object)->tp_name);
    }
    return stoa__array_exporter(array);
}

static PyMethodDef functions[] = {
    {"arrow", py_arrow, METH_O, arrow_doc},
    {"_array", array_of_buffer, METH_VARARGS, NULL},
    {"_array_arrow", array_of_arrow, METH_VARARGS, NULL},
    {"_arrow_give", arrow_give, METH_O, NULL},
    {"_array_file", array_of_file, METH_VARARGS, NULL},
    {"_array_numpy", array_numpy, METH_NOARGS, NULL},
    {"_array_is", array_is, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_array(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
