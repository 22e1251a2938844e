#include "immortal/library_value.h"

#include "immortal/reduce.h"

/* stoa._library.<name>(object) */
static PyObject *
ask(const char *name, PyObject *object)
{
    PyObject *module = PyImport_ImportModule("stoa._library");
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, name, "(O)", object);
    Py_XDECREF(module);
    return result;
}

bool
stoa__library_amends(PyTypeObject *type)
{
    PyObject *told = ask("knows", (PyObject *)type);
    bool result = told == Py_True;
    PyErr_Clear();
    Py_XDECREF(told);
    return result;
}

PyObject *
stoa__library_apart(PyObject *object, unsigned flags)
{
    PyObject *reduced = ask("reduced", object);
    return reduced == NULL ? NULL : stoa__reduce_as(object, reduced, flags);
}
