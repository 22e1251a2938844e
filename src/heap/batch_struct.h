/* The inside of an open batch, for batch.c, intern.c and fork.c. */
#ifndef STOA_HEAP_BATCH_STRUCT_H
#define STOA_HEAP_BATCH_STRUCT_H

#include "heap/batch.h"
#include "heap/chunk.h"
#include "heap/epoch.h"
#include "heap/held.h"
#include "heap/intern_own.h"

#include <pthread.h>

/* Owner: the batch's thread; only `slot`'s links are touched by others. Its address is the identity of the batch in the
 * granule table.
 * Invariants: (1) batch->next and batch->end lie in `current`'s room, or all three are NULL; (2) laid + (next - start of
 * the window) is what the batch has put down, and <= charged while the region has a limit. */
typedef struct stoa_batch_state {
    stoa_epoch_slot slot; /* first, so that fork.c comes from the slot to the state */
    stoa_batch *batch;    /* const: the caller's struct, which may not move while open */
    pthread_t thread;     /* who began it: which batches are the forking thread's own */
    uint64_t generation;  /* of the process at begin */
    stoa_chunk *current;  /* small objects go here */
    stoa_chunk *others;   /* other chunks, full or with room */
    char *window;         /* batch->next when fill was last brought up to date */
    size_t step;          /* bytes of the next window */
    size_t laid;          /* bytes put down before `window` */
    size_t charged;       /* bytes taken from the region's limit */
    stoa_own own;         /* intern entries of what it has made */
    uint64_t hits, misses;
    stoa_held *held; /* handles that its objects hold, or NULL */
} stoa_batch_state;

/* In a forked child, for a batch of the forking thread: allocations fail from now on, and writes to objects that it has
 * laid down go to private memory that nobody sees. */
void stoa__batch_poison(stoa_batch_state *state);

#endif
