/* stoa.Event: threading.Event's methods on an event of the process. */
#include "module/sync.h"

#include "immortal/exceptions.h"
#include "module/async.h"
#include "sync/event.h"

static inline stoa_event *
get_event(PyObject *self)
{
    return (stoa_event *)stoa__thing_get(self);
}

PyDoc_STRVAR(is_set_doc, "is_set($self, /)\n--\n\nIs the flag true?");

static PyObject *
event_is_set(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_event *event = get_event(self);
    return event == NULL ? NULL : PyBool_FromLong(stoa__event_is_set(event));
}

PyDoc_STRVAR(set_doc, "set($self, /)\n--\n\nMakes the flag true: all who wait, in all interpreters, go on.");

static PyObject *
event_set(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_event *event = get_event(self);
    if (event == NULL) {
        return NULL;
    }
    stoa__event_set(event);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(clear_doc, "clear($self, /)\n--\n\nMakes the flag false.");

static PyObject *
event_clear(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_event *event = get_event(self);
    if (event == NULL) {
        return NULL;
    }
    stoa__event_clear(event);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(wait_doc, "wait($self, timeout=None)\n--\n\n"
                       "Waits until the flag is true, up to timeout seconds (None: for ever). Is it?");

static PyObject *
event_wait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"timeout"};
    PyObject *timeout = NULL;
    stoa_deadline deadline;
    stoa_node node;
    if (stoa__sync_args("wait", args, count, keywords, names, 0, 1, &timeout) < 0 ||
        stoa__module_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    stoa_event *event = get_event(self);
    if (event == NULL) {
        return NULL;
    }
    if (stoa__event_is_set(event)) {
        Py_RETURN_TRUE;
    }
    if (stoa__sync_node(self, &node) < 0) {
        return NULL;
    }
    stoa__thing_ref(&event->thing); /* the interpreter may end meanwhile, and its wrappers let go of their things */
    int waited = 0;
    if (!stoa__event_wait(event, &node)) {
        waited = stoa__sync_wait(&node, deadline, "an event");
        stoa__event_withdraw(event, &node);
        if (waited == 1 && stoa__node_state(&node) == STOA_NODE_GIVEN) {
            waited = 0;
        }
    }
    stoa__thing_unref(&event->thing);
    return waited < 0 ? NULL : PyBool_FromLong(waited == 0);
}

PyDoc_STRVAR(await_doc, "await_($self, /)\n--\n\n"
                        "Awaits the flag: wait() for a task. (`await` is a word of the language.)");

static PyObject *
event_await(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__async_call("event_wait", self, NULL, 0);
}

static PyObject *
event_repr(PyObject *self)
{
    stoa_event *event = (stoa_event *)((stoa_thing_object *)self)->thing;
    if (event == NULL) {
        return stoa__thing_repr(self);
    }
    return PyUnicode_FromFormat("<stoa.Event at %p: %s>", self, stoa__event_is_set(event) ? "set" : "unset");
}

static PyObject *
event_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    static char *keywords[] = {NULL};
    stoa_event *event;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Event", keywords)) {
        return NULL;
    }
    stoa_err err = stoa__event_new(&event);
    return err == STOA_OK ? stoa__thing_wrap_new(&event->thing) : stoa__raise(err);
}

PyDoc_STRVAR(type_doc, "Event()\n--\n\nAn event between interpreters and threads, as threading.Event.\n\n"
                       "await_() awaits it.");

static PyMethodDef methods[] = {
    {"is_set", event_is_set, METH_NOARGS, is_set_doc},
    {"set", event_set, METH_NOARGS, set_doc},
    {"clear", event_clear, METH_NOARGS, clear_doc},
    {"wait", (PyCFunction)(void (*)(void))event_wait, METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"await_", event_await, METH_NOARGS, await_doc},
    {"__reduce__", stoa__sync_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, event_new},
    {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, event_repr},
    {Py_tp_methods, methods},
    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)type_doc},
    {0, NULL},
};
static PyType_Spec spec = {.name = "stoa.Event",
                           .basicsize = sizeof(stoa_thing_object),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                           .slots = slots};

PyTypeObject *
stoa__event_type_new(void)
{
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
