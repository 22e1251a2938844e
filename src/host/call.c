#include "stoa/call.h"

#include <Python.h>
#include <stdlib.h>

#include "heap/error.h"
#include "host/invoke.h"
#include "host/target.h"
#include "immortal/canonical.h"
#include "immortal/exceptions.h"
#include "immortal/freeze.h"
#include "proxy/thread_state.h"
#include "stoa/python.h"

/* ---- values ------------------------------------------------------------------------------------------------------ */

void
stoa_data_clear(stoa_data *data)
{
    if (data != NULL) {
        free(data->owned);
        *data = stoa_data_none();
    }
}

static PyObject *
to_python(const stoa_data *data)
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

/* No GIL: what can be said of an argument before anything is done. */
static stoa_err
check_argument(const stoa_data *data, size_t index)
{
    if ((unsigned)data->kind > STOA_DATA_SHARED) {
        return stoa__fail(STOA_EINVAL, "args[%zu].kind is %d, which is none", index, (int)data->kind);
    }
    bool text = data->kind == STOA_DATA_TEXT || data->kind == STOA_DATA_BYTES;
    if (text && (data->as.text.size > PY_SSIZE_T_MAX || (data->as.text.at == NULL && data->as.text.size > 0))) {
        return stoa__fail(STOA_EINVAL,
                          "args[%zu]: text or bytes without an address, or of an impossible size", index);
    }
    if (data->kind == STOA_DATA_SHARED &&
        (data->as.shared == NULL || !stoa__is_shared((const PyObject *)data->as.shared))) {
        return stoa__fail(STOA_EINVAL, "args[%zu]: not a shared object", index);
    }
    return STOA_OK;
}

static stoa_err
copy_text(const void *text, Py_ssize_t size, stoa_data_kind kind, stoa_data *out)
{
    char *copy = malloc((size_t)size + 1);
    if (copy == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a result of %zd bytes", size);
    }
    memcpy(copy, text, (size_t)size);
    copy[size] = '\0';
    *out = kind == STOA_DATA_TEXT ? stoa_data_text(copy, (size_t)size) : stoa_data_bytes(copy, (size_t)size);
    out->owned = copy;
    return STOA_OK;
}

static stoa_err
freeze_result(PyObject *object, stoa_data *out)
{
    PyObject *frozen = stoa__freeze(object, NULL, STOA_FREEZE_INTERN | STOA_FREEZE_CONVERT);
    if (frozen == NULL) {
        PyObject *raised = PyErr_GetRaisedException();
        bool memory = PyErr_GivenExceptionMatches(raised, PyExc_MemoryError);
        PyObject *text = PyObject_Str(raised);
        const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
        stoa_err err = stoa__fail(memory ? STOA_ENOMEM : STOA_ENOTFREEZABLE, "the result: %s",
                                  utf8 ? utf8 : "?");
        PyErr_Clear();
        Py_XDECREF(text);
        Py_DECREF(raised);
        return err;
    }
    *out = stoa_data_shared((const stoa_object *)frozen); /* immortal: the reference counts nothing */
    return STOA_OK;
}

/* Inside: the result as a C value. No Python exception is left set. */
static stoa_err
from_python(PyObject *object, unsigned flags, stoa_data *out)
{
    Py_ssize_t size;
    int overflow = 0;
    *out = stoa_data_none();
    if (object == Py_None) {
        return STOA_OK;
    }
    if (PyBool_Check(object)) {
        *out = stoa_data_bool(object == Py_True);
        return STOA_OK;
    }
    if (PyLong_CheckExact(object)) {
        *out = stoa_data_int(PyLong_AsLongLongAndOverflow(object, &overflow));
        if (overflow == 0) {
            return STOA_OK;
        }
    }
    else if (PyFloat_CheckExact(object)) {
        *out = stoa_data_float(PyFloat_AS_DOUBLE(object));
        return STOA_OK;
    }
    else if (PyBytes_CheckExact(object)) {
        return copy_text(PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object), STOA_DATA_BYTES, out);
    }
    else if (PyUnicode_CheckExact(object)) {
        const char *text = PyUnicode_AsUTF8AndSize(object, &size);
        if (text != NULL) {
            return copy_text(text, size, STOA_DATA_TEXT, out);
        }
        PyErr_Clear();
        return stoa__fail(STOA_EUTF8, "the result is a str with lone surrogates");
    }
    else if (stoa__is_shared(object)) {
        *out = stoa_data_shared((const stoa_object *)object);
        return STOA_OK;
    }
    if (flags & STOA_CALL_FREEZE_RESULT) {
        return freeze_result(object, out);
    }
    *out = stoa_data_none();
    return stoa__fail(STOA_ETYPE,
                      "the function returned %s%.100s, which is no C value; return text, bytes or a number, "
                      "freeze it there, or pass STOA_CALL_FREEZE_RESULT",
                      overflow ? "too large an " : "an object of type ", Py_TYPE(object)->tp_name);
}

