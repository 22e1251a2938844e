/* stoa.Queue: queue.Queue's methods on a queue of the process. */
#include "module/queue.h"

#include "immortal/exceptions.h"
#include "module/async.h"

/* ---- what putting and getting share -------------------------------------------------------------------------------- */

int
stoa__queue_args(const char *method, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                 const char *first, Py_ssize_t least, PyObject **out_first, stoa_queue_patience *out)
{
    const char *const names[] = {first, "block", "timeout"};
    PyObject *given[3] = {first == NULL ? NULL : *out_first, NULL, NULL};
    int from = first == NULL; /* the names and places that count */
    if (stoa__sync_args(method, args, count, keywords, names + from, least, 3 - from, given + from) < 0) {
        return -1;
    }
    if (first != NULL) {
        *out_first = given[0];
    }
    int wait = given[1] == NULL ? 1 : PyObject_IsTrue(given[1]);
    out->wait = wait > 0;
    out->deadline = STOA_FOREVER;
    return wait < 0 || (wait > 0 && stoa__sync_deadline(given[2], &out->deadline) < 0) ? -1 : 0;
}

static int
wait_in_python(stoa_node *node, stoa_deadline deadline, const char *what, void *unused)
{
    (void)unused;
    return stoa__sync_wait(node, deadline, what);
}

stoa_patience
stoa__queue_waits(PyObject *self, stoa_deadline deadline)
{
    return (stoa_patience){
        .serial = stoa__queue_side(self)->record->serial, .deadline = deadline, .wait = wait_in_python};
}

int
stoa__queue_failed(stoa_queue_end end, const char *nothing)
{
    switch (end) {
    case STOA_QUEUE_END_TIME:
        (void)stoa__sync_raise("queue", nothing, NULL);
        break;
    case STOA_QUEUE_END_SHUT:
        PyErr_SetNone(stoa__exception(STOA_EXC_ShutDown));
        break;
    case STOA_QUEUE_END_NOMEM:
        PyErr_NoMemory();
        break;
    default: /* wait() has raised */
        break;
    }
    return -1;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(task_done_doc,
             "task_done($self, /)\n--\n\nSays that the work on an item that get() gave is done: "
             "see join().");

static PyObject *
queue_task_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    if (queue == NULL) {
        return NULL;
    }
    if (!stoa__queue_task_done(queue)) {
        PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(join_doc, "join($self, /)\n--\n\nWaits until task_done() was called for every item ever put.");

static PyObject *
queue_join(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_node node;
    stoa_queue *queue = stoa__queue_get_self(self);
    if (queue == NULL || stoa__sync_node(self, &node) < 0) {
        return NULL;
    }
    stoa__thing_ref(&queue->thing);
    int waited = 0;
    if (stoa__queue_join(queue, &node) == STOA_QUEUE_WAIT) {
        waited = stoa__sync_wait(&node, STOA_FOREVER, "the tasks of a queue");
        stoa__queue_withdraw_join(queue, &node);
    }
    stoa__thing_unref(&queue->thing);
    return waited < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(shutdown_doc,
             "shutdown($self, immediate=False)\n--\n\n"
             "From now on put() raises ShutDown, in all interpreters, and get() once the queue is empty.\n\n"
             "Who waits is woken and gets it, too. immediate: the items in the queue are thrown away.");

static PyObject *
queue_shutdown(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"immediate"};
    PyObject *immediate = Py_False;
    if (stoa__sync_args("shutdown", args, count, keywords, names, 0, 1, &immediate) < 0) {
        return NULL;
    }
    int truth = PyObject_IsTrue(immediate);
    stoa_queue *queue = truth < 0 ? NULL : stoa__queue_get_self(self);
    if (queue == NULL) {
        return NULL;
    }
    stoa__queue_shutdown(queue, truth);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(aput_doc, "aput($self, item)\n--\n\nAwaits room and puts the item: put() for a task.");

static PyObject *
queue_aput(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"item"};
    PyObject *item = NULL;
    if (stoa__sync_args("aput", args, count, keywords, names, 1, 1, &item) < 0) {
        return NULL;
    }
    return stoa__async_call("put", self, &item, 1);
}

PyDoc_STRVAR(aget_doc,
             "aget($self, /)\n--\n\nAwaits an item: get() for a task. One that is cancelled loses none.");

static PyObject *
queue_aget(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__async_call("get", self, NULL, 0);
}

PyDoc_STRVAR(ajoin_doc, "ajoin($self, /)\n--\n\njoin() for a task.");

static PyObject *
queue_ajoin(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__async_call("join", self, NULL, 0);
}

static uint64_t
size_of(const stoa_queue *queue)
{
    return atomic_load_explicit(&queue->count, memory_order_relaxed); /* a hint, as qsize is */
}

PyDoc_STRVAR(qsize_doc, "qsize($self, /)\n--\n\nHow many items are in it: a hint, since others put and get.");

static PyObject *
queue_qsize(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    return queue == NULL ? NULL : PyLong_FromUnsignedLongLong(size_of(queue));
}

PyDoc_STRVAR(empty_doc, "empty($self, /)\n--\n\nIs nothing in it? A hint.");

static PyObject *
queue_empty(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    return queue == NULL ? NULL : PyBool_FromLong(size_of(queue) == 0);
}

PyDoc_STRVAR(full_doc, "full($self, /)\n--\n\nAre maxsize items in it? A hint.");

static PyObject *
queue_full(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    uint64_t limit = queue == NULL ? 0 : atomic_load(&queue->limit);
    return queue == NULL ? NULL : PyBool_FromLong(limit > 0 && size_of(queue) >= limit);
}

static PyObject *
queue_maxsize(PyObject *self, void *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    return queue == NULL ? NULL : PyLong_FromUnsignedLongLong(queue->limit);
}

static int
size_from(PyObject *number, uint64_t *out)
{
    Py_ssize_t limit = PyNumber_AsSsize_t(number, NULL); /* huge: as good as none */
    if (limit == -1 && PyErr_Occurred()) {
        return -1;
    }
    *out = limit > 0 ? (uint64_t)limit : 0;
    return 0;
}

static int
queue_set_maxsize(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    uint64_t limit;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "maxsize cannot be deleted");
        return -1;
    }
    stoa_queue *queue = size_from(value, &limit) < 0 ? NULL : stoa__queue_get_self(self);
    if (queue == NULL) {
        return -1;
    }
    stoa__queue_set_limit(queue, limit);
    return 0;
}

