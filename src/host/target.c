#include "host/target.h"

#include <string.h>

#include "host/invoke.h"
#include "immortal/by_value.h"
#include "immortal/exceptions.h"
#include "immortal/function.h"
#include "immortal/names_of.h"
#include "proxy/cross.h"
#include "proxy/proxy.h"

/* The description is (module, qualname), or (empty text, object, name of its method), or what function.h says: tuples all;
 * or a callable that is a value, or a proxy: itself. */
enum { MODULE, QUALNAME };
enum { METHOD_OF = 1, METHOD_NAME };

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

/* What a method in C is bound to, or the class that it is a static method of: borrowed, or NULL. */
static PyObject *
bound_to(PyObject *function)
{
    return PyCFunction_Check(function) ? ((PyCFunctionObject *)function)->m_self : NULL;
}

/* The name of the module that it is found in; methods of C classes have none of their own, and are found in the class. */
static PyObject *
module_of(PyObject *function)
{
    PyObject *module = stoa__text_attribute(function, "__module__");
    PyObject *class = Py_IS_TYPE(function, &PyMethodDescr_Type) || Py_IS_TYPE(function, &PyWrapperDescr_Type)
                          ? (PyObject *)PyDescr_TYPE(function)
                          : bound_to(function);
    return module == NULL && class != NULL && PyType_Check(class) ? stoa__text_attribute(class, "__module__")
                                                                  : module;
}

/* 'abc'.join, {}.get, pattern.findall: the object, which crosses by the rule, and the name. NULL without an exception: it
 * is no such method. */
static PyObject *
describe_method(PyObject *function)
{
    PyObject *self = Py_XNewRef(bound_to(function));
    if (strcmp(Py_TYPE(function)->tp_name, "method-wrapper") == 0) {
        self = PyObject_GetAttrString(function, "__self__");
    }
    PyObject *name = self == NULL || PyModule_Check(self) || PyType_Check(self)
                         ? NULL
                         : stoa__text_attribute(function, "__name__");
    PyObject *found = name == NULL ? NULL : PyObject_GetAttr(self, name);
    PyErr_Clear();
    PyObject *result = NULL;
    if (found != NULL && Py_IS_TYPE(found, Py_TYPE(function))) {
        result = Py_BuildValue("(sOO)", "", self, name);
    }
    Py_XDECREF(found);
    Py_XDECREF(name);
    Py_XDECREF(self);
    return result;
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
    bool plain = PyFunction_Check(function) || PyCFunction_Check(function);
    if (!plain && (stoa__is_proxy(function) || stoa__value_crossing(function) == STOA_CROSSES_VALUE)) {
        return Py_NewRef(function);
    }
    PyObject *module = module_of(function);
    PyObject *qualname = stoa__text_attribute(function, "__qualname__");
    PyObject *result = NULL;
    if (module != NULL && qualname != NULL && is_importable(function, module, qualname)) {
        result = PyTuple_Pack(2, module, qualname);
    }
    else if (module != NULL && qualname != NULL && PyFunction_Check(function)) {
        result = stoa__function_describe(function);
    }
    else if ((result = describe_method(function)) == NULL && !PyErr_Occurred()) {
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
        return description; /* of a proxy that came: here it may be the function itself */
    }
    PyObject *module = description == NULL ? NULL : PyTuple_GET_ITEM(description, MODULE);
    if (module != NULL && PyUnicode_Check(module)) {
        function = PyUnicode_GET_LENGTH(module) > 0
                       ? stoa__target_find(module, PyTuple_GET_ITEM(description, QUALNAME))
                       : PyObject_GetAttr(PyTuple_GET_ITEM(description, METHOD_OF),
                                          PyTuple_GET_ITEM(description, METHOD_NAME));
    }
    else if (description != NULL) {
        PyObject *globals = stoa__main_globals();
        function = globals == NULL ? NULL : stoa__function_make(description, globals);
        Py_XDECREF(globals);
    }
    Py_XDECREF(description);
    return function;
}
