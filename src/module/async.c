#include "module/async.h"

#include <structmember.h>

#include "immortal/exceptions.h"
#include "module/lock.h"
#include "proxy/item.h"
#include "proxy/membership.h"
#include "proxy/shield.h"
#include "proxy/wait.h"
#include "sync/barrier.h"
#include "sync/bell.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/queue.h"
#include "sync/semaphore.h"

PyObject *
stoa__async_call(const char *function, PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *module = PyImport_ImportModule("stoa._aio");
    PyObject *callable = module == NULL ? NULL : PyObject_GetAttrString(module, function);
    PyObject *all[3] = {self, count > 0 ? args[0] : NULL, NULL};
    PyObject *coroutine = callable == NULL ? NULL : PyObject_Vectorcall(callable, all, 1 + (size_t)count, NULL);
    Py_XDECREF(callable);
    Py_XDECREF(module);
    return coroutine;
}

const char stoa__async_acquire_doc[] = "aacquire($self, /)\n--\n\nAwaits it: acquire() for a task.";

const char stoa__async_enter_doc[] = "__aenter__($self, /)\n--\n\naacquire()";
const char stoa__async_exit_doc[] = "__aexit__($self, /, *exc_info)\n--\n\nrelease()";

PyObject *
stoa__async_acquire(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__async_call("acquire", self, NULL, 0);
}

PyObject *
stoa__async_release(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return stoa__async_call("release", self, args, count > 0 ? 1 : 0);
}

/* ---- _Bell ------------------------------------------------------------------------------------------------------- */

typedef struct bell_object {
    PyObject_HEAD
    stoa_bell *bell;            /* a reference */
    stoa_interp_record *record; /* the loop's interpreter: a reference */
} bell_object;

typedef struct ticket_object {
    PyObject_HEAD
    PyObject *future;    /* as in stoa_awaiter */
    stoa_ticket *ticket; /* a reference */
    stoa_thing *thing;   /* a reference */
    stoa_side *side;     /* a reference */
    int kind;            /* KIND_* */
    bool waiting;        /* it was left with the thing */
    bool over;           /* taken, or withdrawn */
    bool last;           /* of a barrier: it has to run the action, and to open `round` */
    unsigned long long round;
} ticket_object;

enum { KIND_PUT, KIND_GET, KIND_JOIN, KIND_MUTEX, KIND_SEMAPHORE, KIND_EVENT, KIND_CONDITION, KIND_BARRIER };

stoa_bell *
stoa__bell_of(PyObject *object)
{
    return ((bell_object *)object)->bell;
}

static void
bell_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    stoa_bell *bell = ((bell_object *)self)->bell;
    if (bell != NULL) {
        stoa__bell_close(bell);
        stoa__bell_unref(bell);
        stoa__interp_unref(((bell_object *)self)->record);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
bell_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    stoa_interp_record *record = stoa__current_record();
    bell_object *self = record == NULL ? NULL : (bell_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    stoa_err err = stoa__bell_new(&self->bell);
    if (err != STOA_OK) {
        Py_DECREF(self);
        return stoa__raise(err);
    }
    self->record = stoa__interp_ref(record);
    stoa__bell_join(self->bell, record);
    return (PyObject *)self;
}

static PyObject *
bell_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(stoa__bell_fd(((bell_object *)self)->bell));
}

