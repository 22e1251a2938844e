#include "proxy/request.h"

#include <assert.h>
#include <stdlib.h>

#include "heap/process.h"
#include "heap/region.h"
#include "immortal/exceptions.h"
#include "proxy/bag.h"
#include "proxy/by_copy.h"
#include "proxy/call.h"
#include "proxy/cell.h"
#include "proxy/cross.h"
#include "proxy/exception.h"
#include "proxy/proxy_method.h"

#define CELLS 8

enum { OUT_CELL, OUT_PARCEL, OUT_RAISED, OUT_NOTHING };

typedef struct request {
    stoa_operator work;
    PyObject *target; /* the owner's */
    stoa_interp_record *owner;
    Py_ssize_t count;
    unsigned flags;
    bool packed;       /* operands are in `parcel` */
    bool detached;     /* the operands hold nothing of the sender's */
    uint32_t receiver; /* serial of the interpreter that the result goes to */
    stoa_waiter *home; /* borrowed: where what comes of it belongs; NULL: nowhere */
    int outcome;       /* OUT_*: result, or `parcel_out` */
    stoa_operation op;
    stoa_cell operands[CELLS];
    stoa_cell result;
    stoa_parcel parcel, parcel_out;
} request;

/* ---- the sender -------------------------------------------------------------------------------------------------- */

static int
pack_operands(request *r, PyObject *const *args, Py_ssize_t count)
{
    r->packed = true;
    if (count == 1 && (r->flags & STOA_REQUEST_BAG) && stoa__goes_as_bag(args[0])) {
        return stoa__pack(args[0], "operand", STOA_PACK_TOP | (r->detached ? STOA_PACK_DETACHED : 0),
                          &r->parcel);
    }
    PyObject *tuple = PyTuple_New(count);
    bool copies = (r->flags & (STOA_REQUEST_BAG | STOA_REQUEST_COPY)) != 0;
    for (Py_ssize_t i = 0; i < count && tuple != NULL; i++) {
        PyObject *sent = copies && stoa__goes_as_bag(args[i]) ? stoa__by_copy(args[i]) : Py_NewRef(args[i]);
        if (sent == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, sent);
    }
    int result = tuple == NULL ? -1
                               : stoa__pack(tuple, "args", r->detached ? STOA_PACK_DETACHED : 0, &r->parcel);
    Py_XDECREF(tuple);
    return result;
}

static int
write_operands(request *r, stoa_side *side, PyObject *const *args, Py_ssize_t count)
{
    bool copies = (r->flags & (STOA_REQUEST_BAG | STOA_REQUEST_COPY)) != 0;
    r->packed = false;
    if (count > CELLS) {
        return pack_operands(r, args, count);
    }
    Py_ssize_t first_name = r->flags & STOA_REQUEST_LAST_ARE_NAMES ? count - (Py_ssize_t)r->op.extra : count;
    for (Py_ssize_t i = 0; i < count; i++) {
        bool name = i >= first_name || (i == 0 && (r->flags & STOA_REQUEST_FIRST_IS_NAME));
        int result = copies && stoa__goes_as_bag(args[i])
                         ? 1
                         : stoa__cell_write(side, args[i], name, &r->operands[i]);
        if (result != 0) {
            stoa__cells_drop(r->operands, i);
            return result < 0 ? -1 : pack_operands(r, args, count);
        }
    }
    return 0;
}

static void
drop_operands(request *r)
{
    if (r->packed) {
        stoa__parcel_clear(&r->parcel);
    }
    else {
        stoa__cells_drop(r->operands, r->count);
    }
}

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

static PyObject *
run_packed(request *r)
{
    PyObject *operands = stoa__unpack(&r->parcel);
    PyObject *result = NULL;
    if (operands != NULL && PyTuple_CheckExact(operands)) {
        result = r->work(r->target, &PyTuple_GET_ITEM(operands, 0), PyTuple_GET_SIZE(operands), &r->op);
    }
    else if (operands != NULL) {
        result = r->work(r->target, &operands, 1, &r->op);
    }
    Py_XDECREF(operands);
    return result;
}

static PyObject *
run_cells(request *r)
{
    PyObject *operands[CELLS + 1];
    PyObject *result = NULL;
    Py_ssize_t ready = 0;
    while (ready < r->count && (operands[1 + ready] = stoa__cell_read(r->owner, &r->operands[ready])) != NULL) {
        ready++;
    }
    if (ready == r->count) {
        result = r->work(r->target, operands + 1, ready, &r->op); /* operands[0]: room for vectorcall */
    }
    else {
        stoa__cells_drop(r->operands + ready + 1, r->count - ready - 1);
    }
    while (ready > 0) {
        Py_DECREF(operands[ready--]);
    }
    return result;
}

