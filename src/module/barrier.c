/* stoa.Barrier: threading.Barrier's methods on a barrier of the process. */
#include "module/sync.h"

#include "immortal/exceptions.h"
#include "module/async.h"
#include "proxy/item.h"
#include "sync/barrier.h"

static inline stoa_barrier *
get_barrier(PyObject *self)
{
    return (stoa_barrier *)stoa__thing_get(self);
}

static int
raise_broken(void)
{
    stoa__sync_raise("threading", "BrokenBarrierError", NULL);
    return -1;
}

/* The last to come: the action, then all go on. The action crosses like an argument: it runs where it lives. */
static int
run_action(PyObject *self, stoa_barrier *barrier, uint64_t round)
{
    int result = 0;
    if (barrier->action.kind != STOA_ITEM_NOTHING) {
        PyObject *action = stoa__item_look(((stoa_thing_object *)self)->side, &barrier->action);
        PyObject *value = action == NULL ? NULL : PyObject_CallNoArgs(action);
        Py_XDECREF(action);
        Py_XDECREF(value);
        result = value == NULL ? -1 : 0;
    }
    if (result < 0) {
        stoa__barrier_abort(barrier);
    }
    else {
        stoa__barrier_open(barrier, round);
    }
    return result;
}

/* Its place, or -1 with an exception. */
static int64_t
wait_here(PyObject *self, stoa_barrier *barrier, stoa_deadline deadline)
{
    stoa_node node;
    uint64_t round;
    if (stoa__sync_node(self, &node) < 0) {
        return -1;
    }
    switch (stoa__barrier_arrive(barrier, &node, &round)) {
    case STOA_BARRIER_BROKEN:
        return raise_broken();
    case STOA_BARRIER_LAST:
        return run_action(self, barrier, round) < 0 ? -1 : (int64_t)node.count;
    case STOA_BARRIER_WAIT:
        break;
    }
    int waited = stoa__sync_wait(&node, deadline, "a barrier");
    if (stoa__node_state(&node) != STOA_NODE_GIVEN || waited < 0) {
        (void)stoa__barrier_withdraw(barrier, &node); /* who leaves in another way breaks it */
    }
    if (waited < 0) {
        return -1;
    }
    return stoa__node_state(&node) == STOA_NODE_GIVEN ? (int64_t)node.count : raise_broken();
}

PyDoc_STRVAR(
    wait_doc,
    "wait($self, timeout=None)\n--\n\n"
    "Waits until all parties have come; the place of this one, 0 to parties - 1.\n\n"
    "threading.BrokenBarrierError: somebody's time was over, he was interrupted, his interpreter was "
    "closed,\nthe action raised, or the barrier was aborted or reset.");

static PyObject *
barrier_wait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"timeout"};
    PyObject *timeout = NULL;
    stoa_deadline deadline;
    if (stoa__sync_args("wait", args, count, keywords, names, 0, 1, &timeout) < 0 ||
        stoa__module_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    stoa_barrier *barrier = get_barrier(self);
    if (barrier == NULL) {
        return NULL;
    }
    if ((timeout == NULL || timeout == Py_None) && barrier->timeout >= 0) {
        (void)stoa__deadline_in(barrier->timeout, &deadline);
    }
    stoa__thing_ref(&barrier->thing); /* the interpreter may end meanwhile: its wrappers let go of their things */
    int64_t place = wait_here(self, barrier, deadline);
    stoa__thing_unref(&barrier->thing);
    return place < 0 ? NULL : PyLong_FromLongLong(place);
}

PyDoc_STRVAR(reset_doc, "reset($self, /)\n--\n\nWhole and empty again; who waits gets BrokenBarrierError.");

