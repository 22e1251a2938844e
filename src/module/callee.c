#include "module/callee.h"

#include <stdbool.h>
#include <string.h>

void
stoa__callee_clear(stoa_callee *c)
{
    Py_CLEAR(c->function);
    Py_CLEAR(c->args);
    Py_CLEAR(c->kwargs);
}

static int
prepend(stoa_callee *c, PyObject *front)
{
    PyObject *all = c->args == NULL ? Py_NewRef(front) : PySequence_Concat(front, c->args);
    Py_XSETREF(c->args, all);
    return all == NULL ? -1 : 0;
}

static int
unwrap_method(stoa_callee *c, PyObject *self, PyObject *function)
{
    PyObject *front = PyTuple_Pack(1, self);
    int result = front == NULL ? -1 : prepend(c, front);
    Py_XDECREF(front);
    Py_SETREF(c->function, Py_NewRef(function));
    return result;
}

/* The __call__ of an object whose class has one in Python: new reference, NULL without an exception: it is none. */
static PyObject *
call_method_of(PyObject *object)
{
    PyObject *call = PyType_Check(object) || !PyType_HasFeature(Py_TYPE(object), Py_TPFLAGS_HEAPTYPE) ||
                             Py_TYPE(object)->tp_call == NULL
                         ? NULL
                         : PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__call__");
    if (call != NULL && !PyFunction_Check(call)) {
        Py_CLEAR(call);
    }
    PyErr_Clear();
    return call;
}

/* From 3.14 on a partial may leave places open, which are filled by what it is called with. */
static int
refuse_placeholders(PyObject *args)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
        if (strcmp(Py_TYPE(PyTuple_GET_ITEM(args, i))->tp_name, "functools._PlaceholderType") == 0) {
            PyErr_SetString(
                PyExc_TypeError,
                "a functools.partial with placeholders cannot be submitted: use a function or a lambda");
            return -1;
        }
    }
    return 0;
}

static int
unwrap_partial(stoa_callee *c)
{
    PyObject *function = PyObject_GetAttrString(c->function, "func");
    PyObject *args = function == NULL ? NULL : PyObject_GetAttrString(c->function, "args");
    PyObject *keywords = args == NULL ? NULL : PyObject_GetAttrString(c->function, "keywords");
    int result = keywords == NULL || !PyTuple_Check(args) || !PyDict_Check(keywords) ||
                         refuse_placeholders(args) < 0
                     ? -1
                     : prepend(c, args);
    if (result == 0 && PyDict_GET_SIZE(keywords) > 0) {
        PyObject *all = PyDict_Copy(keywords);
        if (all == NULL || (c->kwargs != NULL && PyDict_Update(all, c->kwargs) < 0)) {
            Py_CLEAR(all);
            result = -1;
        }
        Py_XSETREF(c->kwargs, all);
    }
    if (result == 0) {
        Py_SETREF(c->function, Py_NewRef(function));
    }
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    Py_XDECREF(function);
    return result;
}

int
stoa__callee_unwrap(stoa_callee *c)
{
    int result = 0;
    while (result == 0) {
        if (PyMethod_Check(c->function) && PyFunction_Check(PyMethod_GET_FUNCTION(c->function)) &&
            !PyType_Check(PyMethod_GET_SELF(c->function))) {
            result = unwrap_method(c, PyMethod_GET_SELF(c->function), PyMethod_GET_FUNCTION(c->function));
        }
        else if (strcmp(Py_TYPE(c->function)->tp_name, "functools.partial") == 0) {
            result = unwrap_partial(c);
        }
        else {
            PyObject *call = call_method_of(c->function);
            if (call == NULL) {
                return 0;
            }
            result = unwrap_method(c, c->function, call);
            Py_DECREF(call);
        }
    }
    return result;
}

PyObject *
stoa__callee_prepend_each(PyObject *chunk, PyObject *front)
{
    PyObject *result = front == NULL ? Py_NewRef(chunk) : PyTuple_New(PyTuple_GET_SIZE(chunk));
    for (Py_ssize_t i = 0; front != NULL && result != NULL && i < PyTuple_GET_SIZE(chunk); i++) {
        PyObject *all = PySequence_Concat(front, PyTuple_GET_ITEM(chunk, i));
        if (all == NULL) {
            Py_CLEAR(result);
        }
        else {
            PyTuple_SET_ITEM(result, i, all);
        }
    }
    return result;
}
