/* _stoa.Pool: what InterpreterPoolExecutor does in C. */
#include "host/pool.h"

#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include "heap/error.h"
#include "host/pool_call.h"
#include "proxy/signals.h"
#include "immortal/exceptions.h"
#include "module/future.h"
#include "module/module.h"
#include "proxy/cross.h"
#include "proxy/exception.h"
#include "proxy/proxy.h"

/* All under the interpreter's GIL. */
typedef struct pool_object {
    PyObject_HEAD
    stoa_pool *pool; /* NULL before _open */
    PyTypeObject *future_type;
    PyObject *last; /* the function that was submitted last, where it is one that cannot change under its packed form */
    PyObject *last_code, *last_defaults; /* borrowed from it, for comparison only */
    PyObject *last_globals;              /* named_globals at the time */
    stoa_function *last_packed;
    PyObject *weak_references;
} pool_object;

/* What the workers' initializer needs: plan.arg */
typedef struct preparation {
    stoa_interp_record *owner; /* a reference: the interpreter whose pool it is */
    stoa_function *function;
    stoa_parcel args;
} preparation;

static pool_object *
pool_of(PyObject *self)
{
    return (pool_object *)self;
}

static stoa_pool *
opened(PyObject *self)
{
    if (pool_of(self)->pool == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this pool was not initialised: its class does not call super().__init__()");
    }
    return pool_of(self)->pool;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int
prepare(void *arg)
{
    preparation *p = arg;
    PyObject *function = stoa__function_here(p->function);
    PyObject *args = function == NULL ? NULL : stoa__unpack(&p->args);
    PyObject *result = args == NULL ? NULL : PyObject_Call(function, args, NULL);
    Py_XDECREF(args);
    Py_XDECREF(function);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The interpreter that made the pool writes it into the log of concurrent.futures, as its executors do. */
static void
broke(void *arg, const stoa_parcel *raised)
{
    preparation *p = arg;
    stoa_entry entry;
    if (stoa__enter(p->owner, &entry) != STOA_OK) {
        return;
    }
    PyObject *exception = stoa__exception_unpack(raised);
    PyObject *module = exception == NULL ? NULL : PyImport_ImportModule("stoa._pool");
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, "_log", "O", exception);
    if (result == NULL) {
        PyErr_WriteUnraisable(exception);
    }
    Py_XDECREF(result);
    Py_XDECREF(module);
    Py_XDECREF(exception);
    stoa__leave(&entry);
}

static void
dispose(void *arg)
{
    preparation *p = arg;
    if (p != NULL) {
        stoa__interp_unref(p->owner);
        stoa__function_unref(p->function);
        stoa__parcel_abandon(&p->args);
        free(p);
    }
}

static int
make_preparation(PyObject *function, PyObject *args, preparation **out)
{
    *out = NULL;
    if (function == Py_None) {
        return 0;
    }
    preparation *p = malloc(sizeof(*p));
    if (p == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    stoa_interp_record *owner = stoa__current_record();
    p->function = owner == NULL ? NULL : stoa__function_pack(function);
    if (p->function == NULL || stoa__pack(args, "initargs", STOA_PACK_DETACHED, &p->args) < 0) {
        if (p->function != NULL) {
            stoa__function_unref(p->function);
        }
        free(p);
        return -1;
    }
    p->owner = stoa__interp_ref(owner);
    *out = p;
    return 0;
}

PyDoc_STRVAR(open_doc, "_open($self, workers, name, initializer, initargs, max_tasks, future_type, /)\n--\n\n"
                       "Private: once, from __init__, which has checked the arguments.");

static PyObject *
pool_open(PyObject *self, PyObject *args)
{
    unsigned workers;
    unsigned long long max_tasks;
    const char *name;
    PyObject *initializer, *initargs, *future_type;
    preparation *p;
    stoa_parcel path;
    if (!PyArg_ParseTuple(args, "IsOO!KO!:_open", &workers, &name, &initializer, &PyTuple_Type, &initargs,
                          &max_tasks, &PyType_Type, &future_type)) {
        return NULL;
    }
    if (pool_of(self)->pool != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this pool is open already");
        return NULL;
    }
    if (make_preparation(initializer, initargs, &p) < 0) {
        return NULL;
    }
    if (stoa__module_pack_path(&path) < 0) {
        dispose(p);
        return NULL;
    }
    stoa_pool_plan plan = {.max_workers = workers,
                           .max_tasks = max_tasks,
                           .name = name,
                           .path = &path,
                           .prepare = p == NULL ? NULL : prepare,
                           .broke = broke,
                           .dispose = dispose,
                           .arg = p};
    stoa_err err = stoa__pool_new(&plan, &pool_of(self)->pool);
    if (err != STOA_OK) {
        stoa__parcel_abandon(&path);
        dispose(p);
        return stoa__raise(err);
    }
    pool_of(self)->future_type = (PyTypeObject *)Py_NewRef(future_type);
    Py_RETURN_NONE;
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

static void
forget_function(pool_object *pool)
{
    stoa_function *packed = pool->last_packed;
    pool->last_packed = NULL;
    Py_CLEAR(pool->last);
    Py_CLEAR(pool->last_globals);
    if (packed != NULL) {
        stoa__function_unref(packed);
    }
}

/* A value that no code can change. */
static bool
is_fixed(PyObject *value)
{
    return value == NULL || value == Py_None || PyModule_Check(value) || PyType_Check(value) ||
           PyCFunction_Check(value) || PyUnicode_CheckExact(value) || PyBytes_CheckExact(value) ||
           PyLong_CheckExact(value) || PyFloat_CheckExact(value);
}

/* Does what it packs to depend on more than the name of its module and its own? */
static bool
goes_by_value(PyObject *function)
{
    PyObject *module = PyFunction_GetModule(function); /* borrowed */
    PyObject *qualname = ((PyFunctionObject *)function)->func_qualname;
    PyObject *local = PyUnicode_FromString("<");
    bool found = module == NULL || !PyUnicode_Check(module) || local == NULL ||
                 PyUnicode_CompareWithASCIIString(module, "__main__") == 0 ||
                 PyUnicode_Contains(qualname, local) != 0;
    Py_XDECREF(local);
    PyErr_Clear();
    return found;
}

/* Can what it packs to change while it is the same object? A closure's cells, keyword defaults, and the globals that it
 * names can. */
static bool
is_constant(PyObject *function)
{
    if (!PyFunction_Check(function)) {
        return PyCFunction_Check(function);
    }
    if (!goes_by_value(function)) {
        return true;
    }
    if (PyFunction_GetClosure(function) != NULL || PyFunction_GetKwDefaults(function) != NULL) {
        return false;
    }
    PyObject *names = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_names;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (!is_fixed(PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i)))) {
            return false;
        }
    }
    return true;
}

