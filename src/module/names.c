#include "module/module.h"

#include <unistd.h>
#include <sys/syscall.h>

#include "heap/error.h"
#include "heap/names.h"
#include "proxy/wait.h"
#include "immortal/exceptions.h"
#include "immortal/freeze.h"
#include "module/region.h"
#include "proxy/proxy.h"
#include "proxy/proxy_method.h"
#include "proxy/thing.h"

/* The name as UTF-8, which str keeps: borrowed from `name`. NULL with an exception. */
static const char *
name_text(PyObject *name, size_t *out_size)
{
    Py_ssize_t size;
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "a name is a str, not %.200s", Py_TYPE(name)->tp_name);
        return NULL;
    }
    const char *text = PyUnicode_AsUTF8AndSize(name, &size);
    *out_size = (size_t)size;
    return text;
}

/* What a name stands for, as an object of this interpreter: new reference. */
static PyObject *
receive(const stoa_module_state *state, const stoa_value *value)
{
    if (value->kind == STOA_VALUE_HANDLE) {
        stoa_side *side = stoa__side_of(state->record);
        if (side == NULL) {
            stoa__handle_unref(value->handle);
            return NULL;
        }
        return stoa__side_import(side, value->handle);
    }
    if (value->kind != STOA_VALUE_OBJECT || value->domain != state->record->domain) {
        (void)stoa__fail(STOA_EVERSION,
                         "the name stands for an object of another Python runtime in this process");
        return stoa__raise(STOA_EVERSION);
    }
    return stoa__deliver((PyObject *)(uintptr_t)value->object);
}

static PyObject *
unknown_name(PyObject *name)
{
    PyErr_SetObject(PyExc_KeyError, name);
    return NULL;
}

/* ---- lookup ------------------------------------------------------------------------------------------------------ */

static stoa_err
wait_for_name(const stoa_module_state *state, const char *text, size_t size, stoa_deadline deadline,
              stoa_value *out)
{
    stoa_err err;
    stoa_deadline until;
    do {
        if (stoa__wait_attend() < 0) { /* also a signal that came while this thread was on its way here */
            return STOA_EPYTHON;
        }
        until = stoa__wait_slice(deadline);
        Py_BEGIN_ALLOW_THREADS
            err = stoa__name_wait(text, size, state->record, until, out);
        Py_END_ALLOW_THREADS
    } while (stoa__wait_goes_on(err, until, deadline));
    return err;
}

/* Takes `timeout` and `default` out of the keyword arguments. */
static int
lookup_keywords(PyObject *const *values, PyObject *names, PyObject **fallback, PyObject **timeout)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "timeout") == 0) {
            *timeout = values[i];
        }
        else if (PyUnicode_CompareWithASCIIString(name, "default") == 0 && *fallback == NULL) {
            *fallback = values[i];
        }
        else {
            PyErr_Format(PyExc_TypeError, "lookup() got an unexpected keyword argument %R", name);
            return -1;
        }
    }
    return 0;
}

PyDoc_STRVAR(
    lookup_doc,
    "lookup($module, name, /, default=..., *, timeout=0)\n--\n\n"
    "The object that name stands for, by pointer: O(1), no copy.\n\n"
    "Waits up to timeout seconds (None: for ever) for the name to appear; then default, else KeyError.");

static PyObject *
lookup(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    const stoa_module_state *state = stoa__module_state(module);
    PyObject *fallback = count == 2 ? args[1] : NULL, *timeout = NULL;
    if (count < 1 || count > 2) {
        return PyErr_Format(PyExc_TypeError, "lookup() takes a name and at most one default (%zd given)",
                            count);
    }
    if (keywords != NULL && lookup_keywords(args + count, keywords, &fallback, &timeout) < 0) {
        return NULL;
    }
    size_t size;
    const char *text = name_text(args[0], &size);
    stoa_deadline deadline;
    if (text == NULL || (timeout != NULL && stoa__module_deadline(timeout, &deadline) < 0)) {
        return NULL;
    }
    stoa_value value;
    stoa_err err = stoa__name_lookup(text, size, state->record, &value);
    if (err == STOA_ENOTFOUND && timeout != NULL) {
        err = wait_for_name(state, text, size, deadline, &value);
    }
    if (err == STOA_OK) {
        return receive(state, &value);
    }
    if (err == STOA_ENOTFOUND || err == STOA_ETIMEDOUT) {
        return fallback != NULL ? Py_NewRef(fallback) : unknown_name(args[0]);
    }
    return stoa__raise(err);
}

/* ---- publish, replace, unpublish, names -------------------------------------------------------------------------- */

