/* A condition between threads of any interpreters: who waits, and the lock that goes with it.
 *
 * Who waits has left his node before he lets go of the lock, so no notification is missed; who is notified takes the lock
 * again, in the order of its own list. A condition holds a reference of its lock, which several may share.
 */
#ifndef STOA_SYNC_CONDITION_H
#define STOA_SYNC_CONDITION_H

#include "sync/mutex.h"

typedef struct stoa_condition {
    stoa_thing thing;
    stoa_mutex *mutex;      /* const: a reference */
    stoa_node_list waiters; /* guarded by thing.lock */
} stoa_condition;

/* Takes a reference of its own of the mutex. STOA_ENOMEM. */
stoa_err stoa__condition_new(stoa_mutex *mutex, stoa_condition **out);

static inline stoa_condition *
stoa__condition(stoa_thing *thing)
{
    return (stoa_condition *)thing;
}

/* Any thread, no GIL needed, never wait. The node is in the list; settled: GIVEN. */
void stoa__condition_wait(stoa_condition *condition, stoa_node *node);
/* True: it was still waiting. */
bool stoa__condition_withdraw(stoa_condition *condition, stoa_node *node);
/* The first `count` who wait. */
void stoa__condition_notify(stoa_condition *condition, uint64_t count);

#endif
