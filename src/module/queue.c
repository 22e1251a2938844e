/* stoa.Queue: queue.Queue's methods on a queue of the process. */
#include "module/sync.h"

#include "immortal/exceptions.h"
#include "module/async.h"
#include "proxy/item.h"
#include "sync/queue.h"

#define MANY_AT_ONCE 256

static inline stoa_queue *
get_queue(PyObject *self)
{
    return (stoa_queue *)stoa__thing_get(self);
}

static inline stoa_side *
side_of(PyObject *self)
{
    return ((stoa_thing_object *)self)->side;
}

static PyObject *
raise_full(void)
{
    return stoa__sync_raise("queue", "Full", NULL);
}

static PyObject *
raise_empty(void)
{
    return stoa__sync_raise("queue", "Empty", NULL);
}

static PyObject *
raise_shut(void)
{
    PyErr_SetNone(stoa__exception(STOA_EXC_ShutDown));
    return NULL;
}

/* block and timeout as queue.Queue takes them. -1: exception; 0: do not wait; 1: wait until *deadline. */
static int
patience(PyObject *block, PyObject *timeout, stoa_deadline *deadline)
{
    int wait = block == NULL ? 1 : PyObject_IsTrue(block);
    if (wait > 0 && stoa__sync_deadline(timeout, deadline) < 0) {
        return -1;
    }
    return wait;
}

/* ---- put --------------------------------------------------------------------------------------------------------- */

/* The item is taken over in any case. -1 with an exception. */
static int
put_waiting(PyObject *self, stoa_queue *queue, stoa_item *item, stoa_deadline deadline)
{
    stoa_node node;
    if (stoa__sync_node(self, &node) < 0) {
        stoa__item_drop(item);
        return -1;
    }
    stoa_queue_result result = stoa__queue_put(queue, item, &node);
    int waited = 0;
    if (result == STOA_QUEUE_WAIT) {
        waited = stoa__sync_wait(&node, deadline, "room in a queue");
        if (waited != 0 && !stoa__queue_withdraw_put(queue, &node) && waited == 1) {
            waited = 0; /* it came in at the last moment */
        }
        uint32_t state = stoa__node_state(&node);
        result = state == STOA_NODE_GIVEN  ? STOA_QUEUE_DONE
                 : state == STOA_NODE_SHUT ? STOA_QUEUE_SHUT
                                           : STOA_QUEUE_WAIT;
        *item = node.item;
    }
    if (result != STOA_QUEUE_DONE) {
        stoa__item_drop(item);
    }
    if (waited < 0) {
        return -1;
    }
    switch (result) {
    case STOA_QUEUE_DONE:
        return 0;
    case STOA_QUEUE_SHUT:
        raise_shut();
        return -1;
    case STOA_QUEUE_NOMEM:
        PyErr_NoMemory();
        return -1;
    default:
        raise_full();
        return -1;
    }
}

/* The thing is held over a wait: the interpreter may end meanwhile, and its wrappers let go of theirs. */
static int
put_waiting_held(PyObject *self, stoa_queue *queue, stoa_item *item, stoa_deadline deadline)
{
    stoa__thing_ref(&queue->thing);
    int result = put_waiting(self, queue, item, deadline);
    stoa__thing_unref(&queue->thing);
    return result;
}

static int
put_item(PyObject *self, stoa_queue *queue, PyObject *object, int wait, stoa_deadline deadline)
{
    stoa_item item;
    if (stoa__item_pack(side_of(self), object, &item) < 0) {
        return -1;
    }
    stoa_queue_result result = stoa__queue_put(queue, &item, NULL);
    if (result == STOA_QUEUE_DONE) {
        return 0;
    }
    if (result == STOA_QUEUE_WAIT && wait) {
        return put_waiting_held(self, queue, &item, deadline);
    }
    stoa__item_drop(&item);
    (void)(result == STOA_QUEUE_WAIT   ? raise_full()
           : result == STOA_QUEUE_SHUT ? raise_shut()
                                       : PyErr_NoMemory());
    return -1;
}

PyDoc_STRVAR(put_doc,
             "put($self, item, block=True, timeout=None)\n--\n\n"
             "Puts an item in: immutable by value (shared: by pointer), mutable by proxy.\n\n"
             "While the queue is full, waits up to timeout seconds (None: for ever); then queue.Full.\n"
             "An item that cannot cross raises and nothing is put. ShutDown once the queue is shut down.");