/* The globals that it names, which are kept alive so that no other value gets the address of one: a new tuple, or NULL. */
static PyObject *
named_globals(PyObject *function)
{
    PyObject *names = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_names;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    PyObject *values = PyTuple_New(PyTuple_GET_SIZE(names));
    for (Py_ssize_t i = 0; values != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i)); /* borrowed */
        PyTuple_SET_ITEM(values, i, Py_NewRef(value == NULL ? Py_None : value));
    }
    return values;
}

static bool
same_globals(PyObject *function, PyObject *values)
{
    PyObject *names = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_names;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyDict_GetItem(globals, PyTuple_GET_ITEM(names, i));
        if ((value == NULL ? Py_None : value) != PyTuple_GET_ITEM(values, i)) {
            return false;
        }
    }
    return true;
}

/* New reference. */
static stoa_function *
packed_function(pool_object *pool, PyObject *function)
{
    bool plain = PyFunction_Check(function);
    if (pool->last == function && pool->last_packed != NULL &&
        (!plain || (PyFunction_GET_CODE(function) == pool->last_code &&
                    PyFunction_GET_DEFAULTS(function) == pool->last_defaults && is_constant(function) &&
                    (!goes_by_value(function) || same_globals(function, pool->last_globals))))) {
        return stoa__function_ref(pool->last_packed);
    }
    stoa_function *packed = stoa__function_pack(function);
    PyObject *globals = packed == NULL || !is_constant(function) ? NULL
                        : plain                                  ? named_globals(function)
                                                                 : Py_NewRef(Py_None);
    if (packed != NULL) {
        PyErr_Clear(); /* no memory for it: then it is packed anew each time */
    }
    if (globals != NULL) {
        forget_function(pool);
        pool->last = Py_NewRef(function);
        pool->last_code = plain ? PyFunction_GET_CODE(function) : NULL;
        pool->last_defaults = plain ? PyFunction_GET_DEFAULTS(function) : NULL;
        pool->last_globals = globals;
        pool->last_packed = stoa__function_ref(packed);
    }
    return packed;
}

