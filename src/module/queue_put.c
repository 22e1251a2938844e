/* stoa.Queue: putting. */
#include "module/queue.h"

#include "immortal/exceptions.h"
#include "proxy/item.h"

/* The item is taken over in any case. -1 with an exception; then *in says whether it is in the queue all the same. */
static int
put_waiting(PyObject *self, stoa_queue *queue, stoa_item *item, stoa_deadline deadline, bool *in)
{
    stoa_patience patience = stoa__queue_waits(self, deadline);
    stoa_queue_end end = stoa__queue_put_wait(queue, item, &patience);
    *in = end == STOA_QUEUE_END_DONE || end == STOA_QUEUE_END_TOO_LATE;
    if (end == STOA_QUEUE_END_DONE) {
        return 0;
    }
    stoa__item_drop(item);
    if (end == STOA_QUEUE_END_TOO_LATE && PyErr_ExceptionMatches(stoa__exception(STOA_EXC_InterpreterGone))) {
        PyErr_Clear(); /* it was put; what this interpreter does next is told that it is being closed */
        return 0;
    }
    return stoa__queue_failed(end, "Full");
}

static int
put_item(PyObject *self, PyObject *object, stoa_queue_patience patience)
{
    stoa_item item;
    if (stoa__item_pack(stoa__queue_side(self), object, &item) < 0) {
        return -1;
    }
    stoa_queue *queue = stoa__queue_get_self(self);
    if (queue == NULL) {
        stoa__item_drop(&item);
        return -1;
    }
    stoa_queue_result result = stoa__queue_put(queue, &item, NULL);
    if (result == STOA_QUEUE_DONE) {
        return 0;
    }
    if (result == STOA_QUEUE_WAIT && patience.wait) {
        bool in;
        stoa__thing_ref(&queue->thing); /* the interpreter may end meanwhile: its wrappers let go of theirs */
        int done = put_waiting(self, queue, &item, patience.deadline, &in);
        stoa__thing_unref(&queue->thing);
        return done;
    }
    stoa__item_drop(&item);
    return stoa__queue_failed(stoa__queue_at_once(result), "Full");
}

const char stoa__queue_put_doc[] =
    "put($self, item, block=True, timeout=None)\n--\n\n"
    "Puts an item in: immutable by value (shared: by pointer), mutable by proxy.\n\n"
    "While the queue is full, waits up to timeout seconds (None: for ever); then queue.Full.\n"
    "An item that cannot cross raises and nothing is put. ShutDown once the queue is shut down.\n"
    "An exception that ends the wait (Ctrl-C, interrupt()) takes the item back, unless somebody has it "
    "already.";

PyObject *
stoa__queue_put_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *item = NULL;
    stoa_queue_patience patience = {true, STOA_FOREVER};
    if (count == 1 && keywords == NULL) {
        item = args[0];
    }
    else if (stoa__queue_args("put", args, count, keywords, "item", 1, &item, &patience) < 0) {
        return NULL;
    }
    return put_item(self, item, patience) < 0 ? NULL : Py_NewRef(Py_None);
}

const char stoa__queue_put_nowait_doc[] = "put_nowait($self, item)\n--\n\nput(item, block=False).";

PyObject *
stoa__queue_put_nowait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"item"};
    PyObject *item = NULL;
    stoa_queue_patience none = {false, STOA_FOREVER};
    if (stoa__sync_args("put_nowait", args, count, keywords, names, 1, 1, &item) < 0) {
        return NULL;
    }
    return put_item(self, item, none) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

static void
drop_items(stoa_item *items, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        stoa__item_drop(&items[i]);
    }
}

/* All that is in a sequence now; NULL with an exception, and nothing is left packed. */
static stoa_item *
pack_all(stoa_side *side, PyObject *sequence, Py_ssize_t *out_count)
{
    Py_ssize_t count = *out_count = PySequence_Fast_GET_SIZE(sequence);
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
put_all(PyObject *self, stoa_queue *queue, stoa_item *items, size_t count, stoa_queue_patience patience)
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
        if (put == STOA_QUEUE_WAIT && patience.wait) {
            bool in;
            result = put_waiting(self, queue, &items[done], patience.deadline, &in);
            done += in;
        }
        else {
            result = stoa__queue_failed(stoa__queue_at_once(put), "Full");
        }
    }
    drop_items(items + done, (Py_ssize_t)(count - done));
    if (result < 0) {
        tell_how_many((Py_ssize_t)done);
    }
    return result;
}

const char stoa__queue_put_many_doc[] =
    "put_many($self, items, block=True, timeout=None)\n--\n\n"
    "put() for each of the items, in order, at a fraction of the cost.\n\n"
    "If one of them cannot cross, none is put. If room does not come in time, queue.Full (ShutDown: the "
    "queue was shut down) is raised,\nand its attribute `put` says how many went in; the others did not.";

PyObject *
stoa__queue_put_many_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *iterable = NULL;
    stoa_queue_patience patience;
    if (stoa__queue_args("put_many", args, count, keywords, "items", 1, &iterable, &patience) < 0) {
        return NULL;
    }
    PyObject *sequence = PySequence_Fast(iterable, "put_many() wants something that can be iterated over");
    Py_ssize_t size = 0;
    stoa_item *items = sequence == NULL ? NULL : pack_all(stoa__queue_side(self), sequence, &size);
    if (items == NULL) {
        Py_XDECREF(sequence);
        return NULL;
    }
    stoa_queue *queue = stoa__queue_get_self(self);
    int result = -1;
    if (queue != NULL) {
        stoa__thing_ref(&queue->thing);
        result = put_all(self, queue, items, (size_t)size, patience);
        stoa__thing_unref(&queue->thing);
    }
    else {
        drop_items(items, size);
    }
    PyMem_Free(items);
    Py_DECREF(sequence);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}