/* A StopIteration crosses as its value: it is how iterating ends, and no error. Not one that says more: with notes, or
 * attributes of its own. */
static PyObject *
take_stop(request *r)
{
    PyObject *raised = PyErr_GetRaisedException();
    const PyBaseExceptionObject *fields = (const PyBaseExceptionObject *)raised;
    if (!Py_IS_TYPE(raised, (PyTypeObject *)PyExc_StopIteration) || fields->dict != NULL ||
        PyTuple_GET_SIZE(fields->args) > 1) {
        PyErr_SetRaisedException(raised);
        return NULL;
    }
    PyObject *value = PyObject_GetAttrString(raised, "value");
    Py_DECREF(raised);
    r->op.stopped = value != NULL;
    return value;
}

static int
write_result(request *r, PyObject *result)
{
    unsigned flags = STOA_PACK_DETACHED;
    if (r->flags & (STOA_REQUEST_FETCH | STOA_REQUEST_BAG_OUT)) {
        r->outcome = OUT_PARCEL;
        flags |= r->flags & STOA_REQUEST_BAG_OUT ? STOA_PACK_TOP : 0;
        flags |= r->flags & STOA_REQUEST_FETCH ? STOA_PACK_COPY : 0;
        return stoa__pack(result, "result", flags, &r->parcel_out);
    }
    stoa_side *side = stoa__side_of(r->owner);
    int fits = side == NULL ? -1 : stoa__cell_write(side, result, false, &r->result);
    r->outcome = fits == 0 ? OUT_CELL : OUT_PARCEL;
    if (fits == 0 && r->result.kind == STOA_CELL_SHARED && stoa__in_heap(r->result.as.object)) {
        stoa__region_mark_delivered(r->result.as.object,
                                    r->receiver); /* the owner may have ended when it is read */
    }
    return fits <= 0 ? fits : stoa__pack(result, "result", flags, &r->parcel_out);
}

static void
run_inside(request *r)
{
    if (atomic_load_explicit(&r->owner->released, memory_order_relaxed) != 0) { /* a hint: none is lost */
        (void)stoa__side_apply_releases(r->owner);
    }
    Py_INCREF(r->target);
    PyObject *result = r->packed ? run_packed(r) : run_cells(r);
    if (result == NULL && PyErr_Occurred()) {
        result = take_stop(r);
    }
    r->outcome = OUT_NOTHING;
    if (result != NULL) {
        stoa_waiter *before = stoa__exports_at(r->home);
        if (write_result(r, result) < 0) {
            r->outcome = OUT_RAISED;
        }
        (void)stoa__exports_at(before);
        Py_DECREF(result);
    }
    else if (PyErr_Occurred()) {
        r->outcome = OUT_RAISED;
    }
    Py_DECREF(r->target);
    if (r->outcome == OUT_RAISED) {
        stoa__exception_pack(&r->parcel_out);
    }
}

/* ---- the way there and back -------------------------------------------------------------------------------------- */

/* The one place where a request gets to its owner. 0: it ran. -1 with an exception: it did not, and will not. */
static int
go(request *r)
{
    stoa_visit visit;
    stoa_err err = stoa__visit(r->owner, &visit);
    if (err != STOA_OK) {
        drop_operands(r);
        stoa__enter_failed(err);
        return -1;
    }
    run_inside(r);
    stoa__visit_end(&visit);
    if (r->packed) {
        stoa__parcel_clear(&r->parcel);
    }
    return 0;
}

static PyObject *
stop(request *r, PyObject *value)
{
    if (value == Py_None) { /* raised without a value, by nearly everybody */
        if (!(r->flags & STOA_REQUEST_BARE_STOP)) {
            PyErr_SetNone(PyExc_StopIteration);
        }
    }
    else if (value != NULL) {
        PyObject *raised = PyObject_CallOneArg(PyExc_StopIteration, value);
        if (raised != NULL) {
            PyErr_SetObject(PyExc_StopIteration, raised);
        }
        Py_XDECREF(raised);
    }
    Py_XDECREF(value);
    return NULL;
}

static PyObject *
receive(request *r, stoa_side *side)
{
    PyObject *result = NULL;
    switch (r->outcome) {
    case OUT_CELL:
        if (r->result.kind == STOA_CELL_HANDLE) {
            result = stoa__side_import(side, r->result.as.handle);
        }
        else {
            result = stoa__cell_read(side->record, &r->result);
        }
        break;
    case OUT_PARCEL:
        result = stoa__unpack(&r->parcel_out);
        stoa__parcel_abandon(&r->parcel_out);
        break;
    case OUT_RAISED:
        return stoa__exception_raise(&r->parcel_out);
    default:
        return NULL;
    }
    return r->op.stopped ? stop(r, result) : result;
}