/* This thread's message without the name of its code. */
static const char *
bare_message(void)
{
    const char *text = stoa_error_message();
    const char *rest = strstr(text, ": ");
    return rest == NULL ? text : rest + 2;
}

/* stoa._pool knows the class for it in this version. */
static PyObject *
raise_refused(pool_object *pool, stoa_err err)
{
    const stoa_parcel *raised = NULL;
    if (err == STOA_EGONE || err == STOA_EFORKED) {
        PyErr_SetString(PyExc_RuntimeError, bare_message());
        return NULL;
    }
    if (err != STOA_ESTATE || !stoa__pool_broken(pool->pool, &raised)) {
        return stoa__raise(err);
    }
    PyObject *cause = raised == NULL ? Py_NewRef(Py_None) : stoa__exception_unpack(raised);
    PyObject *module = cause == NULL ? NULL : PyImport_ImportModule("stoa._pool");
    PyObject *error = module == NULL ? NULL
                                     : PyObject_CallMethod(module, "_broken", "sO", bare_message(), cause);
    if (error != NULL) {
        PyErr_SetRaisedException(Py_NewRef(error));
    }
    Py_XDECREF(error);
    Py_XDECREF(module);
    Py_XDECREF(cause);
    return NULL;
}

/* What is called, with what in front: a bound method is its function and its self (which crosses by the rule, as all
 * arguments do), a functools.partial what it calls and its arguments. Owns all three. */
typedef struct callee {
    PyObject *function, *args, *kwargs; /* args: a tuple or NULL; kwargs: a dict or NULL */
} callee;

static void
clear_callee(callee *c)
{
    Py_CLEAR(c->function);
    Py_CLEAR(c->args);
    Py_CLEAR(c->kwargs);
}

static int
prepend(callee *c, PyObject *front)
{
    PyObject *all = c->args == NULL ? Py_NewRef(front) : PySequence_Concat(front, c->args);
    Py_XSETREF(c->args, all);
    return all == NULL ? -1 : 0;
}

static int
unwrap_method(callee *c)
{
    PyObject *front = PyTuple_Pack(1, PyMethod_GET_SELF(c->function));
    int result = front == NULL ? -1 : prepend(c, front);
    Py_XDECREF(front);
    Py_SETREF(c->function, Py_NewRef(PyMethod_GET_FUNCTION(c->function)));
    return result;
}

static int
unwrap_partial(callee *c)
{
    PyObject *function = PyObject_GetAttrString(c->function, "func");
    PyObject *args = function == NULL ? NULL : PyObject_GetAttrString(c->function, "args");
    PyObject *keywords = args == NULL ? NULL : PyObject_GetAttrString(c->function, "keywords");
    int result = keywords == NULL || !PyTuple_Check(args) || !PyDict_Check(keywords) ? -1 : prepend(c, args);
    if (result == 0 && PyDict_GET_SIZE(keywords) > 0) {
        PyObject *all = PyDict_Copy(keywords);
        if (all == NULL || (c->kwargs != NULL && PyDict_Update(all, c->kwargs) < 0)) {
            Py_CLEAR(all);
            result = -1;
        }
        Py_XSETREF(c->kwargs, all);
    }
    if (result == 0) {
        Py_SETREF(c->function, Py_NewRef(function));
    }
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    Py_XDECREF(function);
    return result;
}

static int
unwrap(callee *c)
{
    int result = 0;
    while (result == 0) {
        if (PyMethod_Check(c->function) && PyFunction_Check(PyMethod_GET_FUNCTION(c->function)) &&
            !PyType_Check(PyMethod_GET_SELF(c->function))) {
            result = unwrap_method(c);
        }
        else if (strcmp(Py_TYPE(c->function)->tp_name, "functools.partial") == 0) {
            result = unwrap_partial(c);
        }
        else {
            return 0;
        }
    }
    return result;
}

