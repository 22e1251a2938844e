/* jemalloc behind a region: arenas whose extents are chunks of the space.
 *
 * One arena a region, made with experimental.arenas_create_ext and metadata_use_hooks=false, so jemalloc keeps its own
 * bookkeeping elsewhere and never touches a page of ours. The alloc hook takes addresses from the space, the dalloc hook
 * punches; all refuse addresses below fork_floor. No thread caches: callers ask for whole granules.
 *
 * The jemalloc is that of the copy of the library that made the process; every copy calls it through the struct. Rule for
 * callers: hold the lock of the arena's region (rank REGION). So nobody is inside jemalloc when fork.c holds all of them,
 * whichever C library's fork() it was.
 */
#ifndef STOA_HEAP_ARENA_H
#define STOA_HEAP_ARENA_H

#include "heap/space.h"

struct stoa_arena_ops; /* process_struct.h */

/* Fills in this copy's jemalloc: for the creator of the process struct. */
void stoa__arena_offer(struct stoa_arena_ops *ops);

stoa_err stoa__arena_new(unsigned *out_arena);
/* Whole granules, granule-aligned (or more). Public address, or NULL without a message. May reuse what arena_free gave
 * back: the caller has zeroed or punched that. */
void *stoa__arena_alloc(unsigned arena, size_t size, size_t alignment);
/* Never for a chunk of which a part was ever sealed. */
void stoa__arena_free(unsigned arena, void *chunk, size_t size);
/* All chunks with it: their pages are given back, their addresses never used again. */
void stoa__arena_destroy(unsigned arena);

#endif
