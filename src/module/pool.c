/* _stoa.Pool: what InterpreterPoolExecutor does in C. */
#include "host/pool.h"

#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include "heap/error.h"
#include "host/import_path.h"
#include "host/pool_call.h"
#include "immortal/exceptions.h"
#include "module/callee.h"
#include "module/function_memo.h"
#include "module/future.h"
#include "module/module.h"
#include "module/sync.h"
#include "proxy/cross.h"
#include "proxy/exception.h"
#include "proxy/proxy.h"
#include "proxy/wait.h"

/* The wrapper of a pool (proxy/thing.h): of this class is stoa.InterpreterPoolExecutor made. Under the interpreter's GIL. */
typedef struct pool_object {
    STOA_THING_HEAD
    PyTypeObject *future_type; /* NULL before it is needed */
    stoa_function_memo memo;
} pool_object;

/* What the workers' initializer needs: plan.arg */
typedef struct preparation {
    stoa_interp_record *owner; /* a reference: the interpreter whose pool it is */
    stoa_function *function;
    stoa_parcel args, kwargs;
} preparation;

static pool_object *
pool_of(PyObject *self)
{
    return (pool_object *)self;
}

/* Borrowed; NULL with an exception: it was not initialised, or the interpreter is ending. */
static stoa_pool *
opened(PyObject *self)
{
    stoa_thing *thing = stoa__thing_get(self);
    return thing == NULL ? NULL : stoa__pool(thing);
}

/* For what may take long, or end the wrapper: with a reference. */
static stoa_pool *
opened_ref(PyObject *self)
{
    stoa_thing *thing = stoa__thing_get(self);
    return thing == NULL ? NULL : stoa__pool(stoa__thing_ref(thing));
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int
prepare(void *arg)
{
    preparation *p = arg;
    PyObject *function = stoa__function_here(p->function);
    PyObject *args = function == NULL ? NULL : stoa__unpack(&p->args);
    PyObject *kwargs = args == NULL ? NULL : stoa__unpack(&p->kwargs);
    PyObject *result = kwargs == NULL ? NULL : PyObject_Call(function, args, kwargs);
    Py_XDECREF(kwargs);
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
        stoa__parcel_abandon(&p->kwargs);
        free(p);
    }
}

/* Its function and arguments: -1 with an exception, and nothing is held. */
static int
pack_preparation(preparation *p, const stoa_callee *c)
{
    PyObject *kwargs = c->kwargs == NULL ? PyDict_New() : Py_NewRef(c->kwargs);
    p->function = kwargs == NULL ? NULL : stoa__function_pack(c->function);
    int result = p->function == NULL ? -1 : stoa__pack(c->args, "initargs", STOA_PACK_DETACHED, &p->args);
    if (result == 0 && stoa__pack(kwargs, "keywords", STOA_PACK_DETACHED | STOA_PACK_TOP, &p->kwargs) < 0) {
        stoa__parcel_abandon(&p->args);
        result = -1;
    }
    if (result < 0 && p->function != NULL) {
        stoa__function_unref(p->function);
    }
    Py_XDECREF(kwargs);
    return result;
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
    stoa_callee c = {Py_NewRef(function), Py_NewRef(args), NULL};
    int packed = owner == NULL || stoa__callee_unwrap(&c) < 0 ? -1 : pack_preparation(p, &c);
    stoa__callee_clear(&c);
    if (packed < 0) {
        free(p);
        return -1;
    }
    p->owner = stoa__interp_ref(owner);
    *out = p;
    return 0;
}

PyDoc_STRVAR(open_doc, "_open($self, workers, name, initializer, initargs, max_tasks, /)\n--\n\n"
                       "Private: once, from __init__, which has checked the arguments.");

