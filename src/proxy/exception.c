#include "proxy/exception.h"

#include <string.h>
#include <structmember.h>

#include "immortal/exceptions.h"
#include "immortal/names_of.h"
#include "proxy/by_copy.h"
#include "proxy/cross.h"
#include "proxy/traceback_text.h"

/* Groups in groups deeper than this are told by their text only. */
#define GROUP_DEPTH 16

/* The description is a tuple: */
enum { MODULE, QUALNAME, ARGUMENTS, ATTRIBUTES, NOTES, TEXT, MESSAGE, MEMBERS, FIELDS };

/* ---- describing -------------------------------------------------------------------------------------------------- */

/* Steals; what failed becomes None. */
static PyObject *
or_none(PyObject *object)
{
    if (object == NULL) {
        PyErr_Clear();
        return Py_NewRef(Py_None);
    }
    return object;
}

/* by_copy(object) if that can cross, else its repr, else None. New reference. */
static PyObject *
crossable(PyObject *object)
{
    PyObject *marked = PyExceptionInstance_Check(object) ? NULL : stoa__by_copy(object);
    stoa_parcel trial;
    if (marked != NULL &&
        stoa__pack(marked, "exception", STOA_PACK_DETACHED | STOA_PACK_EXCEPTION, &trial) == 0) {
        stoa__parcel_clear(&trial);
        return marked;
    }
    Py_XDECREF(marked);
    PyErr_Clear();
    return or_none(PyUnicode_FromFormat("%.1000R", object));
}

static PyObject *
crossable_tuple(PyObject *items)
{
    PyObject *tuple = PySequence_Tuple(items);
    PyObject *result = tuple == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(tuple));
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(tuple); i++) {
        PyTuple_SET_ITEM(result, i, crossable(PyTuple_GET_ITEM(tuple, i)));
    }
    Py_XDECREF(tuple);
    return result;
}

/* name, value, name, value … of a dict of attributes; notes apart. */
static void
add_attributes(PyObject *dict, PyObject *flat)
{
    PyObject *copy = !PyDict_Check(dict) ? NULL : PyDict_Copy(dict);
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (copy != NULL && PyDict_Next(copy, &position, &key, &value)) {
        if (!PyUnicode_CheckExact(key) || PyUnicode_CompareWithASCIIString(key, "__notes__") == 0) {
            continue;
        }
        PyObject *sent = crossable(value);
        if (PyList_Append(flat, key) < 0 || PyList_Append(flat, sent) < 0) {
            PyErr_Clear();
        }
        Py_DECREF(sent);
    }
    Py_XDECREF(copy);
}

/* In the tuple itself, or in a tuple in it, as SyntaxError has it. */
static bool
is_in(PyObject *tuple, PyObject *object, int depth)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        if (item == object || (depth > 0 && PyTuple_CheckExact(item) && is_in(item, object, depth - 1))) {
            return true;
        }
    }
    return false;
}

/* The C fields of builtin classes that neither the arguments fill nor the attributes name: NameError's `name`, and whatever
 * was assigned later. Not what an AttributeError found nothing in: asking is no reason to hold the object. */
