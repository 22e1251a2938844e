/* stoa/lock.h: events, semaphores and barriers for C hosts. */
#include "stoa/lock.h"

#include <Python.h>

#include "heap/error.h"
#include "host/data.h"
#include "host/thing.h"
#include "proxy/item.h"
#include "sync/barrier.h"
#include "sync/event.h"
#include "sync/semaphore.h"

static const stoa_host_kind an_event = {1u << STOA_THING_EVENT, "an event"};
static const stoa_host_kind a_semaphore = {1u << STOA_THING_SEMAPHORE | 1u << STOA_THING_BOUNDED_SEMAPHORE,
                                           "a semaphore"};
static const stoa_host_kind a_barrier = {1u << STOA_THING_BARRIER, "a barrier"};

/* ---- events --------------------------------------------------------------------------------------------------------- */

stoa_err
stoa_event_new(stoa_handle *out_event)
{
    stoa_event *event;
    stoa_err err = stoa__host_check(out_event, "out_event");
    if (err == STOA_OK && (err = stoa__event_new(&event)) == STOA_OK) {
        err = stoa__host_hold(&event->thing, out_event);
    }
    return err;
}

static stoa_err
on_event(stoa_handle event, void (*act)(stoa_event *event))
{
    stoa_thing *thing;
    stoa_err err = stoa__host_thing(event, an_event, &thing);
    if (err == STOA_OK) {
        act(stoa__event(thing));
        stoa__thing_unref(thing);
    }
    return err;
}

stoa_err
stoa_event_set(stoa_handle event)
{
    return on_event(event, stoa__event_set);
}

stoa_err
stoa_event_clear(stoa_handle event)
{
    return on_event(event, stoa__event_clear);
}

stoa_err
stoa_event_is_set(stoa_handle event, bool *out_set)
{
    stoa_thing *thing;
    stoa_err err = stoa__host_check(out_set, "out_set");
    if (err == STOA_OK && (err = stoa__host_thing(event, an_event, &thing)) == STOA_OK) {
        *out_set = stoa__event_is_set(stoa__event(thing));
        stoa__thing_unref(thing);
    }
    return err;
}

static stoa_err
wait_for_event(stoa_thing *thing, const stoa_host_limit *limit, void *arg)
{
    (void)arg;
    stoa_event *event = stoa__event(thing);
    stoa_node node;
    stoa_err err = stoa__host_node(&node);
    if (err != STOA_OK || stoa__event_is_set(event)) {
        return err;
    }
    if (limit->timeout == 0) {
        return stoa__fail(STOA_ETIMEDOUT, "the event is not set");
    }
    if (!stoa__event_wait(event, &node)) {
        err = stoa__host_wait(&node, limit->deadline, "an event");
        stoa__event_withdraw(event, &node);
        if (stoa__node_state(&node) == STOA_NODE_GIVEN && err != STOA_EPYTHON) {
            err = STOA_OK;
        }
    }
    return err;
}

stoa_err
stoa_event_wait(stoa_handle event, double timeout)
{
    return stoa__host_within(event, an_event, timeout, wait_for_event, NULL);
}

/* ---- semaphores ------------------------------------------------------------------------------------------------------ */

stoa_err
stoa_semaphore_new(uint64_t value, bool bounded, stoa_handle *out_semaphore)
{
    stoa_semaphore *semaphore;
    stoa_err err = stoa__host_check(out_semaphore, "out_semaphore");
    if (err == STOA_OK && value > INT64_MAX) {
        err = stoa__fail(STOA_EINVAL, "a semaphore counts to 2^63 - 1");
    }
    if (err == STOA_OK && (err = stoa__semaphore_new(value, bounded, &semaphore)) == STOA_OK) {
        err = stoa__host_hold(&semaphore->thing, out_semaphore);
    }
    return err;
}

static stoa_err
take_one(stoa_thing *thing, const stoa_host_limit *limit, void *arg)
{
    (void)arg;
    stoa_semaphore *semaphore = stoa__semaphore(thing);
    stoa_node node;
    stoa_err err = stoa__host_node(&node);
    if (err != STOA_OK || stoa__semaphore_acquire(semaphore, limit->timeout != 0 ? &node : NULL)) {
        return err;
    }
    if (limit->timeout == 0) {
        return stoa__fail(STOA_ETIMEDOUT, "the semaphore is at 0");
    }
    err = stoa__host_wait(&node, limit->deadline, "a semaphore");
    if (err != STOA_OK) {
        (void)stoa__semaphore_withdraw(semaphore, &node); /* given at the last moment: the next gets it */
    }
    return err;
}

