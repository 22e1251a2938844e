/* Taking objects apart, and making them again, by the protocol that pickle and copy use.
 *
 * A CALL node has seven parts: what to call, its arguments, a text, the state, items to append, pairs to set, the class
 * that must come out (or its module and name, for messages, where what comes out may be of another; or None). Where a
 * function sets the state, in place of __setstate__, that is the eighth.
 * Constructors may insist on a list or a dict where freezing made a tuple or a mapping, so the text says, one mark
 * each, what the state and every argument were: l list, d dict (as key, value, …), s set, b bytearray, (…) for a tuple
 * with such things in it, . for anything else. What lies deeper stays frozen.
 */
#include "immortal/apart.h"

#include "immortal/names_of.h"
#include "immortal/reduce.h"

enum { SETTER = STOA_CALL_PARTS }; /* the part that only some have */

/* ---- apart --------------------------------------------------------------------------------------------------------- */

/* key, value, key, value … : new reference. */
static PyObject *
flat_pairs(PyObject *dict)
{
    PyObject *pairs = PyTuple_New(2 * PyDict_GET_SIZE(dict));
    PyObject *key, *value;
    Py_ssize_t position = 0, i = 0;
    while (pairs != NULL && PyDict_Next(dict, &position, &key, &value)) {
        PyTuple_SET_ITEM(pairs, i++, Py_NewRef(key));
        PyTuple_SET_ITEM(pairs, i++, Py_NewRef(value));
    }
    return pairs;
}

/* The text of marks while it is written. */
typedef struct marks {
    char *text;
    Py_ssize_t size, room;
} marks;

static int
write_mark(marks *m, char mark)
{
    if (m->size == m->room) {
        Py_ssize_t room = m->room * 2 + 32;
        char *text = PyMem_Realloc(m->text, (size_t)room);
        if (text == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        m->text = text;
        m->room = room;
    }
    m->text[m->size++] = mark;
    return 0;
}

static char
mark_of(PyObject *object)
{
    return PyList_CheckExact(object)        ? 'l'
           : PyDict_CheckExact(object)      ? 'd'
           : PySet_CheckExact(object)       ? 's'
           : PyByteArray_CheckExact(object) ? 'b'
                                            : '.';
}

static bool
holds_mutable(PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        if (mark_of(PyTuple_GET_ITEM(tuple, i)) != '.') {
            return true;
        }
    }
    return false;
}

/* What is frozen for one argument, or the state; writes its mark. New reference. */
static PyObject *
immutable_form(PyObject *object, marks *m)
{
    char mark = mark_of(object);
    if (PyTuple_CheckExact(object) && holds_mutable(object)) {
        PyObject *forms = PyTuple_New(PyTuple_GET_SIZE(object));
        int result = forms == NULL ? -1 : write_mark(m, '(');
        for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(object); i++) {
            PyObject *item = PyTuple_GET_ITEM(object, i);
            PyObject *form = PyTuple_CheckExact(item) ? Py_NewRef(item) : immutable_form(item, m);
            result = form == NULL ? -1 : PyTuple_CheckExact(item) ? write_mark(m, '.') : 0;
            PyTuple_SET_ITEM(forms, i, form);
        }
        if (result < 0 || write_mark(m, ')') < 0) {
            Py_CLEAR(forms);
        }
        return forms;
    }
    if (write_mark(m, mark) < 0) {
        return NULL;
    }
    switch (mark) {
    case 'l':
        return PySequence_Tuple(object);
    case 'd':
        return flat_pairs(object);
    case 's':
        return PyFrozenSet_New(object);
    case 'b':
        return PyBytes_FromObject(object);
    default:
        return Py_NewRef(object);
    }
}

