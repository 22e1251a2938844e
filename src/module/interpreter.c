#include "module/module.h"

#include <pthread.h>
#include <structmember.h>

#include "heap/error.h"
#include "host/import_path.h"
#include "host/interp.h"
#include "host/invoke.h"
#include "module/callee.h"
#include "module/interpreter_object.h"
#include "proxy/signals.h"
#include "immortal/exceptions.h"
#include "proxy/by_copy.h"
#include "proxy/cross.h"
#include "proxy/crossinterp.h"
#include "proxy/thread_state.h"

static PyType_Spec interpreter_spec;

static stoa_interp_record *
record_of(PyObject *self)
{
    return stoa__interpreter_object_record(self);
}

/* Takes over the reference to `record`. */
static PyObject *
wrap(const stoa_module_state *state, stoa_interp_record *record)
{
    return stoa__interpreter_object(state->interpreter_objects, state->interpreter_type, record);
}

/* ---- crossing ---------------------------------------------------------------------------------------------------- */

static uint32_t
pack_interpreter(PyObject *object)
{
    return stoa__is_interpreter_object(object) ? record_of(object)->serial : 0;
}

static PyObject *
unpack_interpreter(uint32_t serial)
{
    PyObject *package = PyImport_ImportModule("stoa._stoa");
    PyObject *result = NULL;
    if (package != NULL) {
        stoa_interp_record *record = stoa__interp_find(serial);
        if (record != NULL) {
            result = wrap(stoa__module_state(package), record);
        }
        else {
            PyErr_SetString(stoa__exception(STOA_EXC_InterpreterGone),
                            "an interpreter that was passed is closed by now");
        }
    }
    Py_XDECREF(package);
    return result;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static int
read_gil(PyObject *gil, bool *shared)
{
    if (PyUnicode_Check(gil) && PyUnicode_CompareWithASCIIString(gil, "own") == 0) {
        *shared = false;
        return 0;
    }
    if (PyUnicode_Check(gil) && PyUnicode_CompareWithASCIIString(gil, "shared") == 0) {
        *shared = true;
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "gil is 'own' or 'shared', not %R", gil);
    return -1;
}

static PyObject *
interpreter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"name", "gil", NULL};
    PyObject *name = Py_None, *gil = NULL;
    bool shared = false;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO:Interpreter", keywords, &name, &gil) ||
        (gil != NULL && read_gil(gil, &shared) < 0)) {
        return NULL;
    }
    Py_ssize_t size = 0;
    const char *text = NULL;
    if (name != Py_None) {
        if (!PyUnicode_Check(name)) {
            return PyErr_Format(PyExc_TypeError, "name is a str or None, not %.200s", Py_TYPE(name)->tp_name);
        }
        if ((text = PyUnicode_AsUTF8AndSize(name, &size)) == NULL) {
            return NULL;
        }
        if (size == 0 || (size_t)size >= sizeof(((stoa_interp_record *)NULL)->name) ||
            strlen(text) != (size_t)size) {
            return PyErr_Format(PyExc_ValueError,
                                "the name of an interpreter is 1 to %zu bytes of UTF-8 without NUL",
                                sizeof(((stoa_interp_record *)NULL)->name) - 1);
        }
    }
    stoa_parcel path;
    if (PySys_Audit("stoa.Interpreter", "O", name) < 0 || stoa__import_path_pack(&path) < 0) {
        return NULL;
    }
    stoa_interp_record *record;
    stoa_err err = stoa__interp_make(text, shared, &path, &record);
    stoa__parcel_clear(&path);
    return err == STOA_OK ? wrap(PyType_GetModuleState(type), record) : stoa__raise(err);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(exec_doc,
             "exec($self, code, /, *, timeout=None)\n--\n\n"
             "Runs code, a str or a code object, in __main__ of that interpreter, on the calling thread.\n\n"
             "With a timeout (seconds) another thread does it in this one's stead; code that takes longer is "
             "interrupted, and\n"
             "Timeout is raised here on time, also when the code is in a C call and ends later.");

static PyObject *
interpreter_exec(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "timeout", NULL};
    PyObject *code, *timeout = Py_None;
    int64_t nanoseconds;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:exec", keywords, &code, &timeout) ||
        stoa__module_duration(timeout, &nanoseconds) < 0) {
        return NULL;
    }
    int result = nanoseconds < 0 ? stoa__invoke_exec(record_of(self), code)
                                 : stoa__invoke_exec_timed(record_of(self), code, nanoseconds);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