stoa_err
stoa_semaphore_acquire(stoa_handle semaphore, double timeout)
{
    return stoa__host_within(semaphore, a_semaphore, timeout, take_one, NULL);
}

stoa_err
stoa_semaphore_release(stoa_handle semaphore, uint64_t count)
{
    stoa_thing *thing;
    stoa_err err = stoa__host_thing(semaphore, a_semaphore, &thing);
    if (err == STOA_OK) {
        if (!stoa__semaphore_release(stoa__semaphore(thing), count)) {
            err = stoa__fail(STOA_ESTATE, "the semaphore would exceed its bound");
        }
        stoa__thing_unref(thing);
    }
    return err;
}

/* ---- barriers -------------------------------------------------------------------------------------------------------- */

stoa_err
stoa_barrier_new(size_t parties, stoa_handle *out_barrier)
{
    stoa_barrier *barrier;
    stoa_item no_action = {.kind = STOA_ITEM_NOTHING};
    stoa_err err = stoa__host_check(out_barrier, "out_barrier");
    if (err == STOA_OK && parties == 0) {
        err = stoa__fail(STOA_EINVAL, "a barrier has one party at least");
    }
    if (err == STOA_OK && (err = stoa__barrier_new(parties, -1, &no_action, &barrier)) == STOA_OK) {
        err = stoa__host_hold(&barrier->thing, out_barrier);
    }
    return err;
}

/* Inside an interpreter. */
static stoa_err
run_action(void *arg)
{
    const stoa_barrier *barrier = arg;
    stoa_side *side = stoa__side_here();
    PyObject *action = side == NULL ? NULL : stoa__item_look(side, &barrier->action);
    PyObject *value = action == NULL ? NULL : PyObject_CallNoArgs(action);
    stoa_err err = value == NULL ? stoa__exception_take(NULL) : STOA_OK;
    Py_XDECREF(action);
    Py_XDECREF(value);
    return err;
}

static stoa_err
let_all_go(stoa_barrier *barrier, uint64_t round)
{
    stoa_err err = STOA_OK;
    if (barrier->action.kind != STOA_ITEM_NOTHING) {
        err = stoa__host_inside(run_action, barrier);
    }
    if (err == STOA_OK) {
        stoa__barrier_open(barrier, round);
    }
    else {
        stoa__barrier_abort(barrier);
    }
    return err;
}

/* `arg`: a uint64_t for the place among the parties. */
static stoa_err
meet(stoa_thing *thing, const stoa_host_limit *limit, void *arg)
{
    stoa_barrier *barrier = stoa__barrier(thing);
    stoa_deadline deadline = limit->deadline;
    uint64_t round, *place = arg;
    stoa_node node;
    stoa_err err = stoa__host_node(&node);
    if (err != STOA_OK) {
        return err;
    }
    if (limit->timeout < 0 && barrier->timeout >= 0) { /* Python gave it one of its own */
        (void)stoa__deadline_in(barrier->timeout, &deadline);
    }
    stoa_barrier_result result = stoa__barrier_arrive(barrier, &node, &round);
    *place = node.count;
    if (result == STOA_BARRIER_LAST) {
        return let_all_go(barrier, round);
    }
    if (result == STOA_BARRIER_WAIT) {
        err = stoa__host_wait(&node, deadline, "a barrier");
        if (err != STOA_OK && stoa__barrier_withdraw(barrier, &node)) {
            return err;
        }
        if (stoa__node_state(&node) == STOA_NODE_GIVEN) {
            return err == STOA_EPYTHON ? err : STOA_OK;
        }
    }
    return stoa__fail(STOA_EBROKEN, "the barrier is broken, or was reset");
}

stoa_err
stoa_barrier_wait(stoa_handle barrier, double timeout, size_t *out_place)
{
    uint64_t place = 0;
    stoa_err err = stoa__host_within(barrier, a_barrier, timeout, meet, &place);
    if (err == STOA_OK && out_place != NULL) {
        *out_place = (size_t)place;
    }
    return err;
}

static stoa_err
on_barrier(stoa_handle barrier, void (*act)(stoa_barrier *barrier))
{
    stoa_thing *thing;
    stoa_err err = stoa__host_thing(barrier, a_barrier, &thing);
    if (err == STOA_OK) {
        act(stoa__barrier(thing));
        stoa__thing_unref(thing);
    }
    return err;
}

stoa_err
stoa_barrier_abort(stoa_handle barrier)
{
    return on_barrier(barrier, stoa__barrier_abort);
}

stoa_err
stoa_barrier_reset(stoa_handle barrier)
{
    return on_barrier(barrier, stoa__barrier_reset);
}