/* The arguments in their immutable form; writes their marks. */
static PyObject *
take_arguments(PyObject *arguments, marks *m)
{
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    PyObject *result = PyTuple_New(count);
    for (Py_ssize_t i = 0; result != NULL && i < count; i++) {
        PyObject *form = immutable_form(PyTuple_GET_ITEM(arguments, i), m);
        if (form == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyTuple_SET_ITEM(result, i, form);
    }
    return result;
}

/* An iterator of pairs, read to its end: key, value, … */
static PyObject *
take_pairs(PyObject *iterator)
{
    PyObject *dict = PyDict_New();
    if (dict != NULL && PyDict_MergeFromSeq2(dict, iterator, 1) < 0) {
        Py_CLEAR(dict);
    }
    PyObject *pairs = dict == NULL ? NULL : flat_pairs(dict);
    Py_XDECREF(dict);
    return pairs;
}

static PyObject *
item_or_none(PyObject *reduced, Py_ssize_t i)
{
    return i < PyTuple_GET_SIZE(reduced) ? PyTuple_GET_ITEM(reduced, i) : Py_None;
}

static bool
is_importable_class(PyTypeObject *type)
{
    PyObject *module, *qualname;
    if (stoa__global_path((PyObject *)type, &module, &qualname) < 0) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(module);
    Py_DECREF(qualname);
    return true;
}

/* Of datetime's Python version (3.12, in interpreters with a GIL of their own): its state is that version's alone, and its
 * arguments say all. */
static bool
is_python_timezone(PyObject *object)
{
    if (strcmp(Py_TYPE(object)->tp_name, "timezone") != 0) {
        return false;
    }
    PyObject *class = stoa__import_attribute("_pydatetime", "timezone");
    Py_XDECREF(class);
    PyErr_Clear();
    return class == (PyObject *)Py_TYPE(object);
}

static bool
has_own_setstate(PyObject *exception)
{
    PyObject *method = PyObject_GetAttrString((PyObject *)Py_TYPE(exception), "__setstate__");
    bool own = method != NULL && !Py_IS_TYPE(method, &PyMethodDescr_Type);
    PyErr_Clear();
    Py_XDECREF(method);
    return own;
}

/* `class`: what the part of that name is; NULL: a failure that has happened. */
static PyObject *
take_parts(PyObject *reduced, PyObject *state, PyObject *class, unsigned flags)
{
    PyObject *arguments = PyTuple_GET_ITEM(reduced, 1);
    PyObject *items = item_or_none(reduced, 3), *pairs = item_or_none(reduced, 4);
    PyObject *setter = state == Py_None ? Py_None : item_or_none(reduced, 5); /* no state: nobody asks for it */
    size_t count = setter == Py_None ? STOA_CALL_PARTS : STOA_CALL_PARTS + 1;
    marks m = {NULL, 0, 0};
    PyObject *parts[STOA_CALL_PARTS + 1];
    parts[0] = Py_NewRef(PyTuple_GET_ITEM(reduced, 0));
    parts[3] = immutable_form(state, &m);
    parts[1] = parts[3] == NULL ? NULL : take_arguments(arguments, &m);
    parts[2] = parts[1] == NULL ? NULL : PyUnicode_FromStringAndSize(m.text, m.size);
    parts[4] = parts[2] == NULL ? NULL : items == Py_None ? Py_NewRef(Py_None) : PySequence_Tuple(items);
    parts[5] = parts[4] == NULL ? NULL : pairs == Py_None ? Py_NewRef(Py_None) : take_pairs(pairs);
    parts[6] = Py_XNewRef(class);
    parts[SETTER] = Py_NewRef(setter);
    PyMem_Free(m.text);
    PyObject *result = stoa__apart_result(STOA_NODE_CALL, flags, count, parts);
    if (count == STOA_CALL_PARTS) {
        Py_DECREF(parts[SETTER]);
    }
    return result;
}

static PyObject *
take_reduced(PyObject *object, PyObject *reduced, unsigned flags)
{
    PyObject *state = is_python_timezone(object) ? Py_None : item_or_none(reduced, 2);
    if (PyExceptionInstance_Check(object) && PyDict_CheckExact(state) && PyDict_GET_SIZE(state) == 0 &&
        item_or_none(reduced, 5) == Py_None && !has_own_setstate(object)) {
        state = Py_None; /* an exception has a dict once anybody has asked for it: that is no change */
    }
    PyObject *class = is_importable_class(Py_TYPE(object)) ? (PyObject *)Py_TYPE(object) : Py_None;
    return take_parts(reduced, state, class, flags);
}

PyObject *
stoa__reduce_to(PyObject *name, PyObject *function, PyObject *arguments, unsigned flags)
{
    PyObject *reduced = PyTuple_Pack(2, function, arguments);
    PyObject *result = reduced == NULL ? NULL : take_parts(reduced, Py_None, name, flags);
    Py_XDECREF(reduced);
    return result;
}

/* What copyreg knows of a type goes before its methods, as in pickle. */
static PyObject *
call_reduce(PyObject *object)
{
    PyObject *table = stoa__import_attribute("copyreg", "dispatch_table");
    PyObject *function = table == NULL || !PyDict_Check(table)
                             ? NULL
                             : PyDict_GetItemWithError(table, (PyObject *)Py_TYPE(object));
    PyObject *reduced = NULL;
    if (function != NULL) {
        Py_INCREF(function);
        reduced = PyObject_CallOneArg(function, object);
        Py_DECREF(function);
    }
    else if (!PyErr_Occurred()) {
        reduced = PyObject_CallMethod(object, "__reduce_ex__", "i", 4);
    }
    Py_XDECREF(table);
    return reduced;
}

PyObject *
stoa__reduce(PyObject *object, unsigned flags)
{
    PyObject *reduced = call_reduce(object);
    return reduced == NULL ? NULL : stoa__reduce_as(object, reduced, flags);
}

/* What pickle takes, too. */
static bool
is_reduced(PyObject *reduced)
{
    Py_ssize_t size = PyTuple_Check(reduced) ? PyTuple_GET_SIZE(reduced) : 0;
    if (size < 2 || size > 6 || !PyTuple_CheckExact(PyTuple_GET_ITEM(reduced, 1))) {
        return false;
    }
    PyObject *setter = item_or_none(reduced, 5);
    return PyCallable_Check(PyTuple_GET_ITEM(reduced, 0)) && (setter == Py_None || PyCallable_Check(setter));
}

PyObject *
stoa__reduce_as(PyObject *object, PyObject *reduced, unsigned flags)
{
    PyObject *result = NULL;
    if (PyUnicode_CheckExact(reduced)) { /* the name of a global */
        PyObject *parts[2] = {stoa__text_attribute(object, "__module__"), Py_NewRef(reduced)};
        if (parts[0] == NULL && !PyErr_Occurred()) { /* builtin classes tell theirs to nobody but themselves */
            parts[0] = stoa__text_attribute((PyObject *)Py_TYPE(object), "__module__");
        }
        PyObject *module = parts[0] == NULL ? NULL : PyImport_GetModule(parts[0]);
        PyObject *found = module == NULL ? NULL : stoa__follow(module, reduced);
        if (found == object) {
            result = stoa__apart_result(STOA_NODE_GLOBAL, STOA_NODE_VALUE, 2, parts);
        }
        else {
            Py_XDECREF(parts[0]);
            Py_DECREF(parts[1]);
            PyErr_Format(PyExc_TypeError, "its __reduce__ says that it is found as %R, but it is not", reduced);
        }
        Py_XDECREF(found);
        Py_XDECREF(module);
    }
    else if (is_reduced(reduced)) {
        result = take_reduced(object, reduced, flags);
    }
    else {
        PyErr_SetString(
            PyExc_TypeError,
            "its __reduce__ must give a name, or a tuple (callable, arguments, state, items, pairs, setter)");
    }
    Py_DECREF(reduced);
    return result;
}

/* ---- together again ------------------------------------------------------------------------------------------------ */

static PyObject *
dict_of(PyObject *pairs)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i + 1 < PyTuple_GET_SIZE(pairs); i += 2) {
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(pairs, i), PyTuple_GET_ITEM(pairs, i + 1)) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *
dict_of_form(PyObject *form)
{
    PyObject *tuple = PySequence_Tuple(form); /* it may be a sequence, if it is long and foreign */
    PyObject *dict = tuple == NULL ? NULL : dict_of(tuple);
    Py_XDECREF(tuple);
    return dict;
}

