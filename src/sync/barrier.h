/* A barrier between threads of any interpreters: `parties` come, then all go on.
 *
 * The last to come runs the action, if there is one, while the others wait on; then it lets them go. Whoever leaves in
 * another way (timeout, interrupt, closed interpreter, an action that raises, abort) breaks the barrier for all, until it
 * is reset. The next round may gather while the action of one runs; the rounds are told apart by number.
 *
 * Invariants (under thing.lock)
 *  1. arrived == nodes in waiters with owner == round  <  parties.
 *  2. broken  =>  waiters is empty.
 */
#ifndef STOA_SYNC_BARRIER_H
#define STOA_SYNC_BARRIER_H

#include "heap/thing.h"
#include "sync/item.h"
#include "sync/node.h"

typedef struct stoa_barrier {
    stoa_thing thing;
    uint64_t parties; /* const */
    double timeout;   /* const: of a wait without one; negative: none */
    stoa_item action; /* const: what the layer above makes of it; NOTHING: none. Dropped at the end */
    /* guarded by thing.lock */
    uint64_t arrived, round;
    bool broken;
    stoa_node_list waiters;
} stoa_barrier;

typedef enum stoa_barrier_result {
    STOA_BARRIER_LAST, /* run the action, then stoa__barrier_open with *round */
    STOA_BARRIER_WAIT, /* the node is in the list; settled: GIVEN, or SHUT when broken or reset */
    STOA_BARRIER_BROKEN
} stoa_barrier_result;

/* Takes the action over, in success only. STOA_ENOMEM. */
stoa_err stoa__barrier_new(uint64_t parties, double timeout, stoa_item *action, stoa_barrier **out);

static inline stoa_barrier *
stoa__barrier(stoa_thing *thing)
{
    return (stoa_barrier *)thing;
}

/* Any thread, no GIL needed, never wait. node->count becomes its place, 0 to parties - 1. */
stoa_barrier_result stoa__barrier_arrive(stoa_barrier *barrier, stoa_node *node, uint64_t *round);
void stoa__barrier_open(stoa_barrier *barrier, uint64_t round);
/* The waiter gives up: breaks it. False: the node is settled. */
bool stoa__barrier_withdraw(stoa_barrier *barrier, stoa_node *node);
void stoa__barrier_abort(stoa_barrier *barrier);
void stoa__barrier_reset(stoa_barrier *barrier); /* who waits gets SHUT; whole again */
/* A look: how many wait in this round, and is it broken? */
void stoa__barrier_look(stoa_barrier *barrier, uint64_t *waiting, bool *broken);

#endif
