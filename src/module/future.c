#include "module/future.h"

#include <string.h>
#include <structmember.h>

#include "heap/error.h"
#include "host/pool.h"
#include "immortal/exceptions.h"
#include "module/module.h"
#include "proxy/shield.h"
#include "proxy/wait.h"

static const char *const state_names[] = {"PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED",
                                          "FINISHED"};

static future_object *
future_of(PyObject *self)
{
    return (future_object *)self;
}

/* An attribute of concurrent.futures._base: new reference. */
static PyObject *
from_base(const char *name)
{
    PyObject *module = PyImport_ImportModule("concurrent.futures._base");
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    return found;
}

/* The base class's method, on the fields below. `arg` may be NULL. */
static PyObject *
call_base(PyObject *self, const char *method, PyObject *arg)
{
    PyObject *class = from_base("Future");
    PyObject *function = class == NULL ? NULL : PyObject_GetAttrString(class, method);
    PyObject *result = function == NULL ? NULL : PyObject_CallFunctionObjArgs(function, self, arg, NULL);
    Py_XDECREF(function);
    Py_XDECREF(class);
    return result;
}

static void
drop_task(future_object *future)
{
    stoa_call_task *task = future->task;
    future->task = NULL;
    future->watched = false;
    if (task != NULL) {
        stoa__task_unref(&task->task);
    }
}

/* The task is over and nobody watches: its outcome becomes ours. Others may do the same while this runs Python code. */
static void
settle(future_object *future)
{
    stoa_call_task *task = future->task;
    if (task == NULL || future->watched || !stoa__task_over(&task->task)) {
        return;
    }
    if (stoa__task_state(&task->task) == STOA_TASK_CANCELLED) {
        future->state = CANCELLED_AND_NOTIFIED;
        drop_task(future);
        return;
    }
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *exception;
    stoa__task_ref(&task->task);
    PyObject *result = stoa__call_task_take(task, &exception);
    if (future->task == task && !future->watched) {
        future->state = FINISHED;
        drop_task(future);
        Py_XSETREF(future->result, Py_XNewRef(result));
        Py_XSETREF(future->exception, Py_XNewRef(exception));
    }
    stoa__task_unref(&task->task);
    Py_XDECREF(result);
    Py_XDECREF(exception);
    PyErr_SetRaisedException(raised);
}

static void
watch(future_object *future)
{
    settle(future);
    stoa_call_task *task = future->task;
    if (task == NULL || future->watched) {
        return;
    }
    task->watcher = Py_NewRef((PyObject *)future);
    future->watched = true;
    if (stoa__task_watch(&task->task) >= STOA_TASK_DONE) { /* it came to its end just now: nobody will tell */
        future->watched = false;
        Py_CLEAR(task->watcher);
        settle(future);
    }
}

static future_state
look(future_object *future)
{
    settle(future);
    if (future->task != NULL) { /* until a watched one is told, it runs */
        uint32_t state = stoa__task_state(&future->task->task);
        return state == STOA_TASK_PENDING || state == STOA_TASK_CANCELLED ? PENDING : RUNNING;
    }
    return future->state;
}

/* ---- being told -------------------------------------------------------------------------------------------------- */

static void
unraisable_if_null(PyObject *result, PyObject *future)
{
    if (result == NULL) {
        PyErr_WriteUnraisable(future);
    }
    Py_XDECREF(result);
}

/* The future was watched: it changes by the base class's methods, which lock, notify and call back. The callbacks are put
 * by: they may take long, and others of the batch wait for their change. New reference of them, or NULL. */
static PyObject *
tell(future_object *future, stoa_call_task *task)
{
    PyObject *self = (PyObject *)future, *exception = NULL;
    if (stoa__task_state(&task->task) == STOA_TASK_CANCELLED) {
        bool before = stoa__shield(true);
        drop_task(future);
        unraisable_if_null(call_base(self, "cancel", NULL), self);
        unraisable_if_null(call_base(self, "set_running_or_notify_cancel", NULL), self);
        (void)stoa__shield(before);
        return NULL;
    }
    PyObject *result = stoa__call_task_take(task, &exception);
    bool before = stoa__shield(true);
    PyObject *callbacks = future->callbacks;
    future->callbacks = NULL;
    drop_task(future);
    future->state = RUNNING;
    unraisable_if_null(result != NULL ? call_base(self, "set_result", result)
                                      : call_base(self, "set_exception", exception),
                       self);
    (void)stoa__shield(before);
    Py_XDECREF(result);
    Py_XDECREF(exception);
    return callbacks;
}

static void
finish(stoa_task **tasks, size_t count)
{
    PyObject *futures[64], *callbacks[64];
    for (size_t i = 0; i < count; i++) {
        stoa_call_task *task = (stoa_call_task *)tasks[i];
        futures[i] = task->watcher; /* takes over the reference */
        task->watcher = NULL;
        callbacks[i] = futures[i] == NULL ? NULL : tell(future_of(futures[i]), task);
    }
    for (size_t i = 0; i < count; i++) {
        if (callbacks[i] != NULL) {
            Py_XSETREF(future_of(futures[i])->callbacks, callbacks[i]);
            unraisable_if_null(call_base(futures[i], "_invoke_callbacks", NULL), futures[i]);
        }
        Py_XDECREF(futures[i]);
    }
}