/* The argument tuples of a chunk, each with `front` before it: new reference. */
static PyObject *
prepend_each(PyObject *chunk, PyObject *front)
{
    PyObject *result = front == NULL ? Py_NewRef(chunk) : PyTuple_New(PyTuple_GET_SIZE(chunk));
    for (Py_ssize_t i = 0; front != NULL && result != NULL && i < PyTuple_GET_SIZE(chunk); i++) {
        PyObject *all = PySequence_Concat(front, PyTuple_GET_ITEM(chunk, i));
        if (all == NULL) {
            Py_CLEAR(result);
        }
        else {
            PyTuple_SET_ITEM(result, i, all);
        }
    }
    return result;
}

static stoa_call_task *
new_task(pool_object *pool, callee *c, PyObject *chunk)
{
    stoa_function *packed = packed_function(pool, c->function);
    PyObject *args = packed == NULL  ? NULL
                     : chunk != NULL ? prepend_each(chunk, c->args)
                                     : Py_XNewRef(c->args);
    stoa_call_task *task = args == NULL
                               ? NULL
                               : stoa__call_task_new(&stoa__future_ops, packed, args, c->kwargs, chunk != NULL);
    Py_XDECREF(args);
    if (packed != NULL) {
        stoa__function_unref(packed);
    }
    return task;
}

/* `args` (a tuple) or `chunk` (a tuple of tuples) is given. */
static PyObject *
submit(PyObject *self, PyObject *function, PyObject *args, PyObject *kwargs, PyObject *chunk)
{
    pool_object *pool = pool_of(self);
    if (opened(self) == NULL) {
        return NULL;
    }
    callee c = {Py_NewRef(function), Py_XNewRef(args), Py_XNewRef(kwargs)};
    stoa_call_task *task = unwrap(&c) < 0 ? NULL : new_task(pool, &c, chunk);
    clear_callee(&c);
    PyObject *future = task == NULL ? NULL : stoa__future_new(pool->future_type, task);
    if (future == NULL) {
        return NULL;
    }
    stoa__task_ref(&task->task); /* the queue's */
    stoa_err err = stoa__pool_submit(pool->pool, &task->task);
    if (err != STOA_OK) {
        PyObject *result = raise_refused(pool, err);
        stoa__task_unref(&task->task);
        Py_DECREF(future);
        return result;
    }
    return future;
}

PyDoc_STRVAR(submit_doc,
             "submit($self, fn, /, *args, **kwargs)\n--\n\n"
             "Calls fn(*args, **kwargs) in one of the pool's interpreters; a Future.\n\n"
             "Immutable arguments cross by value (shared ones by pointer), mutable ones as proxies; list,\n"
             "dict, set and bytearray in the result come back as copies.");

static PyObject *
pool_submit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count < 1) {
        PyErr_SetString(PyExc_TypeError, "submit() wants a function or 'module:qualname'");
        return NULL;
    }
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    PyObject *positional = PyTuple_New(count - 1);
    PyObject *kwargs = named == 0 || positional == NULL ? NULL : PyDict_New();
    bool good = positional != NULL && (kwargs != NULL || named == 0);
    for (Py_ssize_t i = 1; good && i < count; i++) {
        PyTuple_SET_ITEM(positional, i - 1, Py_NewRef(args[i]));
    }
    for (Py_ssize_t i = 0; good && i < named; i++) {
        good = PyDict_SetItem(kwargs, PyTuple_GET_ITEM(names, i), args[count + i]) == 0;
    }
    PyObject *future = good ? submit(self, args[0], positional, kwargs, NULL) : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(positional);
    return future;
}

PyDoc_STRVAR(submit_chunk_doc,
             "_submit_chunk($self, fn, chunk, /)\n--\n\n"
             "Private: one task that calls fn for each tuple of arguments in the tuple chunk; a list.");

static PyObject *
pool_submit_chunk(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyTuple_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "_submit_chunk() wants a function and a tuple");
        return NULL;
    }
    return submit(self, args[0], NULL, NULL, args[1]);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

PyDoc_STRVAR(stop_doc, "_stop($self, cancel, /)\n--\n\nPrivate: shuts down without waiting.");

