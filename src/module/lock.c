/* stoa.Lock and stoa.RLock: threading's methods on a lock of the process. */
#include "module/lock.h"

#include "immortal/exceptions.h"
#include "module/async.h"
#include "proxy/mutex_wait.h"

#define TIMEOUT_MAX 9223372036.0 /* threading's, in seconds */

static stoa_mutex *
get_mutex(PyObject *self)
{
    return (stoa_mutex *)stoa__thing_get(self);
}

int
stoa__lock_owner(PyObject *wrapper, uint64_t *out)
{
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        stoa__raise(STOA_ENOMEM);
        return -1;
    }
    *out = stoa__mutex_owner(self, ((stoa_thing_object *)wrapper)->side->record->serial);
    return 0;
}

int
stoa__lock_broken(stoa_mutex *mutex)
{
    PyErr_Format(
        stoa__exception(STOA_EXC_BrokenLock),
        "%s %llu is broken: the interpreter (serial %u) or the process that held it is gone; put right "
        "what it guards, then release() it",
        mutex->thing.class->name, (unsigned long long)mutex->thing.id, stoa__mutex_broke_in(mutex));
    return -1;
}

/* ---- acquiring --------------------------------------------------------------------------------------------------- */

static int
acquire_waiting(PyObject *wrapper, stoa_mutex *mutex, uint64_t owner, uint64_t depth, stoa_deadline deadline)
{
    stoa_node node;
    if (stoa__sync_node(wrapper, &node) < 0) {
        return -1;
    }
    node.owner = owner;
    node.count = depth;
    stoa__thing_ref(&mutex->thing); /* the interpreter may end meanwhile, and its wrappers let go of their things */
    stoa_mutex_result result = stoa__mutex_acquire(mutex, owner, &node);
    if (result == STOA_MUTEX_WAIT) {
        result = stoa__mutex_wait(mutex, &node, deadline);
    }
    int got = result == STOA_MUTEX_DONE        ? 1
              : result == STOA_MUTEX_WAIT      ? 0
              : result == STOA_MUTEX_IS_BROKEN ? stoa__lock_broken(mutex)
                                               : -1;
    stoa__thing_unref(&mutex->thing);
    return got;
}

int
stoa__lock_acquire(PyObject *wrapper, stoa_mutex *mutex, uint64_t depth, bool wait, stoa_deadline deadline)
{
    uint64_t owner;
    if (stoa__lock_owner(wrapper, &owner) < 0) {
        return -1;
    }
    if (depth <= 1) {
        switch (stoa__mutex_acquire(mutex, owner, NULL)) {
        case STOA_MUTEX_DONE:
            return 1;
        case STOA_MUTEX_IS_BROKEN:
            return stoa__lock_broken(mutex);
        default:
            break;
        }
    }
    return wait ? acquire_waiting(wrapper, mutex, owner, depth, deadline) : 0;
}

int
stoa__lock_not_held(const stoa_mutex *mutex)
{
    PyErr_SetString(PyExc_RuntimeError,
                    mutex->recursive ? "cannot release un-acquired lock" : "release unlocked lock");
    return -1;
}

int
stoa__lock_release(PyObject *wrapper, stoa_mutex *mutex)
{
    uint64_t owner;
    if (stoa__lock_owner(wrapper, &owner) < 0) {
        return -1;
    }
    return stoa__mutex_release(mutex, owner) == STOA_MUTEX_DONE ? 0 : stoa__lock_not_held(mutex);
}

/* threading's rules for these two. 1: wait until *deadline (not written: for ever); 0: do not. -1: an exception is set. */
static int
lock_patience(PyObject *blocking, PyObject *timeout, stoa_deadline *deadline)
{
    int wait = blocking == NULL ? 1 : PyObject_IsTrue(blocking);
    if (wait < 0 || timeout == NULL || timeout == Py_None) {
        return wait;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0) {
        return PyErr_Occurred() ? -1 : wait;
    }
    const char *wrong = !wait                ? "can't specify a timeout for a non-blocking call"
                        : seconds < 0        ? "timeout value must be a non-negative number"
                        : seconds != seconds ? "timeout value is not a number (NaN)"
                                             : NULL;
    if (wrong != NULL) {
        PyErr_SetString(PyExc_ValueError, wrong);
        return -1;
    }
    if (seconds > TIMEOUT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "timeout value is too large");
        return -1;
    }
    (void)stoa__deadline_in(seconds, deadline);
    return wait;
}

