/* stoa/handle.h: what a host's number stands for is a hold (heap/hold.h) on a handle (heap/handle.h). */
#include "stoa/handle.h"

#include <Python.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "host/data.h"
#include "host/inside.h"
#include "host/public_names.h"
#include "host/target.h"
#include "immortal/exceptions.h"
#include "proxy/proxy.h"
#include "proxy/thing.h"
#include "stoa/python.h"

/* ---- getting and giving up --------------------------------------------------------------------------------------- */

static stoa_err
is_null(const void *pointer, const char *what)
{
    return pointer == NULL ? stoa__fail(STOA_EINVAL, "%s is NULL", what) : STOA_OK;
}

typedef struct search {
    const char *name;
    stoa_handle *out;
    stoa_exception **exception;
} search;

/* Inside: the module, or what is in it. */
static PyObject *
find_object(const char *name)
{
    const char *colon = strchr(name, ':');
    if (colon == NULL) {
        PyObject *module = PyUnicode_FromString(name);
        PyObject *package = module == NULL ? NULL : PyImport_Import(module);
        PyObject *found = package == NULL ? NULL : PyImport_GetModule(module);
        Py_XDECREF(package);
        Py_XDECREF(module);
        return found;
    }
    PyObject *module = PyUnicode_DecodeUTF8(name, colon - name, NULL);
    PyObject *qualname = module == NULL ? NULL : PyUnicode_FromString(colon + 1);
    PyObject *found = qualname == NULL ? NULL : stoa__target_find(module, qualname);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return found;
}

static stoa_err
search_inside(void *arg)
{
    const search *s = arg;
    PyObject *object = find_object(s->name);
    stoa_handle found = object == NULL ? 0 : stoa_handle_from_python(object);
    Py_XDECREF(object);
    if (found == 0) {
        return stoa__exception_take(s->exception);
    }
    *s->out = found;
    return STOA_OK;
}

stoa_err
stoa_handle_get(stoa_interp *interp, const char *name, double timeout, stoa_handle *out_handle,
                stoa_exception **out_exception)
{
    if (interp == NULL || name == NULL || out_handle == NULL) {
        return stoa__fail(STOA_EINVAL, "interp, name or out_handle is NULL");
    }
    const char *colon = strchr(name, ':');
    if (name[0] == '\0' || colon == name || (colon != NULL && colon[1] == '\0')) {
        return stoa__fail(STOA_EINVAL,
                          "'%s' does not name an object: write \"module:qualname\", or \"module\"", name);
    }
    search s = {name, out_handle, out_exception};
    stoa_inside_work work = {(stoa_interp_record *)interp, timeout, search_inside, &s};
    return stoa__inside(&work);
}

stoa_err
stoa_handle_dup(stoa_handle handle, stoa_handle *out_handle)
{
    stoa_handle held;
    stoa_err err = is_null(out_handle, "out_handle");
    if (err == STOA_OK && (err = stoa__hold_get(handle, &held)) == STOA_OK) {
        err = stoa__hold_new(held, out_handle);
    }
    return err;
}

stoa_err
stoa_handle_release(stoa_handle handle)
{
    return stoa__hold_release(handle);
}

stoa_err
stoa_handle_owner(stoa_handle handle, stoa_interp **out_interp)
{
    stoa_interp_record *record;
    stoa_err err = is_null(out_interp, "out_interp");
    if (err != STOA_OK || (err = stoa__hold_owner(handle, &record)) != STOA_OK) {
        return err;
    }
    if (stoa__thing_owns(record)) {
        stoa__interp_unref(record);
        return stoa__fail(STOA_ETYPE,
                          "a callback, queue or lock belongs to the process, not to an interpreter");
    }
    *out_interp = (stoa_interp *)record;
    return STOA_OK;
}

/* A handle with one reference, and what it stands for. */
typedef struct target {
    stoa_handle handle;
    stoa_interp_record *owner; /* borrowed from the handle, as the object */
    void *object;
} target;

static stoa_err
take_target(stoa_handle handle, target *out)
{
    stoa_err err = stoa__hold_get(handle, &out->handle);
    if (err != STOA_OK) {
        return err;
    }
    err = stoa__handle_get(out->handle, &out->owner, &out->object);
    if (err != STOA_OK) {
        stoa__handle_unref(out->handle);
    }
    return err;
}

