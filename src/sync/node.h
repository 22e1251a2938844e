/* Waiting for a thing: each who waits has a node in a list of the thing, and is handed what he waits for.
 *
 * Waking sleepers so that they look again (condition variables) wakes too many, lets late comers overtake, and loses wakes
 * when the woken one gives up. So who has something for a waiter takes the first node off the list, writes what it gets
 * into the node, and marks it settled, all under the thing's lock; the waiter only looks at its own node.
 *
 * A node is a thread's (it sleeps on its waiter, heap/waiter.h) or a task's of an event loop (`ring`, sync/bell.h).
 * The settler wakes after it has given up the lock: it collects whom to wake in a stoa_wakes.
 *
 * Invariants (under the thing's lock)
 *  1. state == WAITING  <=>  the node is in one of the thing's lists of waiters.
 *  2. What was given to a task's node lies in the thing's list `given` until the task takes it or gives it back.
 */
#ifndef STOA_SYNC_NODE_H
#define STOA_SYNC_NODE_H

#include "heap/waiter.h"
#include "sync/item.h"

#define STOA_NODE_WAITING 0u
#define STOA_NODE_GIVEN 1u     /* what was waited for has come */
#define STOA_NODE_SHUT 2u      /* shut down, aborted */
#define STOA_NODE_BROKEN 3u    /* the holder's interpreter is gone */
#define STOA_NODE_WITHDRAWN 4u /* given up by the waiter, or for it when its interpreter went */

typedef struct stoa_node {
    struct stoa_node *next, *previous; /* the thing's lock */
    struct stoa_node_list *list;       /* the thing's lock; NULL: in none */
    _Atomic uint32_t state; /* STOA_NODE_*: written under the thing's lock after all the rest (release), read anywhere */
    uint32_t serial;                      /* const: interpreter on whose behalf; 0: a thread outside all */
    stoa_waiter *waiter;                  /* const: whom to wake; NULL: a task's */
    void (*ring)(struct stoa_node *node); /* const: tells the task; called under the thing's lock. NULL: a thread's */
    uint64_t owner; /* locks: their word when it is the waiter's; barriers: generation */
    uint64_t count; /* RLock: how often; barrier: place; queue: tag of a putter's item that went in */
    struct stoa_waiter *whom; /* locks; the thing's lock: whom the waiter's edge stands for; a reference, or NULL */
    stoa_item item;           /* queues: to be put, or what was got */
} stoa_node;

typedef struct stoa_node_list {
    stoa_node *first, *last;
    uint32_t count;
} stoa_node_list;

#define STOA_WAKES 24
typedef struct stoa_wakes { /* on the settler's stack */
    uint32_t count;
    stoa_waiter *waiters[STOA_WAKES]; /* references */
} stoa_wakes;

static inline void
stoa__wakes_init(stoa_wakes *wakes)
{
    wakes->count = 0;
}
/* After the lock is given up. */
void stoa__wakes_do(stoa_wakes *wakes);

/* A node of this thread. `serial`: the interpreter it is in, 0: none. */
void stoa__node_init(stoa_node *node, stoa_waiter *waiter, uint32_t serial);

/* All these: the thing's lock held. */
void stoa__node_append(stoa_node_list *list, stoa_node *node);
void stoa__node_remove(stoa_node *node); /* in no list: nothing */
/* Takes a waiting node off its list and tells its waiter; a task's that is GIVEN goes into `given` (may be NULL). */
void stoa__node_settle(stoa_node *node, uint32_t state, stoa_node_list *given, stoa_wakes *wakes);
void stoa__nodes_settle_all(stoa_node_list *list, uint32_t state, stoa_wakes *wakes);
/* The nodes of an interpreter that is gone, all of them in a forked child (`everybody`): off the list. */
void stoa__nodes_withdraw(stoa_node_list *list, uint32_t serial, bool everybody);

static inline uint32_t
stoa__node_state(const stoa_node *node)
{
    return atomic_load_explicit(&node->state, memory_order_acquire); /* pairs with the release in settle */
}

/* Sleeps until the node is settled, without a GIL: for threads outside Python. STOA_OK, STOA_ETIMEDOUT,
 * STOA_EINTERRUPTED (a signal came); the node is still in its list unless OK. */
stoa_err stoa__node_sleep(const stoa_node *node, stoa_deadline deadline);

#endif
