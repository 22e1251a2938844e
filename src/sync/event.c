#include "sync/event.h"

#include "heap/error.h"
#include "heap/memory.h"

void
stoa__event_set(stoa_event *event)
{
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&event->thing.lock);
    atomic_store(&event->set, 1);
    stoa__nodes_settle_all(&event->waiters, STOA_NODE_GIVEN, &wakes);
    stoa__unlock(&event->thing.lock);
    stoa__wakes_do(&wakes);
}

void
stoa__event_clear(stoa_event *event)
{
    stoa__lock(&event->thing.lock);
    atomic_store(&event->set, 0);
    stoa__unlock(&event->thing.lock);
}

bool
stoa__event_wait(stoa_event *event, stoa_node *node)
{
    stoa__lock(&event->thing.lock);
    bool set = stoa__event_is_set(event);
    if (!set) {
        stoa__node_append(&event->waiters, node);
    }
    stoa__unlock(&event->thing.lock);
    return set;
}

void
stoa__event_withdraw(stoa_event *event, stoa_node *node)
{
    stoa__lock(&event->thing.lock);
    stoa__node_remove(node);
    stoa__unlock(&event->thing.lock);
}

/* ---- the thing ------------------------------------------------------------------------------------------------------ */

static void
end_event(stoa_thing *thing)
{
    stoa__free(thing);
}

static void
interp_gone(stoa_thing *thing, uint32_t serial)
{
    stoa__lock(&thing->lock);
    stoa__nodes_withdraw(&stoa__event(thing)->waiters, serial, false);
    stoa__unlock(&thing->lock);
}

static void
fork_child(stoa_thing *thing, uint32_t self)
{
    (void)self;
    stoa__nodes_withdraw(&stoa__event(thing)->waiters, 0, true);
}

static void
describe(stoa_thing *thing, stoa_thing_info *info)
{
    stoa__lock(&thing->lock);
    info->depth = stoa__event_is_set(stoa__event(thing));
    info->waiters = stoa__event(thing)->waiters.count;
    stoa__unlock(&thing->lock);
}

static const stoa_thing_class event_class = {.name = "Event",
                                             .end = end_event,
                                             .interp_gone = interp_gone,
                                             .fork_child = fork_child,
                                             .describe = describe};

stoa_err
stoa__event_new(stoa_event **out)
{
    stoa_event *event = stoa__alloc(sizeof *event);
    if (event == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for an event");
    }
    stoa_err err = stoa__thing_open(&event->thing, &event_class, STOA_THING_EVENT);
    if (err != STOA_OK) {
        stoa__free(event);
        return err;
    }
    *out = event;
    return STOA_OK;
}
