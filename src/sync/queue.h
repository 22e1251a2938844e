/* A queue between threads of any interpreters, and of none.
 *
 * One short lock, a ring of items, and lists of who waits. An item goes straight to the first who waits to get; when room
 * comes, the first who waits to put gets his item in. So it is first come, first served on both sides, no wake is lost
 * when a waiter gives up, and nobody is woken in vain. Nothing here waits: who has to is left in a list with his node
 * (sync/node.h), sleeps as he likes, and withdraws the node if he gives up.
 *
 * Invariants (under thing.lock)
 *  1. getters is not empty  =>  count == 0 and not shut.
 *  2. putters is not empty  =>  count >= limit > 0 and not shut. (More than limit: items that were given back.)
 *  3. capacity >= count + promised: an item handed to one who then gives up always has room to come back.
 *  4. unfinished == items put - task_done calls (- items thrown away by shutdown).
 */
#ifndef STOA_SYNC_QUEUE_H
#define STOA_SYNC_QUEUE_H

#include "heap/thing.h"
#include "sync/node.h"

typedef struct stoa_queue {
    stoa_thing thing;
    /* guarded by thing.lock */
    stoa_item *ring;
    size_t capacity, head; /* power of two; index of the oldest */
    bool shut;
    stoa_node_list getters, putters, joiners, given;
    uint64_t puts, gets;
    uint32_t last_tag; /* of items that waiting putters brought */
    /* written under thing.lock, read anywhere */
    _Atomic uint64_t limit; /* 0: none */
    _Atomic uint64_t count, unfinished;
    _Atomic uint64_t promised; /* nodes of getters that may still give an item back; taken down by them, anywhere */
} stoa_queue;

typedef enum stoa_queue_result {
    STOA_QUEUE_DONE,
    STOA_QUEUE_WAIT, /* full, or empty; with a node: it is in the list now */
    STOA_QUEUE_SHUT,
    STOA_QUEUE_NOMEM
} stoa_queue_result;

/* One reference for the caller (thing). STOA_ENOMEM. */
stoa_err stoa__queue_new(uint64_t limit, stoa_queue **out);

static inline stoa_queue *
stoa__queue(stoa_thing *thing)
{
    return (stoa_queue *)thing;
}

/* All: any thread, no GIL needed, never wait. The item is taken over (made NOTHING) when DONE, and, with a node, when WAIT.
 * A settled node: GIVEN, it is in; SHUT, its item is still in node->item, the caller's. */
stoa_queue_result stoa__queue_put(stoa_queue *queue, stoa_item *item, stoa_node *node);
/* A settled node: GIVEN, node->item is the caller's, who then says stoa__queue_taken; SHUT. */
stoa_queue_result stoa__queue_get(stoa_queue *queue, stoa_item *out, stoa_node *node);
/* As many of the items, in order, as go in without waiting: *done of them are taken over. WAIT: some were left. */
stoa_queue_result stoa__queue_put_many(stoa_queue *queue, stoa_item *items, size_t count, size_t *done);
/* Up to max. WAIT, SHUT: none. */
stoa_queue_result stoa__queue_get_many(stoa_queue *queue, stoa_item *items, size_t max, size_t *got);
/* Another limit: those who wait to put come in, as far as it goes; what is in it stays. */
void stoa__queue_set_limit(stoa_queue *queue, uint64_t limit);
/* Makes room for `count` more items, as far as the limit goes: putting them will not lack memory. False: no memory. */
bool stoa__queue_reserve(stoa_queue *queue, size_t count);

/* The caller takes node->item of a getter. A task's: false when its interpreter is gone and it was given back. */
bool stoa__queue_taken(stoa_queue *queue, stoa_node *node);
/* The waiter gives up. True: it was still waiting; a putter's item is the caller's again. False: it is settled; a getter's
 * item has been given back, before all others, or to the next who waits. */
bool stoa__queue_withdraw_put(stoa_queue *queue, stoa_node *node);
/* The same, and an item that has come in, but that nobody has got yet, is taken out again. */
bool stoa__queue_take_back(stoa_queue *queue, stoa_node *node);
bool stoa__queue_withdraw_get(stoa_queue *queue, stoa_node *node);

/* Items that could not be delivered: before all others, in this order. They are taken over; what there is no memory for is
 * dropped. No lock of ours held. */
void stoa__queue_put_back(stoa_queue *queue, stoa_item *items, size_t count);

bool stoa__queue_task_done(stoa_queue *queue); /* false: more often than items were put */
/* WAIT: somebody has yet to say task_done; the node is in the list. */
stoa_queue_result stoa__queue_join(stoa_queue *queue, stoa_node *node);
void stoa__queue_withdraw_join(stoa_queue *queue, stoa_node *node);
/* No more puts; gets until it is empty. `immediate`: it is emptied now. Idempotent. No lock of ours held. */
void stoa__queue_shutdown(stoa_queue *queue, bool immediate);
bool stoa__queue_is_shut(stoa_queue *queue);

#endif
