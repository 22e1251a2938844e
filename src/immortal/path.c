#include "immortal/path.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_STEPS 24 /* steps written before and after the cut of a long path */
#define KEY_CHARS 60  /* characters of a key that are written */

static bool
reserve(stoa_path *path, size_t more)
{
    if (path->size + more + 1 <= path->capacity) {
        return true;
    }
    size_t capacity = (path->size + more + 1) * 2;
    char *text = realloc(path->text, capacity);
    if (text == NULL) {
        path->failed = true;
        return false;
    }
    path->text = text;
    path->capacity = capacity;
    return true;
}

void
stoa__path_printf(stoa_path *path, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    if (size >= 0 && reserve(path, (size_t)size)) {
        vsnprintf(path->text + path->size, (size_t)size + 1, format, again);
        path->size += (size_t)size;
    }
    va_end(again);
    va_end(args);
}

/* repr() of the key without running anybody's code; NULL (no exception) where that cannot be. */
static PyObject *
harmless_repr(PyObject *key)
{
    PyObject *part = NULL, *repr = NULL;
    if (PyUnicode_CheckExact(key)) {
        part = PyUnicode_GET_LENGTH(key) <= KEY_CHARS ? Py_NewRef(key) : PyUnicode_Substring(key, 0, KEY_CHARS);
    }
    else if (PyBytes_CheckExact(key)) {
        Py_ssize_t size = PyBytes_GET_SIZE(key);
        part = PyBytes_FromStringAndSize(PyBytes_AS_STRING(key), size <= KEY_CHARS ? size : KEY_CHARS);
    }
    else if (PyLong_CheckExact(key) || PyBool_Check(key) || PyFloat_CheckExact(key) || key == Py_None) {
        part = Py_NewRef(key);
    }
    if (part != NULL) {
        repr = PyObject_Repr(part); /* an int of thousands of digits raises */
        Py_DECREF(part);
    }
    if (repr == NULL || PyUnicode_GET_LENGTH(repr) > 8 * KEY_CHARS) {
        PyErr_Clear();
        Py_CLEAR(repr);
    }
    return repr;
}

static void
write_key(stoa_path *path, PyObject *key)
{
    PyObject *repr = harmless_repr(key);
    const char *text = repr == NULL ? NULL : PyUnicode_AsUTF8(repr);
    if (text == NULL) {
        PyErr_Clear();
        stoa__path_printf(path, "[<%s key>]", Py_TYPE(key)->tp_name);
    }
    else {
        bool cut = (PyUnicode_CheckExact(key) && PyUnicode_GET_LENGTH(key) > KEY_CHARS) ||
                   (PyBytes_CheckExact(key) && PyBytes_GET_SIZE(key) > KEY_CHARS);
        stoa__path_printf(path, "[%s%s]", text, cut ? "..." : "");
    }
    Py_XDECREF(repr);
}

static void
write_step(stoa_path *path, const stoa_step *step)
{
    switch (step->kind) {
    case STOA_STEP_INDEX:
        stoa__path_printf(path, "[%zu]", step->index);
        break;
    case STOA_STEP_VALUE:
        write_key(path, step->key);
        break;
    case STOA_STEP_KEY:
        stoa__path_printf(path, "<key %zu>", step->index);
        break;
    case STOA_STEP_MEMBER:
        stoa__path_printf(path, "<member %zu>", step->index);
        break;
    case STOA_STEP_ATTRIBUTE:
        stoa__path_printf(path, ".%s", step->attribute);
        break;
    case STOA_STEP_NONE:
        break;
    }
}

void
stoa__path_write(stoa_path *path, stoa_step_fn step, void *arg, size_t count)
{
    PyObject *pending = PyErr_GetRaisedException(); /* repr() must not be called with one set */
    stoa__path_printf(path, "$");
    for (size_t i = 0; i < count; i++) {
        if (count > 3 * HEAD_STEPS && i == HEAD_STEPS) {
            i = count - HEAD_STEPS;
            stoa__path_printf(path, "...(%zu more)...", i - HEAD_STEPS);
        }
        stoa_step one = {STOA_STEP_INDEX, 0, NULL, NULL};
        step(arg, i, &one);
        write_step(path, &one);
    }
    PyErr_SetRaisedException(pending);
}

const char *
stoa__path_text(const stoa_path *path)
{
    return path->text == NULL ? "$" : path->text;
}

void
stoa__path_clear(stoa_path *path)
{
    free(path->text);
    *path = (stoa_path){NULL, 0, 0, false};
}
