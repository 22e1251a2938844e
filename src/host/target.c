#include "host/target.h"

#include <marshal.h>

#include "host/invoke.h"
#include "immortal/exceptions.h"
#include "proxy/cross.h"
#include "proxy/proxy.h"

/* The description is a tuple: (module, qualname), or with all of: */
enum { MODULE, QUALNAME, CODE, DEFAULTS, KEYWORD_DEFAULTS, FIELDS };

static PyObject *
follow(PyObject *object, PyObject *qualname)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(qualname);
    Py_ssize_t dot = PyUnicode_FindChar(qualname, '.', 0, length, 1);
    if (dot < 0) { /* the common case */
        return dot == -1 ? PyObject_GetAttr(object, qualname) : NULL;
    }
    PyObject *found = Py_NewRef(object);
    for (Py_ssize_t start = 0; found != NULL && start <= length;) {
        dot = PyUnicode_FindChar(qualname, '.', start, length, 1);
        Py_ssize_t end = dot < 0 ? length : dot;
        PyObject *part = PyUnicode_Substring(qualname, start, end);
        Py_SETREF(found, part == NULL ? NULL : PyObject_GetAttr(found, part));
        Py_XDECREF(part);
        start = end + 1;
    }
    return found;
}

/* The module of a dotted name; imported, or waited for while another thread imports it. */
static PyObject *
get_module(PyObject *name)
{
    PyObject *module = PyImport_ImportModuleLevelObject(name, NULL, NULL, NULL, 0);
    if (module != NULL && PyUnicode_FindChar(name, '.', 0, PyUnicode_GET_LENGTH(name), 1) >= 0) {
        Py_SETREF(module, PyImport_GetModule(name)); /* it was the outermost package */
        if (module == NULL && !PyErr_Occurred()) {
            PyErr_Format(PyExc_ModuleNotFoundError, "module %R took itself out of sys.modules", name);
        }
    }
    return module;
}

PyObject *
stoa__target_find(PyObject *module_name, PyObject *qualname)
{
    PyObject *module = get_module(module_name);
    PyObject *found = module == NULL ? NULL : follow(module, qualname);
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

static PyObject *
text_attribute(PyObject *object, const char *name)
{
    PyObject *text = PyObject_GetAttrString(object, name);
    if (text != NULL && !PyUnicode_CheckExact(text)) {
        Py_SETREF(text, NULL);
    }
    PyErr_Clear();
    return text;
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
    PyObject *found = module == NULL ? NULL : follow(module, qualname);
    Py_XDECREF(module);
    bool same = is_same(found, function);
    Py_XDECREF(found);
    PyErr_Clear();
    return same;
}

static PyObject *
describe_code(PyObject *function, PyObject *module_name, PyObject *qualname)
{
    PyObject *closure = PyFunction_GetClosure(function);
    if (closure != NULL && PyTuple_GET_SIZE(closure) > 0) {
        return stoa__raise_not_freezable(
            "function", "function",
            "it uses variables of the function around it, which belong to this interpreter: pass "
            "them as arguments, or define it at the top level of a module that can be imported");
    }
    PyObject *code = PyMarshal_WriteObjectToString(PyFunction_GetCode(function), Py_MARSHAL_VERSION);
    PyObject *defaults = PyFunction_GetDefaults(function);
    PyObject *keyword = PyFunction_GetKwDefaults(function);
    PyObject *keyword_proxy = keyword == NULL ? Py_NewRef(Py_None) : PyDictProxy_New(keyword);
    PyObject *result = NULL;
    if (code != NULL && keyword_proxy != NULL) {
        result = PyTuple_Pack(FIELDS, module_name, qualname, code, defaults == NULL ? Py_None : defaults,
                              keyword_proxy);
    }
    Py_XDECREF(keyword_proxy);
    Py_XDECREF(code);
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
    if (stoa__is_proxy(function)) {
        return Py_NewRef(function);
    }
    PyObject *module = text_attribute(function, "__module__");
    PyObject *qualname = text_attribute(function, "__qualname__");
    PyObject *result = NULL;
    if (module == NULL && PyCFunction_Check(function) && PyCFunction_GET_SELF(function) != NULL) {
        module = text_attribute(PyCFunction_GET_SELF(function), "__module__"); /* int.from_bytes has none */
    }
    if (module != NULL && qualname != NULL && is_importable(function, module, qualname)) {
        result = PyTuple_Pack(2, module, qualname);
    }
    else if (module != NULL && qualname != NULL && PyFunction_Check(function)) {
        result = describe_code(function, module, qualname);
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

static PyObject *
globals_of(PyObject *module_name)
{
    if (PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0) {
        return Py_XNewRef(stoa__main_globals());
    }
    PyObject *module = get_module(module_name);
    PyObject *globals = module == NULL ? NULL : PyObject_GetAttrString(module, "__dict__");
    Py_XDECREF(module);
    return globals;
}

static PyObject *
make_function(PyObject *description)
{
    PyObject *text = PyTuple_GET_ITEM(description, CODE);
    PyObject *defaults = PyTuple_GET_ITEM(description, DEFAULTS);
    PyObject *keyword = PyTuple_GET_ITEM(description, KEYWORD_DEFAULTS);
    PyObject *globals = globals_of(PyTuple_GET_ITEM(description, MODULE));
    PyObject *code = globals == NULL
                         ? NULL
                         : PyMarshal_ReadObjectFromString(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
    PyObject *function = code == NULL ? NULL
                                      : PyFunction_NewWithQualName(code, globals,
                                                                   PyTuple_GET_ITEM(description, QUALNAME));
    if (function != NULL && defaults != Py_None && PyFunction_SetDefaults(function, defaults) < 0) {
        Py_SETREF(function, NULL);
    }
    if (function != NULL && keyword != Py_None) {
        PyObject *dict = PyDict_New();
        if (dict == NULL || PyDict_Update(dict, keyword) < 0 || PyFunction_SetKwDefaults(function, dict) < 0) {
            Py_SETREF(function, NULL);
        }
        Py_XDECREF(dict);
    }
    Py_XDECREF(code);
    Py_XDECREF(globals);
    return function;
}

PyObject *
stoa__target_unpack(const stoa_parcel *parcel)
{
    PyObject *description = stoa__unpack(parcel);
    PyObject *function = NULL;
    if (description != NULL && !PyTuple_CheckExact(description)) {
        return description; /* a proxy came: here it may be the function itself */
    }
    if (description != NULL && PyTuple_GET_SIZE(description) == 2) {
        function = stoa__target_find(PyTuple_GET_ITEM(description, MODULE),
                                     PyTuple_GET_ITEM(description, QUALNAME));
    }
    else if (description != NULL) {
        function = make_function(description);
    }
    Py_XDECREF(description);
    return function;
}