static PyObject *
pool_open(PyObject *self, PyObject *args)
{
    unsigned workers;
    unsigned long long max_tasks;
    const char *name;
    PyObject *initializer, *initargs;
    preparation *p;
    stoa_parcel path;
    stoa_pool *pool;
    if (!PyArg_ParseTuple(args, "IsOO!K:_open", &workers, &name, &initializer, &PyTuple_Type, &initargs,
                          &max_tasks)) {
        return NULL;
    }
    if (pool_of(self)->side != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this pool is open already");
        return NULL;
    }
    if (make_preparation(initializer, initargs, &p) < 0) {
        return NULL;
    }
    if (stoa__import_path_pack(&path) < 0) {
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
    stoa_err err = stoa__pool_new(&plan, &pool);
    if (err != STOA_OK) {
        stoa__parcel_abandon(&path);
        dispose(p);
        return stoa__raise(err);
    }
    if (stoa__thing_adopt(self, stoa__pool_thing(pool)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

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
raise_refused(stoa_pool *pool, stoa_err err)
{
    const stoa_parcel *raised = NULL;
    if (err == STOA_EGONE || err == STOA_EFORKED) {
        PyErr_SetString(PyExc_RuntimeError, bare_message());
        return NULL;
    }
    if (err != STOA_ESTATE || !stoa__pool_broken(pool, &raised)) {
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

static stoa_call_task *
new_task(pool_object *self, stoa_callee *c, PyObject *chunk)
{
    stoa_function *packed = stoa__function_memo_get(&self->memo, c->function);
    PyObject *args = packed == NULL  ? NULL
                     : chunk != NULL ? stoa__callee_prepend_each(chunk, c->args)
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

/* New reference; NULL with an exception. */
static PyTypeObject *
future_type(pool_object *self)
{
    if (self->future_type == NULL) {
        PyObject *module = PyImport_ImportModule("stoa._future");
        PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, "Future");
        Py_XDECREF(module);
        if (type == NULL) {
            return NULL;
        }
        Py_XSETREF(self->future_type, (PyTypeObject *)type);
    }
    return (PyTypeObject *)Py_NewRef((PyObject *)self->future_type);
}

/* `args` (a tuple) or `chunk` (a tuple of tuples) is given. */
static PyObject *
submit(PyObject *self, PyObject *function, PyObject *args, PyObject *kwargs, PyObject *chunk)
{
    PyTypeObject *type = future_type(pool_of(self));
    if (type == NULL) {
        return NULL;
    }
    stoa_callee c = {Py_NewRef(function), Py_XNewRef(args), Py_XNewRef(kwargs)};
    stoa_call_task *task = stoa__callee_unwrap(&c) < 0 ? NULL : new_task(pool_of(self), &c, chunk);
    stoa__callee_clear(&c);
    PyObject *future = task == NULL ? NULL : stoa__future_new(type, task);
    Py_DECREF(type);
    stoa_pool *pool = future == NULL
                          ? NULL
                          : opened_ref(self); /* what ran until now may have let the interpreter end */
    if (pool == NULL) {
        if (future != NULL && pool_of(self)->side != NULL) { /* in the words of concurrent.futures */
            PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after interpreter shutdown");
        }
        Py_XDECREF(future);
        return NULL;
    }
    stoa__task_ref(&task->task); /* the queue's */
    stoa_err err = stoa__pool_submit(pool, &task->task);
    if (err != STOA_OK) {
        (void)raise_refused(pool, err);
        stoa__task_unref(&task->task);
        Py_CLEAR(future);
    }
    stoa__pool_unref(pool);
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
    int is_true = PyObject_IsTrue(cancel);
    stoa_pool *pool = is_true < 0 ? NULL : opened_ref(self);
    if (pool == NULL) {
        return NULL;
    }
    PyThreadState *state = PyEval_SaveThread(); /* those who watch cancelled tasks may be in other interpreters */
    stoa__pool_shutdown(pool, is_true);
    stoa__pool_unref(pool);
    PyEval_RestoreThread(state);
    stoa__function_memo_clear(&pool_of(self)->memo);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(wait_doc, "_wait($self, timeout, /)\n--\n\n"
                       "Private: waits until all workers are closed. False: not within timeout seconds.");

static PyObject *
pool_wait(PyObject *self, PyObject *timeout)
{
    stoa_deadline deadline;
    stoa_pool *pool = stoa__module_deadline(timeout, &deadline) < 0 ? NULL : opened_ref(self);
    if (pool == NULL) {
        return NULL;
    }
    stoa_err err;
    bool goes_on;
    int raised = 0;
    do {
        stoa_deadline until = stoa__wait_slice(deadline);
        PyThreadState *state = PyEval_SaveThread();
        err = stoa__pool_wait(pool, true, until);
        PyEval_RestoreThread(state);
        goes_on = stoa__wait_goes_on(err, until, deadline);
        raised = goes_on ? stoa__wait_attend() : 0;
    } while (goes_on && raised == 0);
    PyObject *result = raised < 0                                ? NULL
                       : err == STOA_OK || err == STOA_ETIMEDOUT ? PyBool_FromLong(err == STOA_OK)
                                                                 : stoa__raise(err);
    stoa__pool_unref(pool);
    return result;
}

PyDoc_STRVAR(interrupt_doc,
             "_interrupt_preparing($self, /)\n--\n\n"
             "Private: ends initializers that nobody waits for. True: nothing else is going on.");

static PyObject *
pool_interrupt(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_pool *pool = opened_ref(self);
    if (pool == NULL) {
        return NULL;
    }
    PyThreadState *state = PyEval_SaveThread();
    bool alone = stoa__pool_interrupt_preparing(pool);
    stoa__pool_unref(pool);
    PyEval_RestoreThread(state);
    return PyBool_FromLong(alone);
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

/* ---- looking ----------------------------------------------------------------------------------------------------- */

enum { IS_SHUT, IS_BROKEN, MAX_WORKERS };

static PyObject *
get(PyObject *self, void *which)
{
    stoa_thing *thing = pool_of(self)->thing;
    if (thing == NULL && which != (void *)IS_SHUT) {
        return opened(self) == NULL ? NULL : Py_NewRef(Py_None);
    }
    stoa_pool_figures figures = {.shut = true};
    if (thing != NULL) {
        stoa__pool_figures(stoa__pool(thing), &figures);
    }
    switch ((intptr_t)which) {
    case IS_SHUT:
        return PyBool_FromLong(figures.shut);
    case IS_BROKEN:
        return PyBool_FromLong(figures.broken);
    default:
        return PyLong_FromUnsignedLong(figures.max_workers);
    }
}

static PyObject *
repr(PyObject *self)
{
    stoa_pool_figures figures;
    if (pool_of(self)->thing == NULL) {
        return stoa__thing_repr(self);
    }
    stoa__pool_figures(stoa__pool(pool_of(self)->thing), &figures);
    return PyUnicode_FromFormat("<stoa.%s %llu '%s'%s>", Py_TYPE(self)->tp_name,
                                (unsigned long long)figures.id, figures.name,
                                figures.broken ? ", broken"
                                : figures.shut ? ", shut down"
                                               : "");
}

/* Does a pool end with the current interpreter? */
static bool
ends_here(const stoa_thing *thing)
{
    return thing->kind == STOA_THING_EXECUTOR &&
           (PyInterpreterState_Get() == PyInterpreterState_Main() || stoa__handle_count(thing->handle) == 1);
}

PyDoc_STRVAR(pools_that_end_doc,
             "_pools_that_end($module, /)\n--\n\n"
             "Private: the executors that this interpreter knows, and but for the main one nobody else.");

static PyObject *
pools_that_end(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *list = PyList_New(0);
    stoa_side *side = list == NULL ? NULL : stoa__side_here();
    if (side == NULL && list != NULL) {
        PyErr_Clear(); /* Stoa closes this interpreter, which has let go of its things */
    }
    for (size_t i = 0; side != NULL && list != NULL && i < side->things.capacity; i++) {
        const stoa_map_entry *entry = &side->things.entries[i];
        PyObject *object = entry->key == 0 ? NULL : (PyObject *)(uintptr_t)entry->value;
        if (object != NULL && Py_REFCNT(object) > 0 && ends_here(((stoa_thing_object *)object)->thing) &&
            PyList_Append(list, object) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int
traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(pool_of(self)->future_type);
    Py_VISIT(pool_of(self)->memo.function);
    Py_VISIT(pool_of(self)->memo.code);
    Py_VISIT(pool_of(self)->memo.defaults);
    Py_VISIT(pool_of(self)->memo.globals);
    return 0;
}

static int
clear(PyObject *self)
{
    stoa__function_memo_clear(&pool_of(self)->memo);
    Py_CLEAR(pool_of(self)->future_type);
    return 0;
}

static PyMethodDef methods[] = {
    {"_open", pool_open, METH_VARARGS, open_doc},
    {"submit", (PyCFunction)(void (*)(void))pool_submit, METH_FASTCALL | METH_KEYWORDS, submit_doc},
    {"_submit_chunk", (PyCFunction)(void (*)(void))pool_submit_chunk, METH_FASTCALL, submit_chunk_doc},
    {"_stop", pool_stop, METH_O, stop_doc},
    {"_wait", pool_wait, METH_O, wait_doc},
    {"__reduce__", stoa__sync_reduce, METH_NOARGS, NULL},
    {"_interrupt_preparing", pool_interrupt, METH_NOARGS, interrupt_doc},
    {"_figures", pool_figures, METH_NOARGS, figures_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"_broken", get, NULL, "has an initializer failed?", (void *)IS_BROKEN},
    {"_shutdown", get, NULL, "was it shut down?", (void *)IS_SHUT},
    {"_max_workers", get, NULL, "how many workers at most", (void *)MAX_WORKERS},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, stoa__thing_dealloc},
    {Py_tp_repr, repr},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, stoa__sync_members},
    {Py_tp_doc, (void *)"What InterpreterPoolExecutor does in C."},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "_stoa.Pool",
    .basicsize = sizeof(pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static PyMethodDef functions[] = {
    {"_pools_that_end", pools_that_end, METH_NOARGS, pools_that_end_doc},
    {NULL, NULL, 0, NULL},
};

/* The class is Python's: where a pool comes to, that is imported. */
static PyTypeObject *
executor_type(void)
{
    PyObject *module = PyImport_ImportModule("stoa._pool");
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, "InterpreterPoolExecutor");
    Py_XDECREF(module);
    return (PyTypeObject *)type;
}

/* As in sync.c. */
__attribute__((constructor)) static void
tell_kind(void)
{
    stoa__thing_set_type(STOA_THING_EXECUTOR, executor_type);
}

int
stoa__module_add_pool(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddObjectRef(module, "Pool", type);
    Py_XDECREF(type);
    return result < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
