#include "immortal/numpy_value.h"

#include "immortal/names_of.h"
#include "immortal/reduce.h"

/* Is `type` derived from the class of NumPy with this name? */
static bool
derives_from(PyTypeObject *type, const char *name)
{
    PyObject *class = stoa__import_attribute("numpy", name);
    bool result = class != NULL && PyType_Check(class) && PyType_IsSubtype(type, (PyTypeObject *)class);
    Py_XDECREF(class);
    return result;
}

static bool
is_numpys_own(PyTypeObject *type)
{
    PyObject *module = stoa__text_attribute((PyObject *)type, "__module__");
    PyErr_Clear();
    const char *text = module == NULL ? NULL : PyUnicode_AsUTF8(module);
    bool result = text != NULL && (strcmp(text, "numpy") == 0 || strncmp(text, "numpy.", 6) == 0);
    PyErr_Clear();
    Py_XDECREF(module);
    return result;
}

stoa_numpy_kind
stoa__numpy_kind(PyTypeObject *type)
{
    if (derives_from(type, "ndarray")) {
        return is_numpys_own(type) ? STOA_NUMPY_ARRAY : STOA_NUMPY_FOREIGN;
    }
    if (!is_numpys_own(type)) {
        return STOA_NUMPY_NOT;
    }
    return derives_from(type, "void")      ? STOA_NUMPY_RECORD
           : derives_from(type, "generic") ? STOA_NUMPY_SCALAR
           : derives_from(type, "dtype")   ? STOA_NUMPY_DTYPE
                                           : STOA_NUMPY_NOT;
}

/* stoa._numpy.<name>(object) */
static PyObject *
ask(const char *name, PyObject *object)
{
    PyObject *module = PyImport_ImportModule("stoa._numpy");
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, name, "O", object);
    Py_XDECREF(module);
    return result;
}

PyObject *
stoa__numpy_apart(PyObject *object, unsigned flags)
{
    PyObject *parts = ask("parts", object); /* (class as text, what rebuilds it, its arguments) */
    PyObject *result = NULL;
    if (parts == Py_None) {
        result = stoa__reduce(object, flags);
    }
    else if (parts != NULL) {
        result = stoa__reduce_to(PyTuple_GET_ITEM(parts, 0), PyTuple_GET_ITEM(parts, 1),
                                 PyTuple_GET_ITEM(parts, 2), flags);
    }
    Py_XDECREF(parts);
    return result;
}

bool
stoa__numpy_has_builtin(PyObject *scalar)
{
    PyObject *told = ask("has_builtin", scalar);
    bool result = told == Py_True;
    PyErr_Clear();
    Py_XDECREF(told);
    return result;
}
