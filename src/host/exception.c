/* What was raised, for C: text that needs no interpreter. */
#include <stdio.h>
#include <stdlib.h>

#include "heap/error.h"
#include "host/data.h"
#include "proxy/exception.h"
#include "proxy/traceback_text.h"

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

/* ---- the last one of this thread --------------------------------------------------------------------------------- */

static _Thread_local stoa_noted noted;

void
stoa__exception_get_noted(stoa_noted *out)
{
    *out = noted;
}

void
stoa__exception_set_noted(const stoa_noted *from)
{
    noted = *from;
}

void
stoa__exception_note(const char *type_name, const char *message)
{
    (void)snprintf(noted.type, sizeof(noted.type), "%s", type_name);
    (void)snprintf(noted.message, sizeof(noted.message), "%s", message);
}

void
stoa__exception_forget(void)
{
    noted.type[0] = '\0';
}

PyObject *
stoa__exception_raise_noted(void)
{
    bool known = noted.type[0] != '\0';
    PyObject *instance = stoa__exception_named(
        known ? noted.type : "builtins.SystemError",
        known ? noted.message : "a callback returned STOA_EPYTHON and said no exception");
    if (instance != NULL) {
        stoa__exception_raise_made(instance);
    }
    return NULL;
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

stoa_err
stoa__exception_take(stoa_exception **out)
{
    if (!PyErr_Occurred()) { /* what looks at its caller's frame fails like that where there is none */
        PyErr_SetString(PyExc_SystemError, "it failed without an exception: call it from a Python function");
    }
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *module = PyObject_GetAttrString((PyObject *)Py_TYPE(raised), "__module__");
    PyObject *qualname = PyObject_GetAttrString((PyObject *)Py_TYPE(raised), "__qualname__");
    PyErr_Clear();
    PyObject *type = without_surrogates(
        PyUnicode_FromFormat("%S.%S", module ? module : Py_None, qualname ? qualname : Py_None));
    PyObject *message = without_surrogates(stoa__exception_text(raised));
    PyObject *traceback = without_surrogates(stoa__traceback_full(raised));
    PyErr_Clear();
    stoa__exception_note(text_of(type), text_of(message));
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
