#include "immortal/by_value.h"

#include <string.h>

#include "immortal/apart.h"
#include "immortal/cpython/cpython.h"
#include "immortal/exceptions.h"
#include "immortal/fields.h"
#include "immortal/freeze.h"
#include "immortal/interpreter_state.h"
#include "immortal/names_of.h"
#include "immortal/numpy_value.h"
#include "immortal/record.h"
#include "immortal/reduce.h"

typedef struct library_class {
    const char *module, *name;
    bool copy; /* it can be changed */
} library_class;

/* By where they are found, not by their own word for it: pathlib's classes, say, have moved more than once. */
static const library_class library[] = {
    {"decimal", "Decimal", false},
    {"fractions", "Fraction", false},
    {"uuid", "UUID", false},
    {"re", "Pattern", false},
    {"zoneinfo", "ZoneInfo", false},
    {"pathlib", "PurePosixPath", false},
    {"pathlib", "PosixPath", false},
    {"pathlib", "PureWindowsPath", false},
    {"ipaddress", "IPv4Address", false},
    {"ipaddress", "IPv6Address", false},
    {"ipaddress", "IPv4Network", false},
    {"ipaddress", "IPv6Network", false},
    {"ipaddress", "IPv4Interface", false},
    {"ipaddress", "IPv6Interface", false},
    {"datetime", "date", false},
    {"datetime", "time", false},
    {"datetime", "datetime", false},
    {"datetime", "timedelta", false},
    {"datetime", "timezone", false},
    {"operator", "itemgetter", false},
    {"operator", "attrgetter", false},
    {"operator", "methodcaller", false},
    {"collections", "deque", true},
    {"collections", "OrderedDict", true},
    {"collections", "defaultdict", true},
    {"collections", "Counter", true},
    {"types", "SimpleNamespace", true},
};

/* ---- which --------------------------------------------------------------------------------------------------------- */

static const library_class *
library_class_of(PyTypeObject *type)
{
    const char *dot = strrchr(type->tp_name, '.'), *name = dot == NULL ? type->tp_name : dot + 1;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(library); i++) {
        if (strcmp(library[i].name, name) != 0) {
            continue;
        }
        size_t length = strlen(library[i].module);
        bool of_c = strncmp(type->tp_name, library[i].module, length) == 0 && type->tp_name[length] == '.';
        PyObject *module = of_c ? PyImport_ImportModule(library[i].module)
                                : NULL; /* a date may be here before it */
        Py_XDECREF(module);
        PyErr_Clear();
        PyObject *found = stoa__import_attribute(library[i].module, library[i].name);
        Py_XDECREF(found);
        if (found == (PyObject *)type) {
            return &library[i];
        }
    }
    return NULL;
}

bool
stoa__is_library_value(PyTypeObject *type)
{
    const library_class *known = library_class_of(type);
    return known != NULL && !known->copy;
}

static bool
is_struct_sequence(PyTypeObject *type)
{
    PyObject *dict = type->tp_base == &PyTuple_Type && type->tp_new != NULL ? PyType_GetDict(type) : NULL;
    bool result = dict != NULL && PyDict_GetItemString(dict, "n_sequence_fields") != NULL &&
                  PyDict_GetItemString(dict, "n_unnamed_fields") != NULL;
    Py_XDECREF(dict);
    return result;
}

/* Can others import it? *final: and that will not change. */
static bool
is_everywhere(PyTypeObject *type, bool *final)
{
    PyObject *module, *qualname;
    PyObject *own = stoa__text_attribute((PyObject *)type, "__module__");
    *final = own != NULL && PyUnicode_CompareWithASCIIString(own, "__main__") == 0;
    Py_XDECREF(own);
    if (*final || stoa__global_path((PyObject *)type, &module, &qualname) < 0) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(module);
    Py_DECREF(qualname);
    *final = true;
    return true;
}

static stoa_crossing
find_crossing(stoa_foreign_side *side, PyObject *object, bool *final)
{
    PyTypeObject *type = Py_TYPE(object);
    *final = true;
    const library_class *known = library_class_of(type);
    if (known != NULL) {
        return known->copy ? STOA_CROSSES_BAG : STOA_CROSSES_VALUE;
    }
    stoa_crossing crossing = STOA_CROSSES_NOT;
    const stoa_plan *plan = NULL;
    if (stoa__is_enumeration(type) || is_struct_sequence(type)) {
        crossing = STOA_CROSSES_VALUE;
    }
    else if ((plan = stoa__plan_make(side, object)) != NULL && !plan->registered) {
        bool plain = plan->how == STOA_HOW_RECORD || plan->how == STOA_HOW_NAMED;
        crossing = plan->numpy == STOA_NUMPY_SCALAR                            ? STOA_CROSSES_VALUE
                   : plain && !plan->mutable                                   ? STOA_CROSSES_VALUE
                   : plain                                                     ? STOA_CROSSES_COPY
                   : plan->how == STOA_HOW_APART && stoa__is_frozen_data(type) ? STOA_CROSSES_VALUE
                   : plan->amended && PyType_IsSubtype(type, &PyTuple_Type)    ? STOA_CROSSES_VALUE
                                                                               : STOA_CROSSES_NOT;
        *final = plan->how != STOA_HOW_REFUSE || !stoa__is_data(type);
    }
    return crossing != STOA_CROSSES_NOT && !is_everywhere(type, final) ? STOA_CROSSES_NOT : crossing;
}

