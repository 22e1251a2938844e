/* The functions on proxies. */
#include "module/module.h"

#include <unistd.h>

#include "immortal/exceptions.h"
#include "immortal/freeze.h"
#include "host/invoke.h"
#include "proxy/call.h"
#include "proxy/proxy.h"
#include "proxy/proxy_special.h"
#include "proxy/request.h"
#include "proxy/wait.h"

static int
want_proxy(PyObject *object, const char *function)
{
    if (!stoa__is_proxy(object)) {
        PyErr_Format(PyExc_TypeError, "%s() wants a proxy, not %.200s", function, Py_TYPE(object)->tp_name);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(
    proxy_doc,
    "proxy($module, obj, /, *, thread='any')\n--\n\n"
    "A proxy of obj, also in the interpreter that obj belongs to.\n\n"
    "To be published, put into containers, or passed where the object itself would cross by value.\n"
    "thread='home': only the calling thread touches the object, and what its calls return; calls from\n"
    "elsewhere wait until that thread waits in Stoa, or comes to a bytecode of its interpreter.");

static int
read_thread(PyObject *thread, bool *home)
{
    bool is_str = thread != NULL && PyUnicode_Check(thread);
    *home = is_str && PyUnicode_CompareWithASCIIString(thread, "home") == 0;
    if (thread == NULL || *home || (is_str && PyUnicode_CompareWithASCIIString(thread, "any") == 0)) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "thread is 'any' or 'home', not %R", thread);
    return -1;
}

static PyObject *
serve_home(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    stoa_waiter *self = stoa__waiter_here();
    uint64_t count;
    if (self == NULL) {
        return stoa__raise(STOA_ENOMEM);
    }
    (void)!read(stoa__waiter_loop_fd(self), &count, sizeof(count));
    stoa__serve_home(self);
    Py_RETURN_NONE;
}

/* A home thread that runs an asyncio loop spends its time in the selector: the loop watches for calls. */
static int
let_loop_serve(PyObject *module)
{
    PyObject *name = PyUnicode_FromString("asyncio");
    PyObject *asyncio = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    if (asyncio == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *loop = PyObject_CallMethod(asyncio, "_get_running_loop", NULL);
    Py_DECREF(asyncio);
    stoa_waiter *self = stoa__waiter_here();
    int result = loop == NULL || self == NULL ? -1 : 0;
    if (result == 0 && loop != Py_None) {
        PyObject *serve = PyObject_GetAttrString(module, "_serve_home");
        PyObject *added = serve == NULL ? NULL
                                        : PyObject_CallMethod(loop, "add_reader", "iO",
                                                              stoa__waiter_loop_fd(self), serve);
        result = added == NULL ? -1 : 0;
        if (added == NULL && PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
            PyErr_Clear(); /* a loop that watches no files serves when it runs Python */
            result = 0;
        }
        Py_XDECREF(added);
        Py_XDECREF(serve);
    }
    Py_XDECREF(loop);
    return result;
}

static PyObject *
proxy(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "thread", NULL};
    PyObject *object, *thread = NULL;
    bool home;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:proxy", keywords, &object, &thread) ||
        read_thread(thread, &home) < 0) {
        return NULL;
    }
    if (stoa__is_proxy(object)) {
        if (!home) {
            return Py_NewRef(object);
        }
        PyErr_SetString(PyExc_ValueError,
                        "a proxy's object has its home in its own interpreter: ask for thread='home' there");
        return NULL;
    }
    stoa_side *side = stoa__side_here();
    stoa_handle handle;
    if (side == NULL || (home && let_loop_serve(module) < 0) ||
        (home ? stoa__side_export_home(side, object, &handle) : stoa__side_export(side, object, &handle)) < 0) {
        return NULL;
    }
    return stoa__side_make_proxy(side, handle, true);
}

PyDoc_STRVAR(
    options_doc,
    "options($module, p, /, *, timeout=None, via='auto')\n--\n\n"
    "Another proxy of p's object, whose calls, and those of its methods, use these.\n\n"
    "timeout: seconds for each call; code that runs longer is interrupted, and the caller gets Timeout on\n"
    "time. Another thread does such calls in the caller's stead. via: 'enter' runs on the calling thread;\n"
    "'post' lets the thread that runs Python in the owner do it at its next bytecode; 'auto' enters, let in "
    "by a busy "
    "owner.");

static int
read_via(PyObject *via, stoa_via *out)
{
    static const char *const names[] = {"auto", "enter", "post"};
    *out = STOA_VIA_AUTO;
    if (via == NULL) {
        return 0;
    }
    for (size_t i = 0; PyUnicode_Check(via) && i < Py_ARRAY_LENGTH(names); i++) {
        if (PyUnicode_CompareWithASCIIString(via, names[i]) == 0) {
            *out = (stoa_via)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "via is 'auto', 'enter' or 'post', not %R", via);
    return -1;
}

static PyObject *
options(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "timeout", "via", NULL};
    PyObject *object, *timeout = Py_None, *name = NULL;
    stoa_via via;
    int64_t nanoseconds;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OO:options", keywords, &object, &timeout, &name) ||
        want_proxy(object, "options") < 0 || read_via(name, &via) < 0 ||
        stoa__module_duration(timeout, &nanoseconds) < 0) {
        return NULL;
    }
    const stoa_proxy_object *from = stoa__proxy(object);
    if (stoa__proxy_was_released(from)) {
        return stoa__proxy_is_released(from, "given options");
    }
    stoa_route *route = stoa__route_new(via, from->route == NULL ? NULL : from->route->home, nanoseconds);
    return route == NULL ? PyErr_NoMemory() : stoa__side_make_routed(object, route);
}

PyDoc_STRVAR(submit_doc,
             "submit($module, p, /, *args, **kwargs)\n--\n\n"
             "Calls p, a proxy of a function or a method of a proxy, on its owner's own thread; a Future.");

static PyObject *
submit(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    PyObject *target = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    if (want_proxy(target, "submit") < 0) {
        return NULL;
    }
    const stoa_proxy_object *proxy = stoa__proxy(target);
    if (stoa__proxy_was_released(proxy)) {
        return stoa__proxy_is_released(proxy, "called");
    }
    stoa_interp_record *record = stoa__interp_ref(proxy->owner); /* the proxy may be released meanwhile */
    PyObject *rest = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    PyObject *future = rest == NULL ? NULL : stoa__invoke_submit(record, target, rest, kwargs);
    Py_XDECREF(rest);
    stoa__interp_unref(record);
    return future;
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
        const stoa_proxy_object *proxy = stoa__proxy(object);
        if (stoa__proxy_was_released(proxy)) {
            return stoa__proxy_is_released(proxy, "asked for its owner");
        }
        record = proxy->owner;
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
    {"proxy", (PyCFunction)(void (*)(void))proxy, METH_VARARGS | METH_KEYWORDS, proxy_doc},
    {"_serve_home", serve_home, METH_NOARGS, NULL},
    {"options", (PyCFunction)(void (*)(void))options, METH_VARARGS | METH_KEYWORDS, options_doc},
    {"submit", (PyCFunction)(void (*)(void))submit, METH_VARARGS | METH_KEYWORDS, submit_doc},
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
