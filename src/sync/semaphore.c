#include "sync/semaphore.h"

#include "heap/error.h"
#include "heap/memory.h"

#define VALUE_MAX ((uint64_t)INT64_MAX)

bool
stoa__semaphore_acquire(stoa_semaphore *semaphore, stoa_node *node)
{
    stoa__lock(&semaphore->thing.lock);
    bool got = semaphore->value > 0;
    if (got) {
        semaphore->value--;
    }
    else if (node != NULL) {
        stoa__node_append(&semaphore->waiters, node);
    }
    stoa__unlock(&semaphore->thing.lock);
    return got;
}

/* Lock held. */
static void
release_one(stoa_semaphore *semaphore, stoa_wakes *wakes)
{
    if (semaphore->waiters.first != NULL) {
        stoa__node_settle(semaphore->waiters.first, STOA_NODE_GIVEN, &semaphore->given, wakes);
    }
    else {
        semaphore->value++;
    }
}

bool
stoa__semaphore_release(stoa_semaphore *semaphore, uint64_t count)
{
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&semaphore->thing.lock);
    uint64_t most = semaphore->bounded ? semaphore->bound : VALUE_MAX;
    /* as threading counts: those who wait take theirs afterwards */
    bool fits = semaphore->value <= most && count <= most - semaphore->value;
    while (fits && count > 0 && semaphore->waiters.first != NULL) {
        release_one(semaphore, &wakes);
        count--;
    }
    if (fits) {
        semaphore->value += count;
    }
    stoa__unlock(&semaphore->thing.lock);
    stoa__wakes_do(&wakes);
    return fits;
}

/* Lock held: a task's node that was given something nobody will take. */
static void
pass_on(stoa_semaphore *semaphore, stoa_node *node, stoa_wakes *wakes)
{
    stoa__node_remove(node);
    atomic_store(&node->state, STOA_NODE_WITHDRAWN);
    release_one(semaphore, wakes);
}

bool
stoa__semaphore_withdraw(stoa_semaphore *semaphore, stoa_node *node)
{
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&semaphore->thing.lock);
    uint32_t state = stoa__node_state(node);
    if (state == STOA_NODE_WAITING) {
        stoa__node_remove(node);
        atomic_store(&node->state, STOA_NODE_WITHDRAWN);
    }
    else if (state == STOA_NODE_GIVEN && (node->waiter != NULL || node->list == &semaphore->given)) {
        pass_on(semaphore, node, &wakes);
    }
    stoa__unlock(&semaphore->thing.lock);
    stoa__wakes_do(&wakes);
    return state == STOA_NODE_WAITING;
}

bool
stoa__semaphore_taken(stoa_semaphore *semaphore, stoa_node *node)
{
    stoa__lock(&semaphore->thing.lock);
    bool there = node->list == &semaphore->given;
    stoa__node_remove(node);
    stoa__unlock(&semaphore->thing.lock);
    return there;
}

uint64_t
stoa__semaphore_value(stoa_semaphore *semaphore)
{
    stoa__lock(&semaphore->thing.lock);
    uint64_t value = semaphore->value;
    stoa__unlock(&semaphore->thing.lock);
    return value;
}

/* ---- the thing ------------------------------------------------------------------------------------------------------ */

static void
end_semaphore(stoa_thing *thing)
{
    stoa__free(thing);
}

static void
interp_gone(stoa_thing *thing, uint32_t serial)
{
    stoa_semaphore *semaphore = stoa__semaphore(thing);
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&thing->lock);
    stoa__nodes_withdraw(&semaphore->waiters, serial, false);
    stoa_node *next;
    for (stoa_node *node = semaphore->given.first; node != NULL; node = next) {
        next = node->next;
        if (node->serial == serial) {
            pass_on(semaphore, node, &wakes);
        }
    }
    stoa__unlock(&thing->lock);
    stoa__wakes_do(&wakes);
}

static void
fork_child(stoa_thing *thing, uint32_t self)
{
    (void)self;
    stoa__nodes_withdraw(&stoa__semaphore(thing)->waiters, 0, true);
    stoa__nodes_withdraw(&stoa__semaphore(thing)->given, 0, true);
}

static void
describe(stoa_thing *thing, stoa_thing_info *info)
{
    stoa_semaphore *semaphore = stoa__semaphore(thing);
    stoa__lock(&thing->lock);
    info->depth = semaphore->value;
    info->limit = semaphore->bounded ? semaphore->bound : 0;
    info->waiters = semaphore->waiters.count;
    stoa__unlock(&thing->lock);
}

static const stoa_thing_class plain_class = {.name = "Semaphore",
                                             .end = end_semaphore,
                                             .interp_gone = interp_gone,
                                             .fork_child = fork_child,
                                             .describe = describe};
static const stoa_thing_class bounded_class = {.name = "BoundedSemaphore",
                                               .end = end_semaphore,
                                               .interp_gone = interp_gone,
                                               .fork_child = fork_child,
                                               .describe = describe};

stoa_err
stoa__semaphore_new(uint64_t value, bool bounded, stoa_semaphore **out)
{
    stoa_semaphore *semaphore = stoa__alloc(sizeof *semaphore);
    if (semaphore == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a semaphore");
    }
    semaphore->value = semaphore->bound = value;
    semaphore->bounded = bounded;
    stoa_err err = stoa__thing_open(&semaphore->thing, bounded ? &bounded_class : &plain_class,
                                    bounded ? STOA_THING_BOUNDED_SEMAPHORE : STOA_THING_SEMAPHORE);
    if (err != STOA_OK) {
        stoa__free(semaphore);
        return err;
    }
    *out = semaphore;
    return STOA_OK;
}
