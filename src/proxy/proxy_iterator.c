#include "proxy/proxy_iterator.h"

#include "proxy/proxy_type.h"
#include "proxy/request.h"

#define CHUNK_MAX 1024
#define CHUNK_BITS 12

typedef struct proxy_iterator {
    PyObject_HEAD
    PyObject *container; /* proxy; NULL: at the end */
    PyObject *iterator;  /* proxy, or NULL: by index */
    PyObject *chunk;     /* list, or NULL */
    Py_ssize_t at;       /* in the chunk */
    Py_ssize_t position; /* by index: of the next item */
    Py_ssize_t size;     /* of the container, when the iterator was made */
    Py_ssize_t wanted;   /* items in the next chunk */
    uint64_t crossings;  /* side->crossings after the last fetch */
    bool careful;        /* something came between: one item at a time from now on */
} proxy_iterator;

static int
iterator_traverse(PyObject *self, visitproc visit, void *arg)
{
    proxy_iterator *it = (proxy_iterator *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(it->container);
    Py_VISIT(it->iterator);
    Py_VISIT(it->chunk);
    return 0;
}

static int
iterator_clear(PyObject *self)
{
    proxy_iterator *it = (proxy_iterator *)self;
    Py_CLEAR(it->container);
    Py_CLEAR(it->iterator);
    Py_CLEAR(it->chunk);
    return 0;
}

static void
iterator_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)iterator_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

PyObject *
stoa__proxy_iterator_new(PyObject *container, PyObject *iterator, Py_ssize_t size)
{
    stoa_side *side = stoa__proxy(container)->side;
    if (side->iterator_type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "stoa: this interpreter is being ended");
        return NULL;
    }
    proxy_iterator *it = PyObject_GC_New(proxy_iterator, side->iterator_type);
    if (it == NULL) {
        return NULL;
    }
    it->container = Py_NewRef(container);
    it->iterator = Py_XNewRef(iterator);
    it->chunk = NULL;
    it->at = it->position = 0;
    it->size = size;
    it->wanted = 1;
    it->crossings = side->crossings;
    it->careful = false;
    PyObject_GC_Track(it);
    return (PyObject *)it;
}

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

static PyObject *
do_slice(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    Py_ssize_t from = (Py_ssize_t)(op->extra >> CHUNK_BITS);
    Py_ssize_t to = from + (Py_ssize_t)(op->extra & ((1u << CHUNK_BITS) - 1));
    if (PyList_CheckExact(target)) {
        return PyList_GetSlice(target, from, to);
    }
    PyObject *slice = PySequence_GetSlice(target, from, to);
    PyObject *list = slice == NULL ? NULL : PySequence_List(slice);
    Py_XDECREF(slice);
    return list;
}

static PyObject *
do_take(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    PyObject *list = PyList_New(0);
    for (uintptr_t i = 0; i < op->extra && list != NULL; i++) {
        PyObject *item = PyIter_Next(target);
        if (item == NULL) {
            if (PyErr_Occurred()) {
                Py_CLEAR(list);
            }
            break;
        }
        if (PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_DECREF(item);
    }
    return list;
}

/* ---- here -------------------------------------------------------------------------------------------------------- */

static int
fetch(proxy_iterator *it)
{
    const stoa_side *side = stoa__proxy(it->container)->side;
    PyObject *container = Py_NewRef(it->container); /* the request may run code that ends this iterator */
    PyObject *source = Py_NewRef(it->iterator != NULL ? it->iterator : container);
    uintptr_t wanted = (uintptr_t)it->wanted;
    PyObject *chunk = it->iterator != NULL
                          ? stoa__request(source, do_take, NULL, 0, STOA_REQUEST_BAG_OUT, wanted)
                          : stoa__request(source, do_slice, NULL, 0, STOA_REQUEST_BAG_OUT,
                                          (uintptr_t)it->position << CHUNK_BITS | wanted);
    it->crossings = side->crossings;
    it->at = 0;
    Py_XSETREF(it->chunk, chunk);
    if (!it->careful && it->wanted < CHUNK_MAX) {
        it->wanted *= 4;
    }
    Py_DECREF(source);
    Py_DECREF(container);
    return chunk == NULL ? -1 : 0;
}

/* Other requests were sent since the chunk came: is what is left of it still true? */
static int
check_chunk(proxy_iterator *it)
{
    it->careful = true;
    it->wanted = 1;
    if (it->iterator == NULL) {
        Py_CLEAR(it->chunk);
        return 0;
    }
    Py_ssize_t size = stoa__proxy_size(it->container);
    it->crossings = stoa__proxy(it->container)->side->crossings;
    if (size >= 0 && size != it->size) {
        it->size = -1; /* it stays so, as with the thing itself */
        PyErr_SetString(PyExc_RuntimeError, "container changed size during iteration");
        return -1;
    }
    return size < 0 ? -1 : 0;
}

static PyObject *
iterator_next(PyObject *self)
{
    proxy_iterator *it = (proxy_iterator *)self;
    if (it->container == NULL) {
        return NULL;
    }
    if (it->chunk != NULL && it->at < PyList_GET_SIZE(it->chunk) &&
        it->crossings != stoa__proxy(it->container)->side->crossings && check_chunk(it) < 0) {
        return NULL;
    }
    if (it->chunk == NULL || it->at >= PyList_GET_SIZE(it->chunk)) {
        if (it->chunk != NULL && it->crossings != stoa__proxy(it->container)->side->crossings) {
            it->careful = true;
            it->wanted = 1;
        }
        if (fetch(it) < 0) {
            return NULL;
        }
        if (PyList_GET_SIZE(it->chunk) == 0) {
            (void)iterator_clear(self);
            return NULL;
        }
    }
    it->position++;
    PyObject *item = PyList_GET_ITEM(it->chunk, it->at);
    PyList_SET_ITEM(it->chunk, it->at, Py_NewRef(Py_None)); /* nobody else sees the list */
    it->at++;
    return item;
}

static PyObject *
iterator_length_hint(PyObject *self, PyObject *unused)
{
    (void)unused;
    proxy_iterator *it = (proxy_iterator *)self;
    Py_ssize_t size = it->container == NULL ? 0 : stoa__proxy_size(it->container);
    if (size < 0) {
        return NULL;
    }
    if (it->container != NULL) {
        it->crossings = stoa__proxy(it->container)->side->crossings; /* that one changed nothing */
    }
    return PyLong_FromSsize_t(size > it->position ? size - it->position : 0);
}

static PyMethodDef iterator_methods[] = {
    {"__length_hint__", iterator_length_hint, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_clear, iterator_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {Py_tp_methods, iterator_methods},
    {Py_tp_doc, "Iterates over a container of another interpreter."},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "stoa.ProxyIterator",
    .basicsize = sizeof(proxy_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};

PyTypeObject *
stoa__proxy_iterator_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&iterator_spec);
}