/* A request is over: what release() left to the last one. */
static void
end_request(PyObject *self)
{
    stoa_proxy_object *proxy = stoa__proxy(self);
    if (--proxy->busy == 0 && proxy->release_wanted) {
        PyObject *raised = PyErr_GetRaisedException();
        (void)stoa__proxy_release(self);
        PyErr_SetRaisedException(raised);
    }
}

/* ---- requests that others may run -------------------------------------------------------------------------------- */

typedef struct routed {
    stoa_work work;
    stoa_handle handle; /* a reference: the target lives as long as this may run */
    stoa_route *route;  /* a reference */
    bool ran, received;
    request r;
} routed;

static void
run_routed(stoa_work *work)
{
    routed *q = (routed *)work;
    q->ran = true;
    run_inside(&q->r);
}

/* Late: the caller has left. Any thread, with a GIL or none. */
static void
let_go_of_made(request *r)
{
    stoa_entry entry;
    if (stoa__enter(r->owner, &entry) == STOA_OK) { /* else it goes with its owner */
        PyObject *raised = PyErr_GetRaisedException();
        r->op.let_go(r->op.made);
        PyErr_SetRaisedException(raised);
        stoa__leave(&entry);
    }
}

static void
free_routed(stoa_work *work)
{
    routed *q = (routed *)work;
    if (!q->ran) {
        drop_operands(&q->r);
    }
    else if (q->r.packed) {
        stoa__parcel_abandon(&q->r.parcel);
    }
    if (q->ran && !q->received) {
        if (q->r.op.let_go != NULL) {
            let_go_of_made(&q->r);
        }
        if (q->r.outcome == OUT_CELL) {
            stoa__cells_drop(&q->r.result, 1);
        }
        else if (q->r.outcome != OUT_NOTHING) {
            stoa__parcel_abandon(&q->r.parcel_out);
        }
    }
    stoa__handle_unref(q->handle);
    stoa__route_unref(q->route);
    free(q);
}

/* New, with its operands; NULL with an exception. */
static routed *
new_routed(stoa_proxy_object *proxy, stoa_route *route, const request *like, PyObject *const *args,
           Py_ssize_t count)
{
    routed *q = calloc(1, sizeof(*q));
    if (q == NULL || stoa__work_init(&q->work, proxy->owner, run_routed, free_routed) != STOA_OK) {
        free(q);
        PyErr_NoMemory();
        return NULL;
    }
    q->r.work = like->work;
    q->r.target = like->target;
    q->r.owner = like->owner;
    q->r.receiver = like->receiver;
    q->r.flags = like->flags;
    q->r.op = like->op;
    q->r.detached = true;
    q->route = stoa__route_ref(route);
    q->r.home = q->route->home;
    stoa_err err = stoa__handle_ref(proxy->handle);
    if (err != STOA_OK) {
        stoa__proxy_failed(proxy, err);
    }
    else {
        q->handle = proxy->handle;
        if (write_operands(&q->r, proxy->side, args, count) == 0) {
            q->r.count = count;
            return q;
        }
        q->r.packed = false;
    }
    stoa__work_unref(&q->work);
    return NULL;
}

/* An attribute, an item, an iterator of an object whose calls have options: calls of that have them, too. */
static PyObject *
with_options(PyObject *result, PyObject *self, const routed *q)
{
    const stoa_route *route = q->route;
    if (result == NULL || !(q->r.flags & (STOA_REQUEST_FIRST_IS_NAME | STOA_REQUEST_GOES_OVER)) ||
        !stoa__is_proxy(result) || (route->timeout < 0 && route->via == STOA_VIA_AUTO)) {
        return result;
    }
    if (stoa__proxy(result)->handle == q->handle) { /* an iterator is its own */
        Py_DECREF(result);
        return Py_NewRef(self);
    }
    const stoa_route *own = stoa__proxy(result)->route;
    stoa_route *both = stoa__route_new(route->via, own == NULL ? NULL : own->home, route->timeout);
    PyObject *made = both == NULL ? PyErr_NoMemory() : stoa__side_make_routed(result, both);
    Py_DECREF(result);
    return made;
}

