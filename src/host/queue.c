/* stoa/queue.h: queues for C hosts. What is in a queue is the same for them and for Python (proxy/item.h). */
#include "sync/queue_wait.h"

#include <Python.h>

#include <string.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "heap/names.h"
#include "heap/utf8.h"
#include "host/data.h"
#include "host/thing.h"
#include "proxy/item.h"
#include "stoa/queue.h"

static const stoa_host_kind a_queue = {1u << STOA_THING_QUEUE, "a queue"};

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

typedef struct item_look {
    const stoa_item *item;
    unsigned flags;
    stoa_data *out;
} item_look;

/* Inside an interpreter: what only Python can say of an item. */
static stoa_err
look_inside(void *arg)
{
    const item_look *look = arg;
    stoa_side *side = stoa__side_here();
    PyObject *object = side == NULL ? NULL : stoa__item_look(side, look->item);
    if (object == NULL) {
        return stoa__exception_take(NULL);
    }
    stoa_err err = stoa__data_from_python(object, look->flags, "the item", look->out);
    Py_DECREF(object);
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
        return stoa__host_inside(look_inside, &(item_look){item, flags, out});
    }
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* `arg`: a stoa_err, for what ended the wait. */
static int
wait_as_host(stoa_node *node, stoa_deadline deadline, const char *what, void *arg)
{
    stoa_err *err = arg;
    *err = stoa__host_wait(node, deadline, what);
    return *err == STOA_OK ? 0 : *err == STOA_ETIMEDOUT ? 1 : -1;
}

/* A put or a get: how it is done at once, how with waiting, and what the queue is when it cannot be done. */
typedef struct way {
    stoa_queue_result (*at_once)(stoa_queue *queue, stoa_item *item, stoa_node *node);
    stoa_queue_end (*waiting)(stoa_queue *queue, stoa_item *item, const stoa_patience *patience);
    const char *why_not;
} way;

static const way putting = {stoa__queue_put, stoa__queue_put_wait, "full"};
static const way getting = {stoa__queue_get, stoa__queue_get_wait, "empty"};

static stoa_err
go(const way *w, stoa_queue *queue, stoa_item *item, double timeout, stoa_deadline deadline)
{
    stoa_err stopped = STOA_OK;
    stoa_queue_result result = w->at_once(queue, item, NULL);
    stoa_queue_end end = stoa__queue_at_once(result);
    if (result == STOA_QUEUE_WAIT && timeout != 0) {
        stoa_patience patience = {
            .serial = stoa__host_serial(), .deadline = deadline, .wait = wait_as_host, .arg = &stopped};
        end = w->waiting(queue, item, &patience);
    }
    switch (end) {
    case STOA_QUEUE_END_DONE:
    case STOA_QUEUE_END_TOO_LATE: /* it is in, so there is nothing to be told */
        return STOA_OK;
    case STOA_QUEUE_END_SHUT:
        return stoa__fail(STOA_ECLOSED, "the queue was shut down");
    case STOA_QUEUE_END_NOMEM:
        return stoa__fail(STOA_ENOMEM, "no memory for a further item of the queue");
    case STOA_QUEUE_END_TIME:
        return stoa__fail(STOA_ETIMEDOUT, "the queue is %s", w->why_not);
    case STOA_QUEUE_END_STOPPED:
        break;
    }
    return stopped;
}

/* ---- the public face --------------------------------------------------------------------------------------------- */

stoa_err
stoa_queue_new(size_t maxsize, stoa_queue **out_queue)
{
    stoa_err err = stoa__host_check(out_queue, "out_queue");
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
    stoa_err err = stoa__host_check(queue, "queue");
    if (err == STOA_OK) {
        err = stoa__host_check(value, "value");
    }
    if (err != STOA_OK || (err = stoa__host_deadline(timeout, &deadline)) != STOA_OK ||
        (err = pack_value(value, &item)) != STOA_OK) {
        return err;
    }
    err = go(&putting, queue, &item, timeout, deadline);
    stoa__item_drop(&item);
    return err;
}

stoa_err
stoa_queue_get(stoa_queue *queue, double timeout, unsigned flags, stoa_data *out_value)
{
    stoa_deadline deadline;
    stoa_item item;
    stoa_err err = stoa__host_check(queue, "queue");
    if (err == STOA_OK) {
        err = stoa__host_check(out_value, "out_value");
    }
    if (err != STOA_OK || (err = stoa__data_check_call(NULL, 0, flags)) != STOA_OK ||
        (err = stoa__host_deadline(timeout, &deadline)) != STOA_OK) {
        return err;
    }
    if ((err = go(&getting, queue, &item, timeout, deadline)) != STOA_OK) {
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
    stoa_err err = stoa__host_check(queue, "queue");
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
    stoa_err err = stoa__host_check(queue, "queue");
    if (err == STOA_OK) {
        err = stoa__host_check(out_handle, "out_handle");
    }
    return err != STOA_OK ? err : stoa__hold_new(stoa__thing_ref(&queue->thing)->handle, out_handle);
}

stoa_err
stoa_queue_of(stoa_handle handle, stoa_queue **out_queue)
{
    stoa_thing *thing;
    stoa_err err = stoa__host_check(out_queue, "out_queue");
    if (err == STOA_OK && (err = stoa__host_thing(handle, a_queue, &thing)) == STOA_OK) {
        *out_queue = stoa__queue(thing);
    }
    return err;
}

stoa_err
stoa_queue_publish(const char *name, stoa_queue *queue)
{
    stoa_err err = stoa__host_check(name, "name");
    if (err == STOA_OK) {
        err = stoa__host_check(queue, "queue");
    }
    if (err != STOA_OK) {
        return err;
    }
    stoa_value value = {.kind = STOA_VALUE_HANDLE, .handle = queue->thing.handle};
    return stoa__name_publish(name, strlen(name), &value);
}
