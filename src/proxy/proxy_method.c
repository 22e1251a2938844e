#include "proxy/proxy_method.h"

#include "proxy/proxy_type.h"
#include "proxy/request.h"

static PyTypeObject *const types[STOA_TARGET_OTHER] = {
    [STOA_TARGET_LIST] = &PyList_Type,
    [STOA_TARGET_DICT] = &PyDict_Type,
    [STOA_TARGET_SET] = &PySet_Type,
    [STOA_TARGET_BYTEARRAY] = &PyByteArray_Type,
};

uint8_t
stoa__kind_of(PyObject *object)
{
    for (uint8_t kind = STOA_TARGET_UNKNOWN + 1; kind < STOA_TARGET_OTHER; kind++) {
        if (Py_IS_TYPE(object, types[kind])) {
            return kind;
        }
    }
    return STOA_TARGET_OTHER;
}

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

#define FEW 9

/* args: the name, then as for do_call in proxy.c; extra: how many keywords. */
static PyObject *
do_call_method(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    Py_ssize_t keywords = (Py_ssize_t)op->extra;
    Py_ssize_t values = count - keywords; /* the object instead of the name, positional, values of keywords */
    PyObject *few[FEW], **all = values <= FEW ? few : PyMem_New(PyObject *, values);
    PyObject *names = keywords == 0 ? NULL : PyTuple_New(keywords);
    PyObject *result = NULL;
    if (all == NULL) {
        PyErr_NoMemory();
    }
    if (all != NULL && (names != NULL || keywords == 0)) {
        all[0] = target;
        for (Py_ssize_t i = 1; i < values; i++) {
            all[i] = args[i];
        }
        for (Py_ssize_t i = 0; i < keywords; i++) {
            PyTuple_SET_ITEM(names, i, Py_NewRef(args[values + i]));
        }
        result = PyObject_VectorcallMethod(args[0], all, (size_t)(values - keywords), names);
    }
    Py_XDECREF(names);
    if (all != few) {
        PyMem_Free(all);
    }
    return result;
}

static PyObject *
do_get_method(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    (void)op;
    return PyObject_GetAttr(target, args[0]);
}

/* ---- here -------------------------------------------------------------------------------------------------------- */

/* A request about the object whose method this is. It keeps that object by a reference of its own: another thread may
 * settle the proxy meanwhile. */
static PyObject *
request_unsettled(PyObject *self, stoa_operator work, PyObject *const *args, Py_ssize_t count, unsigned flags,
                  uintptr_t extra)
{
    stoa_handle handle = stoa__proxy(self)->handle;
    bool held = handle != 0 && stoa__handle_ref(handle) == STOA_OK; /* else the request says why not */
    PyObject *result = stoa__request(self, work, args, count, flags | STOA_REQUEST_UNSETTLED, extra);
    if (held) {
        stoa__handle_unref(handle);
    }
    return result;
}

static PyObject *
call_method(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    Py_ssize_t positional = PyVectorcall_NARGS(count);
    Py_ssize_t keywords = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    Py_ssize_t total = 1 + positional + 2 * keywords;
    PyObject *few[FEW], **all = total <= FEW ? few : PyMem_New(PyObject *, total);
    if (all == NULL) {
        return PyErr_NoMemory();
    }
    all[0] = Py_NewRef(stoa__proxy(self)->name); /* it may be settled meanwhile */
    for (Py_ssize_t i = 0; i < positional + keywords; i++) {
        all[1 + i] = args[i];
    }
    for (Py_ssize_t i = 0; i < keywords; i++) {
        all[1 + positional + keywords + i] = PyTuple_GET_ITEM(names, i);
    }
    unsigned flags = STOA_REQUEST_FIRST_IS_NAME | (keywords > 0 ? STOA_REQUEST_LAST_ARE_NAMES : 0);
    PyObject *result = request_unsettled(self, do_call_method, all, total, flags, (uintptr_t)keywords);
    Py_DECREF(all[0]);
    if (all != few) {
        PyMem_Free(all);
    }
    return result;
}

PyObject *
stoa__proxy_method(PyObject *self, PyObject *name)
{
    stoa_proxy_object *proxy = stoa__proxy(self);
    if (proxy->kind == STOA_TARGET_UNKNOWN || proxy->kind >= STOA_TARGET_OTHER || proxy->release_wanted ||
        proxy->handle == 0 || proxy->owner->state != STOA_INTERP_LIVE) {
        return NULL;
    }
    PyObject *found = PyObject_GetAttr((PyObject *)types[proxy->kind], name);
    bool is_method = found != NULL && Py_IS_TYPE(found, &PyMethodDescr_Type);
    Py_XDECREF(found);
    if (!is_method || stoa__handle_ref(proxy->handle) != STOA_OK) {
        PyErr_Clear(); /* the owner says it better */
        return NULL;
    }
    PyObject *method = stoa__side_make_proxy(proxy->side, proxy->handle, false);
    if (method != NULL) {
        stoa__proxy(method)->name = Py_NewRef(name);
        stoa__proxy(method)->vectorcall = call_method;
    }
    return method;
}

/* Takes over the handle of `fresh`, the proxy of the bound method that nobody else has yet, and its place. */
static void
become(stoa_proxy_object *self, stoa_proxy_object *fresh)
{
    stoa_handle before = self->handle;
    stoa_map_entry *entry = stoa__map_first(&self->side->imports, fresh->handle);
    self->handle = fresh->handle;
    self->owner = fresh->owner;
    self->object = fresh->object;
    self->vectorcall = stoa__proxy_vectorcall;
    self->kind = STOA_TARGET_OTHER;
    if (entry != NULL) {
        entry->value = (uintptr_t)self;
        self->plain = true;
    }
    fresh->plain = false;
    fresh->handle = 0;
    fresh->owner = NULL;
    fresh->object = NULL;
    stoa__handle_unref(before);
    Py_CLEAR(self->name);
}

int
stoa__proxy_settle_method(PyObject *object)
{
    stoa_proxy_object *self = stoa__proxy(object);
    PyObject *name = Py_NewRef(self->name);
    PyObject *method = request_unsettled(object, do_get_method, &name, 1, STOA_REQUEST_FIRST_IS_NAME, 0);
    Py_DECREF(name);
    if (method == NULL) {
        return -1;
    }
    if (self->name == NULL || self->handle == 0) { /* settled, or released, by another thread */
        Py_DECREF(method);
        return 0;
    }
    if (!stoa__is_proxy(method) || Py_REFCNT(method) != 1 || !stoa__proxy(method)->plain) {
        Py_DECREF(method);
        PyErr_SetString(PyExc_SystemError,
                        "stoa: the method of a builtin container did not come as a new proxy");
        return -1;
    }
    become(self, stoa__proxy(method));
    Py_DECREF(method);
    return 0;
}
