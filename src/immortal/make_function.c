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
    PyObject *spaces;       /* dict: address of its identity, or module name -> namespace of our own */
    PyObject *main;         /* borrowed, or NULL */
    PyObject *const *identities; /* of the functions, the cells, the functions' globals; NULL: what is made is this one's only */
} maker;

/* ---- what another function of the graph has brought ----------------------------------------------------------------- */

/* What stands here for an identity, by its number: borrowed, or NULL. */
static PyObject *
known(const maker *m, Py_ssize_t number)
{
    const stoa_foreign_side *side = m->identities == NULL ? NULL : stoa__foreign_side_if_any();
    return side == NULL ? NULL : stoa__table_find(side, m->identities[number]);
}

/* From now on it does, unless something else does already. */
static int
make_known(const maker *m, Py_ssize_t number, PyObject *object)
{
    stoa_foreign_side *side = m->identities == NULL ? NULL : stoa__foreign_side();
    PyObject *there = side == NULL ? NULL : stoa__table_add(side, m->identities[number], Py_NewRef(object));
    Py_XDECREF(there);
    return m->identities != NULL && there == NULL ? -1 : 0;
}

static Py_ssize_t
cell_identity(const maker *m, Py_ssize_t cell)
{
    return PyTuple_GET_SIZE(m->descriptions) + cell;
}