static PyObject *
request_routed(PyObject *self, stoa_route *route, stoa_deadline deadline, bool called_back,
               const request *like, PyObject *const *args, Py_ssize_t count)
{
    stoa_proxy_object *proxy = stoa__proxy(self);
    stoa_side *side = proxy->side;
    int64_t begin = stoa__now();
    PyObject *raised = PyErr_GetRaisedException(); /* a dealloc may run while an exception is on its way */
    routed *q = new_routed(proxy, route, like, args, count);
    if (q == NULL) {
        Py_XDECREF(raised);
        return NULL;
    }
    if (called_back) {
        q->work.called_back = true;
        q->r.home = NULL; /* that thread is asked, but nothing is bound to it */
    }
    Py_INCREF(self);
    proxy->busy++;
    side->crossings++;
    stoa_err err = stoa__call_owner(q->route, deadline, &q->work);
    PyObject *result = NULL;
    if (err == STOA_OK) {
        q->received = true;
        result = with_options(receive(&q->r, side), self, q);
    }
    else {
        stoa__call_failed(q->work.owner, err,
                          (double)(called_back ? deadline - begin : q->route->timeout) / 1e9);
    }
    end_request(self);
    stoa__work_unref(&q->work);
    Py_DECREF(self);
    if (raised != NULL && PyErr_Occurred()) {
        Py_DECREF(raised);
    }
    else if (raised != NULL) {
        PyErr_SetRaisedException(raised);
    }
    return result;
}

stoa_waiter *
stoa__caller_to_ask(stoa_proxy_object *proxy, stoa_deadline *out_deadline)
{
    stoa_waiter *caller = stoa__caller_in(proxy->owner, out_deadline);
    if (caller == NULL || stoa__interp_enter(proxy->owner) != STOA_OK) { /* so the object is there */
        return NULL;
    }
    bool same = stoa__is_bag(proxy->object) || stoa__is_method_of_bag(proxy->object);
    stoa__interp_leave(proxy->owner);
    return same ? NULL : caller;
}

/* By the thread that waits for what this one does. */
static PyObject *
request_of_caller(PyObject *self, stoa_waiter *caller, stoa_deadline deadline, const request *like,
                  PyObject *const *args, Py_ssize_t count)
{
    stoa_route *route = stoa__route_new(STOA_VIA_AUTO, caller, -1);
    PyObject *result = route == NULL ? PyErr_NoMemory()
                                     : request_routed(self, route, deadline, true, like, args, count);
    stoa__route_unref(route);
    return result;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

void
stoa__request_releases(stoa_side *side)
{
    /* PyErr: a dealloc may run while an exception is on its way */
    if (atomic_load_explicit(&side->record->released, memory_order_relaxed) != 0 && !PyErr_Occurred()) {
        (void)stoa__side_apply_releases(side->record);
    }
}

PyObject *
stoa__request(PyObject *self, stoa_operator work, PyObject *const *args, Py_ssize_t count, unsigned flags,
              uintptr_t extra)
{
    return stoa__request_with(self, work, args, count, flags, extra, NULL);
}

PyObject *
stoa__request_with(PyObject *self, stoa_operator work, PyObject *const *args, Py_ssize_t count,
                   unsigned flags, uintptr_t extra, void *with)
{
    stoa_proxy_object *proxy = stoa__proxy(self);
    stoa_side *side = proxy->side;
    if (!(flags & STOA_REQUEST_UNSETTLED)) {
        stoa__request_releases(side);
        if (stoa__proxy_settle(self) < 0) {
            return NULL;
        }
    }
    if (stoa__proxy_was_released(proxy)) {
        return stoa__proxy_is_released(proxy, "used");
    }
    request r;
    r.work = work;
    r.target = proxy->object;
    r.owner = proxy->owner;
    r.count = count;
    r.flags = flags;
    r.receiver = side->record->serial;
    r.op = (stoa_operation){.extra = extra, .with = with};
    if (proxy->route != NULL) {
        assert(with == NULL);
        return request_routed(self, proxy->route, stoa__route_deadline(proxy->route), false, &r, args, count);
    }
    stoa_deadline deadline;
    stoa_waiter *caller = flags & STOA_REQUEST_CALL ? stoa__caller_to_ask(proxy, &deadline) : NULL;
    if (caller != NULL) {
        return request_of_caller(self, caller, deadline, &r, args, count);
    }
    r.detached = false;
    r.home = NULL;
    Py_INCREF(self); /* this and `busy` before code of the operands runs, which may release the proxy */
    proxy->busy++;
    int ran = write_operands(&r, side, args, count);
    if (ran == 0) {
        side->crossings++;
        ran = go(&r);
    }
    end_request(self);
    PyObject *result = ran < 0 ? NULL : receive(&r, side);
    Py_DECREF(self);
    return result;
}
