#include "stoa/call.h"

#include <Python.h>

#include "heap/error.h"
#include "host/data.h"
#include "host/inside.h"
#include "host/invoke.h"
#include "host/target.h"

/* ---- exec -------------------------------------------------------------------------------------------------------- */

typedef struct execution {
    const char *source, *label;
    stoa_exception **exception;
} execution;

static stoa_err
exec_inside(void *arg)
{
    const execution *e = arg;
    PyObject *text = PyUnicode_FromString(e->source);
    PyObject *result = text == NULL ? NULL : stoa__run_in_main(text, e->label);
    stoa_err err = result == NULL ? stoa__exception_take(e->exception) : STOA_OK;
    Py_XDECREF(result);
    Py_XDECREF(text);
    return err;
}

stoa_err
stoa_exec_within(stoa_interp *interp, const char *source, const char *label, double timeout,
                 stoa_exception **out_exception)
{
    if (interp == NULL || source == NULL) {
        return stoa__fail(STOA_EINVAL, "interp or source is NULL");
    }
    execution e = {source, label == NULL ? "<stoa_exec>" : label, out_exception};
    stoa_inside_work work = {(stoa_interp_record *)interp, timeout, exec_inside, &e};
    return stoa__inside(&work);
}

stoa_err
stoa_exec(stoa_interp *interp, const char *source, const char *label, stoa_exception **out_exception)
{
    return stoa_exec_within(interp, source, label, -1, out_exception);
}

/* ---- call -------------------------------------------------------------------------------------------------------- */

typedef struct function_call {
    const char *function;
    const stoa_data *args;
    size_t count;
    unsigned flags;
    stoa_data *result;
    stoa_exception **exception;
} function_call;

/* Inside. */
static PyObject *
find_function(const char *text)
{
    const char *colon = strchr(text, ':');
    PyObject *module = PyUnicode_DecodeUTF8(text, colon - text, NULL);
    PyObject *qualname = module == NULL ? NULL : PyUnicode_FromString(colon + 1);
    PyObject *function = qualname == NULL ? NULL : stoa__target_find(module, qualname);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return function;
}

static stoa_err
call_inside(void *arg)
{
    const function_call *call = arg;
    PyObject *result = NULL, *callable = find_function(call->function);
    stoa_err err = callable == NULL ? STOA_EPYTHON
                                    : stoa__data_call(callable, NULL, call->args, call->count, &result);
    if (err == STOA_EPYTHON) {
        err = stoa__exception_take(call->exception);
    }
    else if (err == STOA_OK && call->result != NULL) {
        err = stoa__data_from_python(result, call->flags, "the result", call->result);
    }
    Py_XDECREF(result);
    Py_XDECREF(callable);
    return err;
}

stoa_err
stoa_call_within(stoa_interp *interp, const char *function, const stoa_data *args, size_t count,
                 unsigned flags, double timeout, stoa_data *out_result, stoa_exception **out_exception)
{
    const char *colon = function == NULL ? NULL : strchr(function, ':');
    if (interp == NULL) {
        return stoa__fail(STOA_EINVAL, "interp is NULL");
    }
    if (colon == NULL || colon == function || colon[1] == '\0') {
        return stoa__fail(STOA_EINVAL, "'%s' does not name a function: write \"module:qualname\"",
                          function == NULL ? "NULL" : function);
    }
    stoa_err err = stoa__data_check_call(args, count, flags);
    if (err != STOA_OK) {
        return err;
    }
    stoa_data result = stoa_data_none();
    function_call call = {function, args, count, flags, out_result == NULL ? NULL : &result, out_exception};
    stoa_inside_work work = {(stoa_interp_record *)interp, timeout, call_inside, &call};
    err = stoa__inside(&work);
    if (err == STOA_OK && out_result != NULL) {
        *out_result = result;
    }
    return err;
}

stoa_err
stoa_call(stoa_interp *interp, const char *function, const stoa_data *args, size_t count, unsigned flags,
          stoa_data *out_result, stoa_exception **out_exception)
{
    return stoa_call_within(interp, function, args, count, flags, -1, out_result, out_exception);
}
