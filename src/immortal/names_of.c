#include "immortal/names_of.h"

#include "immortal/cpython/cpython.h"
#include "immortal/meanings.h"
#include "immortal/plan.h"

PyObject *
stoa__import_attribute(const char *module, const char *name)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *found = modules == NULL ? NULL : PyDict_GetItemString(modules, module);
    PyObject *attribute = NULL;
    if (found != NULL) {
        Py_INCREF(found);
        attribute = PyObject_GetAttrString(found, name);
        Py_DECREF(found);
    }
    if (attribute == NULL) {
        PyErr_Clear();
    }
    return attribute;
}

PyObject *
stoa__text_attribute(PyObject *object, const char *name)
{
    PyObject *text = PyObject_GetAttrString(object, name);
    if (text != NULL && !PyUnicode_CheckExact(text)) {
        Py_CLEAR(text);
    }
    if (text == NULL) {
        PyErr_Clear();
    }
    return text;
}

PyObject *
stoa__own_name(PyObject *name)
{
    PyObject *own = PyUnicode_FromKindAndData((int)PyUnicode_KIND(name), PyUnicode_DATA(name),
                                              PyUnicode_GET_LENGTH(name));
    if (own != NULL) {
        PyUnicode_InternInPlace(&own);
    }
    return own;
}

PyObject *
stoa__follow(PyObject *object, PyObject *qualname)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(qualname);
    PyObject *found = Py_NewRef(object);
    for (Py_ssize_t start = 0; found != NULL && start <= length;) {
        Py_ssize_t dot = PyUnicode_FindChar(qualname, '.', start, length, 1);
        Py_ssize_t end = dot < 0 ? length : dot;
        PyObject *part = PyUnicode_Substring(qualname, start, end);
        Py_SETREF(found, part == NULL ? NULL : PyObject_GetAttr(found, part));
        Py_XDECREF(part);
        start = end + 1;
    }
    return found;
}

PyObject *
stoa__find_module(PyObject *name)
{
    PyObject *own = stoa__own_name(name); /* an import keeps it for good, and what was frozen may lie in a region */
    PyObject *module = own == NULL ? NULL : PyImport_ImportModuleLevelObject(own, NULL, NULL, NULL, 0);
    Py_XDECREF(own);
    if (module != NULL && PyUnicode_FindChar(name, '.', 0, PyUnicode_GET_LENGTH(name), 1) >= 0) {
        Py_SETREF(module, PyImport_GetModule(name)); /* it was the outermost package */
        if (module == NULL && !PyErr_Occurred()) {
            PyErr_Format(PyExc_ModuleNotFoundError, "module %R took itself out of sys.modules", name);
        }
    }
    return module;
}

stoa_shared *
stoa__make_text_of(stoa_batch *batch, PyObject *text)
{
    return stoa__make_str(batch, (int)PyUnicode_KIND(text), PyUnicode_IS_ASCII(text), PyUnicode_DATA(text),
                          PyUnicode_GET_LENGTH(text), -1);
}

/* Functions of classes written in C are made anew each time they are asked for. */
static bool
is_same(PyObject *found, PyObject *object)
{
    if (found == object) {
        return true;
    }
    return PyCFunction_Check(found) && PyCFunction_Check(object) &&
           PyCFunction_GET_FUNCTION(found) == PyCFunction_GET_FUNCTION(object) &&
           PyCFunction_GET_SELF(found) == PyCFunction_GET_SELF(object);
}

/* Classes that are found under another module in some interpreters: where _datetime cannot be loaded (3.12, with a GIL of
 * its own), the classes of datetime are those of its twin in Python. */
static PyObject *
module_to_name(PyObject *module)
{
    if (PyUnicode_CompareWithASCIIString(module, "_pydatetime") == 0) {
        Py_SETREF(module, PyUnicode_FromString("datetime"));
    }
    return module;
}

int
stoa__global_path(PyObject *object, PyObject **out_module, PyObject **out_qualname)
{
    PyObject *module = stoa__text_attribute(object, "__module__");
    PyObject *qualname = stoa__text_attribute(object, "__qualname__");
    if (module == NULL && qualname != NULL && PyCFunction_Check(object) &&
        PyCFunction_GET_SELF(object) != NULL) {
        module = stoa__text_attribute(PyCFunction_GET_SELF(object), "__module__"); /* int.from_bytes has none */
    }
    if (module == NULL || qualname == NULL) {
        PyErr_Format(PyExc_TypeError, "a %.100s without a module and a name cannot be found by others",
                     Py_TYPE(object)->tp_name);
    }
    else if (PyUnicode_FindChar(qualname, '<', 0, PyUnicode_GET_LENGTH(qualname), 1) >= 0) {
        PyErr_Format(
            PyExc_TypeError,
            "%U.%U is defined inside a function, where no other interpreter finds it; define it at the "
            "top level of a module",
            module, qualname);
    }
    else if ((module = module_to_name(module)) != NULL) {
        PyObject *there = PyImport_GetModule(module);
        if (there == NULL && !PyErr_Occurred() && PyType_Check(object) &&
            !(((PyTypeObject *)object)->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
            there = stoa__find_module(module); /* a date is here before anybody has imported datetime */
        }
        PyObject *found = there == NULL ? NULL : stoa__follow(there, qualname);
        if (found == NULL || !is_same(found, object)) {
            PyErr_Format(
                PyExc_TypeError,
                "an import of %U.%U finds %s, so others cannot find it by name; make it reachable under "
                "its own name",
                module, qualname, found == NULL ? "nothing" : "something else");
        }
        Py_XDECREF(there);
        if (found != NULL && is_same(found, object)) {
            Py_DECREF(found);
            stoa__name_means(module, qualname, object);
            *out_module = module;
            *out_qualname = qualname;
            return 0;
        }
        Py_XDECREF(found);
    }
    Py_XDECREF(module);
    Py_XDECREF(qualname);
    return -1;
}
