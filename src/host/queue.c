/* stoa/queue.h: queues for C hosts. What is in a queue is the same for them and for Python (proxy/item.h). */
#include "sync/queue.h"

#include <Python.h>

#include <string.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "heap/names.h"
#include "heap/process.h"
#include "heap/utf8.h"
#include "host/data.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/exceptions.h"
#include "proxy/item.h"
#include "proxy/thread_state.h"
#include "proxy/wait.h"
#include "stoa/queue.h"

static stoa_err
check(const void *given, const char *name)
{
    if (given == NULL) {
        return stoa__fail(STOA_EINVAL, "%s is NULL", name);
    }
    return stoa__process != NULL
               ? STOA_OK
               : stoa__fail(STOA_ESTATE, "the runtime was never open: call stoa_runtime_open");
}

static stoa_err
deadline_of(double timeout, stoa_deadline *out)
{
    *out = STOA_FOREVER;
    if (timeout != timeout || (timeout >= 0 && !stoa__deadline_in(timeout, out))) {
        return stoa__fail(STOA_EINVAL, "timeout is no number");
    }
    return STOA_OK;
}

/* ---- values to items --------------------------------------------------------------------------------------------- */

static stoa_err
pack_text(const stoa_data *value, stoa_item *out)
{
    const char *text = value->as.text.at;
    size_t size = value->as.text.size, at;
    bool is_text = value->kind == STOA_DATA_TEXT;
    if (is_text && !stoa__utf8_valid(text, size, &at)) {
        return stoa__fail(STOA_EUTF8, "the value is no UTF-8 from byte %zu on", at);
    }
    return stoa__item_text(is_text, text, size, out)
               ? STOA_OK
               : stoa__fail(STOA_ENOMEM, "no memory for %zu bytes of an item", size);
}

static stoa_err
pack_value(const stoa_data *value, stoa_item *out)
{
    stoa_err err = stoa__data_check(value, "value", 0);
    *out = (stoa_item){.kind = STOA_ITEM_OBJECT};
    if (err != STOA_OK) {
        return err;
    }
    switch (value->kind) {
    case STOA_DATA_NONE:
        out->as.object.at = Py_None;
        return STOA_OK;
    case STOA_DATA_BOOL:
        out->as.object.at = value->as.boolean ? Py_True : Py_False;
        return STOA_OK;
    case STOA_DATA_SHARED:
        out->as.object.at = value->as.shared;
        out->as.object.region = stoa__in_heap(value->as.shared) ? stoa__region_ref_of(value->as.shared) : NULL;
        return STOA_OK;
    case STOA_DATA_INT:
        out->kind = STOA_ITEM_INT;
        out->as.integer = value->as.integer;
        return STOA_OK;
    case STOA_DATA_FLOAT:
        out->kind = STOA_ITEM_FLOAT;
        out->as.real = value->as.real;
        return STOA_OK;
    case STOA_DATA_HANDLE:
        err = stoa__hold_get(value->as.handle, &out->as.handle);
        out->kind = err == STOA_OK ? STOA_ITEM_HANDLE : STOA_ITEM_NOTHING;
        return err;
    default:
        return pack_text(value, out);
    }
}

/* ---- items to values --------------------------------------------------------------------------------------------- */

static stoa_err
own_text(stoa_data_kind kind, const char *text, size_t size, stoa_data *out)
{
    stoa_data borrowed = kind == STOA_DATA_TEXT ? stoa_data_text(text, size) : stoa_data_bytes(text, size);
    return stoa__data_copy(&borrowed, out);
}

static stoa_err
hold_handle(stoa_handle handle, stoa_data *out)
{
    stoa_hold hold;
    stoa_err err = stoa__handle_ref_held(handle);
    if (err == STOA_OK && (err = stoa__hold_new(handle, &hold)) == STOA_OK) {
        *out = stoa__data_own_handle(hold);
    }
    return err;
}

/* Inside an interpreter: what only Python can say of an item. */
static stoa_err
look_inside(const stoa_item *item, unsigned flags, stoa_data *out)
{
    stoa_side *side = stoa__side_here();
    PyObject *object = side == NULL ? NULL : stoa__item_look(side, item);
    if (object == NULL) {
        return stoa__exception_take(NULL);
    }
    stoa_err err = stoa__data_from_python(object, flags, "the item", out);
    Py_DECREF(object);
    return err;
}

static stoa_err
unpack_in_python(const stoa_item *item, unsigned flags, stoa_data *out)
{
    stoa_entry entry;
    if (stoa__current_state() != NULL) {
        return look_inside(item, flags, out);
    }
    stoa_interp_record *record = stoa__main_record();
    stoa_err err = record == NULL ? STOA_ESTATE : stoa__enter(record, &entry);
    if (err == STOA_OK) {
        err = look_inside(item, flags, out);
        stoa__leave(&entry);
    }
    if (record != NULL) {
        stoa__interp_unref(record);
    }
    return err;
}

