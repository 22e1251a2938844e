/* `await future`: a task of an event loop that waits for a future of ours.
 *
 * asyncio's own way (wrap_future) makes the future a watched one: its worker takes this interpreter's GIL, runs callbacks,
 * and writes to the loop's pipe, once each. Here the wait is a ticket (sync/bell.h) among those who sleep on the future's
 * task; whoever ends the task rings the loop's bell without any GIL, once for all that are over by then. A future without
 * a task (a call that was submitted to an interpreter, a proxy) rings by a callback of its own.
 */
#include "module/future.h"

#include <stdlib.h>
#include <structmember.h>

#include "immortal/exceptions.h"
#include "module/async.h"

typedef struct await_object {
    PyObject_HEAD
    PyObject *loop_future;  /* as in stoa_awaiter */
    stoa_ticket *ticket;    /* a reference */
    future_object *awaited; /* a reference; NULL: it waits no more */
    stoa_call_task *task;   /* a reference, while `sleeper` is in its list; or NULL */
    stoa_sleeper *sleeper; /* of malloc: an interpreter may end, and its memory with it, without freeing us */
} await_object;

/* Waits no more. True: nobody else waits for the future, as far as is known. */
static bool
leave(await_object *self)
{
    future_object *future = self->awaited;
    stoa_call_task *task = self->task;
    bool last = true;
    if (task != NULL) {
        self->task = NULL;
        last = stoa__task_remove_sleeper(&task->task, self->sleeper);
        free(self->sleeper);
        stoa__task_unref(&task->task);
    }
    if (future != NULL) {
        self->awaited = NULL;
        last = --future->awaiters == 0 && last;
        Py_DECREF(future);
    }
    return last;
}

PyDoc_STRVAR(leave_doc,
             "leave($self, /)\n--\n\nPrivate: waits no more. True: nobody else waits for the future.");

static PyObject *
await_leave(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(leave((await_object *)self));
}

PyDoc_STRVAR(ring_doc, "ring($self, future, /)\n--\n\nPrivate: a callback of the future.");

static PyObject *
await_ring(PyObject *object, PyObject *unused)
{
    (void)unused;
    await_object *self = (await_object *)object;
    if (self->awaited != NULL) {
        stoa__ticket_ring(self->ticket);
    }
    Py_RETURN_NONE;
}

static int
traverse(PyObject *object, visitproc visit, void *arg)
{
    await_object *self = (await_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->loop_future);
    Py_VISIT(self->awaited);
    return 0;
}

static int
clear(PyObject *object)
{
    Py_CLEAR(((await_object *)object)->loop_future);
    (void)leave((await_object *)object);
    return 0;
}

static void
dealloc(PyObject *object)
{
    await_object *self = (await_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    (void)clear(object);
    if (self->ticket != NULL) {
        self->ticket->user = NULL; /* it may hang on the bell still */
        stoa__ticket_unref(self->ticket);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(await_doc, "_await($module, bell, future, /)\n--\n\n"
                        "Private: begins a wait for a future; None: it is over.");

static PyObject *
begin(PyObject *module, PyObject *args)
{
    const stoa_module_state *state = stoa__module_state(module);
    PyObject *bell, *future;
    if (!PyArg_ParseTuple(args, "O!O!:_await", state->bell_type, &bell, state->future_type, &future)) {
        return NULL;
    }
    await_object *self = (await_object *)state->await_type->tp_alloc(state->await_type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->ticket = stoa__ticket_new(stoa__bell_of(bell), state->record->serial, self);
    if (self->ticket == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->awaited = (future_object *)Py_NewRef(future);
    self->awaited->awaiters++;
    stoa_call_task *task = self->awaited->task;
    if (task == NULL) {
        return (PyObject *)self;
    }
    stoa_err err = stoa__task_over(&task->task) ? STOA_OK : stoa__task_check(&task->task);
    if (err != STOA_OK) {
        Py_DECREF(self);
        return stoa__raise(err);
    }
    self->sleeper = calloc(1, sizeof(*self->sleeper));
    if (self->sleeper == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->sleeper->ticket = self->ticket;
    self->task = task;
    stoa__task_ref(&task->task);
    stoa__task_add_sleeper(&task->task, self->sleeper);
    if (stoa__task_over(&task->task)) { /* whoever ended it may not have seen us */
        Py_DECREF(self);
        Py_RETURN_NONE;
    }
    return (PyObject *)self;
}

static PyObject *
get_by_callback(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((await_object *)self)->task == NULL);
}

static PyMethodDef methods[] = {
    {"leave", await_leave, METH_NOARGS, leave_doc},
    {"ring", await_ring, METH_O, ring_doc},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef members[] = {
    {"future", T_OBJECT, offsetof(await_object, loop_future), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"by_callback", get_by_callback, NULL, "is ring() to be made a callback of the future?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_tp_doc, "One task's wait for a future."},
    {0, NULL},
};
static PyType_Spec spec = {.name = "stoa._Await",
                           .basicsize = sizeof(await_object),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                    Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                           .slots = slots};

static PyMethodDef functions[] = {
    {"_await", begin, METH_VARARGS, await_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_future_await(PyObject *module)
{
    stoa_module_state *state = stoa__module_state(module);
    state->await_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return state->await_type == NULL ? -1 : PyModule_AddFunctions(module, functions);
}