typedef PyObject *(*invoke_fn)(stoa_interp_record *, PyObject *, PyObject *, PyObject *);

/* func, and what it is called with. Cleared by the caller, also when it is -1. */
static int
take_callee(PyObject *args, PyObject *kwargs, const char *what, stoa_callee *c)
{
    *c = (stoa_callee){NULL, NULL, NULL};
    if (PyTuple_GET_SIZE(args) < 1) {
        PyErr_Format(PyExc_TypeError, "%s() wants a function or 'module:qualname'", what);
        return -1;
    }
    c->function = Py_NewRef(PyTuple_GET_ITEM(args, 0));
    c->args = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    c->kwargs = Py_XNewRef(kwargs);
    return c->args == NULL ? -1 : stoa__callee_unwrap(c);
}

static PyObject *
invoke(PyObject *self, PyObject *args, PyObject *kwargs, const char *what, invoke_fn call)
{
    stoa_callee c;
    int taken = take_callee(args, kwargs, what, &c);
    PyObject *result = taken < 0 ? NULL : call(record_of(self), c.function, c.args, c.kwargs);
    stoa__callee_clear(&c);
    return result;
}

PyDoc_STRVAR(
    call_doc,
    "call($self, func, /, *args, timeout=None, **kwargs)\n--\n\n"
    "Calls func there, on the calling thread, and returns the result.\n\n"
    "func is an importable function, 'module:qualname', a plain function, a proxy; or a bound method, a\n"
    "functools.partial, an object with __call__ of what can be called that way.\n"
    "What is immutable crosses by value (shared: by pointer), by_copy(x) as a copy, the rest by proxy.\n"
    "timeout: as for exec(); it is not passed on to func.");

/* New reference to the keywords without `timeout`. */
static PyObject *
take_timeout(PyObject *kwargs, int64_t *nanoseconds)
{
    PyObject *timeout = PyDict_GetItemString(kwargs, "timeout"); /* borrowed */
    PyObject *rest = PyDict_Copy(kwargs);
    if (timeout == NULL || rest == NULL) {
        return rest;
    }
    if (stoa__module_duration(timeout, nanoseconds) < 0 || PyDict_DelItemString(rest, "timeout") < 0) {
        Py_CLEAR(rest);
    }
    return rest;
}

static PyObject *
interpreter_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    int64_t nanoseconds = -1;
    PyObject *rest = kwargs == NULL ? NULL : take_timeout(kwargs, &nanoseconds);
    if (kwargs != NULL && rest == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (nanoseconds < 0) {
        result = invoke(self, args, rest, "call", stoa__invoke_call);
    }
    else {
        stoa_callee c;
        if (take_callee(args, rest, "call", &c) == 0) {
            result = stoa__invoke_call_timed(record_of(self), c.function, c.args, c.kwargs, nanoseconds);
        }
        stoa__callee_clear(&c);
    }
    Py_XDECREF(rest);
    return result;
}

PyDoc_STRVAR(submit_doc,
             "submit($self, func, /, *args, **kwargs)\n--\n\n"
             "Calls func on that interpreter's own thread, after what was submitted before; a Future.");

static PyObject *
interpreter_submit(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return invoke(self, args, kwargs, "submit", stoa__invoke_submit);
}

PyDoc_STRVAR(prepare_main_doc, "prepare_main($self, mapping=None, /, **names)\n--\n\n"
                               "Sets globals of __main__ there.");

