/* stoa.Proxy: identity, life, attributes, calls, comparison. Operators, containers and the rest are in proxy_*.c. */
#include "proxy/proxy.h"

#include <structmember.h>

#include "heap/error.h"
#include "immortal/exceptions.h"
#include "proxy/bag.h"
#include "proxy/call.h"
#include "proxy/cross.h"
#include "proxy/proxy_class.h"
#include "proxy/proxy_doc.h"
#include "proxy/proxy_method.h"
#include "proxy/proxy_signature.h"
#include "proxy/proxy_type.h"
#include "proxy/request.h"
#include "proxy/row.h"
#include "proxy/shape.h"
#include "proxy/thing.h"

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void
forget_import(stoa_proxy_object *self)
{
    stoa_map_entry *entry = self->plain ? stoa__map_first(&self->side->imports, self->handle) : NULL;
    if (entry != NULL) {
        stoa__map_remove(&self->side->imports, entry);
    }
    self->plain = false;
}

static void
give_up_handle(stoa_proxy_object *self)
{
    stoa_handle handle = self->handle;
    self->handle = 0;
    self->owner = stoa__interp_ref(self->owner); /* for its name: later use is told whose object it was */
    self->object = NULL;
    stoa__handle_unref(handle);
}

static void
proxy_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    stoa_proxy_object *self = stoa__proxy(object);
    forget_import(self); /* first: weak references may run code, which must not find it */
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (self->handle != 0) {
        stoa__handle_unref(self->handle);
    }
    else {
        stoa__interp_unref(self->owner);
    }
    if (self->function != NULL) {
        stoa__class_function_unref(self->function);
    }
    stoa__shape_drop(self);
    stoa__route_unref(self->route);
    stoa__side_unref(self->side);
    PyObject_Free(object);
    Py_DECREF(type);
}

bool
stoa__is_proxy(const PyObject *object)
{
    return Py_TYPE(object)->tp_dealloc ==
           proxy_dealloc; /* one function, however many interpreters have the type */
}

int
stoa__proxy_release(PyObject *object)
{
    stoa_proxy_object *self = stoa__proxy(object);
    if (self->handle == 0) {
        return 0;
    }
    if (self->exported > 0) {
        PyErr_SetString(PyExc_BufferError,
                        "this proxy cannot be released while views of its memory are in use");
        return -1;
    }
    forget_import(self);
    self->release_wanted = true;
    if (self->busy == 0) {
        give_up_handle(self);
    }
    return 0;
}

PyObject *
stoa__proxy_failed(const stoa_proxy_object *proxy, stoa_err err)
{
    if (err == STOA_EGONE) { /* the proxy holds one: it is the owner that has gone */
        (void)stoa__interp_refuse(proxy->owner);
    }
    return stoa__raise(err);
}

PyObject *
stoa__proxy_is_released(const stoa_proxy_object *proxy, const char *done)
{
    PyObject *type = stoa__exception(STOA_EXC_ReleasedProxy);
    return type == NULL
               ? NULL
               : PyErr_Format(
                     type,
                     "this proxy of an object of interpreter '%.64s' was released, and cannot be %s: "
                     "get the object from there again",
                     proxy->owner->name, done);
}

