/* stoa/lock.h: locks and conditions for C hosts. */
#include "stoa/lock.h"

#include <Python.h>

#include "heap/error.h"
#include "host/data.h"
#include "host/thing.h"
#include "proxy/mutex_wait.h"
#include "sync/condition.h"

#define LOCKS (1u << STOA_THING_LOCK | 1u << STOA_THING_RLOCK)
#define CONDITIONS (1u << STOA_THING_CONDITION)

static const stoa_host_kind a_lock = {LOCKS, "a lock"};
static const stoa_host_kind a_condition = {CONDITIONS, "a condition"};
static const stoa_host_kind either = {LOCKS | CONDITIONS, "a lock or a condition"};

/* ---- taking and letting go ----------------------------------------------------------------------------------------- */

static stoa_mutex *
mutex_of(stoa_thing *thing)
{
    return thing->kind == STOA_THING_CONDITION ? stoa__condition(thing)->mutex : stoa__mutex(thing);
}

static stoa_err
broken(void)
{
    return stoa__fail(STOA_EBROKEN,
                      "the interpreter or the process of the lock's holder is gone; put right what it "
                      "guards, then release it");
}

/* At a depth, as an RLock's: 1, or what it was before. */
static stoa_err
take(stoa_mutex *mutex, uint64_t depth, stoa_deadline deadline, bool may_wait)
{
    stoa_node node;
    stoa_err err = stoa__host_node(&node);
    if (err != STOA_OK) {
        return err;
    }
    node.owner = stoa__mutex_owner(node.waiter, node.serial);
    node.count = depth;
    stoa_mutex_result result = stoa__mutex_acquire(mutex, node.owner, may_wait ? &node : NULL);
    if (result == STOA_MUTEX_WAIT && may_wait) {
        result = node.serial != 0 ? stoa__mutex_wait(mutex, &node, deadline)
                                  : stoa__mutex_wait_outside(mutex, &node, deadline, &err);
        if (result == STOA_MUTEX_STOPPED && node.serial != 0) {
            err = stoa__exception_take(NULL);
        }
    }
    switch (result) {
    case STOA_MUTEX_DONE:
        return STOA_OK;
    case STOA_MUTEX_IS_BROKEN:
        return broken();
    case STOA_MUTEX_STOPPED:
        return err;
    default:
        return stoa__fail(STOA_ETIMEDOUT, "somebody else has the lock");
    }
}

static stoa_err
not_held(const stoa_mutex *mutex)
{
    return stoa__fail(STOA_ESTATE, "the lock is not held%s",
                      mutex->recursive ? " by this thread, on behalf of the interpreter it is in" : "");
}

stoa_err
stoa_lock_new(bool recursive, stoa_handle *out_lock)
{
    stoa_mutex *mutex;
    stoa_err err = stoa__host_check(out_lock, "out_lock");
    if (err == STOA_OK && (err = stoa__mutex_new(recursive, &mutex)) == STOA_OK) {
        err = stoa__host_hold(&mutex->thing, out_lock);
    }
    return err;
}

static stoa_err
acquire(stoa_thing *thing, const stoa_host_limit *limit, void *arg)
{
    (void)arg;
    return take(mutex_of(thing), 1, limit->deadline, limit->timeout != 0);
}

stoa_err
stoa_lock_acquire(stoa_handle lock, double timeout)
{
    return stoa__host_within(lock, either, timeout, acquire, NULL);
}

stoa_err
stoa_lock_release(stoa_handle lock)
{
    stoa_thing *thing;
    stoa_node self;
    stoa_err err = stoa__host_thing(lock, either, &thing);
    if (err != STOA_OK) {
        return err;
    }
    stoa_mutex *mutex = mutex_of(thing);
    if ((err = stoa__host_node(&self)) == STOA_OK &&
        stoa__mutex_release(mutex, stoa__mutex_owner(self.waiter, self.serial)) != STOA_MUTEX_DONE) {
        err = not_held(mutex);
    }
    stoa__thing_unref(thing);
    return err;
}