/* Without a region, what is frozen already is taken where it lies, and the name keeps that region. */
static PyObject *
freeze_as_value(const stoa_module_state *state, PyObject *object, stoa_region *region, stoa_value *value)
{
    if (stoa__is_proxy(object)) {
        if (stoa__proxy_settle(object) < 0) {
            return NULL;
        }
        *value = (stoa_value){.kind = STOA_VALUE_HANDLE, .handle = stoa__proxy(object)->handle};
        if (stoa__proxy_was_released(stoa__proxy(object))) {
            return stoa__proxy_is_released(stoa__proxy(object), "published");
        }
        return Py_NewRef(object);
    }
    if (stoa__is_thing(object)) { /* it goes by its handle; the caller of this has the wrapper, so it is live */
        stoa_thing *thing = stoa__thing_get(object);
        *value = (stoa_value){.kind = STOA_VALUE_HANDLE, .handle = thing == NULL ? 0 : thing->handle};
        return thing == NULL ? NULL : Py_NewRef(object);
    }
    stoa_region *own = region == NULL ? stoa__region_of_frozen(object) : NULL;
    PyObject *frozen = stoa__freeze_to_heap(object, own == NULL ? region : own,
                                            STOA_FREEZE_INTERN | STOA_FREEZE_CONVERT);
    stoa__region_unref(own);
    *value = (stoa_value){.kind = STOA_VALUE_OBJECT, .object = frozen, .domain = state->record->domain};
    return frozen == NULL ? NULL : stoa__receive(frozen);
}

/* The name cannot stand for `object`: that one's reference is given up. Always NULL. */
static PyObject *
refused(PyObject *object, stoa_err err)
{
    if (stoa__is_proxy(object) && err == STOA_EGONE) {
        stoa__proxy_failed(stoa__proxy(object), err);
    }
    else {
        stoa__raise(err);
    }
    Py_DECREF(object);
    return NULL;
}

PyDoc_STRVAR(publish_doc,
             "publish($module, name, obj, /, *, region=None)\n--\n\n"
             "Freezes obj, makes it known as name to all interpreters, and returns the frozen object.\n\n"
             "A proxy is published as it is: the others get proxies of the same object.\n"
             "NameTaken if the name is in use.");

static PyObject *
publish_in(const stoa_module_state *state, const char *text, size_t size, PyObject *object, stoa_region *region)
{
    bool in_use;
    stoa_value value;
    stoa_err err = stoa__name_in_use(text, size, &in_use); /* before anything is frozen for it, which would stay */
    if (err == STOA_OK && in_use) {
        err = stoa__fail(STOA_EEXIST, "name '%s' is in use; replace() it, or unpublish() it first", text);
    }
    if (err != STOA_OK) {
        return stoa__raise(err);
    }
    PyObject *frozen = freeze_as_value(state, object, region, &value);
    if (frozen != NULL && (err = stoa__name_publish(text, size, &value)) != STOA_OK) {
        return refused(frozen, err);
    }
    return frozen;
}

static PyObject *
publish(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "", "region", NULL};
    PyObject *name, *object, *region_object = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$O:publish", keywords, &name, &object, &region_object)) {
        return NULL;
    }
    size_t size;
    const char *text = name_text(name, &size);
    stoa_region *region;
    if (text == NULL || stoa__region_argument(region_object, &region) < 0) {
        return NULL;
    }
    PyObject *frozen = publish_in(stoa__module_state(module), text, size, object, region);
    stoa__region_unref(region);
    return frozen;
}

PyDoc_STRVAR(replace_doc, "replace($module, name, obj, /)\n--\n\n"
                          "As publish(), but gives a name that is in use its new value, atomically.\n\n"
                          "Those who hold the old value keep it.");

static PyObject *
replace(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        return PyErr_Format(PyExc_TypeError, "replace() takes a name and an object (%zd given)", count);
    }
    size_t size;
    const char *text = name_text(args[0], &size);
    bool in_use;
    if (text == NULL) {
        return NULL;
    }
    stoa_err err = stoa__name_in_use(text, size, &in_use); /* before anything is frozen for it, which would stay */
    if (err != STOA_OK) {
        return stoa__raise(err);
    }
    stoa_value value;
    PyObject *frozen = freeze_as_value(stoa__module_state(module), args[1], NULL, &value);
    if (frozen != NULL && (err = stoa__name_replace(text, size, &value)) != STOA_OK) {
        return refused(frozen, err);
    }
    return frozen;
}

PyDoc_STRVAR(unpublish_doc,
             "unpublish($module, name, /)\n--\n\n"
             "Takes the name away; those who hold its value keep it. KeyError if it is unknown.");

static PyObject *
unpublish(PyObject *module, PyObject *name)
{
    (void)module;
    size_t size;
    const char *text = name_text(name, &size);
    if (text == NULL) {
        return NULL;
    }
    stoa_err err = stoa__name_unpublish(text, size);
    if (err == STOA_ENOTFOUND) {
        return unknown_name(name);
    }
    return err == STOA_OK ? Py_NewRef(Py_None) : stoa__raise(err);
}