static stoa_err
unpack_value(const stoa_item *item, unsigned flags, stoa_data *out)
{
    const stoa_text_box *box = (const stoa_text_box *)item->as.box;
    switch ((stoa_item_kind)item->kind) {
    case STOA_ITEM_OBJECT:
        if (item->as.object.at == Py_None) {
            *out = stoa_data_none();
            return STOA_OK;
        }
        if (item->as.object.at == Py_True || item->as.object.at == Py_False) {
            *out = stoa_data_bool(item->as.object.at == Py_True);
            return STOA_OK;
        }
        if (item->as.object.region != NULL) {
            stoa__region_mark_delivered(item->as.object.at, 0);
        }
        *out = stoa_data_shared(item->as.object.at);
        return STOA_OK;
    case STOA_ITEM_INT:
        *out = stoa_data_int(item->as.integer);
        return STOA_OK;
    case STOA_ITEM_FLOAT:
        *out = stoa_data_float(item->as.real);
        return STOA_OK;
    case STOA_ITEM_ASCII:
        return own_text(STOA_DATA_TEXT, item->as.text, item->size, out);
    case STOA_ITEM_BYTES:
        return own_text(STOA_DATA_BYTES, item->as.text, item->size, out);
    case STOA_ITEM_LONG_TEXT:
        return own_text(STOA_DATA_TEXT, box->text, box->size, out);
    case STOA_ITEM_LONG_BYTES:
        return own_text(STOA_DATA_BYTES, box->text, box->size, out);
    case STOA_ITEM_HANDLE:
        return hold_handle(item->as.handle, out);
    default:
        return unpack_in_python(item, flags, out);
    }
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static bool
is_settled(void *arg)
{
    return stoa__node_state(arg) != STOA_NODE_WAITING;
}

/* As stoa__node_sleep; a thread that is inside an interpreter waits as Python's threads do. */
static stoa_err
wait_for(stoa_node *node, stoa_deadline deadline)
{
    if (!Py_IsInitialized() || stoa__current_state() == NULL) {
        return stoa__node_sleep(node, deadline);
    }
    int waited = stoa__wait_until(is_settled, node, deadline, NULL, "a queue");
    if (waited < 0) {
        return stoa__exception_take(NULL);
    }
    return waited == 0 ? STOA_OK : stoa__fail(STOA_ETIMEDOUT, "the time allowed ran out");
}

static stoa_err
start_node(stoa_node *node)
{
    stoa_waiter *self = stoa__waiter_here();
    stoa_interp_record *record = NULL;
    if (self != NULL && Py_IsInitialized() && stoa__current_state() != NULL) {
        record = stoa__current_record();
        PyErr_Clear();
    }
    if (self != NULL) {
        stoa__node_init(node, self, record == NULL ? 0 : record->serial);
    }
    return self == NULL ? STOA_ENOMEM : STOA_OK;
}

static stoa_err
told(stoa_queue_result result, const char *why_not)
{
    switch (result) {
    case STOA_QUEUE_DONE:
        return STOA_OK;
    case STOA_QUEUE_SHUT:
        return stoa__fail(STOA_ECLOSED, "the queue was shut down");
    case STOA_QUEUE_NOMEM:
        return stoa__fail(STOA_ENOMEM, "no memory for a further item of the queue");
    default:
        return stoa__fail(STOA_ETIMEDOUT, "the queue is %s", why_not);
    }
}

static stoa_err
put_waiting(stoa_queue *queue, stoa_item *item, stoa_deadline deadline)
{
    stoa_node node;
    stoa_err err = start_node(&node);
    if (err != STOA_OK) {
        return err;
    }
    stoa_queue_result result = stoa__queue_put(queue, item, &node);
    if (result != STOA_QUEUE_WAIT) {
        return told(result, "full");
    }
    err = wait_for(&node, deadline);
    bool withdrawn = err != STOA_OK && stoa__queue_withdraw_put(queue, &node);
    uint32_t state = stoa__node_state(&node);
    *item = node.item; /* NOTHING when it went in */
    return withdrawn || state == STOA_NODE_WITHDRAWN ? (err != STOA_OK ? err : told(STOA_QUEUE_WAIT, "full"))
           : state == STOA_NODE_GIVEN                ? STOA_OK
                                                     : told(STOA_QUEUE_SHUT, NULL);
}

static stoa_err
get_waiting(stoa_queue *queue, stoa_item *item, stoa_deadline deadline)
{
    stoa_node node;
    stoa_err err = start_node(&node);
    if (err != STOA_OK) {
        return err;
    }
    stoa_queue_result result = stoa__queue_get(queue, item, &node);
    if (result != STOA_QUEUE_WAIT) {
        return told(result, "empty");
    }
    err = wait_for(&node, deadline);
    if (err != STOA_OK && stoa__queue_withdraw_get(queue, &node)) {
        return err;
    }
    switch (stoa__node_state(&node)) {
    case STOA_NODE_GIVEN:
        (void)stoa__queue_taken(queue, &node);
        *item = node.item;
        return STOA_OK;
    case STOA_NODE_SHUT:
        return told(STOA_QUEUE_SHUT, NULL);
    default: /* it came at the last moment, and went back in front */
        return told(stoa__queue_get(queue, item, NULL), "empty");
    }
}

/* ---- the public face --------------------------------------------------------------------------------------------- */

stoa_err
stoa_queue_new(size_t maxsize, stoa_queue **out_queue)
{
    stoa_err err = check(out_queue, "out_queue");
    return err != STOA_OK ? err : stoa__queue_new(maxsize, out_queue);
}

void
stoa_queue_free(stoa_queue *queue)
{
    if (queue != NULL) {
        stoa__thing_unref(&queue->thing);
    }
}

stoa_err
stoa_queue_put(stoa_queue *queue, const stoa_data *value, double timeout)
{
    stoa_deadline deadline;
    stoa_item item;
    stoa_err err = check(queue, "queue");
    if (err == STOA_OK) {
        err = check(value, "value");
    }
    if (err != STOA_OK || (err = deadline_of(timeout, &deadline)) != STOA_OK ||
        (err = pack_value(value, &item)) != STOA_OK) {
        return err;
    }
    stoa_queue_result result = stoa__queue_put(queue, &item, NULL);
    err = result == STOA_QUEUE_WAIT && timeout != 0 ? put_waiting(queue, &item, deadline)
                                                    : told(result, "full");
    stoa__item_drop(&item);
    return err;
}

stoa_err
stoa_queue_get(stoa_queue *queue, double timeout, unsigned flags, stoa_data *out_value)
{
    stoa_deadline deadline;
    stoa_item item;
    stoa_err err = check(queue, "queue");
    if (err == STOA_OK) {
        err = check(out_value, "out_value");
    }
    if (err != STOA_OK || (err = stoa__data_check_call(NULL, 0, flags)) != STOA_OK ||
        (err = deadline_of(timeout, &deadline)) != STOA_OK) {
        return err;
    }
    stoa_queue_result result = stoa__queue_get(queue, &item, NULL);
    err = result == STOA_QUEUE_WAIT && timeout != 0 ? get_waiting(queue, &item, deadline)
                                                    : told(result, "empty");
    if (err != STOA_OK) {
        return err;
    }
    if ((err = unpack_value(&item, flags, out_value)) != STOA_OK) {
        stoa__queue_put_back(queue, &item, 1);
        return err;
    }
    stoa__item_drop(&item);
    return STOA_OK;
}

stoa_err
stoa_queue_shutdown(stoa_queue *queue, bool immediate)
{
    stoa_err err = check(queue, "queue");
    if (err == STOA_OK) {
        stoa__queue_shutdown(queue, immediate);
    }
    return err;
}

size_t
stoa_queue_size(const stoa_queue *queue)
{
    return queue == NULL ? 0 : (size_t)atomic_load(&queue->count);
}

stoa_err
stoa_queue_handle(stoa_queue *queue, stoa_handle *out_handle)
{
    stoa_err err = check(queue, "queue");
    if (err == STOA_OK) {
        err = check(out_handle, "out_handle");
    }
    return err != STOA_OK ? err : stoa__hold_new(stoa__thing_ref(&queue->thing)->handle, out_handle);
}

stoa_err
stoa_queue_of(stoa_handle handle, stoa_queue **out_queue)
{
    stoa_handle found;
    stoa_err err = check(out_queue, "out_queue");
    if (err != STOA_OK || (err = stoa__hold_get(handle, &found)) != STOA_OK) {
        return err;
    }
    stoa_thing *thing = stoa__thing_of_handle(found); /* our reference of the handle is one of the thing */
    if (thing == NULL || thing->kind != STOA_THING_QUEUE) {
        stoa__handle_unref(found);
        return stoa__fail(STOA_ETYPE, "the handle stands for %s, not for a queue",
                          thing == NULL ? "an object of an interpreter" : thing->class->name);
    }
    *out_queue = stoa__queue(thing);
    return STOA_OK;
}

stoa_err
stoa_queue_publish(const char *name, stoa_queue *queue)
{
    stoa_err err = check(name, "name");
    if (err == STOA_OK) {
        err = check(queue, "queue");
    }
    if (err != STOA_OK) {
        return err;
    }
    stoa_value value = {.kind = STOA_VALUE_HANDLE, .handle = queue->thing.handle};
    return stoa__name_publish(name, strlen(name), &value);
}
