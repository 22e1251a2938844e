#include "immortal/function.h"

#include <Python.h>
#include <marshal.h>

#include "immortal/apart.h"
#include "immortal/canonical.h"
#include "immortal/function_parts.h"
#include "immortal/names_of.h"

typedef struct group {
    PyObject *functions; /* list: those to be described, in order */
    PyObject *numbers;   /* dict: address of a function or cell -> its number; kept alive by the lists */
    PyObject *cells;     /* list */
} group;

/* ---- describing ---------------------------------------------------------------------------------------------------- */

/* The number of an object of `list`, which it joins if need be. -1 with an exception. */
static Py_ssize_t
number_of(group *g, PyObject *list, PyObject *object)
{
    PyObject *key = PyLong_FromVoidPtr(object);
    PyObject *known = key == NULL ? NULL : PyDict_GetItemWithError(g->numbers, key);
    Py_ssize_t number = known != NULL ? PyLong_AsSsize_t(known) : -1;
    if (key != NULL && known == NULL && !PyErr_Occurred()) {
        PyObject *next = PyLong_FromSsize_t(PyList_GET_SIZE(list));
        if (next != NULL && PyDict_SetItem(g->numbers, key, next) == 0 && PyList_Append(list, object) == 0) {
            number = PyList_GET_SIZE(list) - 1;
        }
        Py_XDECREF(next);
    }
    Py_XDECREF(key);
    return number;
}

/* Is it found by import, from an interpreter with another __main__? (module, qualname), NULL without an exception: no. */
static PyObject *
path_of(PyObject *object)
{
    PyObject *module, *qualname;
    if (stoa__global_path(object, &module, &qualname) < 0) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *path = NULL;
    if (PyType_Check(object) || PyUnicode_CompareWithASCIIString(module, "__main__") != 0) {
        path = PyTuple_Pack(2, module, qualname);
    }
    Py_DECREF(module);
    Py_DECREF(qualname);
    PyErr_Clear();
    return path;
}

/* Appends the two items of a value. */
static int
add_value(group *g, PyObject *list, PyObject *object)
{
    long what = VALUE_ITSELF;
    PyObject *with = NULL;
    if (stoa__is_shared(object)) {
        with = Py_NewRef(object);
    }
    else if (PyModule_Check(object)) {
        what = VALUE_MODULE;
        with = PyModule_GetNameObject(object);
    }
    else if ((PyFunction_Check(object) || PyCFunction_Check(object) || PyType_Check(object)) &&
             (with = path_of(object)) != NULL) {
        what = VALUE_GLOBAL;
    }
    else if (PyFunction_Check(object)) {
        what = VALUE_FUNCTION;
        Py_ssize_t number = number_of(g, g->functions, object);
        with = number < 0 ? NULL : PyLong_FromSsize_t(number);
    }
    else {
        with = Py_NewRef(object);
    }
    PyObject *kind = PyLong_FromLong(what);
    int result = kind == NULL || with == NULL || PyList_Append(list, kind) < 0 || PyList_Append(list, with) < 0;
    Py_XDECREF(kind);
    Py_XDECREF(with);
    return result ? -1 : 0;
}