static PyObject *
interpreter_prepare_main(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *mapping = Py_None;
    if (!PyArg_ParseTuple(args, "|O:prepare_main", &mapping)) {
        return NULL;
    }
    PyObject *names = PyDict_New();
    int result = names == NULL ? -1 : 0;
    if (result == 0 && mapping != Py_None && !PyMapping_Check(mapping)) {
        PyErr_Format(PyExc_TypeError, "prepare_main() wants a mapping, not %.200s", Py_TYPE(mapping)->tp_name);
        result = -1;
    }
    else if (result == 0 && mapping != Py_None) {
        result = PyDict_Update(names, mapping);
    }
    if (result == 0 && kwargs != NULL) {
        result = PyDict_Update(names, kwargs);
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (result == 0 && PyDict_Next(names, &position, &key, &value)) {
        if (!PyUnicode_Check(key)) {
            PyErr_Format(PyExc_TypeError, "prepare_main() sets names: %R is no str", key);
            result = -1;
        }
    }
    if (result == 0) {
        result = stoa__invoke_prepare(record_of(self), names);
    }
    Py_XDECREF(names);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(interrupt_doc, "interrupt($self, /)\n--\n\n"
                            "Raises KeyboardInterrupt in what it is running now; False if it is idle.");

static PyObject *
interpreter_interrupt(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(stoa__interp_interrupt(record_of(self), PyExc_KeyboardInterrupt));
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static int
close_record(stoa_interp_record *record, stoa_deadline deadline)
{
    for (;;) {
        stoa_err err = stoa__interp_close(record, deadline);
        if (err == STOA_OK) {
            return 0;
        }
        if (err == STOA_EINTERRUPTED) {
            if (stoa__check_signals() < 0) {
                return -1;
            }
            continue;
        }
        if (err == STOA_ETIMEDOUT) {
            PyErr_Format(stoa__exception(STOA_EXC_Timeout),
                         "interpreter '%s' is not closed within the time allowed: "
                         "calls under way in it, or its own threads, go on",
                         record->name);
            return -1;
        }
        stoa__raise(err);
        return -1;
    }
}

PyDoc_STRVAR(close_doc, "close($self, /, *, timeout=None)\n--\n\n"
                        "Ends it: calls under way finish, others raise InterpreterGone. Idempotent.\n\n"
                        "Timeout if calls do not finish in time; then it stays open.");

static PyObject *
interpreter_close(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    stoa_deadline deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O:close", keywords, &timeout) ||
        stoa__module_deadline(timeout, &deadline) < 0 || close_record(record_of(self), deadline) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
interpreter_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *
interpreter_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return close_record(record_of(self), STOA_FOREVER) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static PyObject *
get_id(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(record_of(self)->python_id);
}

static PyObject *
get_name(PyObject *self, void *unused)
{
    (void)unused;
    const char *name = record_of(self)->name;
    return PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "replace");
}

static PyObject *
get_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(record_of(self)->state != STOA_INTERP_LIVE);
}

static PyObject *
get_running(PyObject *self, void *unused)
{
    (void)unused;
    stoa_interp_record *record = record_of(self);
    bool native = record == stoa__current_record() ||
                  (record->state == STOA_INTERP_LIVE && record->python_id == 0);
    PyErr_Clear();
    return PyBool_FromLong(native || stoa__interp_inside(record) > 0);
}

static PyObject *
interpreter_repr(PyObject *self)
{
    stoa_interp_record *record = record_of(self);
    return PyUnicode_FromFormat("<stoa.Interpreter '%s' id=%lld%s>", record->name, (long long)record->python_id,
                                record->state == STOA_INTERP_LIVE ? "" : " closed");
}

static PyObject *
interpreter_compare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !stoa__is_interpreter_object(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return PyBool_FromLong((record_of(self)->serial == record_of(other)->serial) == (op == Py_EQ));
}

static Py_hash_t
interpreter_hash(PyObject *self)
{
    return (Py_hash_t)record_of(self)->serial;
}

static PyObject *
interpreter_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyErr_Format(PyExc_TypeError, "%R exists in this process only and cannot be pickled", self);
}

static PyMethodDef interpreter_methods[] = {
    {"exec", (PyCFunction)(void (*)(void))interpreter_exec, METH_VARARGS | METH_KEYWORDS, exec_doc},
    {"call", (PyCFunction)(void (*)(void))interpreter_call, METH_VARARGS | METH_KEYWORDS, call_doc},
    {"submit", (PyCFunction)(void (*)(void))interpreter_submit, METH_VARARGS | METH_KEYWORDS, submit_doc},
    {"prepare_main", (PyCFunction)(void (*)(void))interpreter_prepare_main, METH_VARARGS | METH_KEYWORDS,
     prepare_main_doc},
    {"interrupt", interpreter_interrupt, METH_NOARGS, interrupt_doc},
    {"close", (PyCFunction)(void (*)(void))interpreter_close, METH_VARARGS | METH_KEYWORDS, close_doc},
    {"__enter__", interpreter_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nItself."},
    {"__exit__", interpreter_exit, METH_VARARGS,
     "__exit__($self, exc_type, exc, traceback, /)\n--\n\nCloses it."},
    {"__reduce__", interpreter_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef interpreter_getset[] = {
    {"id", get_id, NULL, "the number Python gave it, as in concurrent.interpreters", NULL},
    {"name", get_name, NULL, "the name given when it was made", NULL},
    {"closed", get_closed, NULL, "True from the moment close() begins", NULL},
    {"running", get_running, NULL, "is Python code running in it now?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef interpreter_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(stoa_interpreter_object, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(interpreter_doc,
             "Interpreter(*, name=None, gil='own')\n--\n\n"
             "A new interpreter in this process; with gil='own' it runs in parallel with all others.");

static PyType_Slot interpreter_slots[] = {
    {Py_tp_new, interpreter_new},
    {Py_tp_dealloc, stoa__interpreter_object_dealloc},
    {Py_tp_methods, interpreter_methods},
    {Py_tp_getset, interpreter_getset},
    {Py_tp_members, interpreter_members},
    {Py_tp_repr, interpreter_repr},
    {Py_tp_richcompare, interpreter_compare},
    {Py_tp_hash, interpreter_hash},
    {Py_tp_doc, (void *)interpreter_doc},
    {0, NULL},
};
static PyType_Spec interpreter_spec = {
    .name = "stoa.Interpreter",
    .basicsize = sizeof(stoa_interpreter_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = interpreter_slots,
};

/* ---- functions --------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(current_doc, "current($module, /)\n--\n\nThe Interpreter that this code runs in.");

static PyObject *
current(PyObject *module, PyObject *unused)
{
    (void)unused;
    const stoa_module_state *state = stoa__module_state(module);
    return wrap(state, stoa__interp_ref(state->record));
}

PyDoc_STRVAR(main_doc, "main($module, /)\n--\n\nThe main Interpreter.");

static PyObject *
main_interpreter(PyObject *module, PyObject *unused)
{
    (void)unused;
    stoa_interp_record *record = stoa__main_record();
    if (record == NULL) {
        return stoa__raise(STOA_EGONE);
    }
    return wrap(stoa__module_state(module), record);
}

typedef struct listing {
    const stoa_module_state *state;
    PyObject *list;
} listing;

static void
add_interpreter(stoa_interp_record *record, void *arg)
{
    listing *l = arg;
    if (record->state != STOA_INTERP_LIVE || PyErr_Occurred()) {
        return;
    }
    PyObject *object = wrap(l->state, stoa__interp_ref(record));
    if (object != NULL) {
        (void)PyList_Append(l->list, object);
        Py_DECREF(object);
    }
}

PyDoc_STRVAR(interpreters_doc,
             "interpreters($module, /)\n--\n\n"
             "All that take part: those Stoa made, and those that imported stoa; oldest first.");

static PyObject *
interpreters(PyObject *module, PyObject *unused)
{
    (void)unused;
    listing l = {stoa__module_state(module), PyList_New(0)};
    if (l.list == NULL) {
        return NULL;
    }
    stoa_err err = stoa__interp_each(add_interpreter, &l);
    if (err != STOA_OK || PyErr_Occurred()) {
        Py_DECREF(l.list);
        return PyErr_Occurred() ? NULL : stoa__raise(err);
    }
    return l.list;
}

PyDoc_STRVAR(by_copy_doc,
             "by_copy($module, obj, /)\n--\n\n"
             "Marks an argument or a result: it crosses to another interpreter as a deep copy.\n\n"
             "list, dict, set and bytearray inside are copied; so is all that is immutable.");

static PyObject *
by_copy(PyObject *module, PyObject *object)
{
    (void)module;
    return stoa__by_copy(object);
}

static PyMethodDef functions[] = {
    {"current", current, METH_NOARGS, current_doc},
    {"main", main_interpreter, METH_NOARGS, main_doc},
    {"interpreters", interpreters, METH_NOARGS, interpreters_doc},
    {"by_copy", by_copy, METH_O, by_copy_doc},
    {NULL, NULL, 0, NULL},
};

PyObject *
stoa__module_wrap_interpreter(PyObject *module, stoa_interp_record *record)
{
    return wrap(stoa__module_state(module), stoa__interp_ref(record));
}

static void
set_crossing(void)
{
    stoa__cross_set_interpreter_class(pack_interpreter, unpack_interpreter);
}

int
stoa__module_add_interpreter(PyObject *module)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* interpreters import this side by side */
    stoa_module_state *state = stoa__module_state(module);
    (void)pthread_once(&once, set_crossing);
    state->interpreter_objects = stoa__interpreter_objects_new();
    state->interpreter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &interpreter_spec, NULL);
    if (state->interpreter_objects == NULL || state->interpreter_type == NULL ||
        PyModule_AddType(module, state->interpreter_type) < 0 || stoa__crossinterp_ready() < 0 ||
        stoa__crossinterp_class(state->interpreter_type) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, functions);
}
