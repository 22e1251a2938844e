#include "immortal/array_view.h"

#include "immortal/arrow.h"
#include "immortal/interpreter_state.h"

/* What an interpreter keeps: in a capsule in its dict. */
typedef struct view_state {
    PyTypeObject *exporter; /* stoa.SharedBuffer */
    PyObject *numpy;        /* the module; NULL: not asked yet, or not there */
    PyObject *dtypes;       /* {pickled dtype: dtype} */
    bool refused;           /* importing NumPy failed: it is not tried again */
} view_state;

typedef struct exporter_object {
    PyObject ob_base;
    const stoa_array *array; /* const after new */
    bool raw;                /* shows [low, low + extent) as bytes */
} exporter_object;

static view_state *get_state(void);

/* ---- the exporter ------------------------------------------------------------------------------------------------ */

static void
exporter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
refuse_buffer(const char *why)
{
    PyErr_SetString(PyExc_BufferError, why);
    return -1;
}

static int
check_request(const stoa_array *a, int flags)
{
    if (flags & PyBUF_WRITABLE) {
        return refuse_buffer(
            "a shared array is read-only; copy it to change it, as with bytearray(a) or numpy.array(a)");
    }
    bool c_order = (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
                   (flags & PyBUF_STRIDES) != PyBUF_STRIDES;
    bool needs_any = (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS;
    bool needs_f = (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS;
    if (!c_order && !needs_any && !needs_f) {
        return 0;
    }
    Py_buffer view = {.buf = (void *)(uintptr_t)a->data,
                      .len = (Py_ssize_t)(a->count * a->itemsize),
                      .itemsize = (Py_ssize_t)a->itemsize,
                      .ndim = (int)a->ndim,
                      .shape = (Py_ssize_t *)(uintptr_t)a->shape,
                      .strides = (Py_ssize_t *)(uintptr_t)a->strides};
    bool fits = needs_f && !c_order ? PyBuffer_IsContiguous(&view, 'F')
                : c_order           ? a->contiguous
                                    : PyBuffer_IsContiguous(&view, 'A');
    return fits ? 0
                : refuse_buffer(
                      "the items of this shared array do not lie in a row; ask for strides, or copy it");
}

static int
exporter_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    const exporter_object *exporter = (exporter_object *)self;
    const stoa_array *a = exporter->array;
    view->obj = NULL;
    if (exporter->raw) {
        return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)a->low, (Py_ssize_t)a->extent, 1, flags);
    }
    if (check_request(a, flags) < 0) {
        return -1;
    }
    *view = (Py_buffer){.buf = (void *)(uintptr_t)a->data,
                        .obj = Py_NewRef(self),
                        .len = (Py_ssize_t)(a->count * a->itemsize),
                        .itemsize = (Py_ssize_t)a->itemsize,
                        .readonly = 1,
                        .ndim = (int)a->ndim,
                        .format = flags & PyBUF_FORMAT ? (char *)(uintptr_t)a->format : NULL,
                        .shape = (Py_ssize_t *)(uintptr_t)a->shape,
                        .strides = (Py_ssize_t *)(uintptr_t)a->strides};
    if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES) {
        view->strides = NULL;
    }
    if ((flags & PyBUF_ND) != PyBUF_ND) {
        view->shape = NULL;
        view->ndim = 1; /* as bytes in a row */
    }
    return 0;
}

static PyObject *
exporter_repr(PyObject *self)
{
    const stoa_array *a = ((exporter_object *)self)->array;
    return PyUnicode_FromFormat("<stoa.SharedBuffer, %zu items of format '%s'>", a->count, a->format);
}

static PyObject *
exporter_arrow_schema(PyObject *self, PyObject *Py_UNUSED(none))
{
    return stoa__arrow_schema(((exporter_object *)self)->array);
}

static PyObject *
exporter_arrow_array(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"requested_schema", NULL};
    PyObject *requested = NULL; /* a wish, which may go unheard */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:__arrow_c_array__", names, &requested)) {
        return NULL;
    }
    return stoa__arrow_export(((exporter_object *)self)->array);
}