stoa_crossing
stoa__value_crossing(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyList_Type || type == &PyDict_Type || type == &PySet_Type || type == &PyFunction_Type) {
        return STOA_CROSSES_NOT;
    }
    stoa_foreign_side *side = stoa__foreign_side();
    if (side == NULL || side->left) {
        PyErr_Clear();
        return STOA_CROSSES_NOT;
    }
    stoa_crossing_slot *slot = &side->crossings[((uintptr_t)type >> 4) % STOA_CROSSINGS];
    if (slot->type == type && slot->version == type->tp_version_tag && slot->version != 0) {
        return (stoa_crossing)slot->crossing;
    }
    bool final;
    stoa_crossing crossing = find_crossing(side, object, &final);
    PyErr_Clear();
    (void)PyUnstable_Type_AssignVersionTag(type);
    if (final) {
        *slot = (stoa_crossing_slot){type, type->tp_version_tag, (uint8_t)crossing};
    }
    return crossing;
}

/* ---- apart --------------------------------------------------------------------------------------------------------- */

/* What others call to make the object must be the same there: by proxy it would be called here, with what has become of its
 * arguments by then. 1, 0; -1 with an exception. */
static int
crosses_to_be_called(PyObject *function, PyObject *object)
{
    if (function == (PyObject *)Py_TYPE(object) || stoa__value_crossing(function) == STOA_CROSSES_VALUE) {
        return 1; /* others can import it: stoa__value_crossing has looked */
    }
    PyObject *shared = stoa__delivered_to_heap(function);
    if (shared != NULL || PyErr_Occurred()) {
        return shared != NULL ? 1 : -1;
    }
    return stoa__value_name(function, &shared);
}

/* Of a CALL: what is to be called first, and what sets the state. */
static int
are_called_there(PyObject *parts, PyObject *object)
{
    int called = crosses_to_be_called(PyTuple_GET_ITEM(parts, 0), object);
    bool setter = called > 0 && PyTuple_GET_SIZE(parts) > STOA_CALL_PARTS;
    return setter ? crosses_to_be_called(PyTuple_GET_ITEM(parts, STOA_CALL_PARTS), object) : called;
}

/* As what pickle makes of it, class and all that makes it by name. */
static int
take_reduced(const stoa_plan *plan, PyObject *object, stoa_value_parts *out)
{
    bool numpy = plan->numpy != STOA_NUMPY_NOT;
    if (numpy && !stoa__numpy_has_builtin(object)) {
        return 0; /* where there is no NumPy, nothing can be made of it */
    }
    PyObject *result = stoa__plan_reduce(plan, object, 0);
    if (result == NULL) {
        bool ours = PyErr_ExceptionMatches(PyExc_Exception) && library_class_of(Py_TYPE(object)) != NULL;
        if (ours) { /* a ZoneInfo from a file cannot tell what it is made of */
            PyErr_Clear();
        }
        return ours ? 0 : -1;
    }
    out->kind = (stoa_node_kind)PyLong_AsLong(PyTuple_GET_ITEM(result, 0));
    out->rest = PyTuple_GetSlice(result, 2, PyTuple_GET_SIZE(result));
    out->names = true;
    Py_DECREF(result);
    if (out->rest == NULL || out->kind != STOA_NODE_CALL) {
        return out->rest == NULL ? -1 : 0;
    }
    return are_called_there(out->rest, object);
}

static int
take_member(PyObject *object, stoa_value_parts *out)
{
    PyObject *result = stoa__take_member(object);
    if (result == NULL) {
        return -1;
    }
    PyObject *name = PyTuple_GET_ITEM(result, 3);
    PyObject *value = name == Py_None ? PyTuple_GET_ITEM(result, 4) : Py_None; /* the name says it all */
    out->kind = STOA_NODE_MEMBER;
    out->names = true;
    out->rest = PyTuple_Pack(3, PyTuple_GET_ITEM(result, 2), name, value);
    Py_DECREF(result);
    return out->rest == NULL ? -1 : 1;
}

