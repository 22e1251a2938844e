/* What hangs off stoa__process: every part by value, in the order of their locks.
 *
 * A part `x` is a struct that its own header defines, with an init function called once by the creator before anybody
 * else can see the process, and functions for fork called by fork.c.
 * A change of any struct reachable from here is a change of STOA_PROCESS_VERSION.
 */
#ifndef STOA_HEAP_PROCESS_STRUCT_H
#define STOA_HEAP_PROCESS_STRUCT_H

#include "heap/counters.h"
#include "heap/epoch.h"
#include "heap/fork.h"
#include "heap/guard.h"
#include "heap/handle.h"
#include "heap/hold.h"
#include "heap/interp_table.h"
#include "heap/memory.h"
#include "heap/names.h"
#include "heap/process.h"
#include "heap/region_struct.h"
#include "heap/thing.h"

#define STOA_PROCESS_MAGIC UINT64_C(0x70616568616f7473) /* "stoaheap" in a dump */
#define STOA_PROCESS_VERSION 7u

/* The creator's jemalloc, called by every copy of the library. Const after init. See arena.h. */
typedef struct stoa_arena_ops {
    stoa_err (*new_arena)(unsigned *out_arena);
    void *(*alloc)(unsigned arena, size_t size, size_t alignment);
    void (*free)(unsigned arena, void *chunk, size_t size);
    void (*destroy)(unsigned arena);
} stoa_arena_ops;

struct stoa_process {
    _Atomic uint64_t magic; /* STOA_PROCESS_MAGIC once all the rest is there: release store, acquire by who adopts.
                               With version and size: what another copy checks before it adopts */
    uint32_t version;       /* const after init: STOA_PROCESS_VERSION */
    uint32_t size;          /* const after init: sizeof(stoa_process) */
    stoa_memory memory;   /* const after init */
    stoa_arena_ops arena; /* const after init */
    stoa_fork_state fork;
    stoa_interps interps;
    stoa_names names;
    stoa_handles handles;
    stoa_holds holds; /* guarded by the lock of handles */
    stoa_regions regions;
    stoa_epoch epoch;
    stoa_space space;
    stoa_things things;
    stoa_lock waits;            /* STOA_RANK_WAITS: see waiter.h; guards the three below */
    struct stoa_waiter *asleep; /* threads that wait, linked through next_asleep */
    struct stoa_waiter *living; /* threads that have a waiter, linked through next_living */
    uint32_t last_waiter;       /* number */
    stoa_counters counters;
    stoa_guard guard;
};

#endif
