#include "host/data.h"

#include <stdio.h>
#include <stdlib.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "host/invoke.h"
#include "immortal/canonical.h"
#include "immortal/freeze.h"
#include "proxy/proxy.h"
#include "stoa/python.h"

/* In `owned` of a handle that clear is to release. */
static char held_by_data;

void
stoa_data_clear(stoa_data *data)
{
    if (data == NULL) {
        return;
    }
    if (data->owned == &held_by_data) {
        (void)stoa__hold_release(data->as.handle);
    }
    else {
        free(data->owned);
    }
    *data = stoa_data_none();
}

stoa_data
stoa__data_own_handle(stoa_handle handle)
{
    stoa_data data = stoa_data_handle(handle);
    data.owned = &held_by_data;
    return data;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static stoa_err
fail_at(stoa_err err, const char *what, size_t index, const char *why)
{
    char where[64];
    (void)snprintf(where, sizeof(where), what, index);
    return stoa__fail(err, "%s%s", where, why);
}

stoa_err
stoa__data_check(const stoa_data *data, const char *what, size_t index)
{
    if ((unsigned)data->kind > STOA_DATA_HANDLE) {
        return fail_at(STOA_EINVAL, what, index, ".kind is a number that is no kind");
    }
    bool text = data->kind == STOA_DATA_TEXT || data->kind == STOA_DATA_BYTES;
    if (text && (data->as.text.size > PY_SSIZE_T_MAX || (data->as.text.at == NULL && data->as.text.size > 0))) {
        return fail_at(STOA_EINVAL, what, index,
                       ": text or bytes without an address, or of an impossible size");
    }
    if (data->kind == STOA_DATA_SHARED &&
        (data->as.shared == NULL || !stoa__is_shared((const PyObject *)data->as.shared))) {
        return fail_at(STOA_EINVAL, what, index, ": not a shared object");
    }
    return STOA_OK;
}

/* The object of a handle as the current interpreter has it: itself, or a proxy. */
static stoa_err
receive_handle(stoa_hold hold, PyObject **out)
{
    stoa_handle handle;
    stoa_err err = stoa__hold_get(hold, &handle);
    if (err != STOA_OK) {
        return err;
    }
    stoa_side *side = stoa__side_here();
    if (side == NULL) {
        stoa__handle_unref(handle);
        return STOA_EPYTHON;
    }
    *out = stoa__side_import(side, handle);
    return *out == NULL ? STOA_EPYTHON : STOA_OK;
}

static PyObject *
make_object(const stoa_data *data)
{
    switch (data->kind) {
    case STOA_DATA_NONE:
        return Py_NewRef(Py_None);
    case STOA_DATA_BOOL:
        return PyBool_FromLong(data->as.boolean);
    case STOA_DATA_INT:
        return PyLong_FromLongLong(data->as.integer);
    case STOA_DATA_FLOAT:
        return PyFloat_FromDouble(data->as.real);
    case STOA_DATA_TEXT:
        return PyUnicode_DecodeUTF8(data->as.text.at, (Py_ssize_t)data->as.text.size, NULL);
    case STOA_DATA_BYTES:
        return PyBytes_FromStringAndSize(data->as.text.at, (Py_ssize_t)data->as.text.size);
    default:
        return stoa_object_to_python(data->as.shared);
    }
}

stoa_err
stoa__data_to_python(const stoa_data *data, const char *what, size_t index, PyObject **out)
{
    if (data->kind == STOA_DATA_HANDLE) {
        return receive_handle(data->as.handle, out);
    }
    PyObject *object = make_object(data);
    if (object == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        return fail_at(STOA_EUTF8, what, index, " is no UTF-8");
    }
    *out = object;
    return object == NULL ? STOA_EPYTHON : STOA_OK;
}

stoa_err
stoa__data_check_call(const stoa_data *args, size_t count, unsigned flags)
{
    if ((args == NULL && count > 0) || (flags & ~(STOA_CALL_FREEZE_RESULT | STOA_CALL_HOLD_RESULT)) ||
        flags == (STOA_CALL_FREEZE_RESULT | STOA_CALL_HOLD_RESULT)) {
        return stoa__fail(STOA_EINVAL,
                          "args are missing, a flag is unknown, or the result is to be frozen and held");
    }
    stoa_err err = STOA_OK;
    for (size_t i = 0; i < count && err == STOA_OK; i++) {
        err = stoa__data_check(&args[i], "args[%zu]", i);
    }
    return err;
}

/* `count` of them into `out`: new references; none on failure. */
static stoa_err
make_array(const stoa_data *data, size_t count, PyObject **out)
{
    for (size_t i = 0; i < count; i++) {
        stoa_err err = stoa__data_to_python(&data[i], "args[%zu]", i, &out[i]);
        if (err != STOA_OK) {
            PyObject *raised = PyErr_GetRaisedException();
            while (i > 0) {
                Py_DECREF(out[--i]);
            }
            PyErr_SetRaisedException(raised);
            return err;
        }
    }
    return STOA_OK;
}

#define FEW 8

stoa_err
stoa__data_call(PyObject *callable, const char *name, const stoa_data *args, size_t count, PyObject **out)
{
    PyObject *here[1 + FEW] = {NULL}, **items = here,
                       *result = NULL; /* items[0]: self, or room for vectorcall */
    if (count > FEW && (items = PyMem_New(PyObject *, 1 + count)) == NULL) {
        PyErr_NoMemory();
        return STOA_EPYTHON;
    }
    items[0] = callable;
    stoa_err err = make_array(args, count, items + 1);
    if (err == STOA_OK && name == NULL) {
        result = stoa__invoke_array(callable, items + 1, count);
    }
    else if (err == STOA_OK) {
        PyObject *attribute = PyUnicode_InternFromString(name);
        result = attribute == NULL ? NULL : PyObject_VectorcallMethod(attribute, items, 1 + count, NULL);
        Py_XDECREF(attribute);
    }
    if (err == STOA_OK) {
        for (size_t i = 1; i <= count; i++) {
            Py_DECREF(items[i]);
        }
        err = result == NULL ? STOA_EPYTHON : STOA_OK;
        *out = result;
    }
    if (items != here) {
        PyMem_Free(items);
    }
    return err;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* The text that `data` borrows becomes its own. */
static stoa_err
own_text(stoa_data *data)
{
    size_t size = data->as.text.size;
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        *data = stoa_data_none();
        return stoa__fail(STOA_ENOMEM, "no memory for a text of %zu bytes", size);
    }
    if (size > 0) {
        memcpy(copy, data->as.text.at, size);
    }
    copy[size] = '\0';
    data->as.text.at = copy;
    data->owned = copy;
    return STOA_OK;
}

static bool
is_text(const stoa_data *data)
{
    return data->kind == STOA_DATA_TEXT || data->kind == STOA_DATA_BYTES;
}

stoa_err
stoa__data_copy(const stoa_data *data, stoa_data *out)
{
    stoa_handle held;
    stoa_hold hold;
    *out = *data;
    out->owned = NULL;
    if (is_text(data)) {
        return own_text(out);
    }
    if (data->kind != STOA_DATA_HANDLE) {
        return STOA_OK;
    }
    stoa_err err = stoa__hold_get(data->as.handle, &held);
    if (err != STOA_OK || (err = stoa__hold_new(held, &hold)) != STOA_OK) {
        *out = stoa_data_none();
        return err;
    }
    *out = stoa__data_own_handle(hold);
    return STOA_OK;
}

/* The exception that is set, as a host error. */
static stoa_err
fail_by_exception(const char *what, stoa_err otherwise)
{
    PyObject *raised = PyErr_GetRaisedException();
    bool memory = PyErr_GivenExceptionMatches(raised, PyExc_MemoryError);
    PyObject *text = PyObject_Str(raised);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    stoa_err err = stoa__fail(memory ? STOA_ENOMEM : otherwise, "%s: %s", what, utf8 ? utf8 : "?");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_DECREF(raised);
    return err;
}

static stoa_err
freeze_object(PyObject *object, const char *what, stoa_data *out)
{
    PyObject *frozen = stoa__freeze_to_heap(object, NULL, STOA_FREEZE_INTERN | STOA_FREEZE_CONVERT);
    if (frozen == NULL) {
        return fail_by_exception(what, STOA_ENOTFREEZABLE);
    }
    *out = stoa_data_shared((const stoa_object *)frozen); /* immortal: the reference counts nothing */
    return STOA_OK;
}

static stoa_err
hold_object(PyObject *object, const char *what, stoa_data *out)
{
    stoa_side *side = stoa__side_here();
    stoa_handle handle;
    if (side == NULL || stoa__proxy_handle_of(side, object, &handle) < 0) {
        return fail_by_exception(what, STOA_EGONE);
    }
    stoa_hold hold;
    stoa_err err = stoa__hold_new(handle, &hold);
    if (err == STOA_OK) {
        *out = stoa__data_own_handle(hold);
    }
    return err;
}

/* What fits one of the simple kinds; text stays the object's. STOA_ENOTFOUND, without a message: it does not. */
static stoa_err
simple_value(PyObject *object, stoa_data *out)
{
    int overflow = 0;
    if (object == Py_None) {
        *out = stoa_data_none();
        return STOA_OK;
    }
    if (PyBool_Check(object)) {
        *out = stoa_data_bool(object == Py_True);
        return STOA_OK;
    }
    if (PyLong_CheckExact(object)) {
        *out = stoa_data_int(PyLong_AsLongLongAndOverflow(object, &overflow));
        return overflow == 0 ? STOA_OK : STOA_ENOTFOUND;
    }
    if (PyFloat_CheckExact(object)) {
        *out = stoa_data_float(PyFloat_AS_DOUBLE(object));
        return STOA_OK;
    }
    if (PyBytes_CheckExact(object)) {
        *out = stoa_data_bytes(PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
        return STOA_OK;
    }
    if (PyUnicode_CheckExact(object)) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(object, &size);
        if (text != NULL) {
            *out = stoa_data_text(text, (size_t)size);
            return STOA_OK;
        }
        PyErr_Clear();
        return stoa__fail(STOA_EUTF8, "a str with lone surrogates has no UTF-8");
    }
    const PyObject *shared = stoa__delivered_to_heap(object);
    if (shared != NULL) {
        stoa__let_go_anywhere(shared);
        *out = stoa_data_shared((const stoa_object *)shared);
        return STOA_OK;
    }
    PyErr_Clear(); /* then it is held, or frozen, or refused with a message */
    return STOA_ENOTFOUND;
}

stoa_err
stoa__data_from_python(PyObject *object, unsigned flags, const char *what, stoa_data *out)
{
    *out = stoa_data_none();
    stoa_err err = simple_value(object, out);
    if (err == STOA_OK) {
        return is_text(out) ? own_text(out) : STOA_OK;
    }
    *out = stoa_data_none();
    if (flags & STOA_CALL_FREEZE_RESULT) {
        return freeze_object(object, what, out);
    }
    if (flags & STOA_CALL_HOLD_RESULT) {
        return hold_object(object, what, out);
    }
    if (err != STOA_ENOTFOUND) {
        return err;
    }
    return stoa__fail(
        STOA_ETYPE,
        "%s is %s%.100s, which is no C value; return text, bytes or a number, freeze it there, or "
        "pass STOA_CALL_FREEZE_RESULT or STOA_CALL_HOLD_RESULT",
        what, PyLong_CheckExact(object) ? "too large an " : "an object of type ", Py_TYPE(object)->tp_name);
}

stoa_err
stoa__data_borrow(PyObject *object, const char *what, stoa_data *out)
{
    *out = stoa_data_none();
    stoa_err err = simple_value(object, out);
    if (err != STOA_OK) { /* an int that is too large, a str without UTF-8: as the object it is */
        PyErr_Clear();
        *out = stoa_data_none();
        err = hold_object(object, what, out);
    }
    return err;
}