static PyMethodDef exporter_methods[] = {
    {"__arrow_c_schema__", exporter_arrow_schema, METH_NOARGS,
     "__arrow_c_schema__($self, /)\n--\n\nThe type of the items, as a capsule \"arrow_schema\"."},
    {"__arrow_c_array__", (PyCFunction)(void (*)(void))exporter_arrow_array, METH_VARARGS | METH_KEYWORDS,
     "__arrow_c_array__($self, /, requested_schema=None)\n--\n\n"
     "Capsules \"arrow_schema\" and \"arrow_array\" over the same memory; nothing is copied."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot exporter_slots[] = {
    {Py_tp_dealloc, exporter_dealloc},
    {Py_tp_repr, exporter_repr},
    {Py_tp_methods, exporter_methods},
    {Py_tp_doc, "The memory of a shared array: exports it by the buffer protocol and to Arrow. Read-only."},
    {Py_bf_getbuffer, exporter_getbuffer},
    {0, NULL},
};

static PyType_Spec exporter_spec = {
    .name = "stoa.SharedBuffer",
    .basicsize = sizeof(exporter_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = exporter_slots,
};

/* ---- the interpreter's state ------------------------------------------------------------------------------------- */

static void
free_state(void *kept)
{
    view_state *state = kept;
    Py_XDECREF(state->exporter);
    Py_XDECREF(state->numpy);
    Py_XDECREF(state->dtypes);
    PyMem_Free(state);
}

static PyObject *
make_state(void)
{
    view_state *state = PyMem_Calloc(1, sizeof(*state));
    if (state == NULL) {
        return PyErr_NoMemory();
    }
    state->exporter = (PyTypeObject *)PyType_FromSpec(&exporter_spec);
    state->dtypes = PyDict_New();
    if (state->exporter == NULL || state->dtypes == NULL) {
        free_state(state);
        return NULL;
    }
    return stoa__interpreter_state_new("stoa.arrays", state, free_state);
}

static view_state *
get_state(void)
{
    return stoa__interpreter_state("stoa.arrays", make_state);
}

/* ---- NumPy ------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__array_numpy(void)
{
    view_state *state = get_state();
    if (state == NULL || state->numpy != NULL || state->refused) {
        return state == NULL ? NULL : state->numpy;
    }
    bool is_main = PyInterpreterState_Get() == PyInterpreterState_Main();
    PyObject *module;
    if (is_main) {
        module = PyImport_ImportModule("numpy");
    }
    else {
        PyObject *name = PyUnicode_FromString("numpy");
        module = name == NULL ? NULL : PyImport_GetModule(name);
        Py_XDECREF(name);
    }
    bool whole = module != NULL && PyObject_HasAttrString(module, "ndarray") &&
                 PyObject_HasAttrString(module, "asarray");
    if (whole && state->numpy == NULL) {
        state->numpy = Py_NewRef(module);
    }
    Py_XDECREF(module);
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) { /* Ctrl-C and the like are not for us */
            return NULL;
        }
        PyErr_Clear();
        state->refused = is_main;
    }
    return state->numpy;
}

/* The dtype that was pickled into these bytes; new reference. */
static PyObject *
load_dtype(view_state *state, PyObject *pickled)
{
    PyObject *dtype = PyDict_GetItemWithError(state->dtypes, pickled);
    if (dtype != NULL || PyErr_Occurred()) {
        return Py_XNewRef(dtype);
    }
    PyObject *pickle = PyImport_ImportModule("pickle");
    if (pickle != NULL) {
        dtype = PyObject_CallMethod(pickle, "loads", "O", pickled);
        Py_DECREF(pickle);
    }
    if (dtype != NULL && PyDict_SetItem(state->dtypes, pickled, dtype) < 0) {
        Py_CLEAR(dtype);
    }
    return dtype;
}

