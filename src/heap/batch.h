/* A batch: all that one freeze, or one builder, puts into a region; it appears as a whole or not at all.
 *
 * Problem: a freeze that fails in the middle must leave nothing behind, cheap allocation must not take a lock per
 * object, and a graph used together should lie together. malloc per object gives none of the three.
 * Mechanism: a batch borrows one chunk of its region at a time and lays objects one behind the other above the chunk's
 * `sealed` mark. Nobody else looks above the mark: what the batch has made is in an intern table of its own
 * (heap/intern_own.h) until it is sealed. Commit moves the marks (release); abort forgets what lies above them. Objects of
 * STOA_BATCH_LARGE bytes and more get whole chunks where they fit into no open one; what such a chunk has left over is used
 * for small ones.
 *
 * A batch belongs to one thread at a time, and its struct may not be moved while it is open. Chunks in use by a batch are
 * in no list of the region.
 * Aborted chunks are reused when every batch that was open at the abort has ended (heap/epoch.h): a host may have passed the
 * address of an object to a builder on another thread before it aborted, which asks about it (stoa__batch_sees).
 *
 * Use:   stoa_batch b;
 *        if (stoa__batch_begin(&b, region, STOA_BATCH_INTERN) != STOA_OK) …
 *        void *p = stoa__batch_alloc(&b, size);     // public address, NULL: b.err and the message are set
 *        … write through stoa__rw(p) …
 *        stoa__batch_commit(&b)  or  stoa__batch_abort(&b)      // exactly one of them
 */
#ifndef STOA_HEAP_BATCH_H
#define STOA_HEAP_BATCH_H

#include "heap/process.h"

typedef struct stoa_region stoa_region;

#define STOA_BATCH_INTERN 1u /* hash-consing on */
#define STOA_BATCH_FRESH \
    2u /* set around making a container with a child that was laid down just now: none like it exists */
#define STOA_BATCH_BARE \
    4u /* set around laying down what stoa__fill will fill (heap/fill.h): no pages are asked for ahead */
#define STOA_BATCH_UNMET \
    8u /* set around making a container: the batch has made none like it, others may have */
#define STOA_BATCH_LARGE (STOA_GRANULE / 4)

typedef struct stoa_batch {
    char *next;           /* public address of the next free byte of the current chunk, multiple of 8 */
    char *end;            /* where the current chunk, or the quota taken from the region's limit, ends */
    uint64_t allocations; /* objects put down so far */
    uint64_t expected; /* intern entries that there will be in the end, as far as the caller can tell; 0: not known */
    stoa_region *region; /* holds a reference until the end of the batch */
    unsigned flags;
    stoa_err err;                   /* why the last allocation failed */
    struct stoa_batch_state *state; /* chunks taken, intern entries, epoch slot: private to batch.c */
} stoa_batch;

/* Opens a batch in `region` (NULL: the default region). Any thread, no GIL.
 * STOA_ENOMEM; STOA_EGONE when the region is retired. After a failure there is nothing to commit or abort. */
stoa_err stoa__batch_begin(stoa_batch *batch, stoa_region *region, unsigned flags);

/* The slow half of stoa__batch_alloc: new chunk, large object, limit. */
void *stoa__batch_alloc_slow(stoa_batch *batch, size_t size);

/* `size` bytes (0 counts as 8), 8-aligned, zeroed. Public address; NULL with batch->err and the message set. */
static inline void *
stoa__batch_alloc(stoa_batch *batch, size_t size)
{
    size_t whole = (size + 7) & ~(size_t)7; /* 0 for 0 and on overflow: both are for the slow half */
    if (whole - 1 < STOA_BATCH_LARGE && whole <= (size_t)(batch->end - batch->next)) {
        void *p = batch->next;
        batch->next += whole;
        batch->allocations++;
        return p;
    }
    return stoa__batch_alloc_slow(batch, size);
}

/* As stoa__batch_alloc with a greater alignment (power of two, <= STOA_GRANULE): for arrays. */
void *stoa__batch_alloc_aligned(stoa_batch *batch, size_t size, size_t alignment);

/* An object of the batch holds `handle`: one reference of it is taken over, in failure too, for as long as the region
 * lives. STOA_ENOMEM, also in batch->err. */
stoa_err stoa__batch_hold(stoa_batch *batch, uint64_t handle);

/* Seals all objects of the batch; they are visible to every thread that then gets their address. Cannot fail, but in a
 * process forked since the begin it is an abort: batch->err is STOA_EFORKED then, else STOA_OK or what it was. */
void stoa__batch_commit(stoa_batch *batch);

/* Withdraws all: intern entries forgotten, memory given back, region counters as before. Cannot fail. */
void stoa__batch_abort(stoa_batch *batch);

/* Is the object at this address of the heap sealed, or made by this batch? (false: by a batch that is still open, or was
 * aborted.) What the builder asks of children that a host passes in. No lock. */
bool stoa__batch_sees(const stoa_batch *batch, const void *address);

/* Bytes that the batch has put down so far. */
size_t stoa__batch_bytes(const stoa_batch *batch);

#endif
