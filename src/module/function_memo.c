#include "module/function_memo.h"

void
stoa__function_memo_clear(stoa_function_memo *memo)
{
    stoa_function *packed = memo->packed;
    memo->packed = NULL;
    Py_CLEAR(memo->function);
    Py_CLEAR(memo->globals);
    if (packed != NULL) {
        stoa__function_unref(packed);
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
    PyObject *names = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_names;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (!is_fixed(PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i)))) {
            return false;
        }
    }
    return true;
}

/* The globals that it names, which are kept alive so that no other value gets the address of one: a new tuple, or NULL. */
static PyObject *
named_globals(PyObject *function)
{
    PyObject *names = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_names;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    PyObject *values = PyTuple_New(PyTuple_GET_SIZE(names));
    for (Py_ssize_t i = 0; values != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i)); /* borrowed */
        PyTuple_SET_ITEM(values, i, Py_NewRef(value == NULL ? Py_None : value));
    }
    return values;
}

static bool
same_globals(PyObject *function, PyObject *values)
{
    PyObject *names = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_names;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i));
        if ((value == NULL ? Py_None : value) != PyTuple_GET_ITEM(values, i)) {
            return false;
        }
    }
    return true;
}

stoa_function *
stoa__function_memo_get(stoa_function_memo *memo, PyObject *function)
{
    bool plain = PyFunction_Check(function);
    if (memo->function == function && memo->packed != NULL &&
        (!plain || (PyFunction_GET_CODE(function) == memo->code &&
                    PyFunction_GET_DEFAULTS(function) == memo->defaults && is_constant(function) &&
                    (!goes_by_value(function) || same_globals(function, memo->globals))))) {
        return stoa__function_ref(memo->packed);
    }
    stoa_function *packed = stoa__function_pack(function);
    PyObject *globals = packed == NULL || !is_constant(function) ? NULL
                        : plain                                  ? named_globals(function)
                                                                 : Py_NewRef(Py_None);
    if (packed != NULL) {
        PyErr_Clear(); /* no memory for it: then it is packed anew each time */
    }
    if (globals != NULL) {
        stoa__function_memo_clear(memo);
        memo->function = Py_NewRef(function);
        memo->code = plain ? PyFunction_GET_CODE(function) : NULL;
        memo->defaults = plain ? PyFunction_GET_DEFAULTS(function) : NULL;
        memo->globals = globals;
        memo->packed = stoa__function_ref(packed);
    }
    return packed;
}
