#include "host/thing.h"

#include <Python.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "heap/process.h"
#include "host/data.h"
#include "immortal/cpython/gilstate.h"
#include "proxy/thread_state.h"
#include "proxy/wait.h"

static stoa_err
check_open(void)
{
    return stoa__process != NULL
               ? STOA_OK
               : stoa__fail(STOA_ESTATE, "the runtime was never open: call stoa_runtime_open");
}

stoa_err
stoa__host_check(const void *given, const char *name)
{
    return given == NULL ? stoa__fail(STOA_EINVAL, "%s is NULL", name) : check_open();
}

stoa_err
stoa__host_deadline(double timeout, stoa_deadline *out)
{
    *out = STOA_FOREVER;
    if (timeout != timeout || (timeout >= 0 && !stoa__deadline_in(timeout, out))) {
        return stoa__fail(STOA_EINVAL, "timeout is no number");
    }
    return STOA_OK;
}

stoa_err
stoa__host_thing(stoa_handle handle, stoa_host_kind kind, stoa_thing **out)
{
    stoa_handle found;
    stoa_err err = check_open();
    if (err != STOA_OK || (err = stoa__hold_get(handle, &found)) != STOA_OK) {
        return err;
    }
    stoa_thing *thing = stoa__thing_of_handle(found); /* our reference of the handle is one of the thing */
    if (thing == NULL || (1u << thing->kind & kind.kinds) == 0) {
        err = stoa__fail(STOA_ETYPE, "the handle stands for %s, not for %s",
                         thing == NULL ? "an object of an interpreter" : thing->class->name, kind.what);
        stoa__handle_unref(found);
        return err;
    }
    *out = thing;
    return STOA_OK;
}

stoa_err
stoa__host_within(stoa_handle handle, stoa_host_kind kind, double timeout, stoa_host_act act, void *arg)
{
    stoa_thing *thing;
    stoa_host_limit limit = {.timeout = timeout};
    stoa_err err = stoa__host_deadline(timeout, &limit.deadline);
    if (err == STOA_OK && (err = stoa__host_thing(handle, kind, &thing)) == STOA_OK) {
        err = act(thing, &limit, arg);
        stoa__thing_unref(thing);
    }
    return err;
}

stoa_err
stoa__host_hold(stoa_thing *thing, stoa_handle *out_handle)
{
    return stoa__hold_new(thing->handle, out_handle);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------- */

static bool
is_inside(void)
{
    return Py_IsInitialized() && stoa__current_state() != NULL;
}

stoa_err
stoa__host_inside(stoa_err (*run)(void *arg), void *arg)
{
    stoa_entry entry;
    if (is_inside()) {
        return run(arg);
    }
    stoa_interp_record *record = stoa__main_record();
    if (record == NULL) {
        return stoa__fail(STOA_ESTATE, "there is no interpreter to do it in");
    }
    stoa_err err = stoa__enter(record, &entry);
    if (err == STOA_OK) {
        err = run(arg);
        stoa__leave(&entry);
    }
    stoa__interp_unref(record);
    return err;
}

uint32_t
stoa__host_serial(void)
{
    if (!is_inside()) {
        return 0;
    }
    stoa_interp_record *record = stoa__current_record();
    PyErr_Clear();
    return record == NULL ? 0 : record->serial;
}

stoa_err
stoa__host_node(stoa_node *node)
{
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        return STOA_ENOMEM;
    }
    stoa__node_init(node, self, stoa__host_serial());
    return STOA_OK;
}

static bool
is_settled(void *arg)
{
    return stoa__node_state(arg) != STOA_NODE_WAITING;
}

stoa_err
stoa__host_wait(stoa_node *node, stoa_deadline deadline, const char *what)
{
    if (!is_inside()) {
        return stoa__node_sleep(node, deadline);
    }
    int waited = stoa__wait_until(is_settled, node, deadline, NULL, what);
    if (waited < 0) {
        return stoa__exception_take(NULL);
    }
    return waited == 0 ? STOA_OK : stoa__fail(STOA_ETIMEDOUT, "the time allowed ran out");
}
