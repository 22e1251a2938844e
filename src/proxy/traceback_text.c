#include "proxy/traceback_text.h"

#include <stdbool.h>

#include "proxy/exception.h"

/* A longer traceback loses its middle: an exception that crosses many interpreters would tell all of it at each. */
#define TEXT_PART 8000
/* So many entries of a short one are told. */
#define SHORT_ENTRIES 200

/* Steals. */
static PyObject *
without_middle(PyObject *text)
{
    Py_ssize_t length = text == NULL ? 0 : PyUnicode_GET_LENGTH(text);
    if (length <= 3 * TEXT_PART) {
        return text;
    }
    PyObject *head = PyUnicode_Substring(text, 0, TEXT_PART);
    PyObject *tail = head == NULL ? NULL : PyUnicode_Substring(text, length - TEXT_PART, length);
    PyObject *result = tail == NULL ? NULL
                                    : PyUnicode_FromFormat("%U\n  [%zd characters left out]\n%U", head,
                                                           length - 2 * TEXT_PART, tail);
    Py_XDECREF(tail);
    Py_XDECREF(head);
    Py_DECREF(text);
    return result;
}

/* ---- short ------------------------------------------------------------------------------------------------------- */

/* "  File …, line …, in …" and the line itself. */
static PyObject *
format_entry(PyObject *traceback, PyObject *linecache)
{
    PyObject *frame = PyObject_GetAttrString(traceback, "tb_frame");
    PyObject *code = frame == NULL ? NULL : PyObject_GetAttrString(frame, "f_code");
    PyObject *file = code == NULL ? NULL : PyObject_GetAttrString(code, "co_filename");
    PyObject *name = file == NULL ? NULL : PyObject_GetAttrString(code, "co_name");
    PyObject *line = name == NULL ? NULL : PyObject_GetAttrString(traceback, "tb_lineno");
    PyObject *source = line == NULL ? NULL : PyObject_CallMethod(linecache, "getline", "OO", file, line);
    PyObject *stripped = source == NULL ? NULL : PyObject_CallMethod(source, "strip", NULL);
    PyObject *text = NULL;
    if (stripped != NULL) {
        text = PyUnicode_FromFormat("  File \"%S\", line %S, in %S\n", file, line, name);
    }
    if (text != NULL && PyUnicode_Check(stripped) && PyUnicode_GET_LENGTH(stripped) > 0) {
        Py_SETREF(text, PyUnicode_FromFormat("%U    %U\n", text, stripped));
    }
    Py_XDECREF(stripped);
    Py_XDECREF(source);
    Py_XDECREF(line);
    Py_XDECREF(name);
    Py_XDECREF(file);
    Py_XDECREF(code);
    Py_XDECREF(frame);
    return text;
}

/* All entries; "" when C code raised it and there are none. */
static PyObject *
format_entries(PyObject *exception)
{
    PyObject *traceback = PyException_GetTraceback(exception);
    if (traceback == NULL) {
        return PyUnicode_FromString("");
    }
    PyObject *linecache = PyImport_ImportModule("linecache");
    PyObject *text = linecache == NULL ? NULL : PyUnicode_FromString("Traceback (most recent call last):\n");
    for (int shown = 0; traceback != NULL && text != NULL && shown < SHORT_ENTRIES; shown++) {
        PyObject *entry = format_entry(traceback, linecache);
        Py_SETREF(text, entry == NULL ? NULL : PyUnicode_Concat(text, entry));
        Py_XDECREF(entry);
        PyObject *next = text == NULL ? NULL : PyObject_GetAttrString(traceback, "tb_next");
        Py_SETREF(traceback, next == Py_None ? NULL : Py_XNewRef(next));
        Py_XDECREF(next);
    }
    Py_XDECREF(linecache);
    Py_XDECREF(traceback);
    return text;
}

/* Of exactly such a type, with nothing before it and no notes. */
static bool
is_answer(PyObject *exception)
{
    PyObject *type = (PyObject *)Py_TYPE(exception);
    if (type != PyExc_AttributeError && type != PyExc_KeyError && type != PyExc_IndexError &&
        type != PyExc_StopIteration && type != PyExc_StopAsyncIteration) {
        return false;
    }
    PyObject *cause = PyException_GetCause(exception), *context = PyException_GetContext(exception);
    bool first = cause == NULL && context == NULL;
    Py_XDECREF(cause);
    Py_XDECREF(context);
    return first && !PyObject_HasAttrString(exception, "__notes__");
}

static PyObject *
format_short(PyObject *exception)
{
    PyObject *message = stoa__exception_text(exception);
    PyObject *text = message == NULL ? NULL : format_entries(exception);
    const char *name = Py_TYPE(exception)->tp_name;
    if (text != NULL && PyUnicode_GET_LENGTH(message) == 0) {
        Py_SETREF(text, PyUnicode_FromFormat("%U%s\n", text, name));
    }
    else if (text != NULL) {
        Py_SETREF(text, PyUnicode_FromFormat("%U%s: %U\n", text, name, message));
    }
    Py_XDECREF(message);
    return text;
}

/* ---- full -------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__traceback_full(PyObject *exception)
{
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *lines = module == NULL ? NULL : PyObject_CallMethod(module, "format_exception", "O", exception);
    PyObject *empty = lines == NULL ? NULL : PyUnicode_FromString("");
    PyObject *text = empty == NULL ? NULL : PyUnicode_Join(empty, lines);
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    Py_XDECREF(module);
    return text;
}

PyObject *
stoa__traceback_text(PyObject *exception)
{
    return without_middle(is_answer(exception) ? format_short(exception) : stoa__traceback_full(exception));
}