const stoa_task_ops stoa__future_ops = {
    .run = stoa__call_task_run,
    .refuse = stoa__call_task_refuse,
    .finish = finish,
    .dispose = stoa__call_task_dispose,
};

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static PyObject *
raise_cancelled(void)
{
    PyObject *class = from_base("CancelledError");
    if (class != NULL) {
        PyErr_SetNone(class);
        Py_DECREF(class);
    }
    return NULL;
}

static int
read_timeout(PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **timeout)
{
    *timeout = Py_None;
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (count + named > 1 ||
        (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "timeout") != 0)) {
        PyErr_SetString(PyExc_TypeError, "one argument is wanted: timeout");
        return -1;
    }
    if (count + named == 1) {
        *timeout = args[0];
    }
    return 0;
}

/* What result() and exception() share; `get` makes of a future that is FINISHED what the caller wants. */
static PyObject *
outcome(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names,
        PyObject *(*get)(future_object *))
{
    PyObject *timeout;
    if (read_timeout(args, count, names, &timeout) < 0) {
        return NULL;
    }
    stoa_deadline deadline;
    if (look(future_of(self)) < CANCELLED && stoa__module_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    while (look(future_of(self)) < CANCELLED) { /* again: somebody may have begun to watch it meanwhile */
        if (stoa__future_wait(future_of(self), deadline) < 0) {
            return NULL;
        }
    }
    return future_of(self)->state == FINISHED ? get(future_of(self)) : raise_cancelled();
}

static PyObject *
get_exception(future_object *future)
{
    return Py_NewRef(future->exception == NULL ? Py_None : future->exception);
}

/* set_exception() takes anything, and result() does what `raise` does with it. */
static PyObject *
raise_anything(PyObject *what)
{
    if (PyExceptionInstance_Check(what)) {
        PyErr_SetObject((PyObject *)Py_TYPE(what), what);
    }
    else if (PyExceptionClass_Check(what)) {
        PyErr_SetNone(what);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from BaseException");
    }
    return NULL;
}

static PyObject *
get_result(future_object *future)
{
    if (future->exception != NULL && future->exception != Py_None) {
        return raise_anything(future->exception);
    }
    return Py_NewRef(future->result == NULL ? Py_None : future->result);
}

PyDoc_STRVAR(result_doc,
             "result($self, timeout=None)\n--\n\n"
             "The result of the call, or raises what it raised; waits up to timeout seconds for it.");

static PyObject *
future_result(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return outcome(self, args, count, names, get_result);
}

PyDoc_STRVAR(exception_doc, "exception($self, timeout=None)\n--\n\n"
                            "What the call raised, or None; waits up to timeout seconds for it.");

static PyObject *
future_exception(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return outcome(self, args, count, names, get_exception);
}

/* ---- looking, cancelling ----------------------------------------------------------------------------------------- */

PyDoc_STRVAR(done_doc,
             "done($self, /)\n--\n\nIs it over: has it a result or an exception, or is it cancelled?");

static PyObject *
future_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(look(future_of(self)) >= CANCELLED);
}

PyDoc_STRVAR(cancelled_doc, "cancelled($self, /)\n--\n\nWas it cancelled before it began?");

static PyObject *
future_cancelled(PyObject *self, PyObject *unused)
{
    (void)unused;
    future_state state = look(future_of(self));
    return PyBool_FromLong(state == CANCELLED || state == CANCELLED_AND_NOTIFIED);
}

PyDoc_STRVAR(running_doc, "running($self, /)\n--\n\nIs the call under way?");

static PyObject *
future_running(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(look(future_of(self)) == RUNNING);
}

PyDoc_STRVAR(cancel_doc, "cancel($self, /)\n--\n\nCancels the call, if it has not begun: then True.");

static PyObject *
future_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    future_object *future = future_of(self);
    stoa_call_task *task = future->task;
    if (task == NULL && future->state >= CANCELLED) { /* map() cancels each future whose result it has taken */
        return PyBool_FromLong(future->state != FINISHED);
    }
    if (task == NULL) {
        return call_base(self, "cancel", NULL);
    }
    bool mine = stoa__task_cancel(&task->task);
    if (mine && future->watched) {
        PyObject *watcher = task->watcher;
        bool before = stoa__shield(true);
        task->watcher = NULL;
        drop_task(future);
        PyObject *result = call_base(self, "cancel", NULL);
        PyObject *notified = result == NULL ? NULL : call_base(self, "set_running_or_notify_cancel", NULL);
        (void)stoa__shield(before);
        Py_XDECREF(watcher);
        Py_XDECREF(result);
        Py_XDECREF(notified);
        return notified == NULL ? NULL : Py_NewRef(Py_True);
    }
    if (stoa__task_state(&task->task) == STOA_TASK_CANCELLED) {
        settle(future); /* a watched one that another thread has cancelled is told by it */
        Py_RETURN_TRUE;
    }
    Py_RETURN_FALSE;
}

