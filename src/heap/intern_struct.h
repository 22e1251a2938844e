/* The inside of an intern table, for intern.c (probing) and intern_table.c (arrays and the table as a whole). */
#ifndef STOA_HEAP_INTERN_STRUCT_H
#define STOA_HEAP_INTERN_STRUCT_H

#include "heap/epoch.h"
#include "heap/intern_own.h"
#include "heap/intern_table.h"
#include "heap/process_struct.h"

#define SHARDS STOA_INTERN_SHARDS
#define LEAST_LOG2 3u /* 8 slots a shard: one line of them */
#define MOST_LOG2 40u
#define LINE 8u                   /* slots that lie in one line of the processor's cache */
#define VIEW_LOG2 ((uintptr_t)63) /* low bits of a view; arrays are aligned to 64 */

/* 0 empty -> an entry, for ever: what is entered is sealed. An entry is one word: below, the object's place in the heap in
 * units of 8 bytes, counted from 1; above, as many of the tag's low bits as there is room for: 26 with the default
 * reserve. They say where the entry belongs in arrays of up to so many slots, so an array can be replaced without a look
 * at the objects, and nearly always whether it is the one that is looked for.
 * A probe goes round the line of the tag's slot first, then round the next one; so it nearly always waits for one line. */
typedef _Atomic uint64_t slot;

/* One shard's array is a piece of a slab, the slab of its size that all shards share: so arrays are neighbours, and huge
 * pages serve them. Two slabs a size, for a batch may bring one (heap/intern_own.h) where there is one. */
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
    _Atomic size_t live;                 /* entries; <= most_used, relaxed, read anywhere */
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

static inline unsigned
shard_index(uint64_t tag)
{
    return (unsigned)(tag >> (64 - STOA_INTERN_SHARD_BITS));
}

static inline slot *
view_slots(uintptr_t view)
{
    return (slot *)(view & ~VIEW_LOG2);
}

static inline size_t
slot_mask(unsigned log2)
{
    return ((size_t)1 << log2) - 1;
}

static inline size_t
view_mask(uintptr_t view)
{
    return slot_mask((unsigned)(view & VIEW_LOG2));
}

static inline uint64_t
entry_of(unsigned place_bits, uint64_t tag, uintptr_t object)
{
    return tag << place_bits | ((object - stoa__process->space.public_base) / 8 + 1);
}

static inline uintptr_t
entry_object(unsigned place_bits, uint64_t entry)
{
    uint64_t place = entry & (((uint64_t)1 << place_bits) - 1);
    return stoa__process->space.public_base + (uintptr_t)(place - 1) * 8;
}

/* The low bits of the entry's tag. */
static inline uint64_t
entry_tag(unsigned place_bits, uint64_t entry)
{
    return entry >> place_bits;
}

/* The slot to look at after `i`, the `*turn`th so far (begin with 0). */
static inline size_t
next_slot(size_t i, size_t mask, size_t *turn)
{
    return ++*turn % LINE != 0 ? (i & ~(size_t)(LINE - 1)) | ((i + 1) % LINE) : (i + LINE) & mask;
}

/* Writes an entry into an array that has room and that nobody probes yet, or whose shard's lock is held. */
static inline void
put_slot(slot *slots, size_t mask, uint64_t tag, uint64_t entry)
{
    size_t turn = 0, i = tag & mask;
    while (atomic_load_explicit(&slots[i], memory_order_relaxed) != 0) {
        i = next_slot(i, mask, &turn);
    }
    /* release: pairs with the acquire load of probe */
    atomic_store_explicit(&slots[i], entry, memory_order_release);
}

/* Enters all entries of one array into another that has the room. */
static inline void
move_slots(unsigned place_bits, const slot *from, unsigned from_log2, slot *to, unsigned to_log2)
{
    for (size_t i = 0; i <= slot_mask(from_log2); i++) {
        uint64_t entry = atomic_load_explicit(&from[i], memory_order_relaxed);
        if (entry != 0) {
            put_slot(to, slot_mask(to_log2), entry_tag(place_bits, entry), entry);
        }
    }
}

/* Asks the processor for the slot of a tag; its low bits will do. */
static inline void
ask_slot(uintptr_t view, uint64_t tag)
{
    if (view != 0) {
        __builtin_prefetch(&view_slots(view)[tag & view_mask(view)]);
    }
}

static inline stoa_intern_table *
table_of(const stoa_region *region)
{
    return atomic_load_explicit(&region->intern, memory_order_acquire);
}

/* The table of the region, made if it is not there. Takes the region's lock. NULL: no memory. */
stoa_intern_table *stoa__intern_make(stoa_region *region);

/* Most slots of an array of 2^log2 that may be used before it is replaced. */
static inline size_t
most_used(unsigned log2)
{
    return ((size_t)11 << log2) / 16;
}

/* How many bits an array of this size grows by: small ones four times at once, since they are soon outgrown. */
static inline unsigned
stoa__intern_growth(unsigned log2)
{
    return log2 < 14 ? 2 : 1; /* such a slab has 4 MiB at most */
}

/* Enters an entry into the shard, whose lock is held while a batch is open on this thread (so that nothing is disposed of
 * under the lock). False: no memory. */
bool stoa__intern_enter(stoa_intern_table *table, shard *to, uint64_t entry);

/* ---- slabs: what a batch brings (heap/intern_own.h) ---------------------------------------------------------------- */

slab *stoa__slab_make(stoa_intern_table *table, unsigned log2); /* all empty; NULL: no memory */
void stoa__slab_free(slab *old);                                /* nobody else has seen it */
/* The slab becomes the table's, all its pieces in use. False: there is no place for another one of its size. */
bool stoa__slab_keep(stoa_intern_table *table, slab *brought);
/* Its piece for this shard becomes the shard's array: it has `count` entries, and gets those that were there. The lock is
 * held. False: they are too many; nothing has changed. */
bool stoa__intern_take_over(stoa_intern_table *table, shard *own, slab *brought, size_t count);
/* A piece that was not taken over. No lock. */
void stoa__slab_give_up(slab *brought, unsigned index);

#endif