static int
take_record(stoa_plan *plan, PyObject *object, stoa_value_parts *out)
{
    stoa_fields fields;
    if (!stoa__fields_look(plan, object, &fields)) {
        return 0;
    }
    out->kind = STOA_NODE_RECORD;
    out->rest = PyTuple_New((Py_ssize_t)fields.count); /* no gc runs in this */
    if (out->rest == NULL) {
        return -1;
    }
    stoa__fields_lay(plan, object, &fields, &PyTuple_GET_ITEM(out->rest, 0));
    for (size_t i = 0; i < fields.count; i++) {
        Py_INCREF(PyTuple_GET_ITEM(out->rest, (Py_ssize_t)i));
    }
    out->first = stoa__fields_shape(plan, &fields);
    if (out->first == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 1;
}

int
stoa__value_apart(PyObject *object, stoa_value_parts *out)
{
    *out = (stoa_value_parts){0};
    if (stoa__is_enumeration(Py_TYPE(object))) {
        return take_member(object, out);
    }
    stoa_foreign_side *side = stoa__foreign_side();
    stoa_plan *plan = side == NULL ? NULL : stoa__plan_make(side, object);
    if (plan == NULL) {
        return -1;
    }
    switch ((stoa_how)plan->how) {
    case STOA_HOW_RECORD:
        return take_record(plan, object, out);
    case STOA_HOW_NAMED:
        out->kind = STOA_NODE_NAMED;
        out->first = plan->class_node;
        out->rest = PyTuple_GetSlice(object, 0, PyTuple_GET_SIZE(object));
        return out->rest == NULL ? -1 : 1;
    case STOA_HOW_APART:
        return take_reduced(plan, object, out);
    case STOA_HOW_REFUSE:
        break;
    }
    return 0;
}

static int
frozen_name(PyObject *object, PyObject **out)
{
    *out = stoa__freeze_to_heap(object, NULL, STOA_FREEZE_INTERN);
    if (*out == NULL && !PyErr_ExceptionMatches(PyExc_TypeError)) {
        return -1;
    }
    PyErr_Clear();
    return *out != NULL;
}

int
stoa__value_name(PyObject *object, PyObject **out)
{
    bool named = PyType_Check(object) || PyFunction_Check(object);
    if (PyMethod_Check(object) &&
        PyType_Check(PyMethod_GET_SELF(object))) { /* a constructor beside the class itself */
        return stoa__value_name(PyMethod_GET_SELF(object), out) <= 0 ? 0 : frozen_name(object, out);
    }
    if (PyCFunction_Check(object)) {
        PyObject *self = PyCFunction_GET_SELF(object);
        named = self == NULL || PyModule_Check(self) || PyType_Check(self);
    }
    else if (named) {
        PyObject *module, *qualname;
        named = stoa__global_path(object, &module, &qualname) == 0;
        if (named) {
            Py_DECREF(module);
            Py_DECREF(qualname);
        }
    }
    PyErr_Clear();
    return named ? frozen_name(object, out) : 0;
}

/* ---- together again ------------------------------------------------------------------------------------------------ */

/* "decimal.Decimal", for a message; new reference, or NULL. */
static PyObject *
name_of(stoa_node_kind kind, PyObject *const *parts)
{
    PyObject *class = kind == STOA_NODE_RECORD                        ? stoa__shape_class(parts[0])
                      : kind == STOA_NODE_CALL && parts[6] != Py_None ? parts[6]
                                                                      : parts[0];
    if (class != NULL && PyTuple_CheckExact(class)) { /* its two names */
        return PyUnicode_FromFormat("%U.%U", PyTuple_GET_ITEM(class, 0), PyTuple_GET_ITEM(class, 1));
    }
    PyObject *module = class == NULL ? NULL : stoa__text_attribute(class, "__module__");
    PyObject *qualname = module == NULL ? NULL : stoa__text_attribute(class, "__qualname__");
    PyObject *name = qualname == NULL ? NULL : PyUnicode_FromFormat("%U.%U", module, qualname);
    Py_XDECREF(module);
    Py_XDECREF(qualname);
    return name != NULL || class == NULL ? name : PyUnicode_FromString(Py_TYPE(class)->tp_name);
}

static void
explain(stoa_node_kind kind, PyObject *const *parts)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return;
    }
    char here[STOA_INTERPRETER_NAME];
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *name = name_of(kind, parts);
    PyErr_Clear();
    PyObject *text = PyObject_Str(raised);
    if (text == NULL) {
        PyErr_Clear();
        text = PyUnicode_FromString("?");
    }
    PyObject *error = stoa__exception(STOA_EXC_Error);
    if (name != NULL && text != NULL && error != NULL) {
        PyErr_Format(
            error, "'%U' cannot be built in interpreter '%s': %.200s: %U; send a frozen one, or a stoa.proxy",
            name, stoa__interpreter_name(here), Py_TYPE(raised)->tp_name, text);
        PyObject *wrapped = PyErr_GetRaisedException();
        PyException_SetCause(wrapped, Py_NewRef(raised));
        PyException_SetContext(wrapped, Py_NewRef(raised));
        PyErr_SetRaisedException(wrapped);
    }
    Py_XDECREF(text);
    Py_XDECREF(name);
    Py_DECREF(raised);
}

PyObject *
stoa__value_build(stoa_node_kind kind, PyObject *const *parts, size_t count)
{
    const stoa_foreign_kind *known = stoa__foreign_kind(kind);
    const stoa_node node = {.kind = (uint16_t)kind, .count = count}; /* its parts lie elsewhere */
    PyObject *object = known->build(&node, parts);
    if (object == NULL) {
        explain(kind, parts);
    }
    return object;
}