static PyObject *
queue_unfinished(PyObject *self, void *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    return queue == NULL ? NULL : PyLong_FromUnsignedLongLong(atomic_load(&queue->unfinished));
}

static PyObject *
queue_is_shutdown(PyObject *self, void *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    return queue == NULL ? NULL : PyBool_FromLong(stoa__queue_is_shut(queue));
}

static PyObject *
queue_repr(PyObject *self)
{
    stoa_queue *queue = (stoa_queue *)((stoa_thing_object *)self)->thing;
    if (queue == NULL) {
        return stoa__thing_repr(self);
    }
    return PyUnicode_FromFormat("<stoa.Queue %llu maxsize=%llu, %llu in it%s>",
                                (unsigned long long)queue->thing.id, (unsigned long long)queue->limit,
                                (unsigned long long)size_of(queue),
                                stoa__queue_is_shut(queue) ? ", shut down" : "");
}

static PyObject *
queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    static char *keywords[] = {"maxsize", NULL};
    PyObject *maxsize = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Queue", keywords, &maxsize)) {
        return NULL;
    }
    uint64_t limit = 0;
    if (maxsize != NULL && size_from(maxsize, &limit) < 0) {
        return NULL;
    }
    stoa_queue *queue;
    stoa_err err = stoa__queue_new(limit, &queue);
    return err == STOA_OK ? stoa__thing_wrap_new(&queue->thing) : stoa__raise(err);
}

PyDoc_STRVAR(type_doc,
             "Queue(maxsize=0)\n--\n\n"
             "A queue between interpreters and threads: first in, first out.\n\n"
             "As queue.Queue; with put_many, get_many, and aput, aget to await. Every interpreter sees the\n"
             "same queue: pass it as an argument, publish it, put it into another queue.");

#define FAST(function) (PyCFunction)(void (*)(void)) function, METH_FASTCALL | METH_KEYWORDS
static PyMethodDef methods[] = {
    {"put", FAST(stoa__queue_put_method), stoa__queue_put_doc},
    {"put_nowait", FAST(stoa__queue_put_nowait), stoa__queue_put_nowait_doc},
    {"get", FAST(stoa__queue_get_method), stoa__queue_get_doc},
    {"get_nowait", stoa__queue_get_nowait, METH_NOARGS, stoa__queue_get_nowait_doc},
    {"put_many", FAST(stoa__queue_put_many_method), stoa__queue_put_many_doc},
    {"get_many", FAST(stoa__queue_get_many_method), stoa__queue_get_many_doc},
    {"task_done", queue_task_done, METH_NOARGS, task_done_doc},
    {"join", queue_join, METH_NOARGS, join_doc},
    {"shutdown", FAST(queue_shutdown), shutdown_doc},
    {"qsize", queue_qsize, METH_NOARGS, qsize_doc},
    {"empty", queue_empty, METH_NOARGS, empty_doc},
    {"full", queue_full, METH_NOARGS, full_doc},
    {"aput", FAST(queue_aput), aput_doc},
    {"aget", queue_aget, METH_NOARGS, aget_doc},
    {"ajoin", queue_ajoin, METH_NOARGS, ajoin_doc},
    {"__reduce__", stoa__sync_reduce, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, object, /)\n--\n\nQueue[int], for type checkers."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"maxsize", queue_maxsize, queue_set_maxsize, "How many items it holds at most; 0: no limit.", NULL},
    {"unfinished_tasks", queue_unfinished, NULL, "Items put for which task_done() was not called.", NULL},
    {"is_shutdown", queue_is_shutdown, NULL, "Was it shut down?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, queue_new},        {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, queue_repr},      {Py_tp_methods, methods},
    {Py_tp_getset, properties},    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)type_doc}, {0, NULL},
};

static PyType_Spec spec = {
    .name = "stoa.Queue",
    .basicsize = sizeof(stoa_thing_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

PyTypeObject *
stoa__queue_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