static PyObject *
make_exporter(view_state *state, const stoa_array *array, bool raw)
{
    exporter_object *exporter = PyObject_New(exporter_object, state->exporter);
    if (exporter != NULL) {
        exporter->array = array;
        exporter->raw = raw;
    }
    return (PyObject *)exporter;
}

static PyObject *
number_tuple(const int64_t *numbers, size_t count)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; i < count && tuple != NULL; i++) {
        PyObject *number = PyLong_FromLongLong(numbers[i]);
        if (number == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, number);
    }
    return tuple;
}

/* numpy.ndarray(shape, dtype, buffer, offset, strides) */
static PyObject *
wrap_with_dtype(view_state *state, PyObject *numpy, const stoa_array *array)
{
    PyObject *result = NULL, *dtype = load_dtype(state, array->dtype);
    PyObject *buffer = make_exporter(state, array, true);
    PyObject *shape = number_tuple(array->shape, array->ndim),
             *strides = number_tuple(array->strides, array->ndim);
    if (dtype != NULL && buffer != NULL && shape != NULL && strides != NULL) {
        result = PyObject_CallMethod(numpy, "ndarray", "OOOnO", shape, dtype, buffer,
                                     (Py_ssize_t)(array->count != 0 ? array->data - array->low : 0), strides);
    }
    Py_XDECREF(dtype);
    Py_XDECREF(buffer);
    Py_XDECREF(shape);
    Py_XDECREF(strides);
    return result;
}

/* ---- wrapping ---------------------------------------------------------------------------------------------------- */

PyObject *
stoa__array_exporter(const stoa_array *array)
{
    view_state *state = get_state();
    return state == NULL ? NULL : make_exporter(state, array, false);
}

PyObject *
stoa__array_wrap(const stoa_array *array)
{
    view_state *state = get_state();
    PyObject *numpy = state == NULL ? NULL : stoa__array_numpy();
    if (numpy == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (numpy != NULL && array->dtype != NULL) {
        PyObject *wrapped = wrap_with_dtype(state, numpy, array);
        if (wrapped != NULL || !PyErr_ExceptionMatches(PyExc_Exception)) {
            return wrapped;
        }
        PyErr_Clear(); /* a dtype of another version of NumPy: the memoryview says what it can */
        numpy = NULL;
    }
    PyObject *exporter = make_exporter(state, array, false);
    PyObject *view = exporter == NULL ? NULL : PyMemoryView_FromObject(exporter);
    Py_XDECREF(exporter);
    if (view == NULL || numpy == NULL) {
        return view;
    }
    PyObject *wrapped = PyObject_CallMethod(numpy, "asarray", "O", view);
    if (wrapped == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear(); /* a format that NumPy has no dtype for */
        return view;
    }
    Py_DECREF(view);
    return wrapped;
}

static const stoa_array *
exporter_array(PyObject *object)
{
    view_state *state = get_state();
    if (state == NULL) {
        PyErr_Clear();
        return NULL;
    }
    return Py_IS_TYPE(object, state->exporter) ? ((exporter_object *)object)->array : NULL;
}

const stoa_array *
stoa__array_of_object(PyObject *object)
{
    PyObject *node = stoa__delivered_node(object);
    return node != NULL && stoa__is_array(node) ? stoa__array_of_node(node) : exporter_array(object);
}

bool
stoa__is_released_view(PyObject *object)
{
    return PyMemoryView_Check(object) && (((PyMemoryViewObject *)object)->flags & _Py_MEMORYVIEW_RELEASED) != 0;
}

bool
stoa__array_is_delivered(PyObject *object)
{
    PyObject *node = stoa__delivered_node(object);
    return node != NULL && stoa__is_array(node);
}

PyObject *
stoa__array_thaw(PyObject *object)
{
    if (!PyMemoryView_Check(object)) {
        return PyObject_CallMethod(object, "copy", NULL);
    }
    PyObject *module = PyImport_ImportModule("stoa._array");
    PyObject *copy = module == NULL ? NULL : PyObject_CallMethod(module, "_thawed", "O", object);
    Py_XDECREF(module);
    return copy;
}
