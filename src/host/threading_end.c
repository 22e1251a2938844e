#include "host/threading_end.h"

#include <stdbool.h>
#include <time.h>

#include "immortal/cpython/minor.h"

#if STOA_THREADING_KEEPS_FIRST
/* 3.12's threading takes the first thread that imports it for the main one, and waits for that at the end: it must be the
 * thread that ends the interpreter. */
int
stoa__threading_prepare(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    Py_XDECREF(threading);
    return threading == NULL ? -1 : 0;
}
#else
/* Later ones make a substitute Thread for a thread they do not know, as ours is, and its finaliser fails in an interpreter
 * that is half taken down. So the last atexit function lets it go. */
static PyObject *
drop_substitute(PyObject *unused, PyObject *unused_args)
{
    (void)unused;
    (void)unused_args;
    PyObject *threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading"); /* borrowed */
    PyObject *local = threading == NULL ? NULL : PyObject_GetAttrString(threading, "_thread_local_info");
    if (local != NULL) {
        (void)PyObject_SetAttrString(local, "_track_dummy_thread_ref", NULL);
    }
    Py_XDECREF(local);
    PyErr_Clear();
    Py_RETURN_NONE;
}

static PyMethodDef drop_substitute_method = {"drop_substitute", drop_substitute, METH_NOARGS, NULL};

int
stoa__threading_prepare(void)
{
    PyObject *function = PyCFunction_New(&drop_substitute_method, NULL);
    PyObject *atexit = function == NULL ? NULL : PyImport_ImportModule("atexit");
    PyObject *result = atexit == NULL ? NULL : PyObject_CallMethod(atexit, "register", "(O)", function);
    Py_XDECREF(result);
    Py_XDECREF(atexit);
    Py_XDECREF(function);
    return result == NULL ? -1 : 0;
}
#endif

/* A thread started by _thread, which `threading` does not know and Py_EndInterpreter does not wait for? GIL. */
static bool
is_stray(PyThreadState *state)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *threading = Py_XNewRef(PyDict_GetItemString(modules, "threading"));
    PyObject *active = threading == NULL ? NULL : PyObject_GetAttrString(threading, "_active");
    PyObject *id = active == NULL ? NULL : PyLong_FromUnsignedLong(state->thread_id);
    bool known = id != NULL && PyDict_Check(active) && PyDict_Contains(active, id) == 1;
    Py_XDECREF(id);
    Py_XDECREF(active);
    Py_XDECREF(threading);
    PyErr_Clear();
    return !known;
}

/* They are Python's, so nothing tells when they end. */
void
stoa__threading_wait_for_strays(PyInterpreterState *interp, PyThreadState *own)
{
    for (long pause = 1000000;; pause = pause < 50000000 ? pause * 2 : pause) {
        bool found = false;
        for (PyThreadState *s = PyInterpreterState_ThreadHead(interp); s != NULL && !found;
             s = PyThreadState_Next(s)) {
            found = s != own && is_stray(s);
        }
        if (!found) {
            return;
        }
        PyThreadState *state = PyEval_SaveThread();
        nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
        PyEval_RestoreThread(state);
    }
}
