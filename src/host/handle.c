/* stoa/handle.h: what a host's number stands for is a hold (heap/hold.h) on a handle (heap/handle.h). */
#include "stoa/handle.h"

#include <Python.h>

#include <stdlib.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "host/data.h"
#include "host/inside.h"
#include "host/public_names.h"
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

/* Inside: the module, or what is in it. */
static PyObject *
find_object(const char *name)
{
    if (strchr(name, ':') != NULL) {
        return stoa__find_by_name(name);
    }
    PyObject *module = PyUnicode_FromString(name);
    PyObject *package = module == NULL ? NULL : PyImport_Import(module);
    PyObject *found = package == NULL ? NULL : PyImport_GetModule(module);
    Py_XDECREF(package);
    Py_XDECREF(module);
    return found;
}

static stoa_err
search_inside(stoa_inside *work)
{
    PyObject *object = find_object(work->name);
    stoa_handle found = object == NULL ? 0 : stoa_handle_from_python(object);
    Py_XDECREF(object);
    if (found == 0) {
        return stoa__inside_outcome(work, STOA_EPYTHON, NULL);
    }
    work->result = stoa__data_own_handle(found);
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
    stoa_data found;
    stoa_inside work = {.record = (stoa_interp_record *)interp, .name = name, .run = search_inside};
    stoa_err err = stoa__inside_and_give(&work, timeout, &found, out_exception);
    if (err == STOA_OK) {
        *out_handle = found.as.handle; /* which is the caller's from here on */
    }
    return err;
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
typedef struct handle_target {
    stoa_handle handle;
    stoa_interp_record *owner; /* borrowed from the handle, as the object */
    void *object;
} handle_target;

static stoa_err
take_target(stoa_handle handle, handle_target *out)
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
    handle_target one, two;
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

/* Each does one thing with the target. STOA_EPYTHON: an exception is set. */
typedef stoa_err (*action)(const stoa_inside *work, PyObject *target, PyObject **out);

static stoa_err
act_call(const stoa_inside *work, PyObject *target, PyObject **out)
{
    return stoa__data_call(target, work->name, work->args, work->count, out);
}

/* args: positional, values of keywords, names of keywords. */
static stoa_err
act_call_named(const stoa_inside *work, PyObject *target, PyObject **out)
{
    size_t values = work->count - work->named, made = 0;
    PyObject *names = PyTuple_New((Py_ssize_t)work->named);
    PyObject **items = PyMem_New(PyObject *, 1 + work->count);
    PyObject *callable = work->name == NULL ? Py_NewRef(target) : PyObject_GetAttrString(target, work->name);
    stoa_err err = names == NULL || items == NULL || callable == NULL ? STOA_EPYTHON : STOA_OK;
    if (items == NULL && !PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    while (err == STOA_OK && made < work->count) {
        err = stoa__data_to_python(&work->args[made], "args[%zu]", made, &items[made]);
        made += err == STOA_OK;
    }
    for (size_t i = 0; err == STOA_OK && i < work->named; i++) {
        PyTuple_SET_ITEM(names, (Py_ssize_t)i, Py_NewRef(items[values + i]));
    }
    if (err == STOA_OK) {
        *out = PyObject_Vectorcall(callable, items, values - work->named, names);
        err = *out == NULL ? STOA_EPYTHON : STOA_OK;
    }
    while (made > 0) {
        Py_DECREF(items[--made]);
    }
    PyMem_Free(items);
    Py_XDECREF(names);
    Py_XDECREF(callable);
    return err;
}

static stoa_err
act_len(const stoa_inside *work, PyObject *target, PyObject **out)
{
    (void)work;
    Py_ssize_t length = PyObject_Size(target);
    *out = length < 0 ? NULL : PyLong_FromSsize_t(length);
    return *out == NULL ? STOA_EPYTHON : STOA_OK;
}

static stoa_err
act_get_attr(const stoa_inside *work, PyObject *target, PyObject **out)
{
    PyObject *name = PyUnicode_InternFromString(work->name);
    *out = name == NULL ? NULL : PyObject_GetAttr(target, name);
    Py_XDECREF(name);
    return *out == NULL ? STOA_EPYTHON : STOA_OK;
}

/* args: the new value, if any. */
static stoa_err
act_set_attr(const stoa_inside *work, PyObject *target, PyObject **out)
{
    (void)out;
    PyObject *value = NULL, *name = PyUnicode_InternFromString(work->name);
    stoa_err err = name == NULL ? STOA_EPYTHON : STOA_OK;
    if (err == STOA_OK && work->count > 0) {
        err = stoa__data_to_python(work->args, "value", 0, &value);
    }
    if (err == STOA_OK && PyObject_SetAttr(target, name, value) < 0) {
        err = STOA_EPYTHON;
    }
    Py_XDECREF(value);
    Py_XDECREF(name);
    return err;
}

static stoa_err
act_get_item(const stoa_inside *work, PyObject *target, PyObject **out)
{
    PyObject *key = NULL;
    stoa_err err = stoa__data_to_python(work->args, "key", 0, &key);
    if (err == STOA_OK && (*out = PyObject_GetItem(target, key)) == NULL) {
        err = STOA_EPYTHON;
    }
    Py_XDECREF(key);
    return err;
}

/* args: the key, and the new value, if any. */
static stoa_err
act_set_item(const stoa_inside *work, PyObject *target, PyObject **out)
{
    (void)out;
    PyObject *key = NULL, *value = NULL;
    stoa_err err = stoa__data_to_python(&work->args[0], "key", 0, &key);
    if (err == STOA_OK && work->count > 1) {
        err = stoa__data_to_python(&work->args[1], "value", 0, &value);
    }
    if (err == STOA_OK &&
        (value == NULL ? PyObject_DelItem(target, key) : PyObject_SetItem(target, key, value)) < 0) {
        err = STOA_EPYTHON;
    }
    Py_XDECREF(value);
    Py_XDECREF(key);
    return err;
}

/* New reference to what the work is done on: the owner's object, or this interpreter's wrapper of a thing. */
static PyObject *
find_target(const stoa_inside *work)
{
    stoa_thing *thing = stoa__thing_of_handle(work->target);
    return thing == NULL ? Py_NewRef((PyObject *)work->object) : stoa__thing_wrap_new(stoa__thing_ref(thing));
}

static stoa_err
operate_inside(stoa_inside *work, action act)
{
    PyObject *result = NULL, *target = find_target(work);
    stoa_err err = target == NULL ? STOA_EPYTHON : act(work, target, &result);
    err = stoa__inside_outcome(work, err, result);
    Py_XDECREF(result);
    Py_XDECREF(target);
    return err;
}

#define RUNNER(act)                              \
    static stoa_err run_##act(stoa_inside *work) \
    {                                            \
        return operate_inside(work, act_##act);  \
    }
RUNNER(call)
RUNNER(call_named)
RUNNER(len)
RUNNER(get_attr)
RUNNER(set_attr)
RUNNER(get_item)
RUNNER(set_item)

static stoa_err
run_iterate(stoa_inside *work)
{
    PyObject *target = find_target(work);
    PyObject *iterator = target == NULL ? NULL : PyObject_GetIter(target);
    struct stoa_waiter *before = stoa__exports_at(work->home);
    stoa_handle found = iterator == NULL ? 0 : stoa_handle_from_python(iterator);
    (void)stoa__exports_at(before);
    Py_XDECREF(iterator);
    Py_XDECREF(target);
    if (found == 0) {
        return stoa__inside_outcome(work, STOA_EPYTHON, NULL);
    }
    work->result = stoa__data_own_handle(found);
    return STOA_OK;
}

static stoa_err
run_next(stoa_inside *work)
{
    PyObject *target = find_target(work);
    PyObject *item = NULL;
    if (target != NULL && !PyIter_Check(target)) {
        PyErr_Format(PyExc_TypeError, "'%.200s' object is not an iterator: use stoa_handle_iterate",
                     Py_TYPE(target)->tp_name);
    }
    else if (target != NULL) {
        item = PyIter_Next(target);
        work->ended = item == NULL && !PyErr_Occurred();
    }
    stoa_err err = STOA_OK;
    if (!work->ended) {
        err = stoa__inside_outcome(work, item == NULL ? STOA_EPYTHON : STOA_OK, item);
    }
    Py_XDECREF(item);
    Py_XDECREF(target);
    return err;
}

/* Where a thing of the process is used: in the interpreter that this thread is in, else in the main one. */
static stoa_err
here_or_main(stoa_interp_record **out)
{
    stoa_interp *interp;
    stoa_err err = stoa_interp_current(&interp);
    if (err != STOA_OK && (err = stoa_interp_main(&interp)) != STOA_OK) {
        return err;
    }
    *out = (stoa_interp_record *)interp;
    return STOA_OK;
}

static stoa_err
operate(stoa_handle handle, stoa_inside *work, double timeout, stoa_data *out_result,
        stoa_exception **out_exception)
{
    handle_target t;
    stoa_err err = take_target(handle, &t);
    if (err != STOA_OK) {
        return err;
    }
    work->target = t.handle;
    work->object = t.object;
    work->home = stoa__handle_home(t.handle);
    if (stoa__thing_owns(t.owner)) {
        err = here_or_main(&work->record);
    }
    else {
        work->record = stoa__interp_ref(t.owner);
    }
    if (err == STOA_OK) {
        err = stoa__inside_and_give(work, timeout, out_result, out_exception);
        stoa__interp_unref(work->record);
    }
    stoa__handle_unref(t.handle);
    return err;
}

stoa_err
stoa_handle_call(stoa_handle handle, const char *method, const stoa_data *args, size_t count, unsigned flags,
                 double timeout, stoa_data *out_result, stoa_exception **out_exception)
{
    stoa_err err = stoa__data_check_call(args, count, flags);
    stoa_inside work = {.name = method, .args = args, .count = count, .flags = flags, .run = run_call};
    return err != STOA_OK ? err : operate(handle, &work, timeout, out_result, out_exception);
}

stoa_err
stoa_handle_call_named(stoa_handle handle, const char *method, const stoa_data *args, size_t count,
                       const char *const *names, size_t named, unsigned flags, double timeout,
                       stoa_data *out_result, stoa_exception **out_exception)
{
    stoa_err err = stoa__data_check_call(args, count, flags);
    if (err == STOA_OK && (named > count || (named > 0 && names == NULL))) {
        err = stoa__fail(STOA_EINVAL, "%zu of %zu arguments are to have names", named, count);
    }
    stoa_data *all = err == STOA_OK ? calloc(count + named + 1, sizeof(*all)) : NULL;
    if (all == NULL) {
        return err != STOA_OK ? err : stoa__fail(STOA_ENOMEM, "no memory for %zu arguments", count);
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = args[i];
    }
    for (size_t i = 0; i < named && err == STOA_OK; i++) {
        err = names[i] == NULL ? stoa__fail(STOA_EINVAL, "names[%zu] is NULL", i) : STOA_OK;
        all[count + i] = err == STOA_OK ? stoa_data_text(names[i], strlen(names[i])) : stoa_data_none();
        err = err == STOA_OK ? stoa__data_check(&all[count + i], "names[%zu]", i) : err;
    }
    stoa_inside work = {.name = method,
                        .args = all,
                        .count = count + named,
                        .named = named,
                        .flags = flags,
                        .run = run_call_named};
    if (err == STOA_OK) {
        err = operate(handle, &work, timeout, out_result, out_exception);
    }
    free(all);
    return err;
}

stoa_err
stoa_handle_len(stoa_handle handle, double timeout, size_t *out_length, stoa_exception **out_exception)
{
    stoa_data length;
    stoa_inside work = {.run = run_len};
    stoa_err err = is_null(out_length, "out_length");
    if (err == STOA_OK && (err = operate(handle, &work, timeout, &length, out_exception)) == STOA_OK) {
        *out_length = (size_t)length.as.integer;
    }
    return err;
}

stoa_err
stoa_handle_iterate(stoa_handle handle, double timeout, stoa_handle *out_iterator,
                    stoa_exception **out_exception)
{
    stoa_data iterator;
    stoa_inside work = {.run = run_iterate};
    stoa_err err = is_null(out_iterator, "out_iterator");
    if (err == STOA_OK && (err = operate(handle, &work, timeout, &iterator, out_exception)) == STOA_OK) {
        *out_iterator = iterator.as.handle; /* which is the caller's from here on */
    }
    return err;
}

stoa_err
stoa_handle_next(stoa_handle iterator, unsigned flags, double timeout, stoa_data *out_item, bool *out_more,
                 stoa_exception **out_exception)
{
    if (out_item == NULL || out_more == NULL) {
        return stoa__fail(STOA_EINVAL, "out_item or out_more is NULL");
    }
    stoa_err err = stoa__data_check_call(NULL, 0, flags);
    stoa_inside work = {.flags = flags, .run = run_next};
    if (err == STOA_OK && (err = operate(iterator, &work, timeout, out_item, out_exception)) == STOA_OK) {
        *out_more = !work.ended;
    }
    return err;
}

stoa_err
stoa_handle_get_attr(stoa_handle handle, const char *name, unsigned flags, double timeout,
                     stoa_data *out_result, stoa_exception **out_exception)
{
    if (name == NULL || out_result == NULL) {
        return stoa__fail(STOA_EINVAL, "name or out_result is NULL");
    }
    stoa_err err = stoa__data_check_call(NULL, 0, flags);
    stoa_inside work = {.name = name, .flags = flags, .run = run_get_attr};
    return err != STOA_OK ? err : operate(handle, &work, timeout, out_result, out_exception);
}

stoa_err
stoa_handle_set_attr(stoa_handle handle, const char *name, const stoa_data *value, double timeout,
                     stoa_exception **out_exception)
{
    stoa_err err = is_null(name, "name");
    if (err == STOA_OK && value != NULL) {
        err = stoa__data_check(value, "value", 0);
    }
    stoa_inside work = {.name = name, .args = value, .count = value != NULL, .run = run_set_attr};
    return err != STOA_OK ? err : operate(handle, &work, timeout, NULL, out_exception);
}

stoa_err
stoa_handle_get_item(stoa_handle handle, const stoa_data *key, unsigned flags, double timeout,
                     stoa_data *out_result, stoa_exception **out_exception)
{
    if (key == NULL || out_result == NULL) {
        return stoa__fail(STOA_EINVAL, "key or out_result is NULL");
    }
    stoa_err err = stoa__data_check_call(key, 1, flags);
    stoa_inside work = {.args = key, .count = 1, .flags = flags, .run = run_get_item};
    return err != STOA_OK ? err : operate(handle, &work, timeout, out_result, out_exception);
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
    stoa_inside work = {.args = both, .count = value == NULL ? 1 : 2, .run = run_set_item};
    return err != STOA_OK ? err : operate(handle, &work, timeout, NULL, out_exception);
}

/* ---- stoa/python.h ----------------------------------------------------------------------------------------------- */

stoa_handle
stoa_handle_from_python(PyObject *object)
{
    if (!stoa__inside_any("stoa_handle_from_python")) {
        return 0;
    }
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
    if (!stoa__inside_any("stoa_handle_to_python")) {
        return NULL;
    }
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