int
stoa__proxy_handle_of(stoa_side *side, PyObject *object, stoa_handle *out)
{
    if (stoa__is_thing(object)) {
        return stoa__thing_handle_of(object, out);
    }
    PyObject *class = stoa__stands_for(object);
    if (class != NULL) {
        object = class;
    }
    if (!stoa__is_proxy(object)) {
        return stoa__side_export(side, object, out);
    }
    stoa_proxy_object *proxy = stoa__proxy(object);
    if (stoa__proxy_settle(object) < 0) {
        return -1;
    }
    if (stoa__proxy_was_released(proxy)) {
        stoa__proxy_is_released(proxy, "passed on");
        return -1;
    }
    stoa_err err = stoa__handle_ref(proxy->handle);
    if (err != STOA_OK) {
        stoa__proxy_failed(proxy, err);
        return -1;
    }
    *out = proxy->handle;
    return 0;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static PyObject *
do_set_attribute(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)op;
    int result = PyObject_SetAttr(target, args[0], count == 2 ? args[1] : NULL);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* What copy and pickle ask an instance for is answered by the proxy itself. */
static bool
is_own_name(PyObject *name)
{
    static const char *const names[] = {"__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static PyObject *
proxy_get_attribute(PyObject *self, PyObject *name)
{
    if (!PyUnicode_CheckExact(name)) {
        PyObject *exact = PyUnicode_FromObject(name); /* one of a subclass would cross as a proxy */
        PyObject *result = exact == NULL ? NULL : proxy_get_attribute(self, exact);
        Py_XDECREF(exact);
        return result;
    }
    if (PyUnicode_GET_LENGTH(name) > 4 && PyUnicode_READ_CHAR(name, 0) == '_' &&
        PyUnicode_READ_CHAR(name, 1) == '_') {
        if (PyUnicode_CompareWithASCIIString(name, "__class__") == 0) {
            return stoa__proxy_class(self);
        }
        if (is_own_name(name)) {
            return PyObject_GenericGetAttr(self, name);
        }
        if (PyUnicode_CompareWithASCIIString(name, "__signature__") == 0) {
            return stoa__proxy_signature(self, name);
        }
    }
    return stoa__proxy_attribute(self, name);
}

static int
proxy_set_attribute(PyObject *self, PyObject *name, PyObject *value)
{
    PyObject *exact = PyUnicode_FromObject(name);
    PyObject *args[] = {exact, value};
    PyObject *result = exact == NULL ? NULL
                                     : stoa__request(self, do_set_attribute, args, value == NULL ? 1 : 2,
                                                     STOA_REQUEST_FIRST_IS_NAME, 0);
    Py_XDECREF(exact);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* args: positional, values of keywords, names of keywords; extra: how many of these. */
static PyObject *
do_call(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    Py_ssize_t keywords = (Py_ssize_t)op->extra;
    if (keywords == 0) {
        return PyObject_Vectorcall(target, args, (size_t)count, NULL);
    }
    PyObject *names = stoa__row_names(args, count, keywords);
    PyObject *result = names == NULL
                           ? NULL
                           : PyObject_Vectorcall(target, args, (size_t)(count - 2 * keywords), names);
    Py_XDECREF(names);
    return result;
}

PyObject *
stoa__proxy_vectorcall(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    if (names == NULL || PyTuple_GET_SIZE(names) == 0) {
        return stoa__request(self, do_call, args, PyVectorcall_NARGS(count), STOA_REQUEST_CALL, 0);
    }
    stoa_row row;
    if (stoa__row_make(&row, args, count, names) < 0) {
        return NULL;
    }
    PyObject *result = stoa__request(self, do_call, row.all, row.count,
                                     STOA_REQUEST_LAST_ARE_NAMES | STOA_REQUEST_CALL, (uintptr_t)row.keywords);
    stoa__row_free(&row);
    return result;
}

/* ---- what the object says of itself ------------------------------------------------------------------------------ */

static PyObject *
do_repr(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    return op->extra ? PyObject_Str(target) : PyObject_Repr(target);
}

static PyObject *
proxy_repr(PyObject *self)
{
    return stoa__request(self, do_repr, NULL, 0, 0, 0);
}

static PyObject *
proxy_str(PyObject *self)
{
    return stoa__request(self, do_repr, NULL, 0, 0, 1);
}

static PyObject *
do_hash(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    Py_hash_t hash = PyObject_Hash(target);
    return hash == -1 ? NULL : PyLong_FromSsize_t(hash);
}

static Py_hash_t
proxy_hash(PyObject *self)
{
    PyObject *number = stoa__request(self, do_hash, NULL, 0, 0, 0);
    Py_hash_t hash = number == NULL ? -1 : PyLong_AsSsize_t(number);
    Py_XDECREF(number);
    return hash;
}

/* Is the other operand asked from here, if the target's own slot does not know? The caller's interpreter asks it there, but
 * what is no proxy here is a value or a copy, and would see a proxy there: {"a": 1} knows a Counter only in here. And where
 * both are proxies, and one stands for what goes as a bag, that one crosses as a copy when the other's owner is asked from
 * here. Python code may run. */
static bool
asks_other(PyObject *target, PyObject *other)
{
    return stoa__is_proxy(other) ? stoa__goes_as_bag(target)
                                 : stoa__goes_as_bag(other) || stoa__crosses_by_value(other);
}

/* Slots only: were it the whole comparison, two interpreters could ask each other for ever. */
static PyObject *
do_compare(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    static const int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE}; /* by Py_LT, Py_LE, … */
    (void)count;
    richcmpfunc slot = Py_TYPE(target)->tp_richcompare;
    PyObject *result = slot == NULL ? Py_NewRef(Py_NotImplemented) : slot(target, args[0], (int)op->extra);
    if (result == Py_NotImplemented && asks_other(target, args[0])) {
        Py_DECREF(result);
        return Py_TYPE(args[0])->tp_richcompare(args[0], target, swapped[op->extra]);
    }
    return result;
}

static PyObject *
proxy_compare(PyObject *self, PyObject *other, int op)
{
    return stoa__request(self, do_compare, &other, 1, STOA_REQUEST_COPY, (uintptr_t)op);
}

static PyObject *
do_describe(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    descrgetfunc get = Py_TYPE(target)->tp_descr_get;
    if (get == NULL) {
        return Py_NewRef(target);
    }
    return get(target, op->extra ? NULL : args[0], count > 1 ? args[1] : NULL);
}

static PyObject *
proxy_describe(PyObject *self, PyObject *object, PyObject *type)
{
    PyObject *args[] = {object == NULL ? Py_None : object, type};
    return stoa__request(self, do_describe, args, type == NULL ? 1 : 2, 0, object == NULL);
}

/* ---- the type ---------------------------------------------------------------------------------------------------- */

/* Python takes the type of a base for a metaclass: `class X(proxy)` comes here, too. */
static PyObject *
proxy_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)type;
    (void)keywords;
    if (PyTuple_GET_SIZE(args) == 3 && PyTuple_Check(PyTuple_GET_ITEM(args, 1))) {
        return PyErr_Format(PyExc_TypeError,
                            "class '%.200S' cannot inherit from a proxy: make it in the interpreter that the "
                            "object belongs to",
                            PyTuple_GET_ITEM(args, 0));
    }
    PyErr_SetString(PyExc_TypeError,
                    "a proxy is made by stoa.proxy(object), or when an object goes to another "
                    "interpreter");
    return NULL;
}

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(stoa_proxy_object, weak_references), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(stoa_proxy_object, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(proxy_doc,
             "An object of another interpreter, used through this one: every operation is done there.");

static const PyType_Slot basic_slots[] = {
    {Py_tp_doc, (void *)proxy_doc},
    {Py_tp_new, (void *)proxy_new},
    {Py_tp_dealloc, (void *)proxy_dealloc},
    {Py_tp_members, (void *)members},
    {Py_tp_getattro, (void *)proxy_get_attribute},
    {Py_tp_setattro, (void *)proxy_set_attribute},
    {Py_tp_call, (void *)PyVectorcall_Call},
    {Py_tp_repr, (void *)proxy_repr},
    {Py_tp_str, (void *)proxy_str},
    {Py_tp_hash, (void *)proxy_hash},
    {Py_tp_richcompare, (void *)proxy_compare},
    {Py_tp_descr_get, (void *)proxy_describe},
    {0, NULL},
};

PyTypeObject *
stoa__proxy_type_new(void)
{
    const PyType_Slot *const parts[] = {basic_slots, stoa__proxy_number_slots, stoa__proxy_container_slots,
                                        stoa__proxy_special_slots, stoa__proxy_async_slots};
    PyType_Slot slots[96];
    size_t count = 0;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++) {
        for (const PyType_Slot *slot = parts[i]; slot->slot != 0; slot++) {
            slots[count++] = *slot;
        }
    }
    slots[count] = (PyType_Slot){0, NULL};
    PyType_Spec spec = {
        .name = "stoa.Proxy",
        .basicsize = sizeof(stoa_proxy_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_VECTORCALL,
        .slots = slots,
    };
    PyTypeObject *metatype = stoa__proxy_metatype_new();
    PyObject *type = metatype == NULL ? NULL : PyType_FromMetaclass(metatype, NULL, &spec, NULL);
    Py_XDECREF(metatype);
    if (type != NULL && (stoa__proxy_doc_put((PyTypeObject *)type) < 0 ||
                         stoa__proxy_metatype_show((PyTypeObject *)type) < 0)) {
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}
