/* The inside of an intern table, for intern.c (probing) and intern_table.c (arrays and the table as a whole). */
#ifndef STOA_HEAP_INTERN_STRUCT_H
#define STOA_HEAP_INTERN_STRUCT_H

#include "heap/epoch.h"
#include "heap/intern_table.h"
#include "heap/process_struct.h"

#define SHARD_BITS 5u
#define SHARDS (1u << SHARD_BITS)
#define LEAST_LOG2 5u /* 32 slots a shard */
#define MOST_LOG2 40u
#define TOMBSTONE ((uint64_t)1)
#define VIEW_LOG2 ((uintptr_t)63) /* low bits of a view; arrays are aligned to 64 */

/* 0 empty -> an entry -> TOMBSTONE (or 0 again, when the next slot is empty) -> another entry. An entry is one word: below,
 * the object's place in the heap in units of 8 bytes, counted from 2; above, as many of the tag's low bits as there is
 * room for: 26 with the default reserve. They say where the entry belongs in arrays of up to so many slots, so an array
 * can be replaced without a look at the objects, and nearly always whether it is the one that is looked for. */
typedef _Atomic uint64_t slot;

/* One shard's array is a piece of a slab, the slab of its size that all shards share: so arrays are neighbours, and huge
 * pages serve them. Two slabs a size, so that a shard can be rebuilt at the same size. */
typedef struct piece {
    stoa_deferred deferred; /* replaced, waiting for the grace period */
    struct slab *slab;
} piece;

typedef struct slab { /* guarded by the table's `slabs_lock`, but `memory` and `log2` are const */
    struct stoa_intern_table *table;
    slot *memory;
    size_t bytes;
    unsigned log2;
    uint32_t busy; /* a bit a shard: piece in use, or not cleared yet */
    piece pieces[SHARDS];
} slab;

typedef struct shard {
    _Alignas(64) _Atomic uintptr_t view; /* array | log2 of its slots; 0: none yet. Release by grow, acquire by readers */
    stoa_lock lock;                      /* STOA_RANK_INTERN: guards all below, and writing to slots */
    size_t used;                         /* slots that are not empty; <= slots * 5 / 8 */
    _Atomic size_t live;                 /* entries: relaxed, read anywhere */
    slab *home;
} shard;

typedef struct stoa_intern_table {
    shard shards[SHARDS];
    unsigned place_bits;  /* const: low bits of an entry that say where the object is */
    stoa_region *region;  /* const: whose it is. A replaced array holds a reference until it is cleared */
    stoa_lock slabs_lock; /* STOA_RANK_INTERN, taken after a shard's: guards slabs */
    slab *slabs[MOST_LOG2 + 1][2];
    _Atomic size_t bytes; /* relaxed */
} stoa_intern_table;

static inline shard *
shard_of(stoa_intern_table *table, uint64_t tag)
{
    return &table->shards[tag >> (64 - SHARD_BITS)];
}

static inline slot *
view_slots(uintptr_t view)
{
    return (slot *)(view & ~VIEW_LOG2);
}

static inline size_t
view_mask(uintptr_t view)
{
    return ((size_t)1 << (view & VIEW_LOG2)) - 1;
}

static inline uint64_t
entry_of(const stoa_intern_table *table, uint64_t tag, uintptr_t object)
{
    return tag << table->place_bits | ((object - stoa__process->space.public_base) / 8 + 2);
}

static inline uintptr_t
entry_object(const stoa_intern_table *table, uint64_t entry)
{
    uint64_t place = entry & (((uint64_t)1 << table->place_bits) - 1);
    return stoa__process->space.public_base + (uintptr_t)(place - 2) * 8;
}

/* The low bits of the entry's tag. */
static inline uint64_t
entry_tag(const stoa_intern_table *table, uint64_t entry)
{
    return entry >> table->place_bits;
}

static inline stoa_intern_table *
table_of(const stoa_region *region)
{
    return atomic_load_explicit(&region->intern, memory_order_acquire);
}

/* Asks the processor for the slot of `tag`. */
static inline void
stoa__intern_ask(stoa_intern_table *table, uint64_t tag)
{
    uintptr_t view = atomic_load_explicit(&shard_of(table, tag)->view, memory_order_acquire);
    if (view != 0) {
        __builtin_prefetch(&view_slots(view)[tag & view_mask(view)]);
    }
}

/* The table of the region, made if it is not there. Takes the region's lock. NULL: no memory. */
stoa_intern_table *stoa__intern_make(stoa_region *region);

/* Most slots of an array of 2^log2 that may be used before it is replaced. */
static inline size_t
most_used(unsigned log2)
{
    return ((size_t)5 << log2) / 8;
}

/* Another array for the shard: larger, or of the same size without the tombstones. Its lock is held, and a batch is open
 * on this thread (so that nothing is disposed of under the lock). False: no memory. */
bool stoa__intern_rebuild(stoa_intern_table *table, shard *own);

#endif
