/* Making functions out of their descriptions. */
#include <Python.h>
#include <marshal.h>

#include "immortal/canonical.h"
#include "immortal/function.h"
#include "immortal/function_parts.h"
#include "immortal/names_of.h"
#include "immortal/table.h"

typedef struct maker {
    PyObject *descriptions; /* tuple of those of the functions: borrowed */
    PyObject *functions;    /* list */
    PyObject *cells;        /* list */
    PyObject *spaces;       /* dict: module name -> namespace of our own */
    PyObject *main;         /* borrowed, or NULL */
} maker;

/* ---- globals ------------------------------------------------------------------------------------------------------- */

static PyObject *
new_space(PyObject *module_name)
{
    PyObject *space = PyDict_New();
    PyObject *builtins = space == NULL ? NULL : PyImport_ImportModule("builtins");
    if (builtins == NULL || PyDict_SetItemString(space, "__builtins__", builtins) < 0 ||
        PyDict_SetItemString(space, "__name__", module_name) < 0) {
        Py_CLEAR(space);
    }
    Py_XDECREF(builtins);
    return space;
}

/* New reference. */
static PyObject *
globals_for(maker *m, PyObject *description)
{
    PyObject *name = PyTuple_GET_ITEM(description, MODULE);
    bool main = PyUnicode_CompareWithASCIIString(name, "__main__") == 0;
    if (main && m->main != NULL) {
        return Py_NewRef(m->main);
    }
    if (PyTuple_GET_ITEM(description, GLOBAL_NAMES) == Py_None) {
        PyObject *module = stoa__find_module(name);
        PyObject *globals = module == NULL ? NULL : PyObject_GetAttrString(module, "__dict__");
        Py_XDECREF(module);
        return globals;
    }
    PyObject *space = PyDict_GetItemWithError(m->spaces, name);
    if (space != NULL || PyErr_Occurred()) {
        return Py_XNewRef(space);
    }
    space = new_space(name);
    if (space != NULL && PyDict_SetItem(m->spaces, name, space) < 0) {
        Py_CLEAR(space);
    }
    return space;
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

/* Value number `i` of a tuple of them: new reference. */
static PyObject *
value_at(const maker *m, PyObject *values, Py_ssize_t i)
{
    PyObject *with = PyTuple_GET_ITEM(values, 2 * i + 1);
    switch (PyLong_AsLong(PyTuple_GET_ITEM(values, 2 * i))) {
    case VALUE_FUNCTION:
        return Py_NewRef(PyList_GET_ITEM(m->functions, PyLong_AsSsize_t(with)));
    case VALUE_GLOBAL: {
        PyObject *module = stoa__find_module(PyTuple_GET_ITEM(with, 0));
        PyObject *found = module == NULL ? NULL : stoa__follow(module, PyTuple_GET_ITEM(with, 1));
        Py_XDECREF(module);
        return found;
    }
    case VALUE_MODULE:
        return stoa__find_module(with);
    default:
        return Py_NewRef(with);
    }
}

static PyObject *
tuple_of_values(const maker *m, PyObject *values)
{
    PyObject *tuple = PyTuple_New(PyTuple_GET_SIZE(values) / 2);
    for (Py_ssize_t i = 0; tuple != NULL && i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *value = value_at(m, values, i);
        if (value == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, value);
    }
    return tuple;
}

static PyObject *
own_text(PyObject *text)
{
    PyObject *own = PyUnicode_FromKindAndData((int)PyUnicode_KIND(text), PyUnicode_DATA(text),
                                              PyUnicode_GET_LENGTH(text));
    if (own != NULL) {
        PyUnicode_InternInPlace(&own); /* names stay in tables longer than the region they may come from */
    }
    return own;
}

static PyObject *
dict_of_values(const maker *m, PyObject *names, PyObject *values)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = own_text(PyTuple_GET_ITEM(names, i));
        PyObject *value = name == NULL ? NULL : value_at(m, values, i);
        if (value == NULL || PyDict_SetItem(dict, name, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(value);
        Py_XDECREF(name);
    }
    return dict;
}

/* ---- __main__ ------------------------------------------------------------------------------------------------------ */

/* Did the sender's value stay what it was? Of values that come anew each time, simple ones are compared. */
static bool
is_unchanged(PyObject *before, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (before == value) {
        return true;
    }
    bool simple = type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type ||
                  type == &PyBytes_Type || PyFunction_Check(value);
    if (!simple || Py_TYPE(before) != type) {
        return false;
    }
    PyObject *a = PyFunction_Check(value) ? PyFunction_GetCode(before) : before;
    PyObject *b = PyFunction_Check(value) ? PyFunction_GetCode(value) : value;
    int equal = PyObject_RichCompareBool(a, b, Py_EQ);
    PyErr_Clear();
    return equal == 1;
}

/* Sets one brought global, unless code here has assigned the name since it came, and the sender still has what it had. */
static int
bring(PyObject *carried, PyObject *globals, PyObject *name, PyObject *value)
{
    PyObject *now = PyDict_GetItemWithError(globals, name), *before = PyDict_GetItemWithError(carried, name);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (now != NULL && now != before && (before == NULL || is_unchanged(before, value))) {
        return before == NULL ? PyDict_SetItem(carried, name, value) : 0;
    }
    return PyDict_SetItem(globals, name, value) < 0 ? -1 : PyDict_SetItem(carried, name, value);
}

static int
set_globals(const maker *m, PyObject *function, PyObject *description)
{
    PyObject *names = PyTuple_GET_ITEM(description, GLOBAL_NAMES), *globals = PyFunction_GetGlobals(function);
    if (names == Py_None) {
        return 0;
    }
    PyObject *brought = dict_of_values(m, names, PyTuple_GET_ITEM(description, GLOBALS));
    if (brought == NULL) {
        return -1;
    }
    int result = 0;
    if (globals != m->main) {
        result = PyDict_Update(globals, brought);
    }
    else {
        stoa_foreign_side *side = stoa__foreign_side();
        if (side != NULL && side->carried == NULL) {
            side->carried = PyDict_New();
        }
        PyObject *carried = side == NULL ? NULL : Py_XNewRef(side->carried), *name, *value;
        Py_ssize_t position = 0;
        result = carried == NULL ? -1 : 0;
        while (result == 0 && PyDict_Next(brought, &position, &name, &value)) {
            result = bring(carried, globals, name, value);
        }
        Py_XDECREF(carried);
    }
    Py_DECREF(brought);
    return result;
}

/* ---- functions ----------------------------------------------------------------------------------------------------- */

static PyObject *
make_closure(const maker *m, PyObject *numbers)
{
    PyObject *closure = PyTuple_New(PyTuple_GET_SIZE(numbers));
    for (Py_ssize_t i = 0; closure != NULL && i < PyTuple_GET_SIZE(numbers); i++) {
        Py_ssize_t number = PyLong_AsSsize_t(PyTuple_GET_ITEM(numbers, i));
        PyTuple_SET_ITEM(closure, i, Py_NewRef(PyList_GET_ITEM(m->cells, number)));
    }
    return closure;
}

/* Code, globals, name and cells; the rest may refer to functions that are not made yet. */
static PyObject *
make_bare(maker *m, PyObject *description)
{
    PyObject *text = PyTuple_GET_ITEM(description, CODE), *numbers = PyTuple_GET_ITEM(description, CLOSURE);
    PyObject *globals = globals_for(m, description);
    PyObject *code = globals == NULL
                         ? NULL
                         : PyMarshal_ReadObjectFromString(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
    PyObject *function = code == NULL ? NULL
                                      : PyFunction_NewWithQualName(code, globals,
                                                                   PyTuple_GET_ITEM(description, QUALNAME));
    PyObject *closure = function == NULL || PyTuple_GET_SIZE(numbers) == 0 ? NULL : make_closure(m, numbers);
    PyObject *name = function == NULL ? NULL : own_text(PyTuple_GET_ITEM(description, NAME));
    if (name == NULL || PyErr_Occurred() || (closure != NULL && PyFunction_SetClosure(function, closure) < 0) ||
        PyObject_SetAttrString(function, "__name__", name) < 0 ||
        PyObject_SetAttrString(function, "__doc__", PyTuple_GET_ITEM(description, DOC)) < 0 ||
        PyObject_SetAttrString(function, "__module__", PyTuple_GET_ITEM(description, MODULE)) < 0) {
        Py_CLEAR(function);
    }
    Py_XDECREF(name);
    Py_XDECREF(closure);
    Py_XDECREF(code);
    Py_XDECREF(globals);
    return function;
}

static int
complete(const maker *m, PyObject *function, PyObject *description)
{
    PyObject *const *fields = &PyTuple_GET_ITEM(description, 0);
    PyObject *defaults = fields[DEFAULTS] == Py_None ? Py_NewRef(Py_None)
                                                     : tuple_of_values(m, fields[DEFAULTS]);
    PyObject *keywords = dict_of_values(m, fields[KEYWORD_NAMES], fields[KEYWORDS]);
    PyObject *attributes = dict_of_values(m, fields[ATTRIBUTE_NAMES], fields[ATTRIBUTES]);
    PyObject *annotations = dict_of_values(m, fields[ANNOTATION_NAMES], fields[ANNOTATIONS]);
    int result = -1;
    if (defaults != NULL && keywords != NULL && attributes != NULL && annotations != NULL) {
        bool none = PyDict_GET_SIZE(keywords) == 0;
        PyObject *dict = PyObject_GetAttrString(function, "__dict__");
        result = dict == NULL || PyFunction_SetDefaults(function, defaults) < 0 ||
                         (!none && PyFunction_SetKwDefaults(function, keywords) < 0) ||
                         PyDict_Update(dict, attributes) < 0 ||
                         (PyDict_GET_SIZE(annotations) > 0 &&
                          PyObject_SetAttrString(function, "__annotations__", annotations) < 0)
                     ? -1
                     : set_globals(m, function, description);
        Py_XDECREF(dict);
    }
    Py_XDECREF(defaults);
    Py_XDECREF(keywords);
    Py_XDECREF(attributes);
    Py_XDECREF(annotations);
    return result;
}

static int
make_cells(maker *m, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *cell = PyCell_New(NULL);
        int result = cell == NULL ? -1 : PyList_Append(m->cells, cell);
        Py_XDECREF(cell);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

static int
make_all(maker *m, PyObject *contents)
{
    Py_ssize_t count = PyTuple_GET_SIZE(m->descriptions), cells = PyTuple_GET_SIZE(contents) / 2;
    int result = make_cells(m, cells);
    for (Py_ssize_t i = 0; i < count && result == 0; i++) {
        PyObject *function = make_bare(m, PyTuple_GET_ITEM(m->descriptions, i));
        result = function == NULL ? -1 : PyList_Append(m->functions, function);
        Py_XDECREF(function);
    }
    for (Py_ssize_t i = 0; i < count && result == 0; i++) {
        result = complete(m, PyList_GET_ITEM(m->functions, i), PyTuple_GET_ITEM(m->descriptions, i));
    }
    for (Py_ssize_t i = 0; i < cells && result == 0; i++) {
        if (PyLong_AsLong(PyTuple_GET_ITEM(contents, 2 * i)) == VALUE_EMPTY) {
            continue;
        }
        PyObject *value = value_at(m, contents, i);
        result = value == NULL ? -1 : PyCell_Set(PyList_GET_ITEM(m->cells, i), value);
        Py_XDECREF(value);
    }
    return result;
}

PyObject *
stoa__function_make(PyObject *description, PyObject *main)
{
    maker m = {.descriptions = PyTuple_GET_ITEM(description, 0),
               .functions = PyList_New(0),
               .cells = PyList_New(0),
               .spaces = PyDict_New(),
               .main = main};
    PyObject *function = NULL;
    if (m.functions != NULL && m.cells != NULL && m.spaces != NULL &&
        make_all(&m, PyTuple_GET_ITEM(description, 1)) == 0) {
        function = Py_NewRef(PyList_GET_ITEM(m.functions, 0));
    }
    Py_XDECREF(m.functions);
    Py_XDECREF(m.cells);
    Py_XDECREF(m.spaces);
    return function;
}

PyObject *
stoa__build_function(const stoa_node *node, PyObject *const *parts)
{
    (void)node;
    return stoa__function_make(parts[0], NULL);
}
