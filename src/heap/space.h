/* The address space of the shared heap: one range, one shared file, two views.
 *
 * Problem: every interpreter must use the same objects by pointer, and no instruction anywhere may change them.
 * Protecting pages after each freeze would cost a system call per share and could not protect a page that is half full.
 * So one range is reserved once and mapped twice from one memfd (all holes; closed once it is mapped, so that nobody
 * closes it under us): the *public* view (PROT_READ; every object address lies in it) and the *alias*
 * (PROT_READ|PROT_WRITE, at the constant distance `alias_delta`), through which only Stoa writes.
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

#include "heap/lock.h"
#include "heap/pages.h"
#include "stoa/error.h"

#include <stdatomic.h>

#define STOA_GRANULE_SHIFT 20 /* 1 MiB */
#define STOA_GRANULE ((size_t)1 << STOA_GRANULE_SHIFT)

typedef struct stoa_granule {
    _Atomic uint32_t region; /* id of the owning region, 0 = free; written by who takes or gives back the chunk */
    uint32_t chunk_back;     /* granules back to the first granule of its chunk; const while region != 0 */
    _Atomic uint64_t sealed; /* first granule of a chunk only: bytes sealed from the chunk's start.
                                  Release store by the batch that seals; acquire load in stoa__batch_sees. */
    _Atomic uintptr_t batch; /* first granule only: identity of the batch that has the chunk open, 0 = none. Relaxed: a
                                  batch only asks "is it mine", and only it stores its own identity */
    uint64_t size;           /* first granule only: bytes of the chunk; const while region != 0 */
} stoa_granule;

typedef struct stoa_space {
    stoa_lock lock;        /* STOA_RANK_SPACE */
    bool scarce;           /* const after init: pages must be asked for before they are written (heap/os.h) */
    uintptr_t public_base; /* const after init; aligned to STOA_HUGE_PAGE */
    uintptr_t alias_delta; /* const after init: alias = public + alias_delta */
    size_t reserved;       /* const after init: bytes of address range; a multiple of STOA_HUGE_PAGE */
    size_t limit;       /* const after init: bytes of chunks allowed in all (STOA_HEAP_LIMIT), 0 = no limit */
    uintptr_t frontier; /* guarded by lock: addresses at and above were never handed out */
    uintptr_t fork_floor; /* const between forks: see invariant 6 */
    bool closed;          /* const between forks: the child got no memory of its own; only reading works */
    _Atomic bool forked; /* a child may read the pages of this file: what was sealed is never punched again */
    _Atomic size_t chunk_bytes; /* bytes of chunks charged; <= limit; relaxed */
    stoa_pages pages;           /* which pages are cheap */
    stoa_granule *granules;     /* const after init: reserved >> STOA_GRANULE_SHIFT entries, lazily backed */
} stoa_space;

/* Reserves and maps both views: STOA_HEAP_RESERVE bytes (default 1 TiB), halved until it fits. STOA_EINVAL: a value of
 * STOA_HEAP_RESERVE or STOA_HEAP_LIMIT that is no size. STOA_ENOMEM: not even STOA_SPACE_LEAST fits. STOA_EOS. */
stoa_err stoa__space_init(stoa_space *space);
#define STOA_SPACE_LEAST ((size_t)16 << 20)
/* Undoes stoa__space_init: for a process that could not be opened. */
void stoa__space_end(stoa_space *space);

/* Hands out never used addresses (multiple of STOA_GRANULE, aligned to `alignment`, a power of two). Returns the public
 * address, or NULL when no addresses are left (no message). Takes the space lock; any other lock may be held. */
void *stoa__space_take(stoa_space *space, size_t size, size_t alignment);

/* Counts `size` bytes of chunks against the limit of the heap. False: the limit would be passed (no message). */
bool stoa__space_charge(stoa_space *space, size_t size);
void stoa__space_uncharge(stoa_space *space, size_t size);

/* Enters a chunk into the granule table, with nothing sealed; and takes it out again. */
void stoa__space_enter_chunk(stoa_space *space, void *chunk, size_t size, uint32_t region);
void stoa__space_remove_chunk(stoa_space *space, void *chunk);

/* Gives the pages of [address, address+size) back to the system; they read as zeros afterwards. Page-aligned. Never for
 * what was sealed while a child could have been forked: the child reads the same pages. Below fork_floor: nothing. */
void stoa__space_punch(stoa_space *space, void *address, size_t size);

/* Takes a chunk of a retired region out of the world: nothing of it is sealed, both views fault at its addresses, and its
 * pages go back to the system, unless a child may still read them: then with the last process that does. The granules keep
 * their region: the addresses are never used again. A view that cannot be replaced (no memory for a mapping) is only punched. */
void stoa__space_retire_chunk(stoa_space *space, void *chunk);

/* Drops the alias's page table entries for a sealed part, so that RSS counts its pages once. Loses nothing. */
void stoa__space_drop_alias(stoa_space *space, const void *address, size_t size);

/* The granule of a public address, and the first one of its chunk (the granule must have a region). */
static inline stoa_granule *
stoa__granule(const stoa_space *space, const void *address)
{
    return &space->granules[((uintptr_t)address - space->public_base) >> STOA_GRANULE_SHIFT];
}
static inline stoa_granule *
stoa__granule_first(const stoa_space *space, const void *address)
{
    stoa_granule *granule = stoa__granule(space, address);
    return granule - granule->chunk_back;
}

/* "4096", "64K", "10M", "2G", "1T", "1 TiB": bytes. False for anything else, and for what does not fit. */
bool stoa__parse_size(const char *text, size_t *out);

/* Do invariants 2-4 hold for every chunk? For tests and debug builds, while nobody takes or gives back chunks. */
bool stoa__space_check(stoa_space *space);

/* Fork. The child's part maps a shared object of the child's own over the range above the frontier. */
void stoa__space_fork_prepare(stoa_space *space);
void stoa__space_fork_parent(stoa_space *space);
void stoa__space_fork_child(stoa_space *space);

#endif
