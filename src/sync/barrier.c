#include "sync/barrier.h"

#include "heap/error.h"
#include "heap/memory.h"

stoa_barrier_result
stoa__barrier_arrive(stoa_barrier *barrier, stoa_node *node, uint64_t *round)
{
    stoa_barrier_result result = STOA_BARRIER_BROKEN;
    stoa__lock(&barrier->thing.lock);
    if (!barrier->broken) {
        node->owner = *round = barrier->round;
        node->count = barrier->arrived++;
        result = STOA_BARRIER_WAIT;
        if (barrier->arrived == barrier->parties) {
            barrier->arrived = 0;
            barrier->round++;
            result = STOA_BARRIER_LAST;
        }
        else {
            stoa__node_append(&barrier->waiters, node);
        }
    }
    stoa__unlock(&barrier->thing.lock);
    return result;
}

void
stoa__barrier_open(stoa_barrier *barrier, uint64_t round)
{
    stoa_wakes wakes;
    stoa_node *next;
    stoa__wakes_init(&wakes);
    stoa__lock(&barrier->thing.lock);
    for (stoa_node *node = barrier->waiters.first; node != NULL; node = next) {
        next = node->next;
        if (node->owner == round) {
            stoa__node_settle(node, STOA_NODE_GIVEN, NULL, &wakes);
        }
    }
    stoa__unlock(&barrier->thing.lock);
    stoa__wakes_do(&wakes);
}

/* Lock held. */
static void
break_it(stoa_barrier *barrier, bool stays_broken, stoa_wakes *wakes)
{
    barrier->broken = stays_broken;
    barrier->arrived = 0;
    barrier->round++;
    stoa__nodes_settle_all(&barrier->waiters, STOA_NODE_SHUT, wakes);
}

bool
stoa__barrier_withdraw(stoa_barrier *barrier, stoa_node *node)
{
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&barrier->thing.lock);
    bool waiting = node->list == &barrier->waiters;
    if (waiting) {
        stoa__node_remove(node);
        break_it(barrier, true, &wakes);
    }
    stoa__unlock(&barrier->thing.lock);
    stoa__wakes_do(&wakes);
    return waiting;
}

static void
settle_all(stoa_barrier *barrier, bool stays_broken)
{
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&barrier->thing.lock);
    break_it(barrier, stays_broken, &wakes);
    stoa__unlock(&barrier->thing.lock);
    stoa__wakes_do(&wakes);
}

void
stoa__barrier_abort(stoa_barrier *barrier)
{
    settle_all(barrier, true);
}

void
stoa__barrier_reset(stoa_barrier *barrier)
{
    settle_all(barrier, false);
}

void
stoa__barrier_look(stoa_barrier *barrier, uint64_t *waiting, bool *broken)
{
    stoa__lock(&barrier->thing.lock);
    *waiting = barrier->arrived;
    *broken = barrier->broken;
    stoa__unlock(&barrier->thing.lock);
}

/* ---- the thing ------------------------------------------------------------------------------------------------------ */

static void
end_barrier(stoa_thing *thing)
{
    stoa__item_drop(&stoa__barrier(thing)->action);
    stoa__free(thing);
}

/* A party that is gone would be waited for in vain: the others are told. */
static void
interp_gone(stoa_thing *thing, uint32_t serial)
{
    stoa_barrier *barrier = stoa__barrier(thing);
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&thing->lock);
    uint32_t before = barrier->waiters.count;
    stoa__nodes_withdraw(&barrier->waiters, serial, false);
    if (barrier->waiters.count < before) {
        break_it(barrier, true, &wakes);
    }
    stoa__unlock(&thing->lock);
    stoa__wakes_do(&wakes);
}

static void
fork_child(stoa_thing *thing, uint32_t self)
{
    (void)self;
    stoa_barrier *barrier = stoa__barrier(thing);
    if (barrier->waiters.first != NULL) {
        stoa__nodes_withdraw(&barrier->waiters, 0, true);
        barrier->broken = true;
        barrier->arrived = 0;
    }
}

static void
describe(stoa_thing *thing, stoa_thing_info *info)
{
    stoa_barrier *barrier = stoa__barrier(thing);
    stoa__lock(&thing->lock);
    info->depth = barrier->arrived;
    info->limit = barrier->parties;
    info->waiters = barrier->waiters.count;
    info->broken = barrier->broken;
    stoa__unlock(&thing->lock);
}

static const stoa_thing_class barrier_class = {.name = "Barrier",
                                               .end = end_barrier,
                                               .interp_gone = interp_gone,
                                               .fork_child = fork_child,
                                               .describe = describe};

stoa_err
stoa__barrier_new(uint64_t parties, double timeout, stoa_item *action, stoa_barrier **out)
{
    stoa_barrier *barrier = stoa__alloc(sizeof *barrier);
    if (barrier == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a barrier");
    }
    barrier->parties = parties;
    barrier->timeout = timeout;
    stoa_err err = stoa__thing_open(&barrier->thing, &barrier_class, STOA_THING_BARRIER);
    if (err != STOA_OK) {
        stoa__free(barrier);
        return err;
    }
    barrier->action = *action;
    action->kind = STOA_ITEM_NOTHING;
    *out = barrier;
    return STOA_OK;
}
