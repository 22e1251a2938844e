#include "immortal/cpython/raised.h"

#include <string.h>

#define CONTEXTS_MAX 100 /* a chain may be a circle */

static bool
is_or_follows(PyObject *exception, PyObject *class)
{
    for (int i = 0; i < CONTEXTS_MAX && exception != NULL && PyExceptionInstance_Check(exception); i++) {
        if (PyErr_GivenExceptionMatches(exception, class)) {
            return true;
        }
        exception = ((PyBaseExceptionObject *)exception)->context;
    }
    return false;
}

bool
stoa__is_handled(const PyThreadState *state, PyObject *class)
{
    if (class == NULL) {
        return false;
    }
    bool found = is_or_follows(state->current_exception, class);
    for (const _PyErr_StackItem *item = state->exc_info; item != NULL && !found; item = item->previous_item) {
        found = is_or_follows(item->exc_value, class);
    }
    return found;
}

bool
stoa__is_importing(PyThreadState *state, bool innermost)
{
    static const char importlib[] = "<frozen importlib._bootstrap";
    PyFrameObject *frame = PyThreadState_GetFrame(state);
    bool found = false;
    while (frame != NULL && !found) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        const char *file = PyUnicode_AsUTF8(code->co_filename);
        found = file != NULL && strncmp(file, importlib, sizeof(importlib) - 1) == 0;
        PyErr_Clear();
        Py_DECREF(code);
        PyFrameObject *back = innermost ? NULL : PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    return found;
}

bool
stoa__runs_python(PyThreadState *state)
{
    PyFrameObject *frame = PyThreadState_GetFrame(state);
    Py_XDECREF(frame);
    return frame != NULL;
}
