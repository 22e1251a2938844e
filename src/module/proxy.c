/* The functions on proxies. */
#include "module/module.h"

#include "immortal/exceptions.h"
#include "immortal/freeze.h"
#include "proxy/proxy.h"
#include "proxy/proxy_special.h"
#include "proxy/request.h"

static int
want_proxy(PyObject *object, const char *function)
{
    if (!stoa__is_proxy(object)) {
        PyErr_Format(PyExc_TypeError, "%s() wants a proxy, not %.200s", function, Py_TYPE(object)->tp_name);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(proxy_doc,
             "proxy($module, obj, /)\n--\n\n"
             "A proxy of obj, also in the interpreter that obj belongs to.\n\n"
             "To be published, put into containers, or passed where the object itself would cross by value.");

static PyObject *
proxy(PyObject *module, PyObject *object)
{
    (void)module;
    if (stoa__is_proxy(object)) {
        return Py_NewRef(object);
    }
    stoa_side *side = stoa__side_here();
    stoa_handle handle;
    if (side == NULL || stoa__side_export(side, object, &handle) < 0) {
        return NULL;
    }
    return stoa__side_make_proxy(side, handle, true);
}

PyDoc_STRVAR(is_proxy_doc,
             "is_proxy($module, x, /)\n--\n\nIs x a proxy: does it stand for an object of an interpreter?");

static PyObject *
is_proxy(PyObject *module, PyObject *object)
{
    (void)module;
    return PyBool_FromLong(stoa__is_proxy(object));
}

PyDoc_STRVAR(owner_doc, "owner($module, x, /)\n--\n\n"
                        "The Interpreter that x belongs to: a proxy's owner, else the current one.");

static PyObject *
owner(PyObject *module, PyObject *object)
{
    stoa_interp_record *record = stoa__module_state(module)->record;
    if (stoa__is_proxy(object)) {
        record = stoa__proxy(object)->owner;
    }
    if (record == NULL) {
        PyErr_SetString(stoa__exception(STOA_EXC_ReleasedProxy), "this proxy was released");
        return NULL;
    }
    return stoa__module_wrap_interpreter(module, record);
}

PyDoc_STRVAR(release_doc,
             "release($module, p, /)\n--\n\n"
             "Lets the object go now rather than when p is collected; p raises ReleasedProxy from now on.");

static PyObject *
release(PyObject *module, PyObject *object)
{
    (void)module;
    if (want_proxy(object, "release") < 0 || stoa__proxy_release(object) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
do_freeze(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    return stoa__freeze(target, NULL, STOA_FREEZE_INTERN | STOA_FREEZE_CONVERT);
}

PyDoc_STRVAR(snapshot_doc,
             "snapshot($module, p, /)\n--\n\n"
             "A frozen copy of p's object, made by its owner in one crossing: freeze() done there.");

static PyObject *
snapshot(PyObject *module, PyObject *object)
{
    (void)module;
    return want_proxy(object, "snapshot") < 0 ? NULL : stoa__request(object, do_freeze, NULL, 0, 0, 0);
}

static PyObject *
do_nothing(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    return Py_NewRef(target);
}

PyDoc_STRVAR(fetch_doc,
             "fetch($module, p, /)\n--\n\n"
             "A private copy of p's object, as by_copy() makes it, in one crossing.\n\n"
             "list, dict, set and bytearray inside are copied; other mutable objects inside are proxies.");

static PyObject *
fetch(PyObject *module, PyObject *object)
{
    (void)module;
    return want_proxy(object, "fetch") < 0 ? NULL
                                           : stoa__request(object, do_nothing, NULL, 0, STOA_REQUEST_FETCH, 0);
}

static PyMethodDef methods[] = {
    {"proxy", proxy, METH_O, proxy_doc},
    {"is_proxy", is_proxy, METH_O, is_proxy_doc},
    {"owner", owner, METH_O, owner_doc},
    {"release", release, METH_O, release_doc},
    {"snapshot", snapshot, METH_O, snapshot_doc},
    {"fetch", fetch, METH_O, fetch_doc},
    {"_unpickle_proxy", stoa__proxy_unpickle, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_proxy(PyObject *module)
{
    stoa_side *side = stoa__side_of(stoa__module_state(module)->record);
    if (side == NULL || PyModule_AddObjectRef(module, "Proxy", (PyObject *)side->proxy_type) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, methods);
}