static PyObject *
queue_put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"item", "block", "timeout"};
    PyObject *given[3] = {NULL, NULL, NULL};
    stoa_deadline deadline = STOA_FOREVER;
    int wait = 1;
    stoa_queue *queue = get_queue(self);
    if (queue == NULL) {
        return NULL;
    }
    if (count == 1 && keywords == NULL) {
        given[0] = args[0];
    }
    else if (stoa__sync_args("put", args, count, keywords, names, 1, 3, given) < 0 ||
             (wait = patience(given[1], given[2], &deadline)) < 0) {
        return NULL;
    }
    return put_item(self, queue, given[0], wait, deadline) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(put_nowait_doc, "put_nowait($self, item, /)\n--\n\nput(item, block=False).");

static PyObject *
queue_put_nowait(PyObject *self, PyObject *object)
{
    stoa_queue *queue = get_queue(self);
    return queue == NULL || put_item(self, queue, object, 0, STOA_FOREVER) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- get --------------------------------------------------------------------------------------------------------- */

static PyObject *
deliver(PyObject *self, stoa_queue *queue, stoa_item *item)
{
    PyObject *object = stoa__item_unpack(side_of(self), item);
    if (object == NULL) {
        stoa__queue_put_back(queue, item, 1); /* nothing is lost for want of memory */
    }
    return object;
}

static PyObject *
get_failed(stoa_queue_result result)
{
    return result == STOA_QUEUE_SHUT    ? raise_shut()
           : result == STOA_QUEUE_NOMEM ? PyErr_NoMemory()
                                        : raise_empty();
}

/* 0: *item is there; -1 with an exception. */
static int
get_waiting(PyObject *self, stoa_queue *queue, stoa_item *item, stoa_deadline deadline)
{
    stoa_node node;
    if (stoa__sync_node(self, &node) < 0) {
        return -1;
    }
    stoa_queue_result result = stoa__queue_get(queue, item, &node);
    if (result == STOA_QUEUE_WAIT) {
        int waited = stoa__sync_wait(&node, deadline, "an item of a queue");
        if (waited == 1 && stoa__node_state(&node) == STOA_NODE_WAITING &&
            !stoa__queue_withdraw_get(queue, &node)) {
            result = stoa__queue_get(queue, item, NULL); /* it came at the last moment, and went back in front */
        }
        else if (waited < 0) {
            (void)stoa__queue_withdraw_get(queue, &node);
            return -1;
        }
        else if (stoa__node_state(&node) == STOA_NODE_GIVEN) {
            (void)stoa__queue_taken(queue, &node);
            *item = node.item;
            result = STOA_QUEUE_DONE;
        }
        else if (stoa__node_state(&node) == STOA_NODE_SHUT) {
            result = STOA_QUEUE_SHUT;
        }
    }
    if (result != STOA_QUEUE_DONE) {
        get_failed(result);
        return -1;
    }
    return 0;
}

static PyObject *
get_item(PyObject *self, stoa_queue *queue, int wait, stoa_deadline deadline)
{
    stoa_item item;
    stoa_queue_result result = stoa__queue_get(queue, &item, NULL);
    if (result == STOA_QUEUE_DONE) {
        return deliver(self, queue, &item);
    }
    if (result != STOA_QUEUE_WAIT || !wait) {
        return get_failed(result);
    }
    stoa__thing_ref(&queue->thing); /* as in put_waiting_held */
    PyObject *object = get_waiting(self, queue, &item, deadline) < 0 ? NULL : deliver(self, queue, &item);
    stoa__thing_unref(&queue->thing);
    return object;
}

PyDoc_STRVAR(get_doc,
             "get($self, block=True, timeout=None)\n--\n\n"
             "Takes the oldest item out.\n\n"
             "While the queue is empty, waits up to timeout seconds (None: for ever); then queue.Empty.\n"
             "ShutDown once the queue is shut down and empty.");

static PyObject *
queue_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"block", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    stoa_deadline deadline = STOA_FOREVER;
    int wait = 1;
    stoa_queue *queue = get_queue(self);
    if (queue == NULL) {
        return NULL;
    }
    if ((count != 0 || keywords != NULL) &&
        (stoa__sync_args("get", args, count, keywords, names, 0, 2, given) < 0 ||
         (wait = patience(given[0], given[1], &deadline)) < 0)) {
        return NULL;
    }
    return get_item(self, queue, wait, deadline);
}

PyDoc_STRVAR(get_nowait_doc, "get_nowait($self, /)\n--\n\nget(block=False).");

static PyObject *
queue_get_nowait(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = get_queue(self);
    return queue == NULL ? NULL : get_item(self, queue, 0, STOA_FOREVER);
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

static void
drop_items(stoa_item *items, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        stoa__item_drop(&items[i]);
    }
}