/* ---- exceptions -------------------------------------------------------------------------------------------------- */

struct stoa_exception {
    char *type, *message, *traceback; /* all three in one piece with the struct */
};

static const char *
text_of(PyObject *object)
{
    const char *text = object == NULL ? NULL : PyUnicode_AsUTF8(object);
    if (text == NULL) {
        PyErr_Clear();
        return "";
    }
    return text;
}

static stoa_exception *
make_exception(const char *type, const char *message, const char *traceback)
{
    size_t a = strlen(type) + 1, b = strlen(message) + 1, c = strlen(traceback) + 1;
    stoa_exception *exception = malloc(sizeof(*exception) + a + b + c);
    if (exception != NULL) {
        exception->type = (char *)(exception + 1);
        exception->message = exception->type + a;
        exception->traceback = exception->message + b;
        memcpy(exception->type, type, a);
        memcpy(exception->message, message, b);
        memcpy(exception->traceback, traceback, c);
    }
    return exception;
}

static PyObject *
format_traceback(PyObject *raised)
{
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *lines = module == NULL ? NULL : PyObject_CallMethod(module, "format_exception", "O", raised);
    PyObject *empty = lines == NULL ? NULL : PyUnicode_FromString("");
    PyObject *text = empty == NULL ? NULL : PyUnicode_Join(empty, lines);
    PyErr_Clear();
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    Py_XDECREF(module);
    return text;
}

/* Lone surrogates become '?' so that C gets UTF-8. Steals. */
static PyObject *
without_surrogates(PyObject *text)
{
    PyObject *bytes = text == NULL ? NULL : PyUnicode_AsEncodedString(text, "utf-8", "replace");
    Py_XDECREF(text);
    PyObject *clean = bytes == NULL ? NULL : PyUnicode_FromEncodedObject(bytes, "utf-8", "strict");
    Py_XDECREF(bytes);
    PyErr_Clear();
    return clean;
}

/* Inside: takes the exception that is set. The message of STOA_EPYTHON is made, too. */
static stoa_err
take_exception(stoa_exception **out)
{
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *module = PyObject_GetAttrString((PyObject *)Py_TYPE(raised), "__module__");
    PyObject *qualname = PyObject_GetAttrString((PyObject *)Py_TYPE(raised), "__qualname__");
    PyErr_Clear();
    PyObject *type = without_surrogates(
        PyUnicode_FromFormat("%S.%S", module ? module : Py_None, qualname ? qualname : Py_None));
    PyObject *message = without_surrogates(PyObject_Str(raised));
    PyObject *traceback = without_surrogates(format_traceback(raised));
    PyErr_Clear();
    stoa_err err = stoa__fail(STOA_EPYTHON, "%s: %.300s", text_of(type), text_of(message));
    if (out != NULL && (*out = make_exception(text_of(type), text_of(message), text_of(traceback))) == NULL) {
        err = stoa__fail(STOA_ENOMEM, "no memory for the exception");
    }
    Py_XDECREF(traceback);
    Py_XDECREF(message);
    Py_XDECREF(type);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    Py_DECREF(raised);
    return err;
}

const char *
stoa_exception_type(const stoa_exception *exception)
{
    return exception->type;
}

const char *
stoa_exception_message(const stoa_exception *exception)
{
    return exception->message;
}

