/* stoa.Condition: threading.Condition's methods on a condition of the process. */
#include "module/lock.h"

#include "immortal/exceptions.h"
#include "module/async.h"
#include "sync/condition.h"

static inline stoa_condition *
get_condition(PyObject *self)
{
    return (stoa_condition *)stoa__thing_get(self);
}

static stoa_mutex *
get_mutex(PyObject *self)
{
    stoa_condition *condition = get_condition(self);
    return condition == NULL ? NULL : condition->mutex;
}

static PyObject *
condition_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    return stoa__lock_acquire_method(self, get_mutex, args, count, keywords);
}

static PyObject *
condition_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_condition *condition = get_condition(self);
    return condition == NULL || stoa__lock_acquire(self, condition->mutex, 1, true, STOA_FOREVER) < 0
               ? NULL
               : Py_NewRef(Py_True);
}

static PyObject *
condition_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_condition *condition = get_condition(self);
    return condition == NULL || stoa__lock_release(self, condition->mutex) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
condition_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    stoa_condition *condition = get_condition(self);
    return condition == NULL ? NULL : stoa__lock_exit_method(self, condition->mutex, args, count);
}

static PyObject *
condition_locked(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_condition *condition = get_condition(self);
    return condition == NULL ? NULL : PyBool_FromLong(stoa__mutex_is_held(condition->mutex));
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* Who may wait and notify: the holder of an RLock; of a Lock anybody, as long as it is held, as in threading. */
static int
check_held(PyObject *self, stoa_condition *condition, const char *what, uint64_t *owner)
{
    if (stoa__lock_owner(self, owner) < 0) {
        return -1;
    }
    if (stoa__mutex_is_broken(condition->mutex)) {
        return stoa__lock_broken(condition->mutex);
    }
    bool held = condition->mutex->recursive ? stoa__mutex_is_held_by(condition->mutex, *owner)
                                            : stoa__mutex_is_held(condition->mutex);
    if (!held) {
        PyErr_Format(PyExc_RuntimeError, "cannot %s on un-acquired lock", what);
        return -1;
    }
    return 0;
}

/* Takes the lock again, whatever comes in between: the caller's `with` will let go of it. What was raised first stays. */
static int
take_again(PyObject *self, stoa_mutex *mutex, uint64_t depth)
{
    PyObject *raised = PyErr_GetRaisedException();
    while (stoa__lock_acquire(self, mutex, depth, true, STOA_FOREVER) < 0) {
        PyObject *later = PyErr_GetRaisedException();
        bool again = !stoa__lock_is_lost(later); /* a signal's handler, interrupt(), a call's time limit */
        if (raised == NULL) {
            raised = later;
        }
        else if (!again) {
            PyException_SetContext(later, raised);
            raised = later;
        }
        else {
            Py_DECREF(later);
        }
        if (!again) {
            break;
        }
    }
    if (raised != NULL) {
        PyErr_SetRaisedException(raised);
        return -1;
    }
    return 0;
}

/* 1: notified; 0: not in time; -1 with an exception. */
static int
wait_once(PyObject *self, stoa_condition *condition, stoa_deadline deadline)
{
    uint64_t owner, depth;
    stoa_node node;
    if (check_held(self, condition, "wait", &owner) < 0 || stoa__sync_node(self, &node) < 0) {
        return -1;
    }
    stoa__thing_ref(&condition->thing); /* the interpreter may end meanwhile: its wrappers let go of their things */
    stoa__condition_wait(condition, &node); /* before the lock is let go: no notification is missed */
    int result = -1;
    if (stoa__mutex_release_save(condition->mutex, owner, &depth) != STOA_MUTEX_DONE) {
        (void)stoa__condition_withdraw(condition, &node);
        (void)stoa__lock_not_held(condition->mutex);
    }
    else {
        (void)stoa__sync_wait(&node, deadline, "a condition"); /* -1: take_again() brings its exception back */
        (void)stoa__condition_withdraw(condition, &node);
        bool notified = stoa__node_state(&node) == STOA_NODE_GIVEN;
        result = take_again(self, condition->mutex, depth) < 0 ? -1 : notified;
        if (result < 0 && notified && !stoa__mutex_is_broken(condition->mutex)) {
            stoa__condition_notify(condition, 1); /* it was ours, but somebody else can use it */
        }
    }
    stoa__thing_unref(&condition->thing);
    return result;
}

PyDoc_STRVAR(wait_doc,
             "wait($self, timeout=None)\n--\n\n"
             "Lets the lock go, waits to be notified, up to timeout seconds (None: for ever), and takes the\n"
             "lock again. Was it notified?");

static PyObject *
condition_wait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"timeout"};
    PyObject *timeout = NULL;
    stoa_deadline deadline;
    if (stoa__sync_args("wait", args, count, keywords, names, 0, 1, &timeout) < 0 ||
        stoa__module_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    stoa_condition *condition = get_condition(self);
    int notified = condition == NULL ? -1 : wait_once(self, condition, deadline);
    return notified < 0 ? NULL : PyBool_FromLong(notified);
}