/* What the base class calls when the future has its outcome: the user's code, to which an interrupt may come again. */
static PyObject *
future_invoke_callbacks(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *callbacks = future_of(self)->callbacks;
    if (callbacks == NULL || (PyList_CheckExact(callbacks) && PyList_GET_SIZE(callbacks) == 0)) {
        Py_RETURN_NONE;
    }
    bool before = stoa__shield(false);
    PyObject *result = call_base(self, "_invoke_callbacks", NULL);
    (void)stoa__shield(before);
    return result;
}

/* ---- the base class's fields ------------------------------------------------------------------------------------- */

static PyObject *
get_state(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_InternFromString(state_names[look(future_of(self))]);
}

static int
set_state(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    for (int i = PENDING; value != NULL && PyUnicode_Check(value) && i <= FINISHED; i++) {
        if (PyUnicode_CompareWithASCIIString(value, state_names[i]) == 0) {
            future_of(self)->state = (future_state)i;
            stoa__future_told(future_of(self));
            return 0;
        }
    }
    PyErr_SetString(PyExc_ValueError, "_state is one of the names of concurrent.futures");
    return -1;
}

static PyObject *
get_condition(PyObject *self, void *unused)
{
    (void)unused;
    future_object *future = future_of(self);
    watch(future);
    if (future->condition == NULL) {
        PyObject *threading = PyImport_ImportModule("threading");
        PyObject *condition = threading == NULL ? NULL : PyObject_CallMethod(threading, "Condition", NULL);
        Py_XDECREF(threading);
        if (condition == NULL) {
            return NULL;
        }
        if (future->condition == NULL) {
            future->condition = condition;
        }
        else {
            Py_DECREF(condition); /* another thread was faster */
        }
    }
    return Py_NewRef(future->condition);
}

static PyObject **
list_field(PyObject *self, void *which)
{
    return which == NULL ? &future_of(self)->waiters : &future_of(self)->callbacks;
}

static PyObject *
get_list(PyObject *self, void *which)
{
    PyObject **field = list_field(self, which);
    if (*field == NULL) {
        *field = PyList_New(0);
    }
    return Py_XNewRef(*field);
}

static int
set_list(PyObject *self, PyObject *value, void *which)
{
    Py_XSETREF(*list_field(self, which), Py_XNewRef(value));
    return 0;
}

static int
set_condition(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    Py_XSETREF(future_of(self)->condition, Py_XNewRef(value));
    return 0;
}

static PyMemberDef members[] = {
    {"_result", T_OBJECT, offsetof(future_object, result), 0, NULL},
    {"_exception", T_OBJECT, offsetof(future_object, exception), 0, NULL},
    {"_thread", T_UINT, offsetof(future_object, thread), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"_state", get_state, set_state, NULL, NULL},
    {"_condition", get_condition, set_condition, NULL, NULL},
    {"_waiters", get_list, set_list, NULL, NULL},
    {"_done_callbacks", get_list, set_list, NULL, (void *)members}, /* any address: not NULL */
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"result", (PyCFunction)(void (*)(void))future_result, METH_FASTCALL | METH_KEYWORDS, result_doc},
    {"exception", (PyCFunction)(void (*)(void))future_exception, METH_FASTCALL | METH_KEYWORDS, exception_doc},
    {"done", future_done, METH_NOARGS, done_doc},
    {"cancelled", future_cancelled, METH_NOARGS, cancelled_doc},
    {"running", future_running, METH_NOARGS, running_doc},
    {"cancel", future_cancel, METH_NOARGS, cancel_doc},
    {"_invoke_callbacks", future_invoke_callbacks, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__future_new(PyTypeObject *type, stoa_call_task *task)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL) {
        stoa__task_unref(&task->task);
        return NULL;
    }
    future_of(self)->task = task;
    return self;
}

static int
traverse(PyObject *self, visitproc visit, void *arg)
{
    future_object *future = future_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(future->condition);
    Py_VISIT(future->waiters);
    Py_VISIT(future->callbacks);
    Py_VISIT(future->result);
    Py_VISIT(future->exception);
    return 0;
}

static int
clear(PyObject *self)
{
    future_object *future = future_of(self);
    Py_CLEAR(future->condition);
    Py_CLEAR(future->waiters);
    Py_CLEAR(future->callbacks);
    Py_CLEAR(future->result);
    Py_CLEAR(future->exception);
    return 0;
}

static void
dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)clear(self);
    drop_task(future_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(future_doc, "What stoa.Future adds to concurrent.futures.Future.");

static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_tp_doc, (void *)future_doc},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "_stoa.FutureBase",
    .basicsize = sizeof(future_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int
stoa__module_add_future(PyObject *module)
{
    stoa_module_state *state = stoa__module_state(module);
    state->future_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return state->future_type == NULL
               ? -1
               : PyModule_AddObjectRef(module, "FutureBase", (PyObject *)state->future_type);
}