const char *
stoa_exception_traceback(const stoa_exception *exception)
{
    return exception->traceback;
}

void
stoa_exception_free(stoa_exception *exception)
{
    free(exception);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

stoa_err
stoa_exec(stoa_interp *interp, const char *source, const char *label, stoa_exception **out_exception)
{
    if (interp == NULL || source == NULL) {
        return stoa__fail(STOA_EINVAL, "interp or source is NULL");
    }
    stoa_entry entry;
    stoa_err err = stoa__enter((stoa_interp_record *)interp, &entry);
    if (err != STOA_OK) {
        return err;
    }
    PyObject *text = PyUnicode_FromString(source);
    PyObject *result = text == NULL ? NULL : stoa__run_in_main(text, label == NULL ? "<stoa_exec>" : label);
    if (result == NULL) {
        err = take_exception(out_exception);
    }
    Py_XDECREF(result);
    Py_XDECREF(text);
    stoa__leave(&entry);
    return err;
}

/* Inside. */
static PyObject *
find_function(const char *text)
{
    const char *colon = strchr(text, ':');
    PyObject *module = PyUnicode_DecodeUTF8(text, colon - text, NULL);
    PyObject *qualname = module == NULL ? NULL : PyUnicode_FromString(colon + 1);
    PyObject *function = qualname == NULL ? NULL : stoa__target_find(module, qualname);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return function;
}

/* Inside: STOA_OK with the tuple, STOA_EUTF8 or STOA_EPYTHON with the exception set. */
static stoa_err
make_arguments(const stoa_data *args, size_t count, PyObject **out)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *argument = to_python(&args[i]);
        if (argument == NULL) {
            Py_DECREF(tuple);
            if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                PyErr_Clear();
                return stoa__fail(STOA_EUTF8, "args[%zu] is no UTF-8", i);
            }
            return STOA_EPYTHON;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, argument);
    }
    *out = tuple;
    return tuple == NULL ? STOA_EPYTHON : STOA_OK;
}

static stoa_err
call_inside(const char *function, const stoa_data *args, size_t count, unsigned flags, stoa_data *out_result,
            stoa_exception **out_exception)
{
    PyObject *callable = find_function(function);
    PyObject *tuple = NULL, *result = NULL;
    stoa_err err = callable == NULL ? STOA_EPYTHON : make_arguments(args, count, &tuple);
    if (err == STOA_OK) {
        result = PyObject_Call(callable, tuple, NULL);
        err = result == NULL ? STOA_EPYTHON : STOA_OK;
    }
    if (err == STOA_EPYTHON) {
        err = take_exception(out_exception);
    }
    else if (err == STOA_OK && out_result != NULL) {
        err = from_python(result, flags, out_result);
    }
    Py_XDECREF(result);
    Py_XDECREF(tuple);
    Py_XDECREF(callable);
    return err;
}

stoa_err
stoa_call(stoa_interp *interp, const char *function, const stoa_data *args, size_t count, unsigned flags,
          stoa_data *out_result, stoa_exception **out_exception)
{
    const char *colon = function == NULL ? NULL : strchr(function, ':');
    if (interp == NULL || (args == NULL && count > 0) || (flags & ~STOA_CALL_FREEZE_RESULT)) {
        return stoa__fail(STOA_EINVAL, "interp is NULL, args are missing, or a flag is unknown");
    }
    if (colon == NULL || colon == function || colon[1] == '\0') {
        return stoa__fail(STOA_EINVAL, "'%s' does not name a function: write \"module:qualname\"",
                          function == NULL ? "NULL" : function);
    }
    stoa_err err = STOA_OK;
    for (size_t i = 0; i < count && err == STOA_OK; i++) {
        err = check_argument(&args[i], i);
    }
    stoa_entry entry;
    if (err != STOA_OK || (err = stoa__enter((stoa_interp_record *)interp, &entry)) != STOA_OK) {
        return err;
    }
    stoa_data result = stoa_data_none();
    err = call_inside(function, args, count, flags, out_result == NULL ? NULL : &result, out_exception);
    stoa__leave(&entry);
    if (err == STOA_OK && out_result != NULL) {
        *out_result = result;
    }
    return err;
}
