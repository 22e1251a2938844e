#include "host/pool_call.h"

#include <stdlib.h>

#include "host/invoke.h"
#include "host/pool_struct.h"
#include "host/target.h"
#include "proxy/by_copy.h"
#include "proxy/cross.h"
#include "proxy/exception.h"
#include "proxy/proxy.h"

struct stoa_function {
    _Atomic uint32_t refs;
    uint64_t id; /* const: no other function of this process has it */
    stoa_parcel parcel;
};

/* ---- functions --------------------------------------------------------------------------------------------------- */

stoa_function *
stoa__function_pack(PyObject *object)
{
    static _Atomic uint64_t last_id;
    stoa_function *function = malloc(sizeof(*function));
    if (function == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (stoa__target_pack(object, STOA_PACK_DETACHED, &function->parcel) < 0) {
        free(function);
        return NULL;
    }
    atomic_init(&function->refs, 1);
    function->id = atomic_fetch_add(&last_id, 1) + 1;
    return function;
}

stoa_function *
stoa__function_ref(stoa_function *function)
{
    atomic_fetch_add(&function->refs, 1);
    return function;
}

void
stoa__function_unref(stoa_function *function)
{
    if (atomic_fetch_sub(&function->refs, 1) == 1) {
        stoa__parcel_abandon(&function->parcel); /* detached: nothing is held */
        free(function);
    }
}

PyObject *
stoa__function_here(const stoa_function *function)
{
    stoa_worker_cache *cache = stoa__pool_cache_here();
    if (cache != NULL && cache->function_id == function->id) {
        return Py_NewRef(cache->function);
    }
    PyObject *found = stoa__target_unpack(&function->parcel);
    if (found != NULL && cache != NULL) {
        PyObject *before = cache->function;
        cache->function = Py_NewRef(found);
        cache->function_id = function->id;
        Py_XDECREF(before);
    }
    return found;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static int
pack_arguments(PyObject *args, PyObject *kwargs, stoa_parcel *out)
{
    if (kwargs == NULL) {
        return stoa__pack(args, "args", STOA_PACK_DETACHED, out);
    }
    PyObject *proxy = PyDictProxy_New(kwargs);
    PyObject *both = proxy == NULL ? NULL : PyTuple_Pack(2, args, proxy);
    int result = both == NULL ? -1 : stoa__pack(both, "(args, kwargs)", STOA_PACK_DETACHED, out);
    Py_XDECREF(both);
    Py_XDECREF(proxy);
    return result;
}

stoa_call_task *
stoa__call_task_new(const stoa_task_ops *ops, stoa_function *function, PyObject *args, PyObject *kwargs,
                    bool chunk)
{
    stoa_interp_record *caller = stoa__current_record();
    if (caller == NULL) {
        return NULL;
    }
    stoa_call_task *call = malloc(sizeof(*call));
    if (call == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    call->has_kwargs = kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0;
    if (pack_arguments(args, call->has_kwargs ? kwargs : NULL, &call->parcel) < 0) {
        free(call);
        return NULL;
    }
    stoa__task_init(&call->task, ops, caller);
    call->function = stoa__function_ref(function);
    call->chunk = chunk;
    call->outcome = STOA_OUTCOME_NONE;
    call->why = NULL;
    call->watcher = NULL;
    return call;
}

void
stoa__call_task_dispose(stoa_task *task)
{
    stoa_call_task *call = (stoa_call_task *)task;
    stoa__function_unref(call->function);
    stoa__parcel_abandon(&call->parcel);
    if (task->pool != NULL) {
        stoa__pool_drop(task->pool);
    }
    free(call);
}

static PyObject *
call_chunk(PyObject *function, PyObject *chunk, PyObject *kwargs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(chunk);
    PyObject *results = PyList_New(count);
    for (Py_ssize_t i = 0; results != NULL && i < count; i++) {
        PyObject *result = stoa__invoke_function(function, PyTuple_GET_ITEM(chunk, i), kwargs);
        if (result == NULL) {
            Py_CLEAR(results);
        }
        else {
            PyList_SET_ITEM(results, i, result);
        }
    }
    return results;
}

static PyObject *
call_packed(const stoa_call_task *call, PyObject *function, PyObject *packed)
{
    PyObject *args = call->has_kwargs ? PyTuple_GET_ITEM(packed, 0) : packed;
    PyObject *kwargs = call->has_kwargs ? PyDict_New() : NULL;
    PyObject *result = NULL;
    if (!call->has_kwargs || (kwargs != NULL && PyDict_Update(kwargs, PyTuple_GET_ITEM(packed, 1)) == 0)) {
        result = call->chunk ? call_chunk(function, args, kwargs)
                             : stoa__invoke_function(function, args, kwargs);
    }
    Py_XDECREF(kwargs);
    return result;
}

/* What would be a proxy of a container, or contain one, crosses as a copy. */
static int
pack_result(PyObject *result, stoa_parcel *out)
{
    bool copy = PyTuple_CheckExact(result) || PyList_CheckExact(result) || PyDict_CheckExact(result) ||
                PyAnySet_CheckExact(result) || PyByteArray_CheckExact(result) ||
                Py_IS_TYPE(result, &PyDictProxy_Type);
    if (!copy || (PyTuple_CheckExact(result) && PyTuple_GET_SIZE(result) == 0)) {
        return stoa__pack(result, "result", STOA_PACK_DETACHED, out);
    }
    PyObject *marked = stoa__by_copy(result);
    int packed = marked == NULL ? -1 : stoa__pack(marked, "result", STOA_PACK_DETACHED, out);
    Py_XDECREF(marked);
    return packed;
}

void
stoa__call_task_run(stoa_task *task, stoa_interp_record *worker)
{
    stoa_call_task *call = (stoa_call_task *)task;
    stoa__side_apply_releases(worker);
    PyObject *function = stoa__function_here(call->function);
    PyObject *packed = function == NULL ? NULL : stoa__unpack(&call->parcel);
    stoa__parcel_abandon(&call->parcel); /* the arguments' proxies are objects of the worker now */
    PyObject *result = NULL;
    if (packed != NULL) {
        result = call_packed(call, function, packed);
    }
    Py_XDECREF(packed);
    Py_XDECREF(function);
    call->outcome = STOA_OUTCOME_RESULT;
    if (result == NULL || pack_result(result, &call->parcel) < 0) {
        stoa__exception_pack(&call->parcel);
        call->outcome = STOA_OUTCOME_RAISED;
    }
    Py_XDECREF(result);
}

void
stoa__call_task_refuse(stoa_task *task, const char *why, const stoa_parcel *raised)
{
    stoa_call_task *call = (stoa_call_task *)task;
    stoa__parcel_abandon(&call->parcel);
    call->outcome = STOA_OUTCOME_REFUSED;
    call->why = why;
    (void)raised; /* the taker asks the pool, which the task keeps alive */
}

/* stoa._pool makes it: its class differs from version to version. */
static PyObject *
broken_error(const stoa_call_task *call)
{
    const stoa_parcel *raised = NULL;
    (void)stoa__pool_broken(call->task.pool, &raised);
    PyObject *cause = raised == NULL ? Py_NewRef(Py_None) : stoa__exception_unpack(raised);
    PyObject *module = cause == NULL ? NULL : PyImport_ImportModule("stoa._pool");
    PyObject *error = module == NULL ? NULL : PyObject_CallMethod(module, "_broken", "sO", call->why, cause);
    Py_XDECREF(module);
    Py_XDECREF(cause);
    return error;
}

PyObject *
stoa__call_task_take(const stoa_call_task *call, PyObject **exception)
{
    PyObject *result = NULL;
    *exception = NULL;
    switch (call->outcome) {
    case STOA_OUTCOME_RESULT:
        result = stoa__unpack(&call->parcel);
        break;
    case STOA_OUTCOME_RAISED:
        *exception = stoa__exception_unpack(&call->parcel);
        break;
    default:
        *exception = broken_error(call);
        break;
    }
    if (result == NULL && *exception == NULL) {
        *exception = PyErr_GetRaisedException();
    }
    return result;
}