static int
add_fields(PyObject *exception, PyObject *arguments, PyObject *dict, PyObject *flat)
{
    PyTypeObject *type = Py_TYPE(exception);
    for (; type != (PyTypeObject *)PyExc_BaseException && type != &PyBaseObject_Type; type = type->tp_base) {
        PyMemberDef *member = type->tp_flags & Py_TPFLAGS_HEAPTYPE ? NULL : type->tp_members;
        for (; member != NULL && member->name != NULL; member++) {
            if ((member->flags & READONLY) || (member->type != T_OBJECT && member->type != T_OBJECT_EX) ||
                type == (PyTypeObject *)PyExc_AttributeError) {
                continue;
            }
            PyObject *value = *(PyObject **)((char *)exception + member->offset);
            if (value == NULL || value == Py_None || value == arguments || is_in(arguments, value, 1) ||
                (dict != NULL && PyDict_Check(dict) && PyDict_GetItemString(dict, member->name) != NULL)) {
                continue;
            }
            Py_INCREF(value); /* code that runs may give the field another one */
            PyObject *name = PyUnicode_FromString(member->name), *sent = crossable(value);
            Py_DECREF(value);
            int result = name == NULL || PyList_Append(flat, name) < 0 ? -1 : PyList_Append(flat, sent);
            Py_XDECREF(name);
            Py_DECREF(sent);
            if (result < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* `arguments` as they are, `dict` (NULL: none): new references. */
static PyObject *
take_attributes(PyObject *exception, PyObject *arguments, PyObject *dict)
{
    PyObject *flat = PyList_New(0);
    if (flat != NULL && dict != NULL) {
        add_attributes(dict, flat);
    }
    if (flat != NULL && add_fields(exception, arguments, dict, flat) < 0) {
        PyErr_Clear();
    }
    PyObject *result = flat == NULL ? NULL : PyList_AsTuple(flat);
    Py_XDECREF(flat);
    return result;
}

/* What the class itself says an instance is made from, unless it is Python code that says it. */
static void
take_apart(PyObject *exception, PyObject **arguments, PyObject **attributes)
{
    PyObject *method = PyObject_GetAttrString((PyObject *)Py_TYPE(exception), "__reduce__");
    PyObject *reduced = NULL;
    if (method != NULL && Py_IS_TYPE(method, &PyMethodDescr_Type)) {
        reduced = PyObject_CallOneArg(method, exception);
    }
    Py_XDECREF(method);
    PyObject *dict = NULL, *args;
    if (reduced != NULL && PyTuple_CheckExact(reduced) && PyTuple_GET_SIZE(reduced) >= 2) {
        args = Py_NewRef(PyTuple_GET_ITEM(reduced, 1));
        dict = PyTuple_GET_SIZE(reduced) > 2 ? Py_NewRef(PyTuple_GET_ITEM(reduced, 2)) : NULL;
    }
    else {
        PyErr_Clear();
        args = PyObject_GetAttrString(exception, "args");
        dict = PyObject_GetAttrString(exception, "__dict__");
        PyErr_Clear();
    }
    Py_XDECREF(reduced);
    if (args != NULL && !PyTuple_CheckExact(args)) {
        Py_SETREF(args, PySequence_Tuple(args));
    }
    PyErr_Clear();
    *arguments = or_none(args == NULL ? NULL : crossable_tuple(args));
    *attributes = or_none(args == NULL ? NULL : take_attributes(exception, args, dict));
    Py_XDECREF(args);
    Py_XDECREF(dict);
}

PyObject *
stoa__exception_text(PyObject *exception)
{
    PyObject *text = PyObject_Str(exception);
    if (text != NULL && !PyUnicode_CheckExact(text)) {
        Py_SETREF(text, PyUnicode_FromObject(text));
    }
    if (text == NULL) {
        PyErr_Clear();
        text = PyUnicode_FromFormat("<exception str() failed>");
    }
    return text;
}

static PyObject *describe(PyObject *exception, int depth);

static PyObject *
describe_members(PyObject *exception, int depth)
{
    PyObject *members = PyObject_GetAttrString(exception, "exceptions");
    PyObject *tuple = members == NULL ? NULL : PySequence_Tuple(members);
    PyObject *result = tuple == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(tuple));
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(tuple); i++) {
        PyTuple_SET_ITEM(result, i, describe(PyTuple_GET_ITEM(tuple, i), depth + 1));
    }
    Py_XDECREF(tuple);
    Py_XDECREF(members);
    return result;
}

static PyObject *
describe(PyObject *exception, int depth)
{
    PyObject *fields[FIELDS] = {NULL};
    PyObject *type = (PyObject *)Py_TYPE(exception);
    fields[MODULE] = or_none(stoa__text_attribute(type, "__module__"));
    fields[QUALNAME] = or_none(stoa__text_attribute(type, "__qualname__"));
    take_apart(exception, &fields[ARGUMENTS], &fields[ATTRIBUTES]);
    PyObject *notes = PyObject_GetAttrString(exception, "__notes__");
    fields[NOTES] = or_none(notes == NULL ? NULL : crossable_tuple(notes));
    Py_XDECREF(notes);
    fields[TEXT] = depth > 0 ? Py_NewRef(Py_None) : or_none(stoa__traceback_text(exception));
    fields[MESSAGE] = or_none(stoa__exception_text(exception));
    bool group = PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_BaseExceptionGroup);
    fields[MEMBERS] = or_none(group && depth < GROUP_DEPTH ? describe_members(exception, depth)
                                                           : Py_NewRef(Py_None));
    PyObject *tuple = PyTuple_New(FIELDS);
    for (int i = 0; i < FIELDS; i++) {
        if (tuple != NULL) {
            PyTuple_SET_ITEM(tuple, i, fields[i]);
        }
        else {
            Py_DECREF(fields[i]);
        }
    }
    return or_none(tuple);
}

PyObject *
stoa__exception_describe(PyObject *exception)
{
    PyObject *description = describe(exception, 0);
    if (!PyTuple_Check(description)) {
        Py_DECREF(description);
        return PyErr_NoMemory();
    }
    return description;
}

void
stoa__exception_pack(stoa_parcel *out)
{
    PyObject *exception = PyErr_GetRaisedException(), *before = PyErr_GetHandledException();
    PyErr_SetHandledException(exception); /* so that code which is stopped is seen to be ending: proxy/interrupt.h */
    PyObject *description = exception == NULL ? NULL : describe(exception, 0);
    if (description == NULL ||
        stoa__pack(description, "exception", STOA_PACK_DETACHED | STOA_PACK_EXCEPTION, out) < 0) {
        stoa__parcel_init(out); /* empty: stands for MemoryError */
    }
    PyErr_SetHandledException(before);
    Py_XDECREF(before);
    Py_XDECREF(description);
    Py_XDECREF(exception);
    PyErr_Clear();
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static PyObject *
follow_path(PyObject *object, PyObject *qualname)
{
    PyObject *dot = PyUnicode_FromString(".");
    PyObject *parts = dot == NULL ? NULL : PyUnicode_Split(qualname, dot, -1);
    PyObject *found = parts == NULL ? NULL : Py_NewRef(object);
    for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(parts); i++) {
        Py_SETREF(found, PyObject_GetAttr(found, PyList_GET_ITEM(parts, i)));
    }
    Py_XDECREF(parts);
    Py_XDECREF(dot);
    return found;
}

static PyObject *
find_own_class(PyObject *qualname)
{
    for (int i = 0; i <= STOA_EXC_COUNT; i++) {
        PyObject *type = i < STOA_EXC_COUNT ? stoa__exception((stoa_exc)i) : stoa__exception_out_of_time();
        PyObject *name = type == NULL ? NULL : PyObject_GetAttrString(type, "__qualname__");
        int same = name == NULL ? -1 : PyUnicode_Compare(name, qualname);
        Py_XDECREF(name);
        if (same == 0) {
            return Py_NewRef(type);
        }
    }
    return NULL;
}

/* The class of that name here: new reference, or NULL with no exception. */
static PyObject *
find_class(PyObject *module_name, PyObject *qualname)
{
    if (!PyUnicode_Check(module_name) || !PyUnicode_Check(qualname) ||
        PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0) { /* another __main__ than the sender's */
        return NULL;
    }
    PyObject *type = NULL;
    if (PyUnicode_CompareWithASCIIString(module_name, "stoa") == 0) {
        type = find_own_class(qualname);
    }
    else {
        PyObject *module = PyImport_GetModule(module_name); /* importing what is there takes 2 us */
        module = module != NULL || PyErr_Occurred() ? module : PyImport_Import(module_name);
        type = module == NULL ? NULL : follow_path(module, qualname); /* "<locals>" is nowhere an attribute */
        Py_XDECREF(module);
    }
    if (type != NULL &&
        !(PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, (PyTypeObject *)PyExc_BaseException))) {
        Py_SETREF(type, NULL);
    }
    PyErr_Clear();
    return type;
}