static PyObject *
barrier_reset(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_barrier *barrier = get_barrier(self);
    if (barrier == NULL) {
        return NULL;
    }
    stoa__barrier_reset(barrier);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(abort_doc,
             "abort($self, /)\n--\n\nBreaks it: who waits, and who comes, gets BrokenBarrierError.");

static PyObject *
barrier_abort(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_barrier *barrier = get_barrier(self);
    if (barrier == NULL) {
        return NULL;
    }
    stoa__barrier_abort(barrier);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(await_doc, "await_($self, /)\n--\n\n"
                        "Awaits the other parties: wait() for a task. (`await` is a word of the language.)");

static PyObject *
barrier_await(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__async_call("barrier_wait", self, NULL, 0);
}

/* For stoa/_aio.py: the action of the last task to come. */
static PyObject *
barrier_run(PyObject *self, PyObject *round)
{
    uint64_t number = PyLong_AsUnsignedLongLong(round);
    stoa_barrier *barrier = PyErr_Occurred() ? NULL : get_barrier(self);
    if (barrier == NULL) {
        return NULL;
    }
    stoa__thing_ref(&barrier->thing);
    int result = run_action(self, barrier, number);
    stoa__thing_unref(&barrier->thing);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

static PyObject *
barrier_parties(PyObject *self, void *unused)
{
    (void)unused;
    stoa_barrier *barrier = get_barrier(self);
    return barrier == NULL ? NULL : PyLong_FromUnsignedLongLong(barrier->parties);
}

static PyObject *
barrier_n_waiting(PyObject *self, void *unused)
{
    (void)unused;
    uint64_t waiting;
    bool broken;
    stoa_barrier *barrier = get_barrier(self);
    if (barrier == NULL) {
        return NULL;
    }
    stoa__barrier_look(barrier, &waiting, &broken);
    return PyLong_FromUnsignedLongLong(waiting);
}

static PyObject *
barrier_broken(PyObject *self, void *unused)
{
    (void)unused;
    uint64_t waiting;
    bool broken;
    stoa_barrier *barrier = get_barrier(self);
    if (barrier == NULL) {
        return NULL;
    }
    stoa__barrier_look(barrier, &waiting, &broken);
    return PyBool_FromLong(broken);
}

static PyObject *
barrier_repr(PyObject *self)
{
    uint64_t waiting;
    bool broken;
    stoa_barrier *barrier = (stoa_barrier *)((stoa_thing_object *)self)->thing;
    if (barrier == NULL) {
        return stoa__thing_repr(self);
    }
    stoa__barrier_look(barrier, &waiting, &broken);
    if (broken) {
        return PyUnicode_FromFormat("<stoa.Barrier at %p: broken>", self);
    }
    return PyUnicode_FromFormat("<stoa.Barrier at %p: waiters=%llu/%llu>", self, (unsigned long long)waiting,
                                (unsigned long long)barrier->parties);
}

static PyObject *
barrier_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    static char *keywords[] = {"parties", "action", "timeout", NULL};
    PyObject *action = Py_None, *timeout = Py_None;
    Py_ssize_t parties;
    stoa_deadline unused;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|OO:Barrier", keywords, &parties, &action, &timeout)) {
        return NULL;
    }
    if (parties < 1) {
        PyErr_SetString(PyExc_ValueError, "parties must be > 0");
        return NULL;
    }
    if (action != Py_None && !PyCallable_Check(action)) {
        return PyErr_Format(PyExc_TypeError, "action must be callable, not %.200s", Py_TYPE(action)->tp_name);
    }
    stoa_side *side = stoa__side_here();
    if (side == NULL || stoa__module_deadline(timeout, &unused) < 0) {
        return NULL;
    }
    double seconds = timeout == Py_None ? -1.0 : PyFloat_AsDouble(timeout);
    stoa_item item = {.kind = STOA_ITEM_NOTHING};
    stoa_barrier *barrier;
    if (action != Py_None && stoa__item_pack(side, action, &item) < 0) {
        return NULL;
    }
    stoa_err err = stoa__barrier_new((uint64_t)parties, timeout != Py_None && seconds < 0 ? 0.0 : seconds,
                                     &item, &barrier);
    if (err != STOA_OK) {
        stoa__item_drop(&item);
        return stoa__raise(err);
    }
    return stoa__thing_wrap_new(&barrier->thing);
}

PyDoc_STRVAR(type_doc,
             "Barrier(parties, action=None, timeout=None)\n--\n\n"
             "A barrier between interpreters and threads, as threading.Barrier.\n\n"
             "action: called by the last to come, before all go on; it runs in the interpreter it is of.");

static PyMethodDef methods[] = {
    {"wait", (PyCFunction)(void (*)(void))barrier_wait, METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"reset", barrier_reset, METH_NOARGS, reset_doc},
    {"abort", barrier_abort, METH_NOARGS, abort_doc},
    {"await_", barrier_await, METH_NOARGS, await_doc},
    {"_run", barrier_run, METH_O, NULL},
    {"__reduce__", stoa__sync_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"parties", barrier_parties, NULL, "How many have to come.", NULL},
    {"n_waiting", barrier_n_waiting, NULL, "How many have come and wait.", NULL},
    {"broken", barrier_broken, NULL, "Is it broken?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, barrier_new},      {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, barrier_repr},    {Py_tp_methods, methods},
    {Py_tp_getset, properties},    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)type_doc}, {0, NULL},
};
static PyType_Spec spec = {.name = "stoa.Barrier",
                           .basicsize = sizeof(stoa_thing_object),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                           .slots = slots};

PyTypeObject *
stoa__barrier_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
