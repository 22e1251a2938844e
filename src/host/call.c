#include "stoa/call.h"

#include <Python.h>

#include "heap/error.h"
#include "host/data.h"
#include "host/inside.h"
#include "host/invoke.h"
#include "host/target.h"

/* ---- exec -------------------------------------------------------------------------------------------------------- */

static stoa_err
exec_inside(stoa_inside *work)
{
    PyObject *text = PyUnicode_FromString(work->name);
    PyObject *result = text == NULL ? NULL : stoa__run_in_main(text, work->label);
    stoa_err err = STOA_OK;
    if (result == NULL) {
        err = stoa__exception_take(work->wants_exception ? &work->exception : NULL);
    }
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
    stoa_inside work = {.record = (stoa_interp_record *)interp,
                        .name = source,
                        .label = label == NULL ? "<stoa_exec>" : label,
                        .run = exec_inside};
    return stoa__inside_and_give(&work, timeout, NULL, out_exception);
}

stoa_err
stoa_exec(stoa_interp *interp, const char *source, const char *label, stoa_exception **out_exception)
{
    return stoa_exec_within(interp, source, label, -1, out_exception);
}

/* ---- call -------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__find_by_name(const char *name)
{
    const char *colon = strchr(name, ':');
    PyObject *module = PyUnicode_DecodeUTF8(name, colon - name, NULL);
    PyObject *qualname = module == NULL ? NULL : PyUnicode_FromString(colon + 1);
    PyObject *found = qualname == NULL ? NULL : stoa__target_find(module, qualname);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return found;
}

static stoa_err
call_inside(stoa_inside *work)
{
    PyObject *result = NULL, *callable = stoa__find_by_name(work->name);
    stoa_err err = callable == NULL ? STOA_EPYTHON
                                    : stoa__data_call(callable, NULL, work->args, work->count, &result);
    err = stoa__inside_outcome(work, err, result);
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
    stoa_inside work = {.record = (stoa_interp_record *)interp,
                        .name = function,
                        .args = args,
                        .count = count,
                        .flags = flags,
                        .run = call_inside};
    return err != STOA_OK ? err : stoa__inside_and_give(&work, timeout, out_result, out_exception);
}

stoa_err
stoa_call(stoa_interp *interp, const char *function, const stoa_data *args, size_t count, unsigned flags,
          stoa_data *out_result, stoa_exception **out_exception)
{
    return stoa_call_within(interp, function, args, count, flags, -1, out_result, out_exception);
}
