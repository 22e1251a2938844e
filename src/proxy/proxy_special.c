/* The special methods that have no slot: Python looks them up on the type, so the type has them all, and the owner's
 * object tells what they do. */
#include <unistd.h>

#include "heap/process.h"
#include "immortal/exceptions.h"
#include "proxy/proxy_method.h"
#include "proxy/proxy_special.h"
#include "proxy/proxy_type.h"
#include "proxy/request.h"

/* By number in `extra`. module NULL: a method of the object's type. */
typedef struct special_row {
    const char *module, *function;
} special_row;

enum {
    ENTER,
    EXIT,
    AENTER,
    AEXIT,
    REVERSED,
    FORMAT,
    ROUND,
    TRUNC,
    FLOOR,
    CEIL,
    BYTES,
    COMPLEX,
    DIR,
    SIZEOF,
    FSPATH,
    COPY,
    DEEPCOPY
};

static const special_row rows[] = {
    {NULL, "__enter__"},      {NULL, "__exit__"},     {NULL, "__aenter__"},  {NULL, "__aexit__"},
    {"builtins", "reversed"}, {"builtins", "format"}, {"builtins", "round"}, {"math", "trunc"},
    {"math", "floor"},        {"math", "ceil"},       {"builtins", "bytes"}, {"builtins", "complex"},
    {"builtins", "dir"},      {NULL, "__sizeof__"},   {"os", "fspath"},      {"copy", "copy"},
    {"copy", "deepcopy"},
};

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

static PyObject *
call_with_target(PyObject *function, PyObject *target, PyObject *const *args, Py_ssize_t count)
{
    PyObject *all[5] = {target};
    for (Py_ssize_t i = 0; i < count && i < 4; i++) {
        all[1 + i] = args[i];
    }
    return PyObject_Vectorcall(function, all, (size_t)(1 + count), NULL);
}

static PyObject *
do_special(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    const special_row *row = &rows[op->extra];
    PyObject *holder = row->module == NULL ? Py_NewRef((PyObject *)Py_TYPE(target))
                                           : PyImport_ImportModule(row->module);
    PyObject *function = holder == NULL ? NULL : PyObject_GetAttrString(holder, row->function);
    Py_XDECREF(holder);
    if (function == NULL && row->module == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        bool async = op->extra == AENTER || op->extra == AEXIT;
        PyErr_Format(PyExc_TypeError, "'%.200s' object does not support the %scontext manager protocol",
                     Py_TYPE(target)->tp_name, async ? "asynchronous " : "");
    }
    PyObject *result = function == NULL ? NULL : call_with_target(function, target, args, count);
    Py_XDECREF(function);
    return result;
}

/* An object that has neither a size nor a hint says so: who asked knows better what to take for it. */
static PyObject *
do_length_hint(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    Py_ssize_t hint = PyObject_LengthHint(target, -1);
    if (hint < 0) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_NotImplemented);
    }
    return PyLong_FromSsize_t(hint);
}

/* The exception has arrived as one of this interpreter's own: its type and traceback with it. */
static PyObject *
do_exit(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    PyObject *value = args[0];
    PyObject *type = value == Py_None ? Py_None : (PyObject *)Py_TYPE(value);
    PyObject *traceback = value == Py_None ? NULL : PyException_GetTraceback(value);
    PyObject *all[] = {type, value, traceback == NULL ? Py_None : traceback};
    PyObject *result = do_special(target, all, 3, op);
    Py_XDECREF(traceback);
    return result;
}

static PyObject *
do_check(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    int result = op->extra ? PyObject_IsSubclass(args[0], target) : PyObject_IsInstance(args[0], target);
    return result < 0 ? NULL : PyBool_FromLong(result);
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

static PyObject *
special(PyObject *self, PyObject *args, uintptr_t which, Py_ssize_t max)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    if (count > max) {
        return PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)",
                            rows[which].function, max, count);
    }
    return stoa__request(self, do_special, &PyTuple_GET_ITEM(args, 0), count,
                         which == REVERSED ? STOA_REQUEST_GOES_OVER : 0, which);
}

static PyObject *
leave(PyObject *self, PyObject *args, uintptr_t which)
{
    PyObject *type, *value, *traceback;
    if (!PyArg_UnpackTuple(args, rows[which].function, 3, 3, &type, &value, &traceback)) {
        return NULL;
    }
    return stoa__request(self, do_exit, &value, 1, 0, which);
}

#define SPECIAL(name, which, max)                                   \
    static PyObject *special_##name(PyObject *self, PyObject *args) \
    {                                                               \
        return special(self, args, which, max);                     \
    }
SPECIAL(enter, ENTER, 0)
SPECIAL(aenter, AENTER, 0)
SPECIAL(reversed, REVERSED, 0)
SPECIAL(format, FORMAT, 1)
SPECIAL(round, ROUND, 1)
SPECIAL(trunc, TRUNC, 0)
SPECIAL(floor, FLOOR, 0)
SPECIAL(ceil, CEIL, 0)
SPECIAL(bytes, BYTES, 0)
SPECIAL(complex, COMPLEX, 0)
SPECIAL(sizeof, SIZEOF, 0)
SPECIAL(fspath, FSPATH, 0)
SPECIAL(copy, COPY, 0)

