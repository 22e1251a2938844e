/* The recorder for Python: record_start(base, size), record_stop() -> [(address, (frame, ...)), ...]. */
#include "testing.h"

#include "support/recorder.h"

#include <dlfcn.h>
#include <errno.h>

/* "symbol+0x12 (libpython3.13.so.1.0)" */
static PyObject *
frame_text(void *address)
{
    Dl_info info;
    if (dladdr(address, &info) == 0) {
        return PyUnicode_FromFormat("%p", address);
    }
    const char *file = info.dli_fname != NULL ? info.dli_fname : "?";
    const char *slash = strrchr(file, '/');
    file = slash != NULL ? slash + 1 : file;
    if (info.dli_sname == NULL) {
        return PyUnicode_FromFormat("%s+0x%zx", file, (size_t)((char *)address - (char *)info.dli_fbase));
    }
    return PyUnicode_FromFormat("%s+0x%zx (%s)", info.dli_sname,
                                (size_t)((char *)address - (char *)info.dli_saddr), file);
}

static PyObject *
write_tuple(const recorder_write *write)
{
    PyObject *frames = PyTuple_New(write->depth);
    for (int i = 0; frames != NULL && i < write->depth; i++) {
        PyObject *text = frame_text(write->stack[i]);
        if (text == NULL) {
            Py_CLEAR(frames);
            break;
        }
        PyTuple_SET_ITEM(frames, i, text);
    }
    if (frames == NULL) {
        return NULL;
    }
    return Py_BuildValue("nN", (Py_ssize_t)write->address, frames);
}

static PyObject *
record_start(PyObject *self, PyObject *args)
{
    (void)self;
    unsigned long long base, size;
    if (!PyArg_ParseTuple(args, "KK:record_start", &base, &size)) {
        return NULL;
    }
    int error = recorder_start((uintptr_t)base, (size_t)size);
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *
record_stop(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    bool intact;
    size_t count = recorder_stop(&intact);
    if (!intact) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the recorder was not running, or its SIGSEGV handler was replaced");
        return NULL;
    }
    PyObject *list = PyList_New(0);
    const recorder_write *write;
    for (size_t i = 0; list != NULL && i < count && (write = recorder_get(i)) != NULL; i++) {
        PyObject *item = write_tuple(write);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

PyMethodDef testing_recorder_methods[] = {
    {"record_start", record_start, METH_VARARGS,
     "record_start(base, size): begins to record writes into that range"},
    {"record_stop", record_stop, METH_NOARGS, "record_stop() -> [(address, (native frame, ...)), ...]"},
    {NULL, NULL, 0, NULL},
};