PyObject *
stoa__lock_acquire_method(PyObject *self, stoa_mutex *(*get)(PyObject *), PyObject *const *args,
                          Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"blocking", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    stoa_deadline deadline = STOA_FOREVER;
    int wait = 1;
    if ((count != 0 || keywords != NULL) &&
        (stoa__sync_args("acquire", args, count, keywords, names, 0, 2, given) < 0 ||
         (wait = lock_patience(given[0], given[1], &deadline)) < 0)) {
        return NULL;
    }
    stoa_mutex *mutex = get(self);
    int got = mutex == NULL ? -1 : stoa__lock_acquire(self, mutex, 1, wait, deadline);
    return got < 0 ? NULL : Py_NewRef(got ? Py_True : Py_False);
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(acquire_doc,
             "acquire($self, blocking=True, timeout=-1)\n--\n\n"
             "Takes the lock, waiting up to timeout seconds (-1 or None: for ever). Did it succeed?\n\n"
             "BrokenLock: the interpreter of its holder was closed. Deadlock: waiting would never end.");

static PyObject *
lock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    return stoa__lock_acquire_method(self, get_mutex, args, count, keywords);
}

static PyObject *
lock_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_mutex *mutex = get_mutex(self);
    return mutex == NULL || stoa__lock_acquire(self, mutex, 1, true, STOA_FOREVER) < 0 ? NULL
                                                                                       : Py_NewRef(Py_True);
}

PyDoc_STRVAR(release_doc,
             "release($self, /)\n--\n\n"
             "Lets the lock go; the first who waits has it then. RuntimeError if it is not held.\n\n"
             "A broken lock is whole again.");

static PyObject *
lock_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_mutex *mutex = get_mutex(self);
    return mutex == NULL || stoa__lock_release(self, mutex) < 0 ? NULL : Py_NewRef(Py_None);
}

bool
stoa__lock_is_lost(PyObject *raised)
{
    return PyErr_GivenExceptionMatches(raised, stoa__exception(STOA_EXC_InterpreterGone)) ||
           PyErr_GivenExceptionMatches(raised, stoa__exception(STOA_EXC_BrokenLock)) ||
           PyErr_GivenExceptionMatches(raised, stoa__exception(STOA_EXC_Deadlock));
}

PyObject *
stoa__lock_exit_method(PyObject *self, stoa_mutex *mutex, PyObject *const *args, Py_ssize_t count)
{
    PyObject *raised = count > 0 && args[0] != Py_None ? args[0] : NULL;
    if (stoa__mutex_is_broken(mutex)) { /* wait() has told it, most likely */
        return raised != NULL || stoa__lock_broken(mutex) == 0 ? Py_NewRef(Py_None) : NULL;
    }
    uint64_t owner;
    if (stoa__lock_owner(self, &owner) < 0) {
        return NULL;
    }
    if (raised != NULL && !stoa__mutex_is_held_by(mutex, owner) &&
        (stoa__mutex_is_held(mutex) || stoa__lock_is_lost(raised))) {
        return Py_NewRef(Py_None); /* wait() could not take it again, and has told why: whoever has it keeps it */
    }
    return stoa__lock_release(self, mutex) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    stoa_mutex *mutex = get_mutex(self);
    return mutex == NULL ? NULL : stoa__lock_exit_method(self, mutex, args, count);
}

PyDoc_STRVAR(locked_doc, "locked($self, /)\n--\n\nDoes anybody hold it?");

static PyObject *
lock_locked(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_mutex *mutex = get_mutex(self);
    return mutex == NULL ? NULL : PyBool_FromLong(stoa__mutex_is_held(mutex));
}

static PyObject *
lock_repr(PyObject *self)
{
    stoa_mutex *mutex = (stoa_mutex *)((stoa_thing_object *)self)->thing;
    if (mutex == NULL) {
        return stoa__thing_repr(self);
    }
    const char *state = stoa__mutex_is_held(mutex) ? "locked" : "unlocked";
    if (mutex->recursive) {
        return PyUnicode_FromFormat("<%s %s %llu object count=%llu at %p>", state, Py_TYPE(self)->tp_name,
                                    (unsigned long long)mutex->thing.id,
                                    stoa__mutex_is_held(mutex) ? (unsigned long long)mutex->depth : 0ULL, self);
    }
    return PyUnicode_FromFormat("<%s %s %llu object at %p>", state, Py_TYPE(self)->tp_name,
                                (unsigned long long)mutex->thing.id, self);
}

/* What threading.Condition asks of an RLock that is not its own, and CPython's tests of all. */