static PyObject *
special_length_hint(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__request(self, do_length_hint, NULL, 0, 0, 0);
}

static PyObject *
special_exit(PyObject *self, PyObject *args)
{
    return leave(self, args, EXIT);
}

static PyObject *
special_aexit(PyObject *self, PyObject *args)
{
    return leave(self, args, AEXIT);
}

static PyObject *
special_dir(PyObject *self, PyObject *unused)
{
    (void)unused;
    return stoa__request(self, do_special, NULL, 0, STOA_REQUEST_FETCH, DIR);
}

/* The memo belongs to this interpreter; what it remembers means nothing to the owner. */
static PyObject *
special_deepcopy(PyObject *self, PyObject *memo)
{
    (void)memo;
    return stoa__request(self, do_special, NULL, 0, 0, DEEPCOPY);
}

static PyObject *
special_instancecheck(PyObject *self, PyObject *instance)
{
    return stoa__request(self, do_check, &instance, 1, 0, 0);
}

static PyObject *
special_subclasscheck(PyObject *self, PyObject *class)
{
    return stoa__request(self, do_check, &class, 1, 0, 1);
}

/* ---- pickling ---------------------------------------------------------------------------------------------------- */

static PyObject *
special_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_proxy_object *proxy = stoa__proxy(self);
    if (stoa__proxy_settle(self) < 0) {
        return NULL;
    }
    if (stoa__proxy_was_released(proxy)) {
        return stoa__proxy_is_released(proxy, "pickled");
    }
    stoa_err err = stoa__handle_ref(proxy->handle);
    if (err != STOA_OK) {
        return stoa__proxy_failed(proxy, err);
    }
    stoa__handle_unref(proxy->handle);
    PyObject *module = PyImport_ImportModule("stoa._stoa");
    PyObject *function = module == NULL ? NULL : PyObject_GetAttrString(module, "_unpickle_proxy");
    Py_XDECREF(module);
    return function == NULL ? NULL
                            : Py_BuildValue("(N(lKK))", function, (long)getpid(),
                                            (unsigned long long)(uintptr_t)stoa__process,
                                            (unsigned long long)proxy->handle);
}

PyObject *
stoa__proxy_unpickle(PyObject *module, PyObject *args)
{
    (void)module;
    long process;
    unsigned long long place, handle;
    if (!PyArg_ParseTuple(args, "lKK:_unpickle_proxy", &process, &place, &handle)) {
        return NULL;
    }
    if (process != (long)getpid() || place != (uintptr_t)stoa__process) {
        PyErr_SetString(PyExc_ValueError,
                        "a pickled proxy can be loaded in the process only that pickled it: the object "
                        "is there; pickle stoa.fetch(p) to send a copy");
        return NULL;
    }
    stoa_side *side = stoa__side_here();
    if (side == NULL) {
        return NULL;
    }
    if (stoa__handle_ref(handle) != STOA_OK) {
        PyErr_SetString(
            stoa__exception(STOA_EXC_ReleasedProxy),
            "the object of this pickled proxy is gone: a pickle does not keep it alive, a proxy does");
        return NULL;
    }
    return stoa__side_import(side, handle);
}

static PyMethodDef methods[] = {
    {"__enter__", special_enter, METH_VARARGS, NULL},
    {"__exit__", special_exit, METH_VARARGS, NULL},
    {"__aenter__", special_aenter, METH_VARARGS, NULL},
    {"__aexit__", special_aexit, METH_VARARGS, NULL},
    {"__reversed__", special_reversed, METH_VARARGS, NULL},
    {"__length_hint__", special_length_hint, METH_NOARGS, NULL},
    {"__format__", special_format, METH_VARARGS, NULL},
    {"__round__", special_round, METH_VARARGS, NULL},
    {"__trunc__", special_trunc, METH_VARARGS, NULL},
    {"__floor__", special_floor, METH_VARARGS, NULL},
    {"__ceil__", special_ceil, METH_VARARGS, NULL},
    {"__bytes__", special_bytes, METH_VARARGS, NULL},
    {"__complex__", special_complex, METH_VARARGS, NULL},
    {"__sizeof__", special_sizeof, METH_VARARGS, NULL},
    {"__fspath__", special_fspath, METH_VARARGS, NULL},
    {"__copy__", special_copy, METH_VARARGS, NULL},
    {"__deepcopy__", special_deepcopy, METH_O, NULL},
    {"__dir__", special_dir, METH_NOARGS, NULL},
    {"__instancecheck__", special_instancecheck, METH_O, NULL},
    {"__subclasscheck__", special_subclasscheck, METH_O, NULL},
    {"__reduce__", special_reduce, METH_NOARGS, NULL},
    {"__reduce_ex__", special_reduce, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

const PyType_Slot stoa__proxy_special_slots[] = {
    {Py_tp_methods, (void *)methods},
    {0, NULL},
};