stoa_err
stoa_handle_same(stoa_handle a, stoa_handle b, bool *out_same)
{
    target one, two;
    stoa_err err = is_null(out_same, "out_same");
    if (err != STOA_OK || (err = take_target(a, &one)) != STOA_OK) {
        return err;
    }
    if ((err = take_target(b, &two)) == STOA_OK) {
        *out_same = one.owner == two.owner && one.object == two.object;
        stoa__handle_unref(two.handle);
    }
    stoa__handle_unref(one.handle);
    return err;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

stoa_err
stoa_handle_publish(const char *name, stoa_handle handle)
{
    stoa_handle held;
    stoa_err err = is_null(name, "name");
    if (err != STOA_OK || (err = stoa__hold_get(handle, &held)) != STOA_OK) {
        return err;
    }
    stoa_value value = {.kind = STOA_VALUE_HANDLE, .handle = held};
    err = stoa__name_publish(name, strlen(name), &value); /* the name has its own reference */
    stoa__handle_unref(held);
    return err;
}

stoa_err
stoa_handle_lookup(const char *name, double timeout, stoa_handle *out_handle)
{
    stoa_value value;
    stoa_err err = is_null(out_handle, "out_handle");
    if (err != STOA_OK || (err = stoa__public_lookup(name, timeout, &value)) != STOA_OK) {
        return err;
    }
    if (value.kind != STOA_VALUE_HANDLE) {
        return stoa__fail(STOA_ETYPE, "'%s' stands for a shared object: use stoa_lookup", name);
    }
    return stoa__hold_new(value.handle, out_handle);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

typedef struct operation {
    PyObject *target; /* the owner's */
    const char *name;
    const stoa_data *args;
    size_t count;
    unsigned flags;
    stoa_data *result; /* NULL: not wanted */
    stoa_exception **exception;
    stoa_err (*act)(const struct operation *op, PyObject **out); /* STOA_EPYTHON: exception set */
} operation;

static stoa_err
act_call(const operation *op, PyObject **out)
{
    return stoa__data_call(op->target, op->name, op->args, op->count, out);
}

/* args: the new value, if any. */
static stoa_err
act_attribute(const operation *op, PyObject **out)
{
    PyObject *name = PyUnicode_InternFromString(op->name);
    PyObject *value = NULL;
    stoa_err err = name == NULL ? STOA_EPYTHON : STOA_OK;
    if (err == STOA_OK && op->result != NULL) {
        *out = PyObject_GetAttr(op->target, name);
        err = *out == NULL ? STOA_EPYTHON : STOA_OK;
    }
    else if (err == STOA_OK) {
        err = op->count == 0 ? STOA_OK : stoa__data_to_python(op->args, "value", 0, &value);
        if (err == STOA_OK && PyObject_SetAttr(op->target, name, value) < 0) {
            err = STOA_EPYTHON;
        }
    }
    Py_XDECREF(value);
    Py_XDECREF(name);
    return err;
}

/* args: the key, and the new value, if any. */
static stoa_err
act_item(const operation *op, PyObject **out)
{
    PyObject *key = NULL, *value = NULL;
    stoa_err err = stoa__data_to_python(&op->args[0], "key", 0, &key);
    if (err == STOA_OK && op->result != NULL) {
        *out = PyObject_GetItem(op->target, key);
        err = *out == NULL ? STOA_EPYTHON : STOA_OK;
    }
    else if (err == STOA_OK) {
        err = op->count == 1 ? STOA_OK : stoa__data_to_python(&op->args[1], "value", 0, &value);
        if (err == STOA_OK && (value == NULL ? PyObject_DelItem(op->target, key)
                                             : PyObject_SetItem(op->target, key, value)) < 0) {
            err = STOA_EPYTHON;
        }
    }
    Py_XDECREF(value);
    Py_XDECREF(key);
    return err;
}

static stoa_err
operate_inside(void *arg)
{
    const operation *op = arg;
    PyObject *result = NULL;
    Py_INCREF(op->target);
    stoa_err err = op->act(op, &result);
    if (err == STOA_EPYTHON) {
        err = stoa__exception_take(op->exception);
    }
    else if (err == STOA_OK && op->result != NULL) {
        err = stoa__data_from_python(result, op->flags, "the result", op->result);
    }
    Py_XDECREF(result);
    Py_DECREF(op->target);
    return err;
}

static stoa_err
operate_wrapped(void *arg)
{
    operation *op = arg;
    PyObject *wrapper = stoa__thing_wrap_new(stoa__thing_ref((stoa_thing *)(void *)op->target));
    if (wrapper == NULL) {
        return stoa__exception_take(op->exception);
    }
    op->target = wrapper;
    stoa_err err = operate_inside(op);
    Py_DECREF(wrapper);
    return err;
}

/* A thing of the process, which has Python's ways in every interpreter: in the one this thread is in, else the main one. */
static stoa_err
operate_on_thing(void *thing, operation *op, double timeout)
{
    stoa_interp *interp;
    stoa_err err = stoa_interp_current(&interp);
    if (err != STOA_OK && (err = stoa_interp_main(&interp)) != STOA_OK) {
        return err;
    }
    op->target = thing;
    stoa_inside_work work = {(stoa_interp_record *)interp, timeout, operate_wrapped, op};
    err = stoa__inside(&work);
    stoa_interp_free(interp);
    return err;
}

/* `out`: where the result goes on success, or NULL. */
static stoa_err
operate(stoa_handle handle, operation *op, double timeout, stoa_data *out)
{
    target t;
    stoa_err err = take_target(handle, &t);
    if (err != STOA_OK) {
        return err;
    }
    stoa_data result = stoa_data_none();
    op->target = t.object;
    op->result = out == NULL ? NULL : &result;
    if (stoa__thing_owns(t.owner)) {
        err = operate_on_thing(t.object, op, timeout);
    }
    else {
        stoa_inside_work work = {t.owner, timeout, operate_inside, op};
        err = stoa__inside(&work);
    }
    stoa__handle_unref(t.handle);
    if (err == STOA_OK && out != NULL) {
        *out = result;
    }
    return err;
}

stoa_err
stoa_handle_call(stoa_handle handle, const char *method, const stoa_data *args, size_t count, unsigned flags,
                 double timeout, stoa_data *out_result, stoa_exception **out_exception)
{
    stoa_err err = stoa__data_check_call(args, count, flags);
    operation op = {
        .name = method, .args = args, .count = count, .flags = flags, .exception = out_exception, .act = act_call};
    return err != STOA_OK ? err : operate(handle, &op, timeout, out_result);
}

stoa_err
stoa_handle_get_attr(stoa_handle handle, const char *name, unsigned flags, double timeout,
                     stoa_data *out_result, stoa_exception **out_exception)
{
    if (name == NULL || out_result == NULL) {
        return stoa__fail(STOA_EINVAL, "name or out_result is NULL");
    }
    stoa_err err = stoa__data_check_call(NULL, 0, flags);
    operation op = {.name = name, .flags = flags, .exception = out_exception, .act = act_attribute};
    return err != STOA_OK ? err : operate(handle, &op, timeout, out_result);
}

stoa_err
stoa_handle_set_attr(stoa_handle handle, const char *name, const stoa_data *value, double timeout,
                     stoa_exception **out_exception)
{
    stoa_err err = is_null(name, "name");
    if (err == STOA_OK && value != NULL) {
        err = stoa__data_check(value, "value", 0);
    }
    operation op = {
        .name = name, .args = value, .count = value != NULL, .exception = out_exception, .act = act_attribute};
    return err != STOA_OK ? err : operate(handle, &op, timeout, NULL);
}

stoa_err
stoa_handle_get_item(stoa_handle handle, const stoa_data *key, unsigned flags, double timeout,
                     stoa_data *out_result, stoa_exception **out_exception)
{
    if (key == NULL || out_result == NULL) {
        return stoa__fail(STOA_EINVAL, "key or out_result is NULL");
    }
    stoa_err err = stoa__data_check_call(key, 1, flags);
    operation op = {.args = key, .count = 1, .flags = flags, .exception = out_exception, .act = act_item};
    return err != STOA_OK ? err : operate(handle, &op, timeout, out_result);
}

stoa_err
stoa_handle_set_item(stoa_handle handle, const stoa_data *key, const stoa_data *value, double timeout,
                     stoa_exception **out_exception)
{
    stoa_err err = is_null(key, "key");
    if (err != STOA_OK) {
        return err;
    }
    stoa_data both[2] = {*key, value == NULL ? stoa_data_none() : *value};
    err = stoa__data_check_call(both, 2, 0);
    operation op = {.args = both, .count = value == NULL ? 1 : 2, .exception = out_exception, .act = act_item};
    return err != STOA_OK ? err : operate(handle, &op, timeout, NULL);
}

/* ---- stoa/python.h ----------------------------------------------------------------------------------------------- */

stoa_handle
stoa_handle_from_python(PyObject *object)
{
    if (object == NULL) {
        PyErr_SetString(PyExc_SystemError, "stoa_handle_from_python: the object is NULL");
        return 0;
    }
    stoa_side *side = stoa__side_here();
    stoa_handle handle, out = 0;
    if (side == NULL || stoa__proxy_handle_of(side, object, &handle) < 0) {
        return 0;
    }
    stoa_err err = stoa__hold_new(handle, &out);
    if (err != STOA_OK) {
        stoa__raise(err);
        return 0;
    }
    return out;
}

PyObject *
stoa_handle_to_python(stoa_handle handle)
{
    stoa_handle held;
    stoa_err err = stoa__hold_get(handle, &held);
    if (err != STOA_OK) {
        return stoa__raise(err);
    }
    stoa_side *side = stoa__side_here();
    if (side == NULL) {
        stoa__handle_unref(held);
        return NULL;
    }
    return stoa__side_import(side, held);
}