static PyObject *
rlock_release_save(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_mutex *mutex = get_mutex(self);
    uint64_t owner, depth;
    if (mutex == NULL || stoa__lock_owner(self, &owner) < 0) {
        return NULL;
    }
    if (stoa__mutex_release_save(mutex, owner, &depth) != STOA_MUTEX_DONE) {
        (void)stoa__lock_not_held(mutex);
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(depth);
}

static PyObject *
rlock_acquire_restore(PyObject *self, PyObject *state)
{
    uint64_t depth = PyLong_AsUnsignedLongLong(state);
    stoa_mutex *mutex = PyErr_Occurred() ? NULL : get_mutex(self);
    if (mutex == NULL || stoa__lock_acquire(self, mutex, depth, true, STOA_FOREVER) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
rlock_is_owned(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_mutex *mutex = get_mutex(self);
    uint64_t owner;
    if (mutex == NULL || stoa__lock_owner(self, &owner) < 0) {
        return NULL;
    }
    return PyBool_FromLong(stoa__mutex_is_held_by(mutex, owner));
}

static PyObject *
rlock_recursion_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_mutex *mutex = get_mutex(self);
    uint64_t owner;
    if (mutex == NULL || stoa__lock_owner(self, &owner) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(stoa__mutex_is_held_by(mutex, owner) ? mutex->depth : 0);
}

/* ---- types ------------------------------------------------------------------------------------------------------- */

static PyObject *
new_lock(bool recursive, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    stoa_mutex *mutex;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, recursive ? ":RLock" : ":Lock", keywords)) {
        return NULL;
    }
    stoa_err err = stoa__mutex_new(recursive, &mutex);
    return err == STOA_OK ? stoa__thing_wrap_new(&mutex->thing) : stoa__raise(err);
}

static PyObject *
lock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    return new_lock(false, args, kwargs);
}

static PyObject *
rlock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    return new_lock(true, args, kwargs);
}

PyDoc_STRVAR(lock_doc, "Lock()\n--\n\n"
                       "A lock between interpreters and threads, as threading.Lock.\n\n"
                       "Who waits is served in order. aacquire() and `async with` await it.");
PyDoc_STRVAR(rlock_doc,
             "RLock()\n--\n\n"
             "A lock that its holder can take again, as threading.RLock, between interpreters.\n\n"
             "It belongs to a thread in an interpreter: the same thread in another one is another holder.");

#define FAST(function) (PyCFunction)(void (*)(void)) function, METH_FASTCALL | METH_KEYWORDS
#define LOCK_METHODS                                                                                          \
    {"acquire", FAST(lock_acquire), acquire_doc},                                                             \
        {"__enter__", lock_enter, METH_NOARGS, stoa__sync_enter_doc},                                         \
        {"release", lock_release, METH_NOARGS, release_doc},                                                  \
        {"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL, stoa__sync_exit_doc},             \
        {"locked", lock_locked, METH_NOARGS, locked_doc},                                                     \
        {"aacquire", stoa__async_acquire, METH_NOARGS, stoa__async_acquire_doc},                              \
        {"__aenter__", stoa__async_acquire, METH_NOARGS, stoa__async_enter_doc},                              \
        {"__aexit__", (PyCFunction)(void (*)(void))stoa__async_release, METH_FASTCALL, stoa__async_exit_doc}, \
    {                                                                                                         \
        "__reduce__", stoa__sync_reduce, METH_NOARGS, NULL                                                    \
    }

static PyMethodDef lock_methods[] = {LOCK_METHODS, {NULL, NULL, 0, NULL}};
static PyMethodDef rlock_methods[] = {
    LOCK_METHODS,
    {"_release_save", rlock_release_save, METH_NOARGS,
     "_release_save($self, /)\n--\n\nFor threading.Condition."},
    {"_acquire_restore", rlock_acquire_restore, METH_O,
     "_acquire_restore($self, state, /)\n--\n\nFor threading.Condition."},
    {"_is_owned", rlock_is_owned, METH_NOARGS, "_is_owned($self, /)\n--\n\nFor threading.Condition."},
    {"_recursion_count", rlock_recursion_count, METH_NOARGS,
     "_recursion_count($self, /)\n--\n\nFor threading.Condition."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot lock_slots[] = {
    {Py_tp_new, lock_new},
    {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)lock_doc},
    {0, NULL},
};
static PyType_Slot rlock_slots[] = {
    {Py_tp_new, rlock_new},
    {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, rlock_methods},
    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)rlock_doc},
    {0, NULL},
};
static PyType_Spec lock_spec = {.name = "stoa.Lock",
                                .basicsize = sizeof(stoa_thing_object),
                                .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                .slots = lock_slots};
static PyType_Spec rlock_spec = {.name = "stoa.RLock",
                                 .basicsize = sizeof(stoa_thing_object),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                 .slots = rlock_slots};

PyTypeObject *
stoa__lock_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&lock_spec);
}

PyTypeObject *
stoa__rlock_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&rlock_spec);
}
