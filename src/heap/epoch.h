/* Grace periods: when is nobody looking at this any more?
 *
 * Lock-free readers of an intern table may still hold an old slot array, or be comparing with an aborted object, after
 * a writer has taken it out. All such reading happens inside an open batch. So: each open batch holds the value of a
 * global counter at its begin; what is withdrawn at counter value n may be reused once every open batch began after n.
 */
#ifndef STOA_HEAP_EPOCH_H
#define STOA_HEAP_EPOCH_H

#include "stoa/base.h"

typedef struct stoa_epoch_slot { /* lives in the batch's state */
    uint64_t began;
    struct stoa_epoch_slot *prev, *next; /* guarded by STOA_RANK_EPOCH */
} stoa_epoch_slot;

void stoa__epoch_enter(stoa_epoch_slot *slot);
void stoa__epoch_leave(stoa_epoch_slot *slot); /* runs what has become due, with no lock held */

/* Calls dispose(arg) once all batches open now have ended (at once when there are none). */
void stoa__epoch_defer(void (*dispose)(void *), void *arg);

#endif