static PyObject *
bell_check(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (stoa__wait_allowed(((bell_object *)self)->record) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* future.<what>(value), unless it is done: the task was cancelled, or was told before. Takes over the future, if there is one. */
static void
finish(PyObject *future, const char *what, PyObject *value)
{
    PyObject *done = future == NULL ? NULL : PyObject_CallMethod(future, "done", NULL);
    PyObject *result = done == Py_False ? PyObject_CallMethod(future, what, "O", value) : Py_XNewRef(done);
    if (future != NULL && result == NULL) {
        PyErr_WriteUnraisable(future);
    }
    Py_XDECREF(done);
    Py_XDECREF(result);
    Py_XDECREF(future);
}

/* The futures of all tickets, strong; those of others NULL. NULL: none, or no memory (then nobody is told). */
static PyObject **
futures_of(stoa_bell *bell, size_t *count)
{
    *count = stoa__bell_users(bell, NULL, 0);
    PyObject **futures = *count == 0 ? NULL : PyMem_Calloc(*count, sizeof *futures);
    if (futures == NULL) {
        return NULL;
    }
    (void)stoa__bell_users(bell, (void **)futures, *count); /* the GIL is held since the count */
    for (size_t i = 0; i < *count; i++) {
        stoa_awaiter *awaiter = (stoa_awaiter *)futures[i];
        futures[i] = awaiter == NULL ? NULL : Py_XNewRef(awaiter->future);
    }
    return futures;
}

/* The interpreter is being closed: who waits in it hears it, as those do who wait without a loop. */
static void
tell_all(bell_object *self)
{
    size_t count;
    PyObject **futures = stoa__wait_allowed(self->record) == 0 ? NULL : futures_of(self->bell, &count);
    for (size_t i = 0; futures != NULL && i < count; i++) {
        PyObject *reason = stoa__wait_allowed(self->record) < 0 ? PyErr_GetRaisedException() : NULL;
        if (reason == NULL) {
            Py_XDECREF(futures[i]);
            continue;
        }
        finish(futures[i], "set_exception", reason);
        Py_DECREF(reason);
    }
    PyMem_Free(futures);
    PyErr_Clear();
}

/* The loop's reader. One that fails (a future of a loop that is closed) must not keep the others waiting. */
static PyObject *
bell_deliver(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_bell *bell = ((bell_object *)self)->bell;
    stoa_ticket *ticket;
    bool before = stoa__shield(true); /* a ticket that was taken is told */
    stoa__bell_heard(bell);
    while ((ticket = stoa__bell_take(bell)) != NULL) {
        stoa_awaiter *object = ticket->user;
        PyObject *future = object == NULL ? NULL : Py_XNewRef(object->future);
        stoa__ticket_unref(ticket);
        finish(future, "set_result", Py_None);
    }
    tell_all((bell_object *)self);
    (void)stoa__shield(before);
    Py_RETURN_NONE;
}

static PyMethodDef bell_methods[] = {
    {"fileno", bell_fileno, METH_NOARGS, NULL},
    {"deliver", bell_deliver, METH_NOARGS, NULL},
    {"check", bell_check, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot bell_slots[] = {
    {Py_tp_new, bell_new},
    {Py_tp_dealloc, bell_dealloc},
    {Py_tp_methods, bell_methods},
    {Py_tp_doc, "What wakes the tasks of one event loop: the loop reads fileno() and calls deliver()."},
    {0, NULL},
};
static PyType_Spec bell_spec = {.name = "stoa._Bell",
                                .basicsize = sizeof(bell_object),
                                .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                .slots = bell_slots};

/* ---- _Ticket ----------------------------------------------------------------------------------------------------- */

/* The task gives up. */
static void
withdraw(ticket_object *self)
{
    stoa_node *node = &self->ticket->node;
    stoa_thing *thing = self->thing;
    if (self->over) {
        return;
    }
    self->over = true;
    switch (self->kind) {
    case KIND_PUT:
        if (stoa__queue_take_back(stoa__queue(thing), node) || stoa__node_state(node) != STOA_NODE_GIVEN) {
            stoa__item_drop(&node->item);
        }
        break;
    case KIND_GET:
        if (!self->waiting) {
            stoa__queue_put_back(stoa__queue(thing), &node->item, node->item.kind != STOA_ITEM_NOTHING);
            break;
        }
        (void)stoa__queue_withdraw_get(stoa__queue(thing), node);
        break;
    case KIND_JOIN:
        stoa__queue_withdraw_join(stoa__queue(thing), node);
        break;
    case KIND_MUTEX:
        (void)stoa__mutex_withdraw(stoa__mutex(thing), node);
        break;
    case KIND_SEMAPHORE:
        (void)stoa__semaphore_withdraw(stoa__semaphore(thing), node);
        break;
    case KIND_EVENT:
        stoa__event_withdraw(stoa__event(thing), node);
        break;
    case KIND_CONDITION:
        if (!stoa__condition_withdraw(stoa__condition(thing), node) &&
            stoa__node_state(node) == STOA_NODE_GIVEN) {
            stoa__condition_notify(stoa__condition(thing), 1); /* somebody else can use it */
        }
        break;
    default:
        (void)stoa__barrier_withdraw(stoa__barrier(thing), node);
        break;
    }
}

static int
ticket_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((ticket_object *)object)->future);
    return 0;
}

static int
ticket_clear(PyObject *object)
{
    Py_CLEAR(((ticket_object *)object)->future);
    return 0;
}

static void
ticket_dealloc(PyObject *object)
{
    ticket_object *self = (ticket_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->ticket != NULL) {
        withdraw(self);
        self->ticket->user = NULL;
        stoa__ticket_unref(self->ticket);
    }
    Py_CLEAR(self->future);
    stoa__thing_unref(self->thing);
    if (self->side != NULL) {
        stoa__side_unref(self->side);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *
ticket_cancel(PyObject *object, PyObject *unused)
{
    (void)unused;
    withdraw((ticket_object *)object);
    Py_RETURN_NONE;
}

/* What a condition gave, whose lock the task could not take again. */
static PyObject *
ticket_pass_on(PyObject *object, PyObject *unused)
{
    (void)unused;
    stoa_condition *condition = stoa__condition(((ticket_object *)object)->thing);
    if (!stoa__mutex_is_broken(condition->mutex)) {
        stoa__condition_notify(condition, 1);
    }
    Py_RETURN_NONE;
}

static PyObject *
raise_gone(const ticket_object *self)
{
    return PyErr_Format(stoa__exception(STOA_EXC_InterpreterGone),
                        "interpreter '%s' is being ended: nothing is awaited in it any more",
                        self->side->record->name);
}

static PyObject *
take_item(ticket_object *self)
{
    stoa_queue *queue = stoa__queue(self->thing);
    stoa_node *node = &self->ticket->node;
    if (self->waiting && !stoa__queue_taken(queue, node)) {
        return raise_gone(self);
    }
    PyObject *object = stoa__item_unpack(self->side, &node->item);
    if (object == NULL) {
        stoa__queue_put_back(queue, &node->item, 1);
    }
    return object;
}

/* It is there: what the thing gave. */
static PyObject *
take_given(ticket_object *self)
{
    stoa_node *node = &self->ticket->node;
    switch (self->kind) {
    case KIND_GET:
        return take_item(self);
    case KIND_MUTEX:
        return self->waiting && !stoa__mutex_taken(stoa__mutex(self->thing), node) ? raise_gone(self)
                                                                                   : Py_NewRef(Py_True);
    case KIND_SEMAPHORE:
        return self->waiting && !stoa__semaphore_taken(stoa__semaphore(self->thing), node)
                   ? raise_gone(self)
                   : Py_NewRef(Py_True);
    case KIND_BARRIER:
        return PyLong_FromUnsignedLongLong(node->count);
    case KIND_EVENT:
    case KIND_CONDITION:
        Py_RETURN_TRUE;
    default:
        Py_RETURN_NONE;
    }
}

static PyObject *
ticket_take(PyObject *object, PyObject *unused)
{
    (void)unused;
    ticket_object *self = (ticket_object *)object;
    uint32_t state = stoa__node_state(&self->ticket->node);
    if (self->over || state == STOA_NODE_WAITING) {
        PyErr_SetString(PyExc_RuntimeError, "stoa: this wait is over, or not yet");
        return NULL;
    }
    if (state == STOA_NODE_GIVEN) {
        self->over = true;
        return take_given(self);
    }
    withdraw(self);
    if (state == STOA_NODE_BROKEN) {
        (void)stoa__lock_broken(stoa__mutex(self->thing));
        return NULL;
    }
    if (state == STOA_NODE_WITHDRAWN) {
        return raise_gone(self);
    }
    if (self->kind == KIND_BARRIER) {
        return stoa__sync_raise("threading", "BrokenBarrierError", NULL);
    }
    PyErr_SetNone(stoa__exception(STOA_EXC_ShutDown));
    return NULL;
}

static PyMethodDef ticket_methods[] = {
    {"take", ticket_take, METH_NOARGS, NULL},
    {"cancel", ticket_cancel, METH_NOARGS, NULL},
    {"pass_on", ticket_pass_on, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef ticket_members[] = {
    {"future", T_OBJECT, offsetof(ticket_object, future), 0, NULL},
    {"last", T_BOOL, offsetof(ticket_object, last), READONLY, NULL},
    {"round", T_ULONGLONG, offsetof(ticket_object, round), READONLY, NULL},
    {"waiting", T_BOOL, offsetof(ticket_object, waiting), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot ticket_slots[] = {
    {Py_tp_dealloc, ticket_dealloc},
    {Py_tp_traverse, ticket_traverse},
    {Py_tp_clear, ticket_clear},
    {Py_tp_methods, ticket_methods},
    {Py_tp_members, ticket_members},
    {Py_tp_doc, "One wait of one task."},
    {0, NULL},
};
static PyType_Spec ticket_spec = {.name = "stoa._Ticket",
                                  .basicsize = sizeof(ticket_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                           Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                                  .slots = ticket_slots};

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* Each start: 1: the node is in the thing's list; 0: it is there already, or not to be had (the node's state tells);
 * -1 with an exception. */

static int
settled(stoa_node *node, uint32_t state)
{
    atomic_store(&node->state, state);
    return 0;
}

static int
start_queue(ticket_object *self, PyObject *argument)
{
    stoa_node *node = &self->ticket->node;
    stoa_queue *queue = stoa__queue(self->thing);
    stoa_item item;
    stoa_queue_result result;
    if (self->kind == KIND_JOIN) {
        return stoa__queue_join(queue, node) == STOA_QUEUE_WAIT ? 1 : settled(node, STOA_NODE_GIVEN);
    }
    if (self->kind == KIND_GET) {
        result = stoa__queue_get(queue, &item, node);
        if (result == STOA_QUEUE_DONE) {
            node->item = item;
        }
    }
    else {
        if (stoa__item_pack(self->side, argument, &item) < 0) {
            return -1;
        }
        result = stoa__queue_put(queue, &item, node);
        if (result != STOA_QUEUE_DONE && result != STOA_QUEUE_WAIT) {
            stoa__item_drop(&item);
        }
    }
    if (result == STOA_QUEUE_NOMEM) {
        PyErr_NoMemory();
        return -1;
    }
    return result == STOA_QUEUE_WAIT
               ? 1
               : settled(node, result == STOA_QUEUE_DONE ? STOA_NODE_GIVEN : STOA_NODE_SHUT);
}

static int
start_mutex(ticket_object *self, stoa_mutex *mutex, PyObject *argument)
{
    stoa_node *node = &self->ticket->node;
    stoa_waiter *waiter = stoa__waiter_here();
    if (waiter == NULL) {
        stoa__raise(STOA_ENOMEM);
        return -1;
    }
    if (argument != Py_None) {
        node->count = PyLong_AsUnsignedLongLong(argument);
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    node->owner = stoa__mutex_owner(waiter, self->side->record->serial);
    switch (stoa__mutex_acquire(mutex, node->owner, node)) {
    case STOA_MUTEX_WAIT:
        return 1;
    case STOA_MUTEX_DONE:
        return settled(node, STOA_NODE_GIVEN);
    default:
        return settled(node, STOA_NODE_BROKEN);
    }
}

static int
start(ticket_object *self, PyObject *argument)
{
    stoa_node *node = &self->ticket->node;
    uint64_t round;
    switch (self->kind) {
    case KIND_MUTEX:
        return start_mutex(self, stoa__mutex(self->thing), argument);
    case KIND_SEMAPHORE:
        return stoa__semaphore_acquire(stoa__semaphore(self->thing), node) ? settled(node, STOA_NODE_GIVEN) : 1;
    case KIND_EVENT:
        return stoa__event_wait(stoa__event(self->thing), node) ? settled(node, STOA_NODE_GIVEN) : 1;
    case KIND_CONDITION:
        if (stoa__mutex_is_broken(stoa__condition(self->thing)->mutex)) {
            return stoa__lock_broken(stoa__condition(self->thing)->mutex);
        }
        stoa__condition_wait(stoa__condition(self->thing), node);
        return 1;
    case KIND_BARRIER:
        switch (stoa__barrier_arrive(stoa__barrier(self->thing), node, &round)) {
        case STOA_BARRIER_WAIT:
            return 1;
        case STOA_BARRIER_LAST:
            self->last = true;
            self->round = round;
            return settled(node, STOA_NODE_GIVEN);
        case STOA_BARRIER_BROKEN:
            return settled(node, STOA_NODE_SHUT);
        }
        return -1;
    default:
        return start_queue(self, argument);
    }
}

static int
kind_of(const stoa_thing *thing, const char *what)
{
    switch (thing->kind) {
    case STOA_THING_QUEUE:
        return *what == 'p' ? KIND_PUT : *what == 'g' ? KIND_GET : KIND_JOIN;
    case STOA_THING_LOCK:
    case STOA_THING_RLOCK:
        return KIND_MUTEX;
    case STOA_THING_SEMAPHORE:
    case STOA_THING_BOUNDED_SEMAPHORE:
        return KIND_SEMAPHORE;
    case STOA_THING_EVENT:
        return KIND_EVENT;
    case STOA_THING_CONDITION:
        return KIND_CONDITION;
    default:
        return KIND_BARRIER;
    }
}

PyDoc_STRVAR(ticket_doc, "_ticket($module, bell, thing, what, argument=None, /)\n--\n\n"
                         "Begins a wait for a thing; `what` matters for a queue: 'put', 'get' or 'join'.");

static PyObject *
make_ticket(PyObject *module, PyObject *args)
{
    const stoa_module_state *state = stoa__module_state(module);
    PyObject *bell, *wrapper, *argument = Py_None;
    const char *what;
    if (!PyArg_ParseTuple(args, "O!Os|O:_ticket", state->bell_type, &bell, &wrapper, &what, &argument)) {
        return NULL;
    }
    stoa_thing *thing = stoa__is_thing(wrapper) ? stoa__thing_get(wrapper) : NULL;
    if (thing == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "_ticket() wants a queue, a lock, …");
        }
        return NULL;
    }
    ticket_object *self = (ticket_object *)state->ticket_type->tp_alloc(state->ticket_type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->side = ((stoa_thing_object *)wrapper)->side;
    self->side->refs++;
    self->thing = stoa__thing_ref(thing);
    self->kind = kind_of(thing, what);
    self->ticket = stoa__ticket_new(((bell_object *)bell)->bell, self->side->record->serial, self);
    if (self->ticket == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    int result = start(self, argument);
    self->waiting = result > 0;
    if (result < 0) {
        self->over = true;
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef methods[] = {
    {"_ticket", make_ticket, METH_VARARGS, ticket_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_async(PyObject *module)
{
    stoa_module_state *state = stoa__module_state(module);
    state->bell_type = (PyTypeObject *)PyType_FromSpec(&bell_spec);
    state->ticket_type = state->bell_type == NULL ? NULL : (PyTypeObject *)PyType_FromSpec(&ticket_spec);
    if (state->ticket_type == NULL || PyModule_AddObjectRef(module, "_Bell", (PyObject *)state->bell_type) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, methods);
}