/* The builtin class whose __init__ fills the C fields. */
static PyTypeObject *
builtin_base(PyTypeObject *type)
{
    while (type->tp_flags & Py_TPFLAGS_HEAPTYPE) {
        type = type->tp_base;
    }
    return type;
}

static PyObject *
make_instance(PyObject *class, PyObject *arguments)
{
    PyTypeObject *type = (PyTypeObject *)class;
    PyTypeObject *base = builtin_base(type);
    PyObject *instance = type->tp_new(type, arguments, NULL);
    if (instance == NULL) { /* a __new__ of its own that wants something else */
        PyErr_Clear();
        instance = base->tp_new(type, arguments, NULL);
    }
    if (instance != NULL && !PyObject_TypeCheck(instance, type)) {
        Py_SETREF(instance, NULL);
    }
    if (instance != NULL && base->tp_init(instance, arguments, NULL) < 0) {
        PyErr_Clear();
        Py_SETREF(instance, NULL);
    }
    PyErr_Clear();
    return instance;
}

static PyObject *make(PyObject *description);

static PyObject *
group_arguments(PyObject *description)
{
    PyObject *arguments = PyTuple_GET_ITEM(description, ARGUMENTS);
    PyObject *members = PyTuple_GET_ITEM(description, MEMBERS);
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < PyTuple_GET_SIZE(members); i++) {
        PyObject *member = make(PyTuple_GET_ITEM(members, i));
        if (member == NULL || PyList_Append(list, member) < 0) {
            PyErr_Clear();
        }
        Py_XDECREF(member);
    }
    PyObject *message = PyTuple_Check(arguments) && PyTuple_GET_SIZE(arguments) > 0
                            ? PyTuple_GET_ITEM(arguments, 0)
                            : Py_None;
    PyObject *result = list == NULL ? NULL : PyTuple_Pack(2, message, list);
    Py_XDECREF(list);
    return result;
}

