#include "host/public_names.h"

#include <Python.h>

#include "heap/error.h"
#include "proxy/wait.h"
#include "heap/handle.h"
#include "heap/region.h"
#include "immortal/canonical.h"
#include "immortal/cpython/gilstate.h"
#include "proxy/thread_state.h"
#include "stoa/names.h"

static stoa_err
check(const char *name)
{
    if (name == NULL) {
        return stoa__fail(STOA_EINVAL, "name is NULL");
    }
    return stoa__process != NULL
               ? STOA_OK
               : stoa__fail(STOA_ESTATE, "the runtime was never open: call stoa_runtime_open");
}

static stoa_err
as_value(const char *name, const stoa_object *object, stoa_value *out)
{
    stoa_err err = check(name);
    if (err == STOA_OK && (object == NULL || !stoa__is_shared((const PyObject *)object))) {
        err = stoa__fail(STOA_EINVAL, "what is published as '%s' is not a shared object", name);
    }
    *out = (stoa_value){.kind = STOA_VALUE_OBJECT, .object = object};
    return err;
}

stoa_err
stoa_publish(const char *name, const stoa_object *object)
{
    stoa_value value;
    stoa_err err = as_value(name, object, &value);
    return err != STOA_OK ? err : stoa__name_publish(name, strlen(name), &value);
}

stoa_err
stoa_replace(const char *name, const stoa_object *object)
{
    stoa_value value;
    stoa_err err = as_value(name, object, &value);
    return err != STOA_OK ? err : stoa__name_replace(name, strlen(name), &value);
}

stoa_err
stoa_unpublish(const char *name)
{
    stoa_err err = check(name);
    return err != STOA_OK ? err : stoa__name_unpublish(name, strlen(name));
}

stoa_err
stoa__public_lookup(const char *name, double timeout, stoa_value *out)
{
    stoa_deadline deadline = STOA_FOREVER;
    stoa_err err = check(name);
    if (err != STOA_OK) {
        return err;
    }
    if (timeout != timeout || (timeout > 0 && !stoa__deadline_in(timeout, &deadline))) {
        return stoa__fail(STOA_EINVAL, "timeout is no number");
    }
    stoa_interp_record *receiver = NULL;
    PyThreadState *state = Py_IsInitialized() ? stoa__current_state() : NULL;
    if (state != NULL && (receiver = stoa__current_record()) == NULL) {
        PyErr_Clear();
        return STOA_ESTATE;
    }
    err = stoa__name_lookup(name, strlen(name), receiver, out);
    bool again = err == STOA_ENOTFOUND && timeout != 0;
    while (again) {
        if (state != NULL) {
            PyEval_SaveThread();
        }
        err = stoa__name_wait(name, strlen(name), receiver, deadline, out);
        if (state != NULL) {
            PyEval_RestoreThread(state);
        }
        stoa_waiter *self = stoa__waiter_here();
        again = err == STOA_EINTERRUPTED && self != NULL && stoa__mailbox_count(&self->home) > 0;
        if (again) {
            stoa__serve_home(self);
        }
    }
    return err;
}

stoa_err
stoa_lookup(const char *name, double timeout, const stoa_object **out_object)
{
    if (out_object == NULL) {
        return stoa__fail(STOA_EINVAL, "out_object is NULL");
    }
    stoa_value value;
    stoa_err err = stoa__public_lookup(name, timeout, &value);
    if (err == STOA_OK && value.kind != STOA_VALUE_OBJECT) {
        if (value.kind == STOA_VALUE_HANDLE) {
            stoa__handle_unref(value.handle); /* the one that looking it up has given us */
        }
        return stoa__fail(STOA_ETYPE, "'%s' stands for an object of an interpreter: use stoa_handle_lookup",
                          name);
    }
    if (err == STOA_OK) {
        *out_object = value.object;
    }
    return err;
}

typedef struct visitor {
    bool (*visit)(const char *name, size_t size, const stoa_object *object, void *arg);
    void *arg;
} visitor;

static bool
visit_one(const char *name, size_t size, const stoa_value *value, void *arg)
{
    visitor *v = arg;
    char text[STOA_NAME_MAX + 1]; /* the heap layer's names end where their size says */
    memcpy(text, name, size);
    text[size] = '\0';
    const void *object = value->kind == STOA_VALUE_OBJECT ? value->object : NULL;
    if (object != NULL &&
        stoa__region_of(object) > 1) { /* its region may have ended since: it is received properly */
        stoa_value now;
        stoa_err err = stoa__name_lookup(name, size, NULL, &now);
        if (err == STOA_OK && now.kind == STOA_VALUE_HANDLE) {
            stoa__handle_unref(now.handle);
        }
        object = err == STOA_OK && now.kind == STOA_VALUE_OBJECT ? now.object : NULL;
    }
    return v->visit(text, size, object, v->arg);
}

stoa_err
stoa_names_each(bool (*visit)(const char *name, size_t size, const stoa_object *object, void *arg), void *arg)
{
    stoa_err err = check("");
    if (err != STOA_OK || visit == NULL) {
        return err != STOA_OK ? err : stoa__fail(STOA_EINVAL, "visit is NULL");
    }
    visitor v = {visit, arg};
    return stoa__name_each(visit_one, &v);
}
