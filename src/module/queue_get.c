/* stoa.Queue: getting. */
#include "module/queue.h"

#include "proxy/item.h"

#define MANY_AT_ONCE 256

static PyObject *
deliver(PyObject *self, stoa_queue *queue, stoa_item *item)
{
    bool plain = item->kind == STOA_ITEM_INT || item->kind == STOA_ITEM_FLOAT ||
                 item->kind == STOA_ITEM_ASCII || item->kind == STOA_ITEM_BYTES;
    if (!plain) { /* making an object may run code, and the interpreter end meanwhile */
        stoa__thing_ref(&queue->thing);
    }
    PyObject *object = stoa__item_unpack(stoa__queue_side(self), item);
    if (object == NULL) {
        stoa__queue_put_back(queue, item, 1); /* nothing is lost for want of memory */
    }
    if (!plain) {
        stoa__thing_unref(&queue->thing);
    }
    return object;
}

/* 0: *item is there; -1 with an exception. */
static int
get_waiting(PyObject *self, stoa_queue *queue, stoa_item *item, stoa_deadline deadline)
{
    stoa_patience patience = stoa__queue_waits(self, deadline);
    stoa_queue_end end = stoa__queue_get_wait(queue, item, &patience);
    return end == STOA_QUEUE_END_DONE ? 0 : stoa__queue_failed(end, "Empty");
}

static PyObject *
get_item(PyObject *self, stoa_queue *queue, stoa_queue_patience patience)
{
    stoa_item item;
    stoa_queue_result result = stoa__queue_get(queue, &item, NULL);
    if (result == STOA_QUEUE_DONE) {
        return deliver(self, queue, &item);
    }
    if (result != STOA_QUEUE_WAIT || !patience.wait) {
        (void)stoa__queue_failed(stoa__queue_at_once(result), "Empty");
        return NULL;
    }
    stoa__thing_ref(&queue->thing); /* the interpreter may end meanwhile: its wrappers let go of theirs */
    int failed = get_waiting(self, queue, &item, patience.deadline);
    PyObject *object = failed < 0 ? NULL : deliver(self, queue, &item);
    stoa__thing_unref(&queue->thing);
    return object;
}

const char stoa__queue_get_doc[] =
    "get($self, block=True, timeout=None)\n--\n\n"
    "Takes the oldest item out.\n\n"
    "While the queue is empty, waits up to timeout seconds (None: for ever); then queue.Empty.\n"
    "ShutDown once the queue is shut down and empty. An exception that ends the wait loses no item.";

PyObject *
stoa__queue_get_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    stoa_queue_patience patience = {true, STOA_FOREVER};
    if ((count != 0 || keywords != NULL) &&
        stoa__queue_args("get", args, count, keywords, NULL, 0, NULL, &patience) < 0) {
        return NULL;
    }
    stoa_queue *queue = stoa__queue_get_self(self);
    return queue == NULL ? NULL : get_item(self, queue, patience);
}

const char stoa__queue_get_nowait_doc[] = "get_nowait($self, /)\n--\n\nget(block=False).";

PyObject *
stoa__queue_get_nowait(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_queue *queue = stoa__queue_get_self(self);
    stoa_queue_patience none = {false, STOA_FOREVER};
    return queue == NULL ? NULL : get_item(self, queue, none);
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

/* Appends the items; if that fails for one of them, all go back in front, and the list is as it was. */
static int
deliver_many(PyObject *self, stoa_queue *queue, PyObject *list, stoa_item *items, size_t count)
{
    Py_ssize_t before = PyList_GET_SIZE(list);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        PyObject *object = stoa__item_look(stoa__queue_side(self), &items[i]);
        result = object == NULL ? -1 : PyList_Append(list, object);
        Py_XDECREF(object);
    }
    if (result < 0) {
        PyObject *raised = PyErr_GetRaisedException();
        (void)PyList_SetSlice(list, before, PyList_GET_SIZE(list), NULL); /* the end: no memory is wanted */
        stoa__queue_put_back(queue, items, count);
        PyErr_SetRaisedException(raised);
    }
    for (size_t i = 0; i < count && result == 0; i++) {
        stoa__item_drop(&items[i]);
    }
    return result;
}

static PyObject *
get_all(PyObject *self, stoa_queue *queue, size_t max, stoa_queue_patience patience)
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
        if (result == STOA_QUEUE_WAIT && patience.wait) {
            failed = get_waiting(self, queue, items, patience.deadline);
            more = 1;
        }
        else if (result != STOA_QUEUE_DONE) {
            failed = stoa__queue_failed(stoa__queue_at_once(result), "Empty");
        }
        if (failed < 0) {
            Py_CLEAR(list);
        }
        else if (deliver_many(self, queue, list, items, more) == 0) {
            got += more;
        }
        else if (got > 0 && PyErr_ExceptionMatches(PyExc_Exception)) { /* nothing is lost; who asks again is told */
            PyErr_Clear();
            break;
        }
        else {
            Py_CLEAR(list);
        }
    }
    return list;
}

const char stoa__queue_get_many_doc[] =
    "get_many($self, max=None, block=True, timeout=None)\n--\n\n"
    "A list of the items that are there, up to max, oldest first, at a fraction of the cost of get().\n\n"
    "Waits for the first one only, as get() does; so the list is never empty (unless max is 0).";

PyObject *
stoa__queue_get_many_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *most = Py_None;
    stoa_queue_patience patience;
    if (stoa__queue_args("get_many", args, count, keywords, "max", 0, &most, &patience) < 0) {
        return NULL;
    }
    Py_ssize_t max = PY_SSIZE_T_MAX;
    if (most != Py_None && (max = PyNumber_AsSsize_t(most, NULL)) < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "get_many(): max must not be negative");
        }
        return NULL;
    }
    stoa_queue *queue = stoa__queue_get_self(self);
    if (queue == NULL) {
        return NULL;
    }
    stoa__thing_ref(&queue->thing);
    PyObject *list = get_all(self, queue, (size_t)max, patience);
    stoa__thing_unref(&queue->thing);
    return list;
}