/* Steals the list. */
static PyObject *
as_tuple(PyObject *list, int result)
{
    PyObject *tuple = list == NULL || result < 0 ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

static PyObject *
describe_tuple(group *g, PyObject *tuple)
{
    PyObject *list = PyList_New(0);
    int result = 0;
    for (Py_ssize_t i = 0; list != NULL && result == 0 && i < PyTuple_GET_SIZE(tuple); i++) {
        result = add_value(g, list, PyTuple_GET_ITEM(tuple, i));
    }
    return as_tuple(list, result);
}

/* The text keys of a dict (all of them, or those in `wanted`) and their values: false: failed. */
static bool
describe_dict(group *g, PyObject *dict, PyObject *wanted, bool simple, PyObject **out_names,
              PyObject **out_values)
{
    PyObject *names = PyList_New(0), *values = PyList_New(0);
    PyObject *copy = dict == NULL ? PyDict_New() : PyDict_Copy(dict); /* what follows may run code */
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int result = names == NULL || values == NULL || copy == NULL ? -1 : 0;
    while (result == 0 && PyDict_Next(copy, &position, &key, &value)) {
        int is_wanted = !PyUnicode_CheckExact(key) ? 0 : wanted == NULL ? 1 : PySet_Contains(wanted, key);
        if (is_wanted != 1) {
            result = is_wanted;
            continue;
        }
        PyObject *path = simple && PyType_Check(value) ? path_of(value) : NULL;
        bool skip = simple && path == NULL && !PyUnicode_CheckExact(value) && !stoa__is_shared(value);
        Py_XDECREF(path);
        if (!skip) {
            result = PyList_Append(names, key) < 0 ? -1 : add_value(g, values, value);
        }
    }
    Py_XDECREF(copy);
    *out_names = as_tuple(names, result);
    *out_values = as_tuple(values, result);
    return *out_names != NULL && *out_values != NULL;
}

static PyObject *
describe_closure(group *g, PyObject *closure)
{
    PyObject *list = PyList_New(0);
    int result = 0;
    for (Py_ssize_t i = 0; list != NULL && closure != NULL && result == 0 && i < PyTuple_GET_SIZE(closure);
         i++) {
        Py_ssize_t number = number_of(g, g->cells, PyTuple_GET_ITEM(closure, i));
        PyObject *object = number < 0 ? NULL : PyLong_FromSsize_t(number);
        result = object == NULL ? -1 : PyList_Append(list, object);
        Py_XDECREF(object);
    }
    return as_tuple(list, result);
}

/* Do its globals have to be brought along? Not when the receiver has the same module. */
static bool
brings_globals(PyObject *function, PyObject *module_name)
{
    PyObject *module = PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0
                           ? NULL
                           : PyImport_GetModule(module_name);
    PyObject *dict = module == NULL || !PyModule_Check(module) ? NULL : PyModule_GetDict(module);
    bool result = dict != PyFunction_GetGlobals(function);
    Py_XDECREF(module);
    PyErr_Clear();
    return result;
}

static bool
describe_globals(group *g, PyObject *function, PyObject **fields)
{
    if (!brings_globals(function, fields[MODULE])) {
        fields[GLOBAL_NAMES] = Py_NewRef(Py_None);
        fields[GLOBALS] = Py_NewRef(Py_None);
        return true;
    }
    PyObject *wanted = stoa__global_names(PyFunction_GetCode(function));
    bool good = wanted != NULL && describe_dict(g, PyFunction_GetGlobals(function), wanted, false,
                                                &fields[GLOBAL_NAMES], &fields[GLOBALS]);
    Py_XDECREF(wanted);
    return good;
}

/* Annotations may be code that fails when it is asked (3.14+): then there are none. */
static bool
describe_annotations(group *g, PyObject *function, PyObject **fields)
{
    PyObject *annotations = PyObject_GetAttrString(function, "__annotations__");
    if (annotations == NULL) {
        PyErr_Clear();
    }
    bool good = describe_dict(g, annotations != NULL && PyDict_Check(annotations) ? annotations : NULL, NULL,
                              true, &fields[ANNOTATION_NAMES], &fields[ANNOTATIONS]);
    Py_XDECREF(annotations);
    return good;
}

static bool
describe_names(PyObject *function, PyObject **fields)
{
    fields[MODULE] = stoa__text_attribute(function, "__module__");
    fields[NAME] = stoa__text_attribute(function, "__name__");
    fields[QUALNAME] = stoa__text_attribute(function, "__qualname__");
    fields[DOC] = stoa__text_attribute(function, "__doc__");
    if (fields[DOC] == NULL) {
        fields[DOC] = Py_NewRef(Py_None);
    }
    if (fields[NAME] == NULL || fields[QUALNAME] == NULL) {
        PyErr_NoMemory(); /* functions have names, which are texts */
        return false;
    }
    if (fields[MODULE] == NULL) {
        fields[MODULE] = PyUnicode_FromString("__main__");
    }
    return fields[MODULE] != NULL;
}

/* What a call runs. */
static bool
describe_code(group *g, PyObject *function, PyObject **fields)
{
    PyObject *defaults = PyFunction_GetDefaults(function);
    fields[CODE] = PyMarshal_WriteObjectToString(PyFunction_GetCode(function), Py_MARSHAL_VERSION);
    if (fields[CODE] != NULL) {
        fields[DEFAULTS] = defaults == NULL ? Py_NewRef(Py_None) : describe_tuple(g, defaults);
    }
    if (fields[DEFAULTS] != NULL) {
        fields[CLOSURE] = describe_closure(g, PyFunction_GetClosure(function));
    }
    return fields[CLOSURE] != NULL;
}

static PyObject *
describe_one(group *g, PyObject *function)
{
    PyObject *fields[FIELDS] = {NULL};
    PyObject *dict = PyObject_GetAttrString(function, "__dict__");
    bool good = dict != NULL && describe_names(function, fields) && describe_code(g, function, fields) &&
                describe_dict(g, PyFunction_GetKwDefaults(function), NULL, false, &fields[KEYWORD_NAMES],
                              &fields[KEYWORDS]) &&
                describe_globals(g, function, fields) &&
                describe_dict(g, dict, NULL, false, &fields[ATTRIBUTE_NAMES], &fields[ATTRIBUTES]) &&
                describe_annotations(g, function, fields);
    Py_XDECREF(dict);
    PyObject *tuple = good ? PyTuple_New(FIELDS) : NULL;
    for (int i = 0; i < FIELDS; i++) {
        if (tuple != NULL) {
            PyTuple_SET_ITEM(tuple, i, fields[i]);
        }
        else {
            Py_XDECREF(fields[i]);
        }
    }
    return tuple;
}

static int
describe_cell(group *g, PyObject *list, PyObject *cell)
{
    PyObject *content = PyCell_Get(cell);
    int result;
    if (content != NULL) {
        result = add_value(g, list, content);
        Py_DECREF(content);
        return result;
    }
    PyObject *kind = PyLong_FromLong(VALUE_EMPTY);
    result = kind == NULL || PyList_Append(list, kind) < 0 || PyList_Append(list, Py_None) < 0 ? -1 : 0;
    Py_XDECREF(kind);
    return result;
}

/* The description of what is in the group, which grows meanwhile. */
static PyObject *
describe_group(group *g)
{
    PyObject *functions = PyList_New(0), *cells = PyList_New(0), *result = NULL;
    bool good = functions != NULL && cells != NULL;
    Py_ssize_t functions_done = 0, cells_done = 0;
    while (good && (functions_done < PyList_GET_SIZE(g->functions) || cells_done < PyList_GET_SIZE(g->cells))) {
        if (functions_done < PyList_GET_SIZE(g->functions)) {
            PyObject *one = describe_one(g, PyList_GET_ITEM(g->functions, functions_done++));
            good = one != NULL && PyList_Append(functions, one) == 0;
            Py_XDECREF(one);
        }
        else {
            good = describe_cell(g, cells, PyList_GET_ITEM(g->cells, cells_done++)) == 0;
        }
    }
    functions = as_tuple(functions, good ? 0 : -1);
    cells = as_tuple(cells, good ? 0 : -1);
    if (functions != NULL && cells != NULL) {
        result = PyTuple_Pack(2, functions, cells);
    }
    Py_XDECREF(functions);
    Py_XDECREF(cells);
    return result;
}

static bool
group_init(group *g, PyObject *function)
{
    *g = (group){PyList_New(0), PyDict_New(), PyList_New(0)};
    return g->functions != NULL && g->numbers != NULL && g->cells != NULL &&
           number_of(g, g->functions, function) == 0;
}

static void
group_clear(group *g)
{
    Py_XDECREF(g->functions);
    Py_XDECREF(g->numbers);
    Py_XDECREF(g->cells);
}

PyObject *
stoa__function_describe(PyObject *function)
{
    group g;
    PyObject *result = group_init(&g, function) ? describe_group(&g) : NULL;
    group_clear(&g);
    return result;
}

/* ---- in a graph ---------------------------------------------------------------------------------------------------- */

/* Which namespace the function's globals are, or None where the module there has its own. */
static PyObject *
identity_of_globals(stoa_apart *apart, PyObject *function, PyObject *fields)
{
    return PyTuple_GET_ITEM(fields, GLOBAL_NAMES) == Py_None
               ? Py_NewRef(Py_None)
               : stoa__apart_identity(apart, PyFunction_GetGlobals(function));
}

static PyObject *
function_parts(stoa_apart *apart, const group *g, PyObject *description)
{
    PyObject *described = PyTuple_GET_ITEM(description, 0);
    size_t functions = (size_t)PyList_GET_SIZE(g->functions), cells = (size_t)PyList_GET_SIZE(g->cells);
    PyObject **parts = PyMem_Calloc(1 + 2 * functions + cells, sizeof(*parts));
    if (parts == NULL) {
        return PyErr_NoMemory();
    }
    size_t count = 0;
    parts[count++] = Py_NewRef(description);
    for (size_t i = 0; i < functions; i++) {
        parts[count++] = stoa__apart_identity(apart, PyList_GET_ITEM(g->functions, (Py_ssize_t)i));
    }
    for (size_t i = 0; i < cells; i++) {
        parts[count++] = stoa__apart_identity(apart, PyList_GET_ITEM(g->cells, (Py_ssize_t)i));
    }
    for (size_t i = 0; i < functions; i++) {
        parts[count++] = identity_of_globals(apart, PyList_GET_ITEM(g->functions, (Py_ssize_t)i),
                                             PyTuple_GET_ITEM(described, (Py_ssize_t)i));
    }
    PyObject *result = stoa__apart_result(STOA_NODE_FUNCTION, 0, count, parts);
    PyMem_Free(parts);
    return result;
}

PyObject *
stoa__function_apart(stoa_apart *apart, PyObject *function)
{
    PyObject *parts[2] = {NULL, NULL};
    PyObject *path = path_of(function);
    if (path != NULL) {
        parts[0] = Py_NewRef(PyTuple_GET_ITEM(path, 0));
        parts[1] = Py_NewRef(PyTuple_GET_ITEM(path, 1));
        Py_DECREF(path);
        return stoa__apart_result(STOA_NODE_GLOBAL, STOA_NODE_VALUE, 2, parts);
    }
    group g;
    PyObject *description = group_init(&g, function) ? describe_group(&g) : NULL;
    PyObject *result = description == NULL ? NULL : function_parts(apart, &g, description);
    Py_XDECREF(description);
    group_clear(&g);
    return result;
}