PyDoc_STRVAR(wait_for_doc,
             "wait_for($self, predicate, timeout=None)\n--\n\n"
             "wait() until predicate() is true, or the time is over. The predicate's last value.");

static PyObject *
condition_wait_for(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"predicate", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    stoa_deadline deadline;
    if (stoa__sync_args("wait_for", args, count, keywords, names, 1, 2, given) < 0 ||
        stoa__module_deadline(given[1], &deadline) < 0) {
        return NULL;
    }
    for (;;) {
        PyObject *value = PyObject_CallNoArgs(given[0]);
        int truth = value == NULL ? -1 : PyObject_IsTrue(value);
        if (truth != 0 || stoa__now() >= deadline) {
            if (truth < 0) {
                Py_CLEAR(value);
            }
            return value;
        }
        Py_DECREF(value);
        stoa_condition *condition = get_condition(self);
        if (condition == NULL || wait_once(self, condition, deadline) < 0) {
            return NULL;
        }
    }
}

static PyObject *
notify(PyObject *self, uint64_t count)
{
    uint64_t owner;
    stoa_condition *condition = get_condition(self);
    if (condition == NULL || check_held(self, condition, "notify", &owner) < 0) {
        return NULL;
    }
    stoa__condition_notify(condition, count);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(notify_doc, "notify($self, n=1)\n--\n\nWakes the first n who wait. The lock must be held.");

static PyObject *
condition_notify(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"n"};
    PyObject *given = NULL;
    if (stoa__sync_args("notify", args, count, keywords, names, 0, 1, &given) < 0) {
        return NULL;
    }
    Py_ssize_t n = given == NULL ? 1 : PyNumber_AsSsize_t(given, NULL);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return notify(self, n < 0 ? 0 : (uint64_t)n);
}

PyDoc_STRVAR(notify_all_doc, "notify_all($self, /)\n--\n\nWakes all who wait. The lock must be held.");

static PyObject *
condition_notify_all(PyObject *self, PyObject *unused)
{
    (void)unused;
    return notify(self, UINT64_MAX);
}

PyDoc_STRVAR(await_doc, "await_($self, /)\n--\n\n"
                        "Awaits a notification: wait() for a task. (`await` is a word of the language.)");

static PyObject *
condition_await(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__async_call("condition_wait", self, NULL, 0);
}

PyDoc_STRVAR(await_for_doc, "await_for($self, predicate, /)\n--\n\nwait_for() for a task.");

static PyObject *
condition_await_for(PyObject *self, PyObject *predicate)
{
    return stoa__async_call("condition_wait_for", self, &predicate, 1);
}

static PyObject *
condition_lock(PyObject *self, void *unused)
{
    (void)unused;
    stoa_condition *condition = get_condition(self);
    return condition == NULL ? NULL : stoa__thing_wrap_new(stoa__thing_ref(&condition->mutex->thing));
}