static void
add_details(PyObject *instance, PyObject *description)
{
    PyObject *attributes = PyTuple_GET_ITEM(description, ATTRIBUTES);
    for (Py_ssize_t i = 0; PyTuple_Check(attributes) && i + 1 < PyTuple_GET_SIZE(attributes); i += 2) {
        if (PyObject_GenericSetAttr(instance, PyTuple_GET_ITEM(attributes, i),
                                    PyTuple_GET_ITEM(attributes, i + 1)) < 0) {
            PyErr_Clear();
        }
    }
    PyObject *notes = PyTuple_GET_ITEM(description, NOTES);
    for (Py_ssize_t i = 0; PyTuple_Check(notes) && i < PyTuple_GET_SIZE(notes); i++) {
        PyObject *result = PyObject_CallMethod(instance, "add_note", "(O)", PyTuple_GET_ITEM(notes, i));
        if (result == NULL) {
            PyErr_Clear();
        }
        Py_XDECREF(result);
    }
}

/* RemoteError(message) with .type_name and .text. */
static PyObject *
make_remote_error(PyObject *message, PyObject *type_name, PyObject *text)
{
    PyObject *class = stoa__exception(STOA_EXC_RemoteError);
    PyObject *instance = class == NULL ? NULL : PyObject_CallOneArg(class, message);
    if (instance != NULL && (PyObject_SetAttrString(instance, "type_name", type_name) < 0 ||
                             PyObject_SetAttrString(instance, "text", text) < 0)) {
        Py_SETREF(instance, NULL);
    }
    return instance;
}

static void
add_cause(PyObject *instance, PyObject *type_name, PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        return;
    }
    PyObject *shown = PyUnicode_FromFormat("\n\"\"\"\n%U\"\"\"", text);
    PyObject *cause = shown == NULL ? NULL : make_remote_error(shown, type_name, text);
    if (cause == NULL) {
        PyErr_Clear();
    }
    else {
        PyException_SetCause(instance, cause); /* steals */
    }
    Py_XDECREF(shown);
}

