/* stoa/interp.h: the records of interpreters as hosts see them. A stoa_interp is a stoa_interp_record with a reference. */
#include "stoa/interp.h"

#include <Python.h>
#include <string.h>

#include "heap/error.h"
#include "heap/process.h" // stoa__process
#include "heap/utf8.h"
#include "host/interp.h"
#include "host/message.h"
#include "immortal/cpython/gilstate.h"
#include "proxy/thread_state.h"

static_assert(sizeof(stoa_entry) <= sizeof(stoa_scope), "a scope holds an entry");
static_assert(_Alignof(stoa_entry) <= _Alignof(stoa_scope), "a scope holds an entry");

static stoa_interp_record *
as_record(const stoa_interp *interp)
{
    return (stoa_interp_record *)(uintptr_t)interp;
}

static stoa_interp *
as_interp(stoa_interp_record *record)
{
    return (stoa_interp *)record;
}

static stoa_err
is_null(const void *pointer, const char *what)
{
    return pointer != NULL ? STOA_OK : stoa__fail(STOA_EINVAL, "%s is NULL", what);
}

stoa_err
stoa_interp_new(const char *name, bool shared_gil, stoa_interp **out_interp)
{
    stoa_err err = is_null(out_interp, "out_interp");
    size_t at;
    if (err != STOA_OK) {
        return err;
    }
    if (name != NULL && (*name == '\0' || strlen(name) >= sizeof(((stoa_interp_record *)NULL)->name) ||
                         !stoa__utf8_valid(name, strlen(name), &at))) {
        return stoa__fail(STOA_EINVAL, "the name of an interpreter is 1 to %zu bytes of UTF-8",
                          sizeof(((stoa_interp_record *)NULL)->name) - 1);
    }
    if (!Py_IsInitialized()) {
        return stoa__fail(STOA_ESTATE, "the runtime is not open: call stoa_runtime_open");
    }
    stoa_interp_record *record;
    if ((err = stoa__interp_make(name, shared_gil, NULL, &record)) == STOA_OK) {
        *out_interp = as_interp(record);
    }
    return err;
}

stoa_err
stoa_interp_main(stoa_interp **out_interp)
{
    stoa_err err = is_null(out_interp, "out_interp");
    if (err != STOA_OK) {
        return err;
    }
    stoa_interp_record *record = Py_IsInitialized() ? stoa__main_record() : NULL;
    if (record == NULL) {
        return stoa__fail(STOA_ESTATE, "the runtime is not open: call stoa_runtime_open");
    }
    *out_interp = as_interp(record);
    return STOA_OK;
}

stoa_err
stoa_interp_current(stoa_interp **out_interp)
{
    stoa_err err = is_null(out_interp, "out_interp");
    if (err != STOA_OK) {
        return err;
    }
    if (!Py_IsInitialized() || stoa__current_state() == NULL) {
        return stoa__fail(STOA_ESTATE, "this thread is in no interpreter");
    }
    stoa_interp_record *record = stoa__current_record();
    if (record == NULL) {
        PyErr_Clear();
        return STOA_ESTATE;
    }
    *out_interp = as_interp(stoa__interp_ref(record));
    return STOA_OK;
}

typedef struct name_search {
    const char *name;
    stoa_interp_record *found;
} name_search;

static void
compare_name(stoa_interp_record *record, void *arg)
{
    name_search *search = arg;
    if (search->found == NULL && record->state == STOA_INTERP_LIVE && strcmp(record->name, search->name) == 0) {
        search->found = stoa__interp_ref(record);
    }
}

stoa_err
stoa_interp_find(const char *name, stoa_interp **out_interp)
{
    if (name == NULL || out_interp == NULL) {
        return stoa__fail(STOA_EINVAL, "name or out_interp is NULL");
    }
    if (stoa__process == NULL) {
        return stoa__fail(STOA_ESTATE, "the runtime was never open: call stoa_runtime_open");
    }
    name_search search = {name, NULL};
    stoa_err err = stoa__interp_each(compare_name, &search);
    if (err == STOA_OK && search.found == NULL) {
        return stoa__fail(STOA_ENOTFOUND, "no open interpreter is called '%s'", name);
    }
    if (err == STOA_OK) {
        *out_interp = as_interp(search.found);
    }
    return err;
}

void
stoa_interp_free(stoa_interp *interp)
{
    if (interp != NULL) {
        stoa__interp_unref(as_record(interp));
    }
}

const char *
stoa_interp_name(const stoa_interp *interp)
{
    return as_record(interp)->name;
}

int64_t
stoa_interp_id(const stoa_interp *interp)
{
    return as_record(interp)->python_id;
}

bool
stoa_interp_is_closed(const stoa_interp *interp)
{
    return as_record(interp)->state != STOA_INTERP_LIVE;
}

stoa_err
stoa_interp_enter(stoa_interp *interp, stoa_scope *scope)
{
    if (interp == NULL || scope == NULL) {
        return stoa__fail(STOA_EINVAL, "interp or scope is NULL");
    }
    return stoa__enter(as_record(interp), (stoa_entry *)(void *)scope);
}

void
stoa_interp_leave(stoa_scope *scope)
{
    stoa_entry *entry = (stoa_entry *)(void *)scope;
    PyObject *raised = PyErr_GetRaisedException();
    if (raised != NULL) {
        stoa__say(STOA_WARNING, "a %.100s was left set when interpreter '%s' was left: it is lost",
                  Py_TYPE(raised)->tp_name, entry->record->name);
        Py_DECREF(raised);
    }
    stoa__leave(entry);
}

stoa_err
stoa_interp_close(stoa_interp *interp, double timeout)
{
    stoa_deadline deadline = STOA_FOREVER;
    if (interp == NULL || (timeout >= 0 && !stoa__deadline_in(timeout, &deadline)) || timeout != timeout) {
        return stoa__fail(STOA_EINVAL, "interp is NULL, or timeout is no number");
    }
    return stoa__interp_close(as_record(interp), deadline);
}

stoa_err
stoa_interp_interrupt(stoa_interp *interp, size_t *out_count)
{
    if (interp == NULL) {
        return stoa__fail(STOA_EINVAL, "interp is NULL");
    }
    int count = stoa__interp_interrupt(as_record(interp), PyExc_KeyboardInterrupt);
    if (out_count != NULL) {
        *out_count = (size_t)count;
    }
    return STOA_OK;
}