/* ---- conditions ----------------------------------------------------------------------------------------------------- */

stoa_err
stoa_condition_new(stoa_handle lock, stoa_handle *out_condition)
{
    stoa_mutex *mutex;
    stoa_thing *thing;
    stoa_condition *condition;
    stoa_err err = stoa__host_check(out_condition, "out_condition");
    if (err != STOA_OK) {
        return err;
    }
    if (lock == 0) {
        err = stoa__mutex_new(true, &mutex);
    }
    else if ((err = stoa__host_thing(lock, a_lock, &thing)) == STOA_OK) {
        mutex = stoa__mutex(thing);
    }
    if (err != STOA_OK) {
        return err;
    }
    err = stoa__condition_new(mutex, &condition);
    stoa__thing_unref(&mutex->thing);
    return err == STOA_OK ? stoa__host_hold(&condition->thing, out_condition) : err;
}

/* Who may wait and notify: as in module/condition.c. */
static stoa_err
check_held(const stoa_mutex *mutex, uint64_t owner)
{
    if (stoa__mutex_is_broken(mutex)) {
        return broken();
    }
    bool held = mutex->recursive ? stoa__mutex_is_held_by(mutex, owner) : stoa__mutex_is_held(mutex);
    return held ? STOA_OK : not_held(mutex);
}

/* The node is set up, the lock is held. */
static stoa_err
wait_notified(stoa_condition *condition, stoa_node *node, uint64_t owner, stoa_deadline deadline)
{
    uint64_t depth;
    stoa__condition_wait(condition, node); /* before the lock is let go: no notification is missed */
    if (stoa__mutex_release_save(condition->mutex, owner, &depth) != STOA_MUTEX_DONE) {
        (void)stoa__condition_withdraw(condition, node);
        return not_held(condition->mutex);
    }
    stoa_err err = stoa__host_wait(node, deadline, "a condition"), taken;
    (void)stoa__condition_withdraw(condition, node);
    bool notified = stoa__node_state(node) == STOA_NODE_GIVEN;
    do {
        taken = take(condition->mutex, depth, STOA_FOREVER, true);
    } while (taken == STOA_EINTERRUPTED); /* the caller will let go of it, and has not been told of this one */
    if (taken != STOA_OK) {
        err = taken;
    }
    if (err != STOA_OK && notified) {
        if (err == STOA_ETIMEDOUT || err == STOA_EINTERRUPTED) {
            return STOA_OK; /* at the last moment */
        }
        if (!stoa__mutex_is_broken(condition->mutex)) {
            stoa__condition_notify(condition, 1); /* it was ours, but somebody else can use it */
        }
    }
    return err;
}

static stoa_err
wait_held(stoa_thing *thing, const stoa_host_limit *limit, void *arg)
{
    (void)arg;
    stoa_node node;
    stoa_err err = stoa__host_node(&node);
    if (err != STOA_OK) {
        return err;
    }
    uint64_t owner = stoa__mutex_owner(node.waiter, node.serial);
    err = check_held(mutex_of(thing), owner);
    return err == STOA_OK ? wait_notified(stoa__condition(thing), &node, owner, limit->deadline) : err;
}

stoa_err
stoa_condition_wait(stoa_handle condition, double timeout)
{
    return stoa__host_within(condition, a_condition, timeout, wait_held, NULL);
}

stoa_err
stoa_condition_notify(stoa_handle condition, size_t count)
{
    stoa_thing *thing;
    stoa_node self;
    stoa_err err = stoa__host_thing(condition, a_condition, &thing);
    if (err != STOA_OK) {
        return err;
    }
    if ((err = stoa__host_node(&self)) == STOA_OK &&
        (err = check_held(mutex_of(thing), stoa__mutex_owner(self.waiter, self.serial))) == STOA_OK) {
        stoa__condition_notify(stoa__condition(thing), count == SIZE_MAX ? UINT64_MAX : count);
    }
    stoa__thing_unref(thing);
    return err;
}