static PyObject *
pool_stop(PyObject *self, PyObject *cancel)
{
    stoa_pool *pool = opened(self);
    int is_true = pool == NULL ? -1 : PyObject_IsTrue(cancel);
    if (is_true < 0) {
        return NULL;
    }
    PyThreadState *state = PyEval_SaveThread(); /* those who watch cancelled tasks may be in other interpreters */
    stoa__pool_shutdown(pool, is_true);
    PyEval_RestoreThread(state);
    forget_function(pool_of(self));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(wait_doc, "_wait($self, timeout, /)\n--\n\n"
                       "Private: waits until all workers are closed. False: not within timeout seconds.");

static PyObject *
pool_wait(PyObject *self, PyObject *timeout)
{
    stoa_pool *pool = opened(self);
    stoa_deadline deadline;
    if (pool == NULL || stoa__module_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    for (;;) {
        PyThreadState *state = PyEval_SaveThread();
        stoa_err err = stoa__pool_wait(pool, deadline);
        PyEval_RestoreThread(state);
        if (err == STOA_OK || err == STOA_ETIMEDOUT) {
            return PyBool_FromLong(err == STOA_OK);
        }
        if (err != STOA_EINTERRUPTED) {
            return stoa__raise(err);
        }
        if (stoa__check_signals() < 0) {
            return NULL;
        }
    }
}

PyDoc_STRVAR(interrupt_doc, "_interrupt_preparing($self, /)\n--\n\n"
                            "Private: ends initializers that nobody waits for.");

static PyObject *
pool_interrupt(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_pool *pool = opened(self);
    if (pool == NULL) {
        return NULL;
    }
    PyThreadState *state = PyEval_SaveThread();
    stoa__pool_interrupt_preparing(pool);
    PyEval_RestoreThread(state);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(figures_doc, "_figures($self, /)\n--\n\nPrivate: (workers, idle, not closed, queued, done).");

static PyObject *
pool_figures(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_pool *pool = opened(self);
    if (pool == NULL) {
        return NULL;
    }
    stoa_pool_figures figures;
    stoa__pool_figures(pool, &figures);
    return Py_BuildValue("(IIIKK)", figures.workers, figures.idle, figures.alive,
                         (unsigned long long)figures.queued, (unsigned long long)figures.done);
}

static PyObject *
get_shut(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(pool_of(self)->pool == NULL || stoa__pool_is_shut(pool_of(self)->pool));
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int
traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(pool_of(self)->future_type);
    Py_VISIT(pool_of(self)->last);
    Py_VISIT(pool_of(self)->last_globals);
    return 0;
}

static int
clear(PyObject *self)
{
    forget_function(pool_of(self));
    Py_CLEAR(pool_of(self)->future_type);
    return 0;
}

static void
dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (pool_of(self)->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    (void)clear(self);
    if (pool_of(self)->pool != NULL) {
        stoa__pool_unref(pool_of(self)->pool);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
get_broken(PyObject *self, void *unused)
{
    (void)unused;
    const stoa_parcel *raised;
    return PyBool_FromLong(pool_of(self)->pool != NULL && stoa__pool_broken(pool_of(self)->pool, &raised));
}

static PyMethodDef methods[] = {
    {"_open", pool_open, METH_VARARGS, open_doc},
    {"submit", (PyCFunction)(void (*)(void))pool_submit, METH_FASTCALL | METH_KEYWORDS, submit_doc},
    {"_submit_chunk", (PyCFunction)(void (*)(void))pool_submit_chunk, METH_FASTCALL, submit_chunk_doc},
    {"_stop", pool_stop, METH_O, stop_doc},
    {"_wait", pool_wait, METH_O, wait_doc},
    {"_interrupt_preparing", pool_interrupt, METH_NOARGS, interrupt_doc},
    {"_figures", pool_figures, METH_NOARGS, figures_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"_broken", get_broken, NULL, "has an initializer failed?", NULL},
    {"_shutdown", get_shut, NULL, "was it shut down?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pool_object, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    {Py_tp_doc, (void *)"What InterpreterPoolExecutor does in C."},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "_stoa.Pool",
    .basicsize = sizeof(pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int
stoa__module_add_pool(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddObjectRef(module, "Pool", type);
    Py_XDECREF(type);
    return result;
}
