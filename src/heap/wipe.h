/* Addresses of shared objects that would stay behind in memory of our own.
 *
 * Who retires a region looks for its addresses in all memory (heap/search.h). What malloc has free is left out, but whoever is
 * given such a block next may not fill all of it, and the frames that a thread waits in have holes: what a walk or a search has
 * left there counts as a holder, for as long as that lasts. So it is overwritten where it was.
 */
#ifndef STOA_HEAP_WIPE_H
#define STOA_HEAP_WIPE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Larger blocks, whose memory costs time, are mappings of their own mostly, which go when they are freed. */
#define STOA_WIPE_MOST ((size_t)64 << 10)

/* Before it is freed. */
static inline void
stoa__wipe(void *block, size_t size)
{
    if (size <= STOA_WIPE_MOST) {
        explicit_bzero(block, size);
    }
}

/* free(), of what may be NULL. `wipe`: it may hold addresses of a region that can be retired. */
static inline void
stoa__wipe_free(void *block, size_t size, bool wipe)
{
    if (wipe && block != NULL) {
        stoa__wipe(block, size);
    }
    free(block);
}

/* What lies below the caller's frame, as far down as a walk or a search goes. */
void stoa__wipe_stack(void);

#endif
