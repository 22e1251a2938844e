/* jemalloc behind a region: arenas whose extents are chunks of the space.
 *
 * One arena a region, made with experimental.arenas_create_ext and metadata_use_hooks=false, so jemalloc keeps its own
 * bookkeeping elsewhere and never touches a page of ours. The alloc hook takes addresses from the space, the purge and
 * dalloc hooks punch; all refuse addresses below fork_floor. No thread caches: callers ask for whole granules.
 */
#ifndef STOA_HEAP_ARENA_H
#define STOA_HEAP_ARENA_H

#include "heap/space.h"

stoa_err stoa__arena_new(unsigned *out_arena);
/* Whole granules, granule-aligned (or more). Public address or NULL. May reuse what arena_free gave back. */
void *stoa__arena_alloc(unsigned arena, size_t size, size_t alignment);
void stoa__arena_free(unsigned arena, void *chunk, size_t size);
void stoa__arena_destroy(unsigned arena);

#endif
