/* _stoa_oldheaders: an extension as a wheel from before immortal objects. Its Py_INCREF and Py_DECREF add and subtract
 * without asking, as the headers up to CPython 3.11 had it; single-phase initialisation, so only interpreters that
 * allow it (the main one) load it. Built with the limited API; never installed. */
#ifdef STOA_OLD_HEADERS
#define Py_LIMITED_API 0x03080000
#else
#define Py_LIMITED_API 0x030c0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static void
old_incref(PyObject *object)
{
#ifdef STOA_OLD_HEADERS
    Py_INCREF(object);
#else
    ++*(volatile Py_ssize_t *)object; /* what it was compiled to */
#endif
}

static void
old_decref(PyObject *object)
{
#ifdef STOA_OLD_HEADERS
    Py_DECREF(object);
#else
    --*(volatile Py_ssize_t *)object; /* never the last one here: the caller holds a reference */
#endif
}

static PyObject *
incref(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object;
    Py_ssize_t times = 1;
    if (!PyArg_ParseTuple(args, "O|n:incref", &object, &times)) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < times; i++) {
        old_incref(object);
    }
    return PyLong_FromSsize_t(times);
}

static PyObject *
balanced(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object;
    Py_ssize_t times = 1;
    if (!PyArg_ParseTuple(args, "O|n:balanced", &object, &times)) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < times; i++) {
        old_incref(object);
    }
    for (Py_ssize_t i = 0; i < times; i++) {
        old_decref(object);
    }
    return PyLong_FromSsize_t(times);
}

static PyMethodDef methods[] = {
    {"incref", incref, METH_VARARGS, "incref(object, times=1): never taken back"},
    {"balanced", balanced, METH_VARARGS, "balanced(object, times=1): as many decrefs as increfs"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_stoa_oldheaders",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__stoa_oldheaders(void)
{
    return PyModule_Create(&definition);
}
