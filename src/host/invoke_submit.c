/* submit: a call that an interpreter's own thread makes, and a future of the caller's that is told what becomes of it. */
#include "host/invoke.h"

#include <stdlib.h>

#include "heap/error.h"
#include "host/home.h"
#include "host/interp.h"
#include "host/invoke_parts.h"
#include "immortal/exceptions.h"
#include "proxy/cross.h"
#include "proxy/errand.h"
#include "proxy/exception.h"
#include "proxy/interrupt.h"
#include "proxy/shield.h"

typedef struct submitted {
    stoa_job job;
    stoa_interp_record *caller; /* reference */
    PyObject *future;           /* a reference of the caller's */
    stoa_call_parcels call;
} submitted;

static void
free_submitted(submitted *work)
{
    stoa__parcel_abandon(&work->call.function); /* detached: nothing is held */
    stoa__parcel_abandon(&work->call.args);
    if (work->call.has_kwargs) {
        stoa__parcel_abandon(&work->call.kwargs);
    }
    stoa__interp_unref(work->caller);
    free(work);
}

/* Inside the caller. Callbacks of the future run here; what they raise is told by the future itself. */
static void
tell_future(PyObject *future, const char *method, PyObject *what)
{
    bool before = stoa__shield(true);
    PyObject *result = what == NULL ? NULL : PyObject_CallMethod(future, method, "(O)", what);
    if (result == NULL) {
        PyErr_WriteUnraisable(future);
    }
    Py_XDECREF(result);
    (void)stoa__shield(before);
}

/* Inside the caller: may the call begin? */
static bool
future_starts(PyObject *future)
{
    bool before = stoa__shield(true);
    PyObject *result = PyObject_CallMethod(future, "set_running_or_notify_cancel", NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable(future);
    }
    bool starts = result == Py_True;
    Py_XDECREF(result);
    (void)stoa__shield(before);
    return starts;
}

/* Inside the caller: the future gets its outcome and is let go. */
static void
finish_future(submitted *work, bool good, const stoa_parcel *outcome)
{
    PyObject *value = good ? stoa__unpack(outcome) : stoa__exception_unpack(outcome);
    if (value == NULL) {
        value = PyErr_GetRaisedException();
        good = false;
    }
    tell_future(work->future, good ? "set_result" : "set_exception", value);
    Py_XDECREF(value);
    Py_DECREF(work->future);
}

static void
refuse_submitted(stoa_job *job, const char *why)
{
    submitted *work = (submitted *)job;
    stoa_errand errand;
    if (stoa__errand_to_tell(work->caller, &errand) == STOA_OK) { /* else the future is gone with its interpreter */
        bool before = stoa__shield(true);
        if (future_starts(work->future)) {
            PyObject *class = stoa__exception(STOA_EXC_InterpreterGone);
            const char *text = why != NULL ? why : "it was closed before the call began";
            PyObject *error = class == NULL ? NULL : PyObject_CallFunction(class, "s", text);
            tell_future(work->future, "set_exception", error);
            Py_XDECREF(error);
        }
        (void)stoa__shield(before);
        Py_DECREF(work->future);
        stoa__errand_end(&errand);
    }
    free_submitted(work);
}

static void
run_submitted(stoa_job *job, stoa_interp_record *record)
{
    submitted *work = (submitted *)job;
    stoa_errand errand;
    /* from here on a close waits for the job, so that a future that says "running" gets the call's own outcome */
    if (stoa__interp_enter(record) != STOA_OK) {
        refuse_submitted(job, stoa_error_message());
        return;
    }
    if (stoa__errand_to_tell(work->caller, &errand) != STOA_OK) {
        stoa__interp_leave(record);
        free_submitted(work);
        return;
    }
    bool starts = future_starts(work->future);
    if (!starts) {
        Py_DECREF(work->future);
    }
    stoa__errand_end(&errand);
    if (!starts) {
        stoa__interp_leave(record);
        free_submitted(work);
        return;
    }
    stoa_parcel outcome;
    stoa_visit visit;
    bool good = false;
    stoa_err err = stoa__visit_held(record, &visit);
    if (err == STOA_OK) {
        stoa__interrupts_forget(record); /* of the job before */
        good = stoa__call_inside(record, &work->call, STOA_PACK_DETACHED, &outcome);
        stoa__home_job_over(); /* who has the result is not told afterwards that it was interrupted */
        stoa__visit_end(&visit);
    }
    if (stoa__errand_to_tell(work->caller, &errand) == STOA_OK) {
        if (err != STOA_OK) {
            stoa__enter_failed(err);
            stoa__exception_pack(&outcome);
        }
        finish_future(work, good, &outcome);
        stoa__errand_end(&errand);
        stoa__parcel_abandon(&outcome);
    }
    else if (err == STOA_OK) {
        stoa__parcel_abandon(&outcome);
    }
    free_submitted(work);
}

static PyObject *
make_future(void)
{
    PyObject *module = PyImport_ImportModule("stoa._future");
    PyObject *future = module == NULL ? NULL : PyObject_CallMethod(module, "Future", NULL);
    Py_XDECREF(module);
    return future;
}

PyObject *
stoa__invoke_submit(stoa_interp_record *record, PyObject *function, PyObject *args, PyObject *kwargs)
{
    stoa_interp_record *caller = stoa__current_record();
    PyObject *future = caller == NULL ? NULL : make_future();
    submitted *work = future == NULL ? NULL : calloc(1, sizeof(*work));
    if (work == NULL) {
        Py_XDECREF(future);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    if (stoa__call_pack(&work->call, function, args, kwargs, STOA_PACK_DETACHED) < 0) {
        free(work);
        Py_DECREF(future);
        return NULL;
    }
    work->job.run = run_submitted;
    work->job.refuse = refuse_submitted;
    work->caller = stoa__interp_ref(caller);
    work->future = Py_NewRef(future);
    stoa__host_ready();
    stoa_err err = stoa__home_submit(record, &work->job);
    if (err != STOA_OK) {
        Py_DECREF(future);
        free_submitted(work);
        Py_DECREF(future);
        return stoa__raise(err);
    }
    PyObject *thread = PyLong_FromUnsignedLong(stoa__home_thread(record));
    if (thread == NULL || PyObject_SetAttrString(future, "_thread", thread) < 0) {
        PyErr_Clear(); /* a circle through it is not found */
    }
    Py_XDECREF(thread);
    return future;
}
