#include "heap/intern.h"

#include "heap/batch_struct.h"
#include "heap/intern_struct.h"
#include "heap/memory.h"
#include "heap/process_struct.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

/* Why there is no data race, by C11:
 *  - Slots, views and marks are atomics. An entry is one word (heap/intern_struct.h), stored with release and loaded with
 *    acquire, so tag and object always belong together. Few bits of a tag are kept: equal ones say that it is worth
 *    comparing, nothing more.
 *  - A reader looks at an object's bytes only after its chunk's `sealed` (acquire) covers it, which is stored (release)
 *    after the bytes; or when it wrote them itself. Sealed bytes are never written again.
 *  - An address can come to mean another object only by abort. Its entry is withdrawn first, then a grace period passes
 *    (heap/epoch.h), then the bytes are zeroed and reused. So a reader that met the old entry has ended before; one that
 *    began after cannot meet it. The same holds for a slot array that was replaced: it is cleared after a grace period.
 *  - Every probe ends: an array always has an empty slot, and one that was replaced does not change any more.
 * Writers hold the shard's lock.
 */

stoa_key
stoa__key(uint64_t tag, const void *bytes, size_t size)
{
    uint64_t seed = stoa__process->regions.intern_seed ^ tag * UINT64_C(0x9E3779B97F4A7C15);
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, size, seed);
    return (stoa_key){hash.low64, hash.high64};
}

/* What is kept of a key; the high half decides between equal low halves of different content about as well as one more
 * comparison, so it is folded in. Shard: the top bits; slot: the low ones. */
