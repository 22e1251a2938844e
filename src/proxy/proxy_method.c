#include "proxy/proxy_method.h"

#include "proxy/proxy_type.h"
#include "proxy/request.h"
#include "proxy/row.h"
#include "proxy/shape.h"

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

/* Asked for a method this often, the owner tells what is needed to do without asking: not for a proxy used once. */
#define ASKED_OFTEN 2

static PyObject *
do_get(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    PyObject *result = PyObject_GetAttr(target, args[0]);
    if (result != NULL && op->with != NULL) {
        stoa__lesson_give(target, args[0], op->with);
    }
    return result;
}

/* with: the function. args: positional, values of keywords, names of keywords; extra: how many of these. */
static PyObject *
do_call_method(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    Py_ssize_t keywords = (Py_ssize_t)op->extra;
    Py_ssize_t values = 1 + count - keywords; /* with the object */
    PyObject *few[STOA_ROW_FEW], **all = values <= STOA_ROW_FEW ? few : PyMem_New(PyObject *, values);
    PyObject *names = keywords == 0 ? NULL : stoa__row_names(args, count, keywords);
    PyObject *result = NULL;
    if (all == NULL) {
        PyErr_NoMemory();
    }
    if (all != NULL && (names != NULL || keywords == 0)) {
        all[0] = target;
        for (Py_ssize_t i = 1; i < values; i++) {
            all[i] = args[i - 1];
        }
        result = PyObject_Vectorcall(op->with, all, (size_t)(values - keywords), names);
    }
    Py_XDECREF(names);
    if (all != few) {
        PyMem_Free(all);
    }
    return result;
}

/* with: the function. */
static PyObject *
do_bind(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    PyObject *function = op->with;
    return Py_TYPE(function)->tp_descr_get(function, target, (PyObject *)Py_TYPE(target));
}

/* ---- here -------------------------------------------------------------------------------------------------------- */

/* A request about the object whose method this is, with the function, now that releases are applied. It keeps both by
 * references of its own: another thread may settle the proxy meanwhile. */
static PyObject *
request_unsettled(PyObject *self, stoa_operator work, PyObject *const *args, Py_ssize_t count, unsigned flags,
                  uintptr_t extra)
{
    stoa_handle handle = stoa__proxy(self)->handle;
    stoa_class_function *function = stoa__proxy(self)->function;
    bool held = handle != 0 && stoa__handle_ref(handle) == STOA_OK; /* else the request says why not */
    function->refs++;
    PyObject *result = stoa__request_with(self, work, args, count, flags | STOA_REQUEST_UNSETTLED, extra,
                                          function->object);
    stoa__class_function_unref(function);
    if (held) {
        stoa__handle_unref(handle);
    }
    return result;
}

static PyObject *
call_method(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    stoa_proxy_object *proxy = stoa__proxy(self);
    stoa_deadline unused;
    stoa__request_releases(proxy->side);
    if (proxy->function == NULL) { /* what ran has settled it */
        return stoa__proxy_vectorcall(self, args, count, names);
    }
    if (proxy->handle != 0 && stoa__caller_to_ask(proxy, &unused) != NULL) {
        /* another thread is to call it */
        return stoa__proxy_settle(self) < 0 ? NULL : stoa__proxy_vectorcall(self, args, count, names);
    }
    if (names == NULL || PyTuple_GET_SIZE(names) == 0) {
        return request_unsettled(self, do_call_method, args, PyVectorcall_NARGS(count), 0, 0);
    }
    stoa_row row;
    if (stoa__row_make(&row, args, count, names) < 0) {
        return NULL;
    }
    PyObject *result = request_unsettled(self, do_call_method, row.all, row.count,
                                         STOA_REQUEST_LAST_ARE_NAMES, (uintptr_t)row.keywords);
    stoa__row_free(&row);
    return result;
}

/* An unsettled proxy; or NULL: ask the owner, who says it better. */
static PyObject *
make_method(stoa_proxy_object *proxy, stoa_class_function *function)
{
    if (stoa__handle_ref(proxy->handle) != STOA_OK) {
        return NULL;
    }
    function->refs++;
    PyObject *method = stoa__side_make_proxy(proxy->side, proxy->handle, false);
    if (method == NULL) {
        PyErr_Clear();
        stoa__class_function_unref(function);
        return NULL;
    }
    stoa__proxy(method)->function = function;
    stoa__proxy(method)->vectorcall = call_method;
    return method;
}

PyObject *
stoa__proxy_attribute(PyObject *self, PyObject *name)
{
    stoa_proxy_object *proxy = stoa__proxy(self);
    if (stoa__proxy_settle(self) < 0) {
        return NULL;
    }
    bool may_know = proxy->route == NULL && !stoa__proxy_was_released(proxy) && PyUnicode_CHECK_INTERNED(name);
    stoa_class_function *function = may_know ? stoa__shape_find(proxy, name) : NULL;
    PyObject *result = function == NULL ? NULL : make_method(proxy, function);
    if (result != NULL) {
        return result;
    }
    stoa_lesson lesson = {.function = NULL};
    bool learns = may_know && proxy->asked >= ASKED_OFTEN;
    result = stoa__request_with(self, do_get, &name, 1, STOA_REQUEST_FIRST_IS_NAME, 0, learns ? &lesson : NULL);
    if (lesson.function != NULL) {
        stoa__lesson_learn(proxy, name, &lesson);
    }
    else if (result != NULL && stoa__is_proxy(result) && proxy->asked < ASKED_OFTEN) {
        proxy->asked++;
    }
    return result;
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
    if (entry != NULL) {
        entry->value = (uintptr_t)self;
        self->plain = true;
    }
    fresh->plain = false;
    fresh->handle = 0;
    fresh->owner = NULL;
    fresh->object = NULL;
    stoa__handle_unref(before);
    stoa_class_function *function = self->function;
    self->function = NULL;
    stoa__class_function_unref(function);
}

int
stoa__proxy_settle_method(PyObject *object)
{
    stoa_proxy_object *self = stoa__proxy(object);
    stoa__request_releases(self->side);
    if (self->function == NULL) { /* what ran has settled it */
        return 0;
    }
    PyObject *method = request_unsettled(object, do_bind, NULL, 0, 0, 0);
    if (method == NULL) {
        return -1;
    }
    if (self->function == NULL || self->handle == 0) { /* settled, or released, by another thread */
        Py_DECREF(method);
        return 0;
    }
    if (!stoa__is_proxy(method) || Py_REFCNT(method) != 1 || !stoa__proxy(method)->plain) {
        Py_DECREF(method);
        PyErr_SetString(PyExc_SystemError, "stoa: a bound method did not come as a new proxy");
        return -1;
    }
    become(self, stoa__proxy(method));
    Py_DECREF(method);
    return 0;
}