static PyObject *
make(PyObject *description)
{
    if (!PyTuple_Check(description)) {
        return PyErr_NoMemory();
    }
    PyObject *text = PyTuple_GET_ITEM(description, TEXT);
    PyObject *type_name = PyUnicode_FromFormat("%S.%S", PyTuple_GET_ITEM(description, MODULE),
                                               PyTuple_GET_ITEM(description, QUALNAME));
    if (type_name == NULL) {
        return NULL;
    }
    PyObject *arguments = PyTuple_Check(PyTuple_GET_ITEM(description, MEMBERS))
                              ? group_arguments(description)
                              : Py_NewRef(PyTuple_GET_ITEM(description, ARGUMENTS));
    PyObject *class = find_class(PyTuple_GET_ITEM(description, MODULE),
                                 PyTuple_GET_ITEM(description, QUALNAME));
    PyObject *instance = NULL;
    if (class != NULL && arguments != NULL && PyTuple_Check(arguments)) {
        instance = make_instance(class, arguments);
    }
    PyErr_Clear();
    if (instance == NULL) {
        PyObject *message = PyUnicode_FromFormat("%U: %S", type_name, PyTuple_GET_ITEM(description, MESSAGE));
        instance = message == NULL ? NULL : make_remote_error(message, type_name, text);
        Py_XDECREF(message);
    }
    if (instance != NULL) {
        add_details(instance, description);
        add_cause(instance, type_name, text);
    }
    Py_XDECREF(class);
    Py_XDECREF(arguments);
    Py_DECREF(type_name);
    return instance;
}

PyObject *
stoa__exception_make(PyObject *description)
{
    return make(description);
}

PyObject *
stoa__exception_named(const char *type_name, const char *message)
{
    const char *split = strchr(type_name, ':');
    split = split != NULL ? split : strrchr(type_name, '.');
    size_t module_size = split == NULL ? 0 : (size_t)(split - type_name);
    const char *name = split == NULL ? type_name : split + 1;
    PyObject *module = PyUnicode_DecodeUTF8(split == NULL ? "builtins" : type_name,
                                            split == NULL ? 8 : (Py_ssize_t)module_size, "replace");
    PyObject *qualname = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "replace");
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    PyObject *description = NULL, *instance = NULL;
    if (module != NULL && qualname != NULL && text != NULL) {
        description = Py_BuildValue("OO(O)OOOOO", module, qualname, text, Py_None, Py_None, Py_None, text,
                                    Py_None);
    }
    if (description != NULL) {
        instance = make(description);
        Py_DECREF(description);
    }
    Py_XDECREF(text);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return instance;
}

PyObject *
stoa__exception_unpack(const stoa_parcel *parcel)
{
    PyObject *description = parcel->size == 0 ? PyErr_NoMemory() : stoa__unpack(parcel);
    PyObject *instance = description == NULL ? NULL : make(description);
    Py_XDECREF(description);
    return instance;
}

void
stoa__exception_raise_made(PyObject *instance)
{
    PyErr_SetObject((PyObject *)Py_TYPE(instance), instance); /* what is being handled becomes its context */
    PyObject *context = PyException_GetContext(instance);
    PyObject *cause = context == NULL ? NULL : PyException_GetCause(instance);
    if (cause != NULL) {
        PyException_SetContext(
            cause, Py_NewRef(context)); /* a traceback follows the cause, and not the context beside it */
    }
    Py_XDECREF(cause);
    Py_XDECREF(context);
    Py_DECREF(instance);
}

PyObject *
stoa__exception_raise(stoa_parcel *parcel)
{
    PyObject *instance = stoa__exception_unpack(parcel);
    stoa__parcel_abandon(parcel);
    if (instance != NULL) {
        stoa__exception_raise_made(instance);
    }
    return NULL;
}
