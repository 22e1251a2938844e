#include "proxy/proxy_signature.h"

#include "proxy/proxy_method.h"
#include "proxy/request.h"

#define MODULE "stoa._signature"

static PyObject *
call_helper(const char *function, PyObject *argument)
{
    PyObject *module = PyImport_ImportModule(MODULE);
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, function, "(O)", argument);
    Py_XDECREF(module);
    return result;
}

/* None: ask for the attribute. An owner that cannot import the package cannot say more. */
static PyObject *
do_describe_signature(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    PyObject *result = call_helper("describe", target);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_ImportError)) {
        PyErr_Clear();
        result = Py_NewRef(Py_None);
    }
    return result;
}

PyObject *
stoa__proxy_signature(PyObject *proxy, PyObject *name)
{
    PyObject *description = stoa__request(proxy, do_describe_signature, NULL, 0, 0, 0);
    PyObject *result = NULL;
    if (description == Py_None) {
        result = stoa__proxy_attribute(proxy, name);
    }
    else if (description != NULL) {
        result = call_helper("build", description);
    }
    Py_XDECREF(description);
    return result;
}
