/* exec and call whose caller has only so much time: a service thread does them (proxy/call.h). */
#include "host/invoke.h"

#include <stdlib.h>

#include "heap/error.h"
#include "host/invoke_parts.h"
#include "immortal/exceptions.h"
#include "proxy/cross.h"
#include "proxy/exception.h"

typedef struct invocation {
    stoa_work work;
    bool is_call;
    bool packed;     /* `code` or `call` is there */
    bool ran, taken; /* `outcome` is there; it is the caller's */
    bool good;       /* `outcome` is a result, not an exception */
    stoa_parcel code;
    stoa_call_parcels call;
    stoa_parcel outcome;
} invocation;

static void
run_invocation(stoa_work *work)
{
    invocation *it = (invocation *)work;
    if (it->is_call) {
        it->good = stoa__call_inside(work->owner, &it->call, STOA_PACK_DETACHED, &it->outcome);
    }
    else {
        PyObject *result = stoa__exec_inside(work->owner, &it->code);
        it->good = result != NULL;
        Py_XDECREF(result);
        if (it->good) {
            stoa__parcel_init(&it->outcome);
        }
        else {
            stoa__exception_pack(&it->outcome);
        }
    }
    it->ran = true;
}

static void
free_invocation(stoa_work *work)
{
    invocation *it = (invocation *)work;
    if (it->packed && it->is_call) { /* detached: nothing is held */
        stoa__parcel_abandon(&it->call.function);
        stoa__parcel_abandon(&it->call.args);
        if (it->call.has_kwargs) {
            stoa__parcel_abandon(&it->call.kwargs);
        }
    }
    else if (it->packed) {
        stoa__parcel_abandon(&it->code);
    }
    if (it->ran && !it->taken) {
        stoa__parcel_abandon(&it->outcome);
    }
    free(it);
}

static invocation *
new_invocation(stoa_interp_record *record, bool is_call)
{
    invocation *it = calloc(1, sizeof(*it));
    if (it == NULL || stoa__work_init(&it->work, record, run_invocation, free_invocation) != STOA_OK) {
        free(it);
        PyErr_NoMemory();
        return NULL;
    }
    it->is_call = is_call;
    return it;
}

/* Gives up the reference. New reference, or NULL with an exception. */
static PyObject *
finish(invocation *it, int64_t timeout)
{
    int64_t now = stoa__now();
    PyObject *result = NULL;
    stoa_err err = stoa__call_owner(NULL, timeout > STOA_FOREVER - now - 1 ? STOA_FOREVER - 1 : now + timeout,
                                    &it->work);
    if (err != STOA_OK) {
        stoa__call_failed(it->work.owner, err, (double)timeout / 1e9);
    }
    else if (!it->good) {
        it->taken = true;
        stoa__exception_raise(&it->outcome);
    }
    else {
        result = it->is_call ? stoa__unpack(&it->outcome) : Py_NewRef(Py_None);
    }
    stoa__work_unref(&it->work);
    return result;
}

int
stoa__invoke_exec_timed(stoa_interp_record *record, PyObject *code, int64_t timeout)
{
    invocation *it = new_invocation(record, false);
    if (it == NULL) {
        return -1;
    }
    if (stoa__code_pack(code, STOA_PACK_DETACHED, &it->code) < 0) {
        stoa__work_unref(&it->work);
        return -1;
    }
    it->packed = true;
    PyObject *result = finish(it, timeout);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

PyObject *
stoa__invoke_call_timed(stoa_interp_record *record, PyObject *function, PyObject *args, PyObject *kwargs,
                        int64_t timeout)
{
    invocation *it = new_invocation(record, true);
    if (it == NULL) {
        return NULL;
    }
    if (stoa__call_pack(&it->call, function, args, kwargs, STOA_PACK_DETACHED) < 0) {
        stoa__work_unref(&it->work);
        return NULL;
    }
    it->packed = true;
    return finish(it, timeout);
}