/* All of a sequence; NULL with an exception, and nothing is left packed. */
static stoa_item *
pack_all(stoa_side *side, PyObject *sequence)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
    stoa_item *items = PyMem_New(stoa_item, count + 1);
    if (items == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        bool shorter = i >= PySequence_Fast_GET_SIZE(sequence); /* a list that packing made shrink */
        PyObject *object = shorter ? NULL : Py_NewRef(PySequence_Fast_GET_ITEM(sequence, i));
        if (shorter) {
            PyErr_SetString(PyExc_RuntimeError, "put_many(): the list changed while it was read");
        }
        int result = shorter ? -1 : stoa__item_pack(side, object, &items[i]);
        Py_XDECREF(object);
        if (result < 0) {
            drop_items(items, i);
            PyMem_Free(items);
            return NULL;
        }
    }
    return items;
}

/* An exception is set: how many went in before it is its attribute `put`. */
static void
tell_how_many(Py_ssize_t done)
{
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *number = PyLong_FromSsize_t(done);
    if (number == NULL || PyObject_SetAttrString(raised, "put", number) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(number);
    PyErr_SetRaisedException(raised);
}

static int
put_all(PyObject *self, stoa_queue *queue, stoa_item *items, size_t count, int wait, stoa_deadline deadline)
{
    size_t done = 0, more;
    int result = 0;
    if (!stoa__queue_reserve(queue, count)) {
        PyErr_NoMemory();
        result = -1;
    }
    while (result == 0 && done < count) {
        stoa_queue_result put = stoa__queue_put_many(queue, items + done, count - done, &more);
        done += more;
        if (put == STOA_QUEUE_DONE) {
            break;
        }
        if (put == STOA_QUEUE_WAIT && wait) {
            result = put_waiting(self, queue, &items[done], deadline);
            done += result == 0;
        }
        else {
            (void)(put == STOA_QUEUE_WAIT   ? raise_full()
                   : put == STOA_QUEUE_SHUT ? raise_shut()
                                            : PyErr_NoMemory());
            result = -1;
        }
    }
    drop_items(items + done, (Py_ssize_t)(count - done));
    if (result < 0) {
        tell_how_many((Py_ssize_t)done);
    }
    return result;
}

PyDoc_STRVAR(
    put_many_doc,
    "put_many($self, items, block=True, timeout=None)\n--\n\n"
    "put() for each of the items, in order, at a fraction of the cost.\n\n"
    "If one of them cannot cross, none is put. If room does not come in time, queue.Full (ShutDown: the "
    "queue was shut down) is raised,\nand its attribute `put` says how many went in; the others did not.");

static PyObject *
queue_put_many(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"items", "block", "timeout"};
    PyObject *given[3] = {NULL, NULL, NULL};
    stoa_deadline deadline = STOA_FOREVER;
    int wait;
    stoa_queue *queue = get_queue(self);
    if (queue == NULL || stoa__sync_args("put_many", args, count, keywords, names, 1, 3, given) < 0 ||
        (wait = patience(given[1], given[2], &deadline)) < 0) {
        return NULL;
    }
    PyObject *sequence = PySequence_Fast(given[0], "put_many() wants something that can be iterated over");
    stoa_item *items = sequence == NULL ? NULL : pack_all(side_of(self), sequence);
    if (items == NULL) {
        Py_XDECREF(sequence);
        return NULL;
    }
    stoa__thing_ref(&queue->thing);
    int result = put_all(self, queue, items, (size_t)PySequence_Fast_GET_SIZE(sequence), wait, deadline);
    stoa__thing_unref(&queue->thing);
    PyMem_Free(items);
    Py_DECREF(sequence);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* Appends the items; what cannot be made an object of goes back in front. */
static int
deliver_many(PyObject *self, stoa_queue *queue, PyObject *list, stoa_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *object = stoa__item_unpack(side_of(self), &items[i]);
        int result = object == NULL ? -1 : PyList_Append(list, object);
        Py_XDECREF(object);
        if (result < 0) {
            stoa__queue_put_back(queue, items + i, count - i);
            return -1;
        }
    }
    return 0;
}

static PyObject *
get_all(PyObject *self, stoa_queue *queue, size_t max, int wait, stoa_deadline deadline)
{
    stoa_item items[MANY_AT_ONCE];
    PyObject *list = PyList_New(0);
    size_t got = 0;
    while (list != NULL && got < max) {
        size_t more, room = max - got < MANY_AT_ONCE ? max - got : MANY_AT_ONCE;
        stoa_queue_result result = stoa__queue_get_many(queue, items, room, &more);
        if (result != STOA_QUEUE_DONE && got > 0) {
            break;
        }
        int failed = 0;
        if (result == STOA_QUEUE_WAIT && wait) {
            failed = get_waiting(self, queue, items, deadline);
            more = 1;
        }
        else if (result != STOA_QUEUE_DONE) {
            get_failed(result);
            failed = -1;
        }
        if (failed < 0 || deliver_many(self, queue, list, items, more) < 0) {
            Py_CLEAR(list);
        }
        got += more;
    }
    return list;
}

