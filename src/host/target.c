#include "host/target.h"

#include "host/invoke.h"
#include "immortal/exceptions.h"
#include "immortal/function.h"
#include "immortal/names_of.h"
#include "proxy/cross.h"
#include "proxy/proxy.h"

/* The description is a tuple (module, qualname), or what function.h says. */
enum { MODULE, QUALNAME };

PyObject *
stoa__target_find(PyObject *module_name, PyObject *qualname)
{
    PyObject *module = stoa__find_module(module_name);
    PyObject *found = module == NULL ? NULL : stoa__follow(module, qualname);
    Py_XDECREF(module);
    return found;
}

/* ---- here -------------------------------------------------------------------------------------------------------- */

static PyObject *
split_text(PyObject *text)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    Py_ssize_t colon = PyUnicode_FindChar(text, ':', 0, length, 1);
    if (colon <= 0 || colon == length - 1) {
        return PyErr_Format(PyExc_ValueError, "%R does not name a function: write 'module:qualname'", text);
    }
    PyObject *module = PyUnicode_Substring(text, 0, colon);
    PyObject *qualname = module == NULL ? NULL : PyUnicode_Substring(text, colon + 1, length);
    PyObject *result = qualname == NULL ? NULL : PyTuple_Pack(2, module, qualname);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return result;
}

/* Class methods and methods of C classes are made anew each time they are asked for. */
static bool
is_same(PyObject *found, PyObject *function)
{
    if (found == function) {
        return true;
    }
    if (found != NULL && PyMethod_Check(found) && PyMethod_Check(function)) {
        return PyMethod_GET_FUNCTION(found) == PyMethod_GET_FUNCTION(function) &&
               PyMethod_GET_SELF(found) == PyMethod_GET_SELF(function);
    }
    return found != NULL && PyCFunction_Check(found) && PyCFunction_Check(function) &&
           PyType_Check(PyCFunction_GET_SELF(found) == NULL ? Py_None : PyCFunction_GET_SELF(found)) &&
           PyCFunction_GET_SELF(found) == PyCFunction_GET_SELF(function) &&
           PyCFunction_GET_FUNCTION(found) == PyCFunction_GET_FUNCTION(function);
}

static bool
is_importable(PyObject *function, PyObject *module_name, PyObject *qualname)
{
    if (PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0) {
        return false;
    }
    PyObject *module = PyImport_GetModule(module_name);
    PyObject *found = module == NULL ? NULL : stoa__follow(module, qualname);
    Py_XDECREF(module);
    bool same = is_same(found, function);
    Py_XDECREF(found);
    PyErr_Clear();
    return same;
}

static PyObject *
describe(PyObject *function)
{
    if (PyUnicode_CheckExact(function)) {
        return split_text(function);
    }
    if (!PyCallable_Check(function)) {
        return PyErr_Format(PyExc_TypeError, "a function or 'module:qualname' is wanted, not %.200s",
                            Py_TYPE(function)->tp_name);
    }
    if (stoa__is_proxy(function)) {
        return Py_NewRef(function);
    }
    PyObject *module = stoa__text_attribute(function, "__module__");
    PyObject *qualname = stoa__text_attribute(function, "__qualname__");
    PyObject *result = NULL;
    if (module == NULL && PyCFunction_Check(function) && PyCFunction_GET_SELF(function) != NULL) {
        module = stoa__text_attribute(PyCFunction_GET_SELF(function), "__module__"); /* int.from_bytes has none */
    }
    if (module != NULL && qualname != NULL && is_importable(function, module, qualname)) {
        result = PyTuple_Pack(2, module, qualname);
    }
    else if (module != NULL && qualname != NULL && PyFunction_Check(function)) {
        result = stoa__function_describe(function);
    }
    else {
        stoa__raise_not_freezable(
            "function", Py_TYPE(function)->tp_name,
            "it cannot be found by name from another interpreter: call a function at the top level "
            "of a module, or pass 'module:qualname'");
    }
    Py_XDECREF(module);
    Py_XDECREF(qualname);
    return result;
}

int
stoa__target_pack(PyObject *function, unsigned flags, stoa_parcel *out)
{
    PyObject *description = describe(function);
    int result = description == NULL ? -1 : stoa__pack(description, "function", flags, out);
    Py_XDECREF(description);
    return result;
}

/* ---- there ------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__target_unpack(const stoa_parcel *parcel)
{
    PyObject *description = stoa__unpack(parcel);
    PyObject *function = NULL;
    if (description != NULL && !PyTuple_CheckExact(description)) {
        return description; /* a proxy came: here it may be the function itself */
    }
    if (description != NULL && PyUnicode_Check(PyTuple_GET_ITEM(description, 0))) {
        function = stoa__target_find(PyTuple_GET_ITEM(description, MODULE),
                                     PyTuple_GET_ITEM(description, QUALNAME));
    }
    else if (description != NULL) {
        PyObject *globals = stoa__main_globals();
        function = globals == NULL ? NULL : stoa__function_make(description, globals);
    }
    Py_XDECREF(description);
    return function;
}