/* Undoes immutable_form; `at` moves behind the mark. */
static PyObject *
mutable_form(PyObject *form, PyObject *text, Py_ssize_t *at)
{
    Py_UCS4 mark = *at < PyUnicode_GET_LENGTH(text) ? PyUnicode_READ_CHAR(text, *at) : '?';
    ++*at;
    switch (mark) {
    case 'l':
        return PySequence_List(form);
    case 'd':
        return dict_of_form(form);
    case 's':
        return PySet_New(form);
    case 'b':
        return PyByteArray_FromObject(form);
    case '.':
        return Py_NewRef(form);
    default:
        break;
    }
    PyObject *forms = mark == '(' ? PySequence_Tuple(form) : NULL;
    PyObject *result = forms == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(forms));
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(forms); i++) {
        PyObject *item = mutable_form(PyTuple_GET_ITEM(forms, i), text, at); /* one level: '(' holds no '(' */
        if (item == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyTuple_SET_ITEM(result, i, item);
    }
    ++*at; /* the closing one */
    Py_XDECREF(forms);
    return result;
}

static PyObject *
make_arguments(PyObject *forms, PyObject *text, Py_ssize_t at)
{
    PyObject *arguments = PySequence_Tuple(forms);
    PyObject *result = arguments == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(arguments));
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(arguments); i++) {
        PyObject *argument = mutable_form(PyTuple_GET_ITEM(arguments, i), text, &at);
        if (argument == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyTuple_SET_ITEM(result, i, argument);
    }
    Py_XDECREF(arguments);
    return result;
}

