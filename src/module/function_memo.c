#include "module/function_memo.h"

void
stoa__function_memo_clear(stoa_function_memo *memo)
{
    stoa_function_memo old = *memo;
    *memo = (stoa_function_memo){NULL, NULL, NULL, NULL,
                                 NULL}; /* first: what is dropped may run code that uses it */
    Py_XDECREF(old.function);
    Py_XDECREF(old.code);
    Py_XDECREF(old.defaults);
    Py_XDECREF(old.globals);
    if (old.packed != NULL) {
        stoa__function_unref(old.packed);
    }
}

/* A value that no code can change. */
static bool
is_fixed(PyObject *value)
{
    return value == NULL || value == Py_None || PyModule_Check(value) || PyType_Check(value) ||
           PyCFunction_Check(value) || PyUnicode_CheckExact(value) || PyBytes_CheckExact(value) ||
           PyLong_CheckExact(value) || PyFloat_CheckExact(value);
}

/* Does what it packs to depend on more than the name of its module and its own? */
static bool
goes_by_value(PyObject *function)
{
    PyObject *module = PyFunction_GetModule(function); /* borrowed */
    PyObject *qualname = ((PyFunctionObject *)function)->func_qualname;
    PyObject *local = PyUnicode_FromString("<");
    bool found = module == NULL || !PyUnicode_Check(module) || local == NULL ||
                 PyUnicode_CompareWithASCIIString(module, "__main__") == 0 ||
                 PyUnicode_Contains(qualname, local) != 0;
    Py_XDECREF(local);
    PyErr_Clear();
    return found;
}

/* Can what it packs to change while it is the same object? A closure's cells, keyword defaults, and the globals that it
 * names can. */
static bool
is_constant(PyObject *function)
{
    if (!PyFunction_Check(function)) {
        PyObject *self = PyCFunction_Check(function) ? ((PyCFunctionObject *)function)->m_self : function;
        return self == NULL || PyModule_Check(self) || PyType_Check(self) ||
               Py_IS_TYPE(self, &PyMethodDescr_Type);
    }
    if (!goes_by_value(function)) {
        return true;
    }
    if (PyFunction_GetClosure(function) != NULL || PyFunction_GetKwDefaults(function) != NULL) {
        return false;
    }
    PyObject *names = Py_NewRef(((PyCodeObject *)PyFunction_GET_CODE(function))->co_names);
    PyObject *globals = PyFunction_GET_GLOBALS(function); /* always the function's */
    bool fixed = true;
    for (Py_ssize_t i = 0; fixed && i < PyTuple_GET_SIZE(names); i++) {
        fixed = is_fixed(PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i)));
    }
    Py_DECREF(names);
    return fixed;
}

/* The globals that it names, which are kept alive so that no other value gets the address of one: a new tuple, or NULL. */
static PyObject *
named_globals(PyObject *function)
{
    PyObject *names = Py_NewRef(((PyCodeObject *)PyFunction_GET_CODE(function))->co_names);
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    PyObject *values = PyTuple_New(PyTuple_GET_SIZE(names));
    for (Py_ssize_t i = 0; values != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i)); /* borrowed */
        PyTuple_SET_ITEM(values, i, Py_NewRef(value == NULL ? Py_None : value));
    }
    Py_DECREF(names);
    return values;
}

static bool
same_globals(PyObject *function, PyObject *values)
{
    PyObject *names = Py_NewRef(((PyCodeObject *)PyFunction_GET_CODE(function))->co_names);
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    bool same = PyTuple_GET_SIZE(names) == PyTuple_GET_SIZE(values);
    for (Py_ssize_t i = 0; same && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i));
        same = (value == NULL ? Py_None : value) == PyTuple_GET_ITEM(values, i);
    }
    Py_DECREF(names);
    return same;
}

/* What was kept for it, if it holds: a reference. Looking names up in the globals may run code, which may use the memo. */
static stoa_function *
recall(const stoa_function_memo *memo, PyObject *function)
{
    if (memo->function != function || memo->packed == NULL) {
        return NULL;
    }
    stoa_function *packed = stoa__function_ref(memo->packed);
    PyObject *globals = Py_NewRef(memo->globals);
    bool holds = !PyFunction_Check(function) ||
                 (PyFunction_GET_CODE(function) == memo->code &&
                  PyFunction_GET_DEFAULTS(function) == memo->defaults && is_constant(function) &&
                  (!goes_by_value(function) || same_globals(function, globals)));
    Py_DECREF(globals);
    if (!holds) {
        stoa__function_unref(packed);
    }
    return holds ? packed : NULL;
}

stoa_function *
stoa__function_memo_get(stoa_function_memo *memo, PyObject *function)
{
    bool plain = PyFunction_Check(function);
    stoa_function *known = recall(memo, function);
    if (known != NULL) {
        return known;
    }
    PyObject *code = plain ? Py_NewRef(PyFunction_GET_CODE(function)) : NULL;
    PyObject *defaults = plain ? Py_XNewRef(PyFunction_GET_DEFAULTS(function)) : NULL;
    stoa_function *packed = stoa__function_pack(function);
    PyObject *globals = packed == NULL || !is_constant(function) ? NULL
                        : plain                                  ? named_globals(function)
                                                                 : Py_NewRef(Py_None);
    if (packed != NULL) {
        PyErr_Clear(); /* no memory for it: then it is packed anew each time */
    }
    stoa_function_memo old = {NULL, code, defaults, NULL, NULL};
    if (globals != NULL) {
        old = *memo;
        *memo = (stoa_function_memo){Py_NewRef(function), code, defaults, globals, stoa__function_ref(packed)};
    }
    stoa__function_memo_clear(&old);
    return packed;
}