static inline uint64_t
tag_of(stoa_key key)
{
    return key.lo ^ (key.hi << 32 | key.hi >> 32);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Laid down by the batch of this identity, and not sealed? */
static inline bool
is_open_part_of(uintptr_t object, uintptr_t batch)
{
    const stoa_space *space = &stoa__process->space;
    const stoa_granule *first = stoa__granule_first(space, (const void *)object);
    uintptr_t chunk = space->public_base + ((uintptr_t)(first - space->granules) << STOA_GRANULE_SHIFT);
    return atomic_load_explicit(&first->batch, memory_order_relaxed) == batch &&
           object - chunk >= atomic_load_explicit(&first->sealed, memory_order_relaxed);
}

/* Where the bytes of an object may be read: of the own batch in the writable view, whose pages are there already, where the
 * public one would fault them in. NULL: another batch's, not sealed. */
static inline const void *
readable(uintptr_t object, uintptr_t batch)
{
    const stoa_space *space = &stoa__process->space;
    const stoa_granule *first = stoa__granule_first(space, (const void *)object);
    uintptr_t chunk = space->public_base + ((uintptr_t)(first - space->granules) << STOA_GRANULE_SHIFT);
    /* acquire: pairs with the release store of stoa__chunk_seal */
    if (object - chunk < atomic_load_explicit(&first->sealed, memory_order_acquire)) {
        return (const void *)object;
    }
    return atomic_load_explicit(&first->batch, memory_order_relaxed) == batch ? stoa__rw((const void *)object)
                                                                              : NULL;
}

static const void *
look_up(stoa_intern_table *table, uintptr_t batch, uint64_t tag, stoa_same_fn same, const void *wanted)
{
    uintptr_t view = atomic_load_explicit(&shard_of(table, tag)->view, memory_order_acquire);
    if (view == 0) {
        return NULL;
    }
    const slot *slots = view_slots(view);
    size_t mask = view_mask(view);
    uint64_t kept = tag << table->place_bits >> table->place_bits;
    for (size_t i = tag & mask;; i = (i + 1) & mask) {
        /* acquire: pairs with the release store of enter */
        uint64_t entry = atomic_load_explicit(&slots[i], memory_order_acquire);
        if (entry == 0) {
            return NULL;
        }
        if (entry_tag(table, entry) == kept && entry != TOMBSTONE) {
            uintptr_t object = entry_object(table, entry);
            const void *bytes = readable(object, batch);
            if (bytes != NULL && same(bytes, wanted)) {
                return (const void *)object;
            }
        }
    }
}

const void *
stoa__intern_find(stoa_batch *batch, stoa_key key, stoa_same_fn same, const void *wanted)
{
    if ((batch->flags & (STOA_BATCH_INTERN | STOA_BATCH_FRESH)) != STOA_BATCH_INTERN) {
        batch->state->misses += (batch->flags & STOA_BATCH_INTERN) != 0;
        return NULL;
    }
    uint64_t tag = tag_of(key);
    stoa_region *general = stoa__process->regions.general;
    stoa_intern_table *table = table_of(batch->region);
    const void *found = stoa__recent_find(&batch->state->recent, tag, same, wanted);
    if (found == NULL && table != NULL) {
        found = look_up(table, (uintptr_t)batch->state, tag, same, wanted);
    }
    if (found == NULL && batch->region != general && (table = table_of(general)) != NULL) {
        found = look_up(table, (uintptr_t)batch->state, tag, same, wanted);
    }
    *(found != NULL ? &batch->state->hits : &batch->state->misses) += 1;
    return found;
}

static inline void
prefetch(const stoa_region *region, uint64_t tag)
{
    stoa_intern_table *table = table_of(region);
    if (table != NULL) {
        stoa__intern_ask(table, tag);
    }
}

void
stoa__intern_prefetch(const stoa_batch *batch, stoa_key key)
{
    stoa_region *general = stoa__process->regions.general;
    if ((batch->flags & STOA_BATCH_INTERN) == 0) {
        return;
    }
    prefetch(batch->region, tag_of(key));
    if (batch->region != general) {
        prefetch(general, tag_of(key));
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void
stoa__intern_add(stoa_batch *batch, stoa_key key, const void *object)
{
    stoa_batch_state *state = batch->state;
    if ((batch->flags & STOA_BATCH_INTERN) != 0 && state->generation == stoa__fork_generation()) {
        stoa__recent_add(batch, tag_of(key), object);
    }
}

void
stoa__intern_settle(stoa_batch *batch)
{
    if (batch->state->generation == stoa__fork_generation()) {
        stoa__recent_empty(batch);
    }
}

/* ---- withdrawing ------------------------------------------------------------------------------------------------- */

/* The lock of the shard is held. A slot before an empty one, and tombstones before it, become empty again: no probe can
 * be on its way past them to anything. */
static void
empty_slot(shard *own, slot *slots, size_t mask, size_t i)
{
    atomic_store_explicit(&own->live, atomic_load_explicit(&own->live, memory_order_relaxed) - 1,
                          memory_order_relaxed);
    atomic_store_explicit(&slots[i], TOMBSTONE, memory_order_relaxed);
    if (atomic_load_explicit(&slots[(i + 1) & mask], memory_order_relaxed) != 0) {
        return;
    }
    while (atomic_load_explicit(&slots[i], memory_order_relaxed) == TOMBSTONE) {
        atomic_store_explicit(&slots[i], 0, memory_order_relaxed);
        own->used--;
        i = (i - 1) & mask;
    }
}

static void
withdraw_one(stoa_intern_table *table, uint64_t tag, uintptr_t object)
{
    shard *own = shard_of(table, tag);
    stoa__lock(&own->lock);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    slot *slots = view_slots(view);
    size_t mask = view_mask(view);
    for (size_t i = tag & mask;; i = (i + 1) & mask) {
        uint64_t seen = atomic_load_explicit(&slots[i], memory_order_relaxed);
        if (seen == entry_of(table, tag, object)) {
            empty_slot(own, slots, mask, i);
            break;
        }
        if (seen == 0) {
            break;
        }
    }
    stoa__unlock(&own->lock);
}

static void
withdraw_from_shard(stoa_intern_table *table, unsigned index, uintptr_t batch)
{
    shard *own = &table->shards[index];
    stoa__lock(&own->lock);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    if (view != 0) {
        slot *slots = view_slots(view);
        size_t mask = view_mask(view);
        for (size_t i = mask + 1; i-- > 0;) { /* backwards: then most become empty, not tombstones */
            uint64_t entry = atomic_load_explicit(&slots[i], memory_order_relaxed);
            if (entry > TOMBSTONE && is_open_part_of(entry_object(table, entry), batch)) {
                empty_slot(own, slots, mask, i);
            }
        }
    }
    stoa__unlock(&own->lock);
}

void
stoa__intern_withdraw(stoa_batch *batch)
{
    stoa_batch_state *state = batch->state;
    stoa_intern_table *table = table_of(batch->region);
    if (table == NULL) {
        return;
    }
    if (state->indexed) {
        while (state->entry_count != 0) {
            stoa_batch_entry *entry = &state->entries[--state->entry_count];
            withdraw_one(table, entry->tag, (uintptr_t)entry->object);
        }
        return;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        withdraw_from_shard(table, i, (uintptr_t)state);
    }
}
