#include "proxy/proxy_iterator.h"

#include "proxy/proxy_type.h"
#include "proxy/request.h"

#define CHUNK_MAX 1024
#define CHUNK_BITS 12

typedef struct proxy_iterator {
    PyObject_HEAD
    PyObject *container; /* proxy; NULL: at the end, but for what is in the chunk */
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

/* ---- here: each request lets other threads in, and may run code, which may use the same iterator ----------------- */

static inline bool
has_items(const proxy_iterator *it)
{
    return it->chunk != NULL && it->at < PyList_GET_SIZE(it->chunk);
}

/* Takes over a chunk that has come. `position`: the iterator's when it was asked for. -1 with MemoryError. */
static int
keep_chunk(proxy_iterator *it, PyObject *chunk, bool by_index, Py_ssize_t position)
{
    bool faster = has_items(it) || it->position != position || it->container == NULL;
    int result = 0;
    if (by_index && faster) { /* another one was: the next item is what it left, or will ask for */
        Py_DECREF(chunk);
    }
    else if (has_items(it)) { /* taken out of the iterator there, so nobody else has these */
        Py_ssize_t end = PyList_GET_SIZE(it->chunk);
        result = PyList_SetSlice(it->chunk, end, end, chunk);
        Py_DECREF(chunk);
    }
    else {
        bool ended = PyList_GET_SIZE(chunk) == 0;
        it->at = 0;
        Py_XSETREF(it->chunk, chunk);
        if (ended) {
            (void)iterator_clear((PyObject *)it);
        }
    }
    return result;
}

static int
fetch(proxy_iterator *it)
{
    const stoa_side *side = stoa__proxy(it->container)->side;
    PyObject *container = Py_NewRef(it->container);
    bool by_index = it->iterator == NULL;
    PyObject *source = Py_NewRef(by_index ? container : it->iterator);
    uintptr_t wanted = (uintptr_t)it->wanted;
    Py_ssize_t position = it->position;
    PyObject *chunk = by_index ? stoa__request(source, do_slice, NULL, 0, STOA_REQUEST_BAG_OUT,
                                               (uintptr_t)position << CHUNK_BITS | wanted)
                               : stoa__request(source, do_take, NULL, 0, STOA_REQUEST_BAG_OUT, wanted);
    it->crossings = side->crossings;
    if (!it->careful && it->wanted < CHUNK_MAX) {
        it->wanted *= 4;
    }
    int result = chunk == NULL ? -1 : keep_chunk(it, chunk, by_index, position);
    Py_DECREF(source);
    Py_DECREF(container);
    return result;
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
    PyObject *container = Py_NewRef(it->container);
    Py_ssize_t size = stoa__proxy_size(container);
    it->crossings = stoa__proxy(container)->side->crossings;
    Py_DECREF(container);
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
    if (has_items(it) && it->container != NULL &&
        it->crossings != stoa__proxy(it->container)->side->crossings && check_chunk(it) < 0) {
        return NULL;
    }
    while (!has_items(it)) {
        if (it->container == NULL) {
            return NULL;
        }
        if (it->chunk != NULL && it->crossings != stoa__proxy(it->container)->side->crossings) {
            it->careful = true;
            it->wanted = 1;
        }
        if (fetch(it) < 0) {
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
    PyObject *container = Py_XNewRef(it->container);
    Py_ssize_t size = container == NULL ? 0 : stoa__proxy_size(container);
    if (size >= 0 && container != NULL) {
        it->crossings = stoa__proxy(container)->side->crossings; /* that one changed nothing */
    }
    Py_XDECREF(container);
    if (size < 0) {
        return NULL;
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
