/* A semaphore between threads of any interpreters. What is released goes to the first who waits.
 *
 * Invariants (under thing.lock)
 *  1. waiters is not empty  =>  value == 0.
 *  2. bounded  =>  value <= bound.
 */
#ifndef STOA_SYNC_SEMAPHORE_H
#define STOA_SYNC_SEMAPHORE_H

#include "heap/thing.h"
#include "sync/node.h"

typedef struct stoa_semaphore {
    stoa_thing thing;
    uint64_t bound; /* const: of a bounded one, its first value */
    bool bounded;   /* const */
    uint64_t value; /* this and the rest guarded by thing.lock */
    stoa_node_list waiters, given;
} stoa_semaphore;

stoa_err stoa__semaphore_new(uint64_t value, bool bounded, stoa_semaphore **out); /* STOA_ENOMEM */

static inline stoa_semaphore *
stoa__semaphore(stoa_thing *thing)
{
    return (stoa_semaphore *)thing;
}

/* Any thread, no GIL needed, never wait. True: one was taken. False: none is left; the node, where there is one, is in
 * the list; settled: GIVEN. */
bool stoa__semaphore_acquire(stoa_semaphore *semaphore, stoa_node *node);
/* False: a bounded one would pass its bound (or any 2^63); nothing is released. */
bool stoa__semaphore_release(stoa_semaphore *semaphore, uint64_t count);
/* The waiter gives up. True: it was still waiting. False: it is settled, and what it was given is released. */
bool stoa__semaphore_withdraw(stoa_semaphore *semaphore, stoa_node *node);
/* A task takes what it was given: false when its interpreter is gone. */
bool stoa__semaphore_taken(stoa_semaphore *semaphore, stoa_node *node);
uint64_t stoa__semaphore_value(stoa_semaphore *semaphore);

#endif
