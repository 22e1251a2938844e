/* Grace periods: when is nobody looking at this any more?
 *
 * Lock-free readers of an intern table may still hold an old slot array, or a builder be asking about an aborted object,
 * after it was withdrawn. All such reading happens inside an open batch. So: each open batch holds the value of a
 * global counter at its begin; what is withdrawn at counter value n may be reused once every open batch began after n.
 *
 * Why that is free of races: enter, leave and defer all happen under one lock. A batch that enters after a defer sees
 * what was withdrawn before that defer; a batch that had entered before it keeps `dispose` from running until its leave,
 * and its leave, under the lock, comes before the dispose that somebody then takes from the queue under the same lock.
 */
#ifndef STOA_HEAP_EPOCH_H
#define STOA_HEAP_EPOCH_H

#include "heap/lock.h"
#include "stoa/error.h"

typedef struct stoa_epoch_slot { /* lives in the batch's state */
    uint64_t began;
    struct stoa_epoch_slot *prev, *next; /* guarded by STOA_RANK_EPOCH */
} stoa_epoch_slot;

/* Something to be disposed of; lies inside the thing itself, so that withdrawing never needs memory. */
typedef struct stoa_deferred {
    void (*dispose)(struct stoa_deferred *self); /* called with no lock of rank EPOCH or above held by the library */
    uint64_t since;                              /* guarded by STOA_RANK_EPOCH */
    struct stoa_deferred *next;                  /* guarded by STOA_RANK_EPOCH */
} stoa_deferred;

/* Invariants: (1) `open` is sorted by `began`, ascending. (2) the queue is sorted by `since`, ascending.
 * (3) every `began` and `since` is <= now. (4) outside the lock: queue empty, or open not empty and its first `began`
 * <= the `since` of the queue's first. */
typedef struct stoa_epoch {
    stoa_lock lock; /* STOA_RANK_EPOCH: guards all below */
    uint64_t now;
    stoa_epoch_slot *oldest, *youngest; /* open batches */
    stoa_deferred *first, *last;        /* the queue */
} stoa_epoch;

stoa_err stoa__epoch_init(stoa_epoch *epoch);
void stoa__epoch_enter(stoa_epoch_slot *slot);
void stoa__epoch_leave(stoa_epoch_slot *slot); /* runs what has become due, with no lock held */

/* Calls deferred->dispose(deferred) once all batches open now have ended; at once, on this thread, when there are none.
 * No lock of rank >= REGION may be held. */
void stoa__epoch_defer(stoa_deferred *deferred);

/* Do the invariants hold? Takes the lock. */
bool stoa__epoch_check(void);

/* Fork. The child has no open batch, so all of the queue is due: it is returned, to be disposed of when all locks are
 * free. */
void stoa__epoch_fork_prepare(stoa_epoch *epoch);
void stoa__epoch_fork_parent(stoa_epoch *epoch);
stoa_deferred *stoa__epoch_fork_child(stoa_epoch *epoch);
void stoa__epoch_dispose(stoa_deferred *due);

#endif