static Py_ssize_t
space_identity(const maker *m, Py_ssize_t function)
{
    return PyTuple_GET_SIZE(m->descriptions) + PyList_GET_SIZE(m->cells) + function;
}

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
globals_for(maker *m, Py_ssize_t number)
{
    PyObject *description = PyTuple_GET_ITEM(m->descriptions, number);
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
    PyObject *space = known(m, space_identity(m, number));
    if (space != NULL) {
        return Py_NewRef(space);
    }
    PyObject *which = m->identities == NULL ? Py_NewRef(name)
                                            : PyLong_FromVoidPtr(m->identities[space_identity(m, number)]);
    space = which == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(m->spaces, which));
    if (which != NULL && space == NULL && !PyErr_Occurred()) {
        space = new_space(name);
        if (space != NULL && PyDict_SetItem(m->spaces, which, space) < 0) {
            Py_CLEAR(space);
        }
    }
    Py_XDECREF(which);
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
dict_of_values(const maker *m, PyObject *names, PyObject *values)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = stoa__own_name(PyTuple_GET_ITEM(names, i));
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
        result = PyDict_Merge(globals, brought, 0); /* code that came before may have changed some */
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
make_bare(maker *m, Py_ssize_t number)
{
    PyObject *description = PyTuple_GET_ITEM(m->descriptions, number);
    PyObject *text = PyTuple_GET_ITEM(description, CODE), *numbers = PyTuple_GET_ITEM(description, CLOSURE);
    PyObject *globals = globals_for(m, number);
    PyObject *code = globals == NULL
                         ? NULL
                         : PyMarshal_ReadObjectFromString(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
    PyObject *function = code == NULL ? NULL
                                      : PyFunction_NewWithQualName(code, globals,
                                                                   PyTuple_GET_ITEM(description, QUALNAME));
    PyObject *closure = function == NULL || PyTuple_GET_SIZE(numbers) == 0 ? NULL : make_closure(m, numbers);
    PyObject *name = function == NULL ? NULL : stoa__own_name(PyTuple_GET_ITEM(description, NAME));
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

/* Those that are known here; the others are made. `fresh`: a flag for each that was made. */
static int
make_cells(maker *m, bool *fresh, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *cell = Py_XNewRef(known(m, cell_identity(m, i)));
        fresh[i] = cell == NULL;
        if (fresh[i]) {
            cell = PyCell_New(NULL);
        }
        int result = cell == NULL ? -1 : PyList_Append(m->cells, cell);
        Py_XDECREF(cell);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

static int
make_functions(maker *m, bool *fresh, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *function = Py_XNewRef(known(m, i));
        fresh[i] = function == NULL;
        if (fresh[i]) {
            function = make_bare(m, i);
        }
        int result = function == NULL ? -1 : PyList_Append(m->functions, function);
        Py_XDECREF(function);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

static int
fill_cell(const maker *m, PyObject *contents, Py_ssize_t i)
{
    if (PyLong_AsLong(PyTuple_GET_ITEM(contents, 2 * i)) == VALUE_EMPTY) {
        return 0;
    }
    PyObject *value = value_at(m, contents, i);
    int result = value == NULL ? -1 : PyCell_Set(PyList_GET_ITEM(m->cells, i), value);
    Py_XDECREF(value);
    return result;
}

/* All is whole: others may find it. */
static int
make_all_known(const maker *m, const bool *fresh)
{
    Py_ssize_t count = PyTuple_GET_SIZE(m->descriptions), cells = PyList_GET_SIZE(m->cells);
    int result = 0;
    for (Py_ssize_t i = 0; i < cells && result == 0; i++) {
        result = fresh[count + i] ? make_known(m, cell_identity(m, i), PyList_GET_ITEM(m->cells, i)) : 0;
    }
    for (Py_ssize_t i = 0; i < count && result == 0; i++) {
        PyObject *function = PyList_GET_ITEM(m->functions, i);
        bool own = PyTuple_GET_ITEM(PyTuple_GET_ITEM(m->descriptions, i), GLOBAL_NAMES) != Py_None;
        result = !fresh[i] ? 0
                 : own && make_known(m, space_identity(m, i), PyFunction_GetGlobals(function)) < 0
                     ? -1
                     : make_known(m, i, function);
    }
    return result;
}

static int
make_all(maker *m, PyObject *contents)
{
    Py_ssize_t count = PyTuple_GET_SIZE(m->descriptions), cells = PyTuple_GET_SIZE(contents) / 2;
    bool *fresh = PyMem_Calloc((size_t)(count + cells), sizeof(*fresh));
    if (fresh == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int result = make_cells(m, fresh + count, cells) < 0 ? -1 : make_functions(m, fresh, count);
    for (Py_ssize_t i = 0; i < count && result == 0; i++) {
        result = fresh[i] ? complete(m, PyList_GET_ITEM(m->functions, i), PyTuple_GET_ITEM(m->descriptions, i))
                          : 0;
    }
    for (Py_ssize_t i = 0; i < cells && result == 0; i++) {
        result = fresh[count + i] ? fill_cell(m, contents, i) : 0;
    }
    if (result == 0 && m->identities != NULL) {
        result = make_all_known(m, fresh);
    }
    PyMem_Free(fresh);
    return result;
}

/* What lies in a description is long at times, and then delivered as a sequence: all tuples of it as such. New reference. */
static PyObject *
plain_function(PyObject *fields)
{
    PyObject *plain = PyTuple_New(FIELDS);
    for (Py_ssize_t i = 0; plain != NULL && i < FIELDS; i++) {
        PyObject *field = PySequence_GetItem(fields, i);
        bool text = field == Py_None || field == NULL || PyUnicode_Check(field) || PyBytes_Check(field);
        PyObject *tuple = text ? field : PySequence_Tuple(field);
        if (!text) {
            Py_DECREF(field);
        }
        if (tuple == NULL) {
            Py_CLEAR(plain);
            break;
        }
        PyTuple_SET_ITEM(plain, i, tuple);
    }
    return plain;
}

static PyObject *
plain_functions(PyObject *functions)
{
    PyObject *tuple = PySequence_Tuple(functions);
    PyObject *plain = tuple == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(tuple));
    for (Py_ssize_t i = 0; plain != NULL && i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *function = plain_function(PyTuple_GET_ITEM(tuple, i));
        if (function == NULL) {
            Py_CLEAR(plain);
            break;
        }
        PyTuple_SET_ITEM(plain, i, function);
    }
    Py_XDECREF(tuple);
    return plain;
}

static PyObject *
make(PyObject *description, PyObject *main, PyObject *const *identities)
{
    PyObject *functions = plain_functions(PyTuple_GET_ITEM(description, 0));
    PyObject *contents = functions == NULL ? NULL : PySequence_Tuple(PyTuple_GET_ITEM(description, 1));
    maker m = {.descriptions = functions,
               .functions = PyList_New(0),
               .cells = PyList_New(0),
               .spaces = PyDict_New(),
               .main = main,
               .identities = identities};
    PyObject *function = NULL;
    if (contents != NULL && m.functions != NULL && m.cells != NULL && m.spaces != NULL &&
        make_all(&m, contents) == 0) {
        function = Py_NewRef(PyList_GET_ITEM(m.functions, 0));
    }
    Py_XDECREF(functions);
    Py_XDECREF(contents);
    Py_XDECREF(m.functions);
    Py_XDECREF(m.cells);
    Py_XDECREF(m.spaces);
    return function;
}

PyObject *
stoa__function_make(PyObject *description, PyObject *main)
{
    return make(description, main, NULL);
}

PyObject *
stoa__build_function(const stoa_node *node, PyObject *const *parts)
{
    return make(parts[0], NULL, node->parts + 1);
}