PyDoc_STRVAR(
    get_many_doc,
    "get_many($self, max=None, block=True, timeout=None)\n--\n\n"
    "A list of the items that are there, up to max, oldest first, at a fraction of the cost of get().\n\n"
    "Waits for the first one only, as get() does; so the list is never empty (unless max is 0).");

static PyObject *
queue_get_many(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"max", "block", "timeout"};
    PyObject *given[3] = {Py_None, NULL, NULL};
    stoa_deadline deadline = STOA_FOREVER;
    int wait;
    stoa_queue *queue = get_queue(self);
    if (queue == NULL || stoa__sync_args("get_many", args, count, keywords, names, 0, 3, given) < 0 ||
        (wait = patience(given[1], given[2], &deadline)) < 0) {
        return NULL;
    }
    Py_ssize_t max = PY_SSIZE_T_MAX;
    if (given[0] != Py_None && (max = PyNumber_AsSsize_t(given[0], NULL)) < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "get_many(): max must not be negative");
        }
        return NULL;
    }
    stoa__thing_ref(&queue->thing);
    PyObject *list = get_all(self, queue, (size_t)max, wait, deadline);
    stoa__thing_unref(&queue->thing);
    return list;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(task_done_doc,
             "task_done($self, /)\n--\n\nSays that the work on an item that get() gave is done: "
             "see join().");

static PyObject *
queue_task_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = get_queue(self);
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
    stoa_queue *queue = get_queue(self);
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
    stoa_queue *queue = get_queue(self);
    if (queue == NULL || stoa__sync_args("shutdown", args, count, keywords, names, 0, 1, &immediate) < 0) {
        return NULL;
    }
    int truth = PyObject_IsTrue(immediate);
    if (truth < 0) {
        return NULL;
    }
    stoa__queue_shutdown(queue, truth);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(aput_doc, "aput($self, item, /)\n--\n\nAwaits room and puts the item: put() for a task.");

static PyObject *
queue_aput(PyObject *self, PyObject *item)
{
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
    stoa_queue *queue = get_queue(self);
    return queue == NULL ? NULL : PyLong_FromUnsignedLongLong(size_of(queue));
}

PyDoc_STRVAR(empty_doc, "empty($self, /)\n--\n\nIs nothing in it? A hint.");

static PyObject *
queue_empty(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = get_queue(self);
    return queue == NULL ? NULL : PyBool_FromLong(size_of(queue) == 0);
}

PyDoc_STRVAR(full_doc, "full($self, /)\n--\n\nAre maxsize items in it? A hint.");

static PyObject *
queue_full(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = get_queue(self);
    uint64_t limit = queue == NULL ? 0 : atomic_load(&queue->limit);
    return queue == NULL ? NULL : PyBool_FromLong(limit > 0 && size_of(queue) >= limit);
}

static PyObject *
queue_maxsize(PyObject *self, void *unused)
{
    (void)unused;
    stoa_queue *queue = get_queue(self);
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
    stoa_queue *queue = get_queue(self);
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "maxsize cannot be deleted");
        return -1;
    }
    if (queue == NULL || size_from(value, &limit) < 0) {
        return -1;
    }
    stoa__queue_set_limit(queue, limit);
    return 0;
}

static PyObject *
queue_unfinished(PyObject *self, void *unused)
{
    (void)unused;
    stoa_queue *queue = get_queue(self);
    return queue == NULL ? NULL : PyLong_FromUnsignedLongLong(atomic_load(&queue->unfinished));
}

static PyObject *
queue_is_shutdown(PyObject *self, void *unused)
{
    (void)unused;
    stoa_queue *queue = get_queue(self);
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
    {"put", FAST(queue_put), put_doc},
    {"put_nowait", queue_put_nowait, METH_O, put_nowait_doc},
    {"get", FAST(queue_get), get_doc},
    {"get_nowait", queue_get_nowait, METH_NOARGS, get_nowait_doc},
    {"put_many", FAST(queue_put_many), put_many_doc},
    {"get_many", FAST(queue_get_many), get_many_doc},
    {"task_done", queue_task_done, METH_NOARGS, task_done_doc},
    {"join", queue_join, METH_NOARGS, join_doc},
    {"shutdown", FAST(queue_shutdown), shutdown_doc},
    {"qsize", queue_qsize, METH_NOARGS, qsize_doc},
    {"empty", queue_empty, METH_NOARGS, empty_doc},
    {"full", queue_full, METH_NOARGS, full_doc},
    {"aput", queue_aput, METH_O, aput_doc},
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
