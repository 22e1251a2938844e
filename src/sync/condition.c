#include "sync/condition.h"

#include "heap/error.h"
#include "heap/memory.h"

void
stoa__condition_wait(stoa_condition *condition, stoa_node *node)
{
    stoa__lock(&condition->thing.lock);
    stoa__node_append(&condition->waiters, node);
    stoa__unlock(&condition->thing.lock);
}

bool
stoa__condition_withdraw(stoa_condition *condition, stoa_node *node)
{
    stoa__lock(&condition->thing.lock);
    bool waiting = node->list != NULL;
    stoa__node_remove(node);
    stoa__unlock(&condition->thing.lock);
    return waiting;
}

void
stoa__condition_notify(stoa_condition *condition, uint64_t count)
{
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&condition->thing.lock);
    for (; count > 0 && condition->waiters.first != NULL; count--) {
        stoa__node_settle(condition->waiters.first, STOA_NODE_GIVEN, NULL, &wakes);
    }
    stoa__unlock(&condition->thing.lock);
    stoa__wakes_do(&wakes);
}

/* ---- the thing ------------------------------------------------------------------------------------------------------ */

static void
end_condition(stoa_thing *thing)
{
    stoa__thing_unref(&stoa__condition(thing)->mutex->thing);
    stoa__free(thing);
}

static void
interp_gone(stoa_thing *thing, uint32_t serial)
{
    stoa__lock(&thing->lock);
    stoa__nodes_withdraw(&stoa__condition(thing)->waiters, serial, false);
    stoa__unlock(&thing->lock);
}

static void
fork_child(stoa_thing *thing, uint32_t self)
{
    (void)self;
    stoa__nodes_withdraw(&stoa__condition(thing)->waiters, 0, true);
}

static void
describe(stoa_thing *thing, stoa_thing_info *info)
{
    stoa__lock(&thing->lock);
    info->waiters = stoa__condition(thing)->waiters.count;
    stoa__unlock(&thing->lock);
}

static const stoa_thing_class condition_class = {.name = "Condition",
                                                 .end = end_condition,
                                                 .interp_gone = interp_gone,
                                                 .fork_child = fork_child,
                                                 .describe = describe};

stoa_err
stoa__condition_new(stoa_mutex *mutex, stoa_condition **out)
{
    stoa_condition *condition = stoa__alloc(sizeof *condition);
    if (condition == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a condition");
    }
    condition->mutex = stoa__mutex(stoa__thing_ref(&mutex->thing));
    stoa_err err = stoa__thing_open(&condition->thing, &condition_class, STOA_THING_CONDITION);
    if (err != STOA_OK) {
        stoa__thing_unref(&mutex->thing);
        stoa__free(condition);
        return err;
    }
    *out = condition;
    return STOA_OK;
}