/* What a key of the state becomes as the name of an attribute: new reference. */
static PyObject *
attribute_name(PyObject *key)
{
    return PyUnicode_CheckExact(key) ? stoa__own_name(key) : Py_NewRef(key);
}

/* As pickle does: names become keys of __dict__ without any __setattr__. */
static int
update_dict(PyObject *object, PyObject *state)
{
    PyObject *dict = PyObject_GetAttrString(object, "__dict__");
    PyObject *name, *value;
    Py_ssize_t position = 0;
    int result = dict == NULL ? -1 : 0;
    while (result == 0 && PyDict_Next(state, &position, &name, &value)) {
        PyObject *own = attribute_name(name);
        result = own == NULL ? -1 : PyObject_SetItem(dict, own, value);
        Py_XDECREF(own);
    }
    Py_XDECREF(dict);
    return result;
}

static int
set_attributes(PyObject *object, PyObject *state)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;
    int result = 0;
    while (result == 0 && PyDict_Next(state, &position, &name, &value)) {
        PyObject *own = attribute_name(name);
        result = own == NULL ? -1 : PyObject_SetAttr(object, own, value);
        Py_XDECREF(own);
    }
    return result;
}

/* Attributes, and beside these slots: what a state is where there is no code that takes it. */
static bool
are_two_dicts(PyObject *state)
{
    if (!PyTuple_CheckExact(state) || PyTuple_GET_SIZE(state) != 2 ||
        !PyDict_Check(PyTuple_GET_ITEM(state, 1))) {
        return false;
    }
    PyObject *first = PyTuple_GET_ITEM(state, 0);
    return first == Py_None || PyDict_Check(first);
}

/* By `setter` where there is one, else by the __setstate__ of the class, else attribute by attribute. */
static int
set_state(PyObject *object, PyObject *state, PyObject *setter)
{
    if (state == Py_None) {
        return 0;
    }
    PyObject *method = setter != NULL ? NULL
                                      : PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__setstate__");
    if (setter != NULL || method != NULL) {
        PyObject *none = PyObject_CallFunctionObjArgs(setter != NULL ? setter : method, object, state, NULL);
        Py_XDECREF(method);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return -1;
    }
    PyErr_Clear();
    if (PyDict_Check(state)) {
        return update_dict(object, state);
    }
    if (are_two_dicts(state)) {
        PyObject *first = PyTuple_GET_ITEM(state, 0); /* an object with slots alone may have no __dict__ */
        int result = first == Py_None || PyDict_GET_SIZE(first) == 0 ? 0 : update_dict(object, first);
        return result < 0 ? -1 : set_attributes(object, PyTuple_GET_ITEM(state, 1));
    }
    PyErr_Format(PyExc_TypeError, "the class has no __setstate__ for a state of type %.100s",
                 Py_TYPE(state)->tp_name);
    return -1;
}

/* As pickle does: by extend(), or where the class has none by append(). */
static int
add_items(PyObject *object, PyObject *items)
{
    if (items == Py_None) {
        return 0;
    }
    PyObject *list = PySequence_List(items);
    PyObject *method = list == NULL ? NULL : PyObject_GetAttrString(object, "extend");
    bool at_once = method != NULL;
    if (list != NULL && !at_once && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        method = PyObject_GetAttrString(object, "append");
    }
    int result = method == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && i < (at_once ? 1 : PyList_GET_SIZE(list)); i++) {
        PyObject *none = PyObject_CallOneArg(method, at_once ? list : PyList_GET_ITEM(list, i));
        Py_XDECREF(none);
        result = none == NULL ? -1 : 0;
    }
    Py_XDECREF(method);
    Py_XDECREF(list);
    return result;
}

