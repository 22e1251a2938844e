/* stoa.Semaphore and stoa.BoundedSemaphore: threading's methods on a semaphore of the process. */
#include "module/sync.h"

#include "immortal/exceptions.h"
#include "module/async.h"
#include "sync/semaphore.h"

static inline stoa_semaphore *
get_semaphore(PyObject *self)
{
    return (stoa_semaphore *)stoa__thing_get(self);
}

/* 1, 0, -1 with an exception. */
static int
acquire_waiting(PyObject *self, stoa_semaphore *semaphore, stoa_deadline deadline)
{
    stoa_node node;
    if (stoa__sync_node(self, &node) < 0) {
        return -1;
    }
    stoa__thing_ref(&semaphore->thing); /* the interpreter may end meanwhile: its wrappers let go of their things */
    int got = 1;
    if (!stoa__semaphore_acquire(semaphore, &node)) {
        int waited = stoa__sync_wait(&node, deadline, "a semaphore");
        if (waited < 0 || stoa__node_state(&node) == STOA_NODE_WAITING) {
            (void)stoa__semaphore_withdraw(semaphore, &node);
        }
        got = waited < 0 ? -1 : stoa__node_state(&node) == STOA_NODE_GIVEN;
    }
    stoa__thing_unref(&semaphore->thing);
    return got;
}

static int
acquire(PyObject *self, int wait, stoa_deadline deadline)
{
    stoa_semaphore *semaphore = get_semaphore(self);
    if (semaphore == NULL) {
        return -1;
    }
    if (stoa__semaphore_acquire(semaphore, NULL)) {
        return 1;
    }
    return wait ? acquire_waiting(self, semaphore, deadline) : 0;
}

PyDoc_STRVAR(acquire_doc, "acquire($self, blocking=True, timeout=None)\n--\n\n"
                          "Takes one, waiting up to timeout seconds (None: for ever). Did it succeed?");

static PyObject *
semaphore_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"blocking", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    stoa_deadline deadline = STOA_FOREVER;
    if (stoa__sync_args("acquire", args, count, keywords, names, 0, 2, given) < 0) {
        return NULL;
    }
    int wait = given[0] == NULL ? 1 : PyObject_IsTrue(given[0]);
    if (wait == 0 && given[1] != NULL && given[1] != Py_None) {
        PyErr_SetString(PyExc_ValueError, "can't specify timeout for non-blocking acquire");
        return NULL;
    }
    if (wait < 0 || stoa__module_deadline(given[1], &deadline) < 0) {
        return NULL;
    }
    int got = acquire(self, wait, deadline);
    return got < 0 ? NULL : PyBool_FromLong(got);
}

static PyObject *
semaphore_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return acquire(self, 1, STOA_FOREVER) < 0 ? NULL : Py_NewRef(Py_True);
}

static int
release(PyObject *self, uint64_t count)
{
    stoa_semaphore *semaphore = get_semaphore(self);
    if (semaphore != NULL && !stoa__semaphore_release(semaphore, count)) {
        PyErr_SetString(PyExc_ValueError, "Semaphore released too many times");
        return -1;
    }
    return semaphore == NULL ? -1 : 0;
}

PyDoc_STRVAR(release_doc, "release($self, n=1)\n--\n\nGives n back; the first who wait get them.");

static PyObject *
semaphore_release(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"n"};
    PyObject *given = NULL;
    if (stoa__sync_args("release", args, count, keywords, names, 0, 1, &given) < 0) {
        return NULL;
    }
    Py_ssize_t n = given == NULL ? 1 : PyNumber_AsSsize_t(given, PyExc_OverflowError);
    if (n < 1) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "n must be one or more");
        }
        return NULL;
    }
    return release(self, (uint64_t)n) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
semaphore_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    return release(self, 1) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
semaphore_repr(PyObject *self)
{
    stoa_semaphore *semaphore = (stoa_semaphore *)((stoa_thing_object *)self)->thing;
    if (semaphore == NULL) {
        return stoa__thing_repr(self);
    }
    PyObject *bound = semaphore->bounded ? PyUnicode_FromFormat("/%llu", (unsigned long long)semaphore->bound)
                                         : PyUnicode_FromString("");
    PyObject *text = bound == NULL
                         ? NULL
                         : PyUnicode_FromFormat("<%s at %p: value=%llu%U>", Py_TYPE(self)->tp_name, self,
                                                (unsigned long long)stoa__semaphore_value(semaphore), bound);
    Py_XDECREF(bound);
    return text;
}

static PyObject *
new_semaphore(bool bounded, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"value", NULL};
    Py_ssize_t value = 1;
    stoa_semaphore *semaphore;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, bounded ? "|n:BoundedSemaphore" : "|n:Semaphore", keywords,
                                     &value)) {
        return NULL;
    }
    if (value < 0) {
        PyErr_SetString(PyExc_ValueError, "semaphore initial value must be >= 0");
        return NULL;
    }
    stoa_err err = stoa__semaphore_new((uint64_t)value, bounded, &semaphore);
    return err == STOA_OK ? stoa__thing_wrap_new(&semaphore->thing) : stoa__raise(err);
}

static PyObject *
semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    return new_semaphore(false, args, kwargs);
}

static PyObject *
bounded_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    return new_semaphore(true, args, kwargs);
}

PyDoc_STRVAR(plain_doc, "Semaphore(value=1)\n--\n\n"
                        "A semaphore between interpreters and threads, as threading.Semaphore.\n\n"
                        "Who waits is served in order. aacquire() and `async with` await it.");
PyDoc_STRVAR(bounded_doc, "BoundedSemaphore(value=1)\n--\n\n"
                          "A Semaphore that refuses to be released above its first value.");

static PyMethodDef methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))semaphore_acquire, METH_FASTCALL | METH_KEYWORDS, acquire_doc},
    {"__enter__", semaphore_enter, METH_NOARGS, stoa__sync_enter_doc},
    {"release", (PyCFunction)(void (*)(void))semaphore_release, METH_FASTCALL | METH_KEYWORDS, release_doc},
    {"__exit__", (PyCFunction)(void (*)(void))semaphore_exit, METH_FASTCALL, stoa__sync_exit_doc},
    {"aacquire", stoa__async_acquire, METH_NOARGS, stoa__async_acquire_doc},
    {"__aenter__", stoa__async_acquire, METH_NOARGS, stoa__async_enter_doc},
    {"__aexit__", (PyCFunction)(void (*)(void))stoa__async_release, METH_FASTCALL, stoa__async_exit_doc},
    {"__reduce__", stoa__sync_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot plain_slots[] = {
    {Py_tp_new, semaphore_new},
    {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, semaphore_repr},
    {Py_tp_methods, methods},
    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)plain_doc},
    {0, NULL},
};
static PyType_Slot bounded_slots[] = {
    {Py_tp_new, bounded_new},
    {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, semaphore_repr},
    {Py_tp_methods, methods},
    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)bounded_doc},
    {0, NULL},
};
static PyType_Spec plain_spec = {.name = "stoa.Semaphore",
                                 .basicsize = sizeof(stoa_thing_object),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                 .slots = plain_slots};
static PyType_Spec bounded_spec = {.name = "stoa.BoundedSemaphore",
                                   .basicsize = sizeof(stoa_thing_object),
                                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                   .slots = bounded_slots};

PyTypeObject *
stoa__semaphore_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&plain_spec);
}

PyTypeObject *
stoa__bounded_semaphore_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&bounded_spec);
}
