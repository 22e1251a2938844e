/* Chunks: whole granules that a region has taken, and who may lay objects in them.
 *
 * A chunk with room is either in its region's list or with one batch. A batch lays objects from `fill` upwards; what was
 * laid and not sealed is forgotten on abort: the bytes are zeroed after a grace period (heap/batch.h says whom it is
 * for), and only then the chunk goes back to the list, or, if nothing in it was ever sealed, to the arena.
 * A chunk without room worth having is left to itself: its record is freed, the granule table still knows it.
 */
#ifndef STOA_HEAP_CHUNK_H
#define STOA_HEAP_CHUNK_H

#include "heap/epoch.h"
#include "heap/process.h"

typedef struct stoa_region stoa_region;

/* A region that may be retired has nothing at the very start of a chunk: that address stands in our own records and in
 * jemalloc's, and is no sign of anybody who holds an object (heap/search.h). */
#define STOA_CHUNK_FIRST ((size_t)16)
/* Nor at a multiple of this: jemalloc remembers, thread by thread, where it has looked, in such steps. */
#define STOA_CHUNK_STEP ((uintptr_t)1 << 30)

/* Invariants: (1) sealed <= fill <= size; (2) in the region's list: sealed == fill, and all bytes from fill are zero;
 * (3) sealed is the value in the granule table. */
typedef struct stoa_chunk {
    char *start;   /* public address */
    size_t size;   /* bytes */
    size_t sealed; /* bytes sealed when the batch got it */
    size_t fill;   /* end of what is laid down; owner: the batch */
    size_t prepared; /* bytes from start whose pages have been asked for; below fill: from fill on nothing has */
    bool big;        /* const: in a region, or for an object, that is worth huge pages */
    stoa_region *region;
    struct stoa_chunk *next; /* in the region's list, or in the batch's */
    stoa_deferred deferred;  /* aborted, waiting for the grace period */
    uint64_t generation; /* of the process, when it was aborted: a forked child does not touch the parent's */
} stoa_chunk;

/* A chunk with at least `size` bytes of room, at `alignment` (power of two <= STOA_GRANULE; the start of the room may be
 * moved up). `batch` is the identity written into the granule table. NULL: message set. Takes the region's lock. */
stoa_chunk *stoa__chunk_take(stoa_region *region, size_t size, size_t alignment, uintptr_t batch);

/* Bytes of room at `alignment`. */
size_t stoa__chunk_room(const stoa_chunk *chunk, size_t alignment);

/* Makes pages present ahead of use: from fill on, `least` bytes, and towards `wanted` where that is cheap. Returns how many
 * bytes from fill on may now be used: at least `least`, at most the room; 0: no memory (message set). */
size_t stoa__chunk_prepare(stoa_chunk *chunk, size_t least, size_t wanted);

/* Drops the writable twin's page table entries of what the batch laid down, when that is much. Before sealing, no lock
 * held: the batch writes nothing more. */
void stoa__chunk_drop_alias(const stoa_chunk *chunk);

/* Seals up to fill and gives the chunk back. The region's lock is held. The record may be freed. */
void stoa__chunk_seal(stoa_chunk *chunk);

/* Forgets what lies between sealed and fill. No lock held. The chunk comes back after a grace period. */
void stoa__chunk_abort(stoa_chunk *chunk);

/* Do the invariants hold for the chunks in the region's list? Takes the region's lock. */
bool stoa__chunk_check_list(stoa_region *region);

#endif
