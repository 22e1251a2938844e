/* An event between threads of any interpreters: a flag that one waits for. Setting it settles all who wait.
 *
 * Invariant (under thing.lock): waiters is not empty  =>  not set.
 */
#ifndef STOA_SYNC_EVENT_H
#define STOA_SYNC_EVENT_H

#include "heap/thing.h"
#include "sync/node.h"

typedef struct stoa_event {
    stoa_thing thing;
    _Atomic uint32_t set;   /* written under thing.lock, read anywhere */
    stoa_node_list waiters; /* guarded by thing.lock */
} stoa_event;

stoa_err stoa__event_new(stoa_event **out); /* STOA_ENOMEM */

static inline stoa_event *
stoa__event(stoa_thing *thing)
{
    return (stoa_event *)thing;
}

static inline bool
stoa__event_is_set(const stoa_event *event)
{
    return atomic_load(&event->set) != 0;
}

/* Any thread, no GIL needed, never wait. */
void stoa__event_set(stoa_event *event);
void stoa__event_clear(stoa_event *event);
/* True: it is set. False: the node is in the list; settled: GIVEN. */
bool stoa__event_wait(stoa_event *event, stoa_node *node);
void stoa__event_withdraw(stoa_event *event, stoa_node *node);

#endif
