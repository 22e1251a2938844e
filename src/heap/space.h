/* The address space of the shared heap: one range, one memfd, two views.
 *
 * Problem: every interpreter must use the same objects by pointer, and no instruction anywhere may change them.
 * Protecting pages after each freeze would cost a system call per share and could not protect a page that is half full.
 * So one range is reserved once and mapped twice from one memfd: the *public* view (PROT_READ; every object address lies
 * in it) and the *alias* (PROT_READ|PROT_WRITE, at the constant distance `alias_delta`), through which only Stoa writes.
 *
 * The range is cut into granules of STOA_GRANULE bytes. A *chunk* is one or more whole granules and is the unit that
 * jemalloc hands us; small objects are laid one behind the other in a chunk (heap/batch.h), a large object has a chunk
 * to itself. `granules[]` tells for every granule which region owns it and how far its content is sealed.
 *
 * Invariants
 *  1. public_base <= object address < public_base + reserved  <=>  the object is in the shared heap.
 *  2. alias address == public address + alias_delta, for the whole range, always.
 *  3. granules[g].region == 0  <=>  no chunk covers granule g.
 *  4. For the first granule f of a chunk: bytes [chunk, chunk + sealed) are sealed: never written again, visible to all.
 *     Bytes beyond belong to at most one batch (heap/batch.h) or to nobody. `sealed` only grows while the chunk lives.
 *  5. An address that was ever inside a sealed part is never handed out again in the life of the process.
 *  6. Granules below `fork_floor` were there before this process was forked: read-only for ever in this process; no
 *     page of them is written, purged or given back here (the parent may still be writing them).
 */
#ifndef STOA_HEAP_SPACE_H
#define STOA_HEAP_SPACE_H

#include "stoa/error.h"

#include <stdatomic.h>

#define STOA_GRANULE_SHIFT 20 /* 1 MiB */
#define STOA_GRANULE ((size_t)1 << STOA_GRANULE_SHIFT)

typedef struct stoa_granule {
    _Atomic uint32_t region; /* id of the owning region, 0 = free; written under space lock */
    uint32_t chunk_back;     /* granules back to the first granule of its chunk; const while region != 0 */
    _Atomic uint64_t sealed; /* first granule of a chunk only: bytes sealed from the chunk's start.
                                Release store by the batch that seals; acquire load in intern.c (visibility test). */
} stoa_granule;

typedef struct stoa_space {
    uintptr_t public_base; /* const after init */
    uintptr_t alias_delta; /* const after init: alias = public + alias_delta (modulo 2^64) */
    size_t reserved;       /* const after init: bytes of address range */
    uintptr_t frontier;    /* guarded by STOA_RANK_SPACE: addresses at and above were never handed out */
    uintptr_t fork_floor;  /* const between forks: see invariant 6 */
    size_t limit;          /* guarded by STOA_RANK_SPACE: bytes of chunks allowed in all (STOA_HEAP_LIMIT), 0 = no limit */
    int memfd;             /* of the part above fork_floor */
    stoa_granule *granules; /* const after init: reserved >> STOA_GRANULE_SHIFT entries, lazily backed */
} stoa_space;

/* Reserves and maps both views: STOA_HEAP_RESERVE bytes (default 1 TiB), halved until it fits. */
stoa_err stoa__space_init(stoa_space *space);

/* Hands out never used addresses for a chunk (multiple of STOA_GRANULE, aligned to `alignment`), grows the file.
 * `huge`: ask for huge pages. Returns the public address or NULL (message set). Takes the space lock. */
void *stoa__space_take(stoa_space *space, size_t size, size_t alignment);

/* Gives the pages of [address, address+size) back to the system (punches the file); the addresses stay used up. */
void stoa__space_punch(stoa_space *space, void *address, size_t size);

/* Drops the alias's page table entries for a sealed part, so that RSS counts its pages once. Loses nothing. */
void stoa__space_drop_alias(stoa_space *space, const void *address, size_t size);

#endif