static PyObject *
condition_repr(PyObject *self)
{
    stoa_condition *condition = (stoa_condition *)((stoa_thing_object *)self)->thing;
    if (condition == NULL) {
        return stoa__thing_repr(self);
    }
    return PyUnicode_FromFormat("<stoa.Condition %llu of %s %llu>", (unsigned long long)condition->thing.id,
                                condition->mutex->thing.class->name,
                                (unsigned long long)condition->mutex->thing.id);
}

static PyObject *
condition_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    static char *keywords[] = {"lock", NULL};
    PyObject *lock = Py_None;
    stoa_mutex *mutex;
    stoa_err err;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Condition", keywords, &lock)) {
        return NULL;
    }
    if (lock == Py_None) {
        err = stoa__mutex_new(true, &mutex);
        if (err != STOA_OK) {
            return stoa__raise(err);
        }
    }
    else {
        stoa_thing *thing = stoa__is_thing(lock) ? stoa__thing_get(lock) : NULL;
        if (thing == NULL || (thing->kind != STOA_THING_LOCK && thing->kind != STOA_THING_RLOCK)) {
            if (!PyErr_Occurred()) {
                PyErr_Format(PyExc_TypeError, "Condition() wants a stoa.Lock or stoa.RLock, not %.200s",
                             Py_TYPE(lock)->tp_name);
            }
            return NULL;
        }
        mutex = stoa__mutex(stoa__thing_ref(thing));
    }
    stoa_condition *condition = NULL;
    err = stoa__condition_new(mutex, &condition);
    stoa__thing_unref(&mutex->thing);
    return err == STOA_OK ? stoa__thing_wrap_new(&condition->thing) : stoa__raise(err);
}

PyDoc_STRVAR(type_doc, "Condition(lock=None)\n--\n\n"
                       "A condition between interpreters and threads, as threading.Condition.\n\n"
                       "lock: a stoa.Lock or stoa.RLock; None: an RLock of its own.");

#define FAST(function) (PyCFunction)(void (*)(void)) function, METH_FASTCALL | METH_KEYWORDS
static PyMethodDef methods[] = {
    {"acquire", FAST(condition_acquire), "acquire($self, blocking=True, timeout=-1)\n--\n\nTakes the lock."},
    {"__enter__", condition_enter, METH_NOARGS, stoa__sync_enter_doc},
    {"release", condition_release, METH_NOARGS, "release($self, /)\n--\n\nLets the lock go."},
    {"__exit__", (PyCFunction)(void (*)(void))condition_exit, METH_FASTCALL, stoa__sync_exit_doc},
    {"locked", condition_locked, METH_NOARGS, "locked($self, /)\n--\n\nDoes anybody hold the lock?"},
    {"wait", FAST(condition_wait), wait_doc},
    {"wait_for", FAST(condition_wait_for), wait_for_doc},
    {"notify", FAST(condition_notify), notify_doc},
    {"notify_all", condition_notify_all, METH_NOARGS, notify_all_doc},
    {"aacquire", stoa__async_acquire, METH_NOARGS, stoa__async_acquire_doc},
    {"__aenter__", stoa__async_acquire, METH_NOARGS, stoa__async_enter_doc},
    {"__aexit__", (PyCFunction)(void (*)(void))stoa__async_release, METH_FASTCALL, stoa__async_exit_doc},
    {"await_", condition_await, METH_NOARGS, await_doc},
    {"await_for", condition_await_for, METH_O, await_for_doc},
    {"__reduce__", stoa__sync_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"_lock", condition_lock, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, condition_new},    {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, condition_repr},  {Py_tp_methods, methods},
    {Py_tp_getset, properties},    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)type_doc}, {0, NULL},
};
static PyType_Spec spec = {.name = "stoa.Condition",
                           .basicsize = sizeof(stoa_thing_object),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                           .slots = slots};

PyTypeObject *
stoa__condition_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