static bool
add_name(const char *name, size_t size, const stoa_value *value, void *list)
{
    (void)value;
    PyObject *text = PyUnicode_FromStringAndSize(name, (Py_ssize_t)size);
    int result = text == NULL ? -1 : PyList_Append(list, text);
    Py_XDECREF(text);
    return result == 0;
}

PyDoc_STRVAR(names_doc, "names($module, /)\n--\n\nAll names in use, sorted.");

static PyObject *
names(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *list = PyList_New(0);
    stoa_err err = list == NULL ? STOA_OK : stoa__name_each(add_name, list);
    if (err != STOA_OK) {
        stoa__raise(err);
    }
    PyObject *tuple = list == NULL || PyErr_Occurred() ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

/* ---- once -------------------------------------------------------------------------------------------------------- */

static stoa_err
wait_for_turn(const stoa_module_state *state, const char *text, size_t size, uint64_t maker,
              stoa_deadline deadline, stoa_once *what, stoa_value *value)
{
    stoa_err err;
    stoa_deadline until;
    do {
        if (stoa__wait_attend() < 0) { /* also a signal that came while this thread was on its way here */
            return STOA_EPYTHON;
        }
        until = stoa__wait_slice(deadline);
        Py_BEGIN_ALLOW_THREADS
            err = stoa__name_once(text, size, state->record, maker, until, what, value);
        Py_END_ALLOW_THREADS
    } while (stoa__wait_goes_on(err, until, deadline));
    return err;
}

/* Our turn: whatever happens, once_done is called. */
static PyObject *
make_value(const stoa_module_state *state, const char *text, size_t size, uint64_t maker, PyObject *factory)
{
    stoa_value value;
    PyObject *object = PyObject_CallNoArgs(factory);
    PyObject *frozen = object == NULL ? NULL : freeze_as_value(state, object, NULL, &value);
    Py_XDECREF(object);
    if (frozen == NULL) {
        PyObject *raised = PyErr_GetRaisedException();
        (void)stoa__name_once_done(text, size, maker, NULL);
        PyErr_SetRaisedException(raised);
        return NULL;
    }
    stoa_err err = stoa__name_once_done(text, size, maker, &value);
    if (err == STOA_EEXIST && stoa__name_lookup(text, size, state->record, &value) == STOA_OK) {
        Py_DECREF(frozen); /* somebody published it meanwhile: all get that one */
        return receive(state, &value);
    }
    return err == STOA_OK || err == STOA_EEXIST ? frozen : refused(frozen, err);
}

PyDoc_STRVAR(once_doc,
             "once($module, name, factory, /, *, timeout=None)\n--\n\n"
             "The object that name stands for; where there is none yet, factory() makes it.\n\n"
             "The first caller, in whichever interpreter, runs factory() and publishes; the others wait and "
             "get the same object.\nIf factory() raises, its caller gets the exception and the next waiter "
             "tries.");

static PyObject *
once(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "", "timeout", NULL};
    const stoa_module_state *state = stoa__module_state(module);
    PyObject *name, *factory, *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$O:once", keywords, &name, &factory, &timeout)) {
        return NULL;
    }
    size_t size;
    const char *text = name_text(name, &size);
    stoa_deadline deadline;
    if (text == NULL || stoa__module_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    if (!PyCallable_Check(factory)) {
        return PyErr_Format(PyExc_TypeError, "once() wants a callable, not %.200s", Py_TYPE(factory)->tp_name);
    }
    stoa_value value;
    stoa_err err = stoa__name_lookup(text, size, state->record, &value);
    stoa_once what = STOA_ONCE_HAVE;
    uint64_t maker = (uint64_t)state->record->serial << 32 | (uint32_t)syscall(SYS_gettid);
    if (err == STOA_ENOTFOUND) {
        err = wait_for_turn(state, text, size, maker, deadline, &what, &value);
    }
    if (err != STOA_OK) {
        return stoa__raise(err);
    }
    return what == STOA_ONCE_HAVE ? receive(state, &value) : make_value(state, text, size, maker, factory);
}

static PyMethodDef methods[] = {
    {"lookup", (PyCFunction)(void (*)(void))lookup, METH_FASTCALL | METH_KEYWORDS, lookup_doc},
    {"publish", (PyCFunction)(void (*)(void))publish, METH_VARARGS | METH_KEYWORDS, publish_doc},
    {"replace", (PyCFunction)(void (*)(void))replace, METH_FASTCALL, replace_doc},
    {"unpublish", unpublish, METH_O, unpublish_doc},
    {"names", names, METH_NOARGS, names_doc},
    {"once", (PyCFunction)(void (*)(void))once, METH_VARARGS | METH_KEYWORDS, once_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_names(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