static int
add_pairs(PyObject *object, PyObject *pairs)
{
    PyObject *flat = pairs == Py_None ? NULL : PySequence_Tuple(pairs);
    int result = flat == NULL && PyErr_Occurred() ? -1 : 0;
    for (Py_ssize_t i = 0; flat != NULL && result == 0 && i + 1 < PyTuple_GET_SIZE(flat); i += 2) {
        result = PyObject_SetItem(object, PyTuple_GET_ITEM(flat, i), PyTuple_GET_ITEM(flat, i + 1));
    }
    Py_XDECREF(flat);
    return result;
}

/* Exceptions say with what arguments they were made, but their class may take others, or add to them: BaseException's own
 * __reduce__ knows nothing of that. Arguments and attributes are all there is, so the class is not asked. */
static bool
is_plain_exception(PyObject *function, PyObject *class)
{
    if (function != class || !PyExceptionClass_Check(class)) {
        return false;
    }
    PyObject *reduce = PyObject_GetAttrString(class, "__reduce__"),
             *ex = PyObject_GetAttrString(class, "__reduce_ex__");
    bool plain = reduce != NULL && ex != NULL && Py_IS_TYPE(reduce, &PyMethodDescr_Type) &&
                 Py_IS_TYPE(ex, &PyMethodDescr_Type);
    PyErr_Clear();
    Py_XDECREF(reduce);
    Py_XDECREF(ex);
    return plain;
}

static PyObject *
make_exception(PyTypeObject *type, PyObject *arguments)
{
    PyTypeObject *base = type; /* the builtin class, whose __init__ fills the C fields */
    while (base->tp_flags & Py_TPFLAGS_HEAPTYPE) {
        base = base->tp_base;
    }
    PyObject *exception = type->tp_new(type, arguments, NULL);
    if (exception == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) { /* a __new__ that wants something else */
        PyErr_Clear();
        exception = base->tp_new(type, arguments, NULL);
    }
    if (exception != NULL && PyObject_TypeCheck(exception, type) &&
        base->tp_init(exception, arguments, NULL) < 0) {
        Py_CLEAR(exception);
    }
    return exception;
}

/* add_note() wants a list, and the frozen one has become a tuple. */
static int
notes_as_list(PyObject *state)
{
    PyObject *notes = PyDict_GetItemString(state, "__notes__"); /* borrowed */
    if (notes == NULL || !PyTuple_CheckExact(notes)) {
        return 0;
    }
    PyObject *list = PySequence_List(notes);
    int result = list == NULL ? -1 : PyDict_SetItemString(state, "__notes__", list);
    Py_XDECREF(list);
    return result;
}

/* As pickle does, in its order: what adding the items leaves in attributes, the state overwrites. */
static int
fill(PyObject *object, PyObject *state, const stoa_node *node, PyObject *const *parts)
{
    if (PyExceptionInstance_Check(object) && PyDict_CheckExact(state) && notes_as_list(state) < 0) {
        return -1;
    }
    if (add_items(object, parts[4]) < 0 || add_pairs(object, parts[5]) < 0) {
        return -1;
    }
    return set_state(object, state, node->count > STOA_CALL_PARTS ? parts[SETTER] : NULL);
}

PyObject *
stoa__build_call(const stoa_node *node, PyObject *const *parts)
{
    Py_ssize_t at = 0;
    PyObject *state = mutable_form(parts[3], parts[2], &at);
    PyObject *arguments = state == NULL ? NULL : make_arguments(parts[1], parts[2], at);
    PyObject *object = arguments == NULL ? NULL
                       : is_plain_exception(parts[0], parts[6])
                           ? make_exception((PyTypeObject *)parts[0], arguments)
                           : PyObject_Call(parts[0], arguments, NULL);
    Py_XDECREF(arguments);
    if (object != NULL && PyType_Check(parts[6]) && (PyObject *)Py_TYPE(object) != parts[6]) {
        PyErr_Format(PyExc_TypeError, "what rebuilds it made a %.100s", Py_TYPE(object)->tp_name);
        Py_CLEAR(object);
    }
    if (object != NULL && fill(object, state, node, parts) < 0) {
        Py_CLEAR(object);
    }
    Py_XDECREF(state);
    return object;
}
