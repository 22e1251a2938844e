#include "heap/intern.h"

#include "heap/batch_struct.h"
#include "heap/intern_struct.h"
#include "heap/process_struct.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SHORT 16u  /* bytes of content that the hash has a way of its own for */
#define SMALL 256u /* slots of a shard: smaller tables need not be asked for */

/* Why there is no data race, by C11:
 *  - Slots and views are atomics. An entry is one word (heap/intern_struct.h), stored with release and loaded with acquire,
 *    so tag and object always belong together, and the object's bytes were written before. Few bits of a tag are kept:
 *    equal ones say that it is worth comparing, nothing more.
 *  - An object is entered into a region's table when it is sealed: never written again, and its address means this object
 *    for as long as the region lives. What a batch has made before is in a table that only the batch's thread reads
 *    (heap/intern_own.h).
 *  - A slot array that was replaced is cleared after a grace period (heap/epoch.h): all who could be reading it have ended.
 *  - Every probe ends: an array always has an empty slot, and one that was replaced does not change any more.
 * Writers hold the shard's lock.
 */

/* Most content is short. What the hash does for that is little, if it is not asked how long it is again and again. */
__attribute__((flatten)) static inline XXH128_hash_t
hash_short(const void *bytes, size_t size, uint64_t seed)
{
    if (size > SHORT) {
        __builtin_unreachable();
    }
    return XXH3_128bits_withSeed(bytes, size, seed);
}

stoa_key
stoa__key(uint64_t tag, const void *bytes, size_t size)
{
    uint64_t seed = stoa__process->regions.intern_seed ^ tag * UINT64_C(0x9E3779B97F4A7C15);
    XXH128_hash_t hash = size <= SHORT ? hash_short(bytes, size, seed)
                                       : XXH3_128bits_withSeed(bytes, size, seed);
    /* the high half decides between equal low halves of different content about as well as one more comparison, so it is
     * folded in. Shard: the top bits; slot: the low ones. */
    return (stoa_key){hash.low64 ^ (hash.high64 << 32 | hash.high64 >> 32)};
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The object of this tag and content in one array, or NULL: then *vacant is the empty slot where the probe ended. `twin`: how
 * far its bytes are to be read from its address: those of the own batch in the writable view, whose pages are there already,
 * where the public one would fault them in. */
static inline const void *
probe(const slot *slots, size_t mask, unsigned place_bits, uintptr_t twin, uint64_t tag, stoa_same_fn same,
      const void *wanted, const slot **vacant)
{
    uint64_t kept = tag << place_bits >> place_bits;
    size_t turn = 0;
    for (size_t i = tag & mask;; i = next_slot(i, mask, &turn)) {
        /* acquire: pairs with the release store of put_slot */
        uint64_t entry = atomic_load_explicit(&slots[i], memory_order_acquire);
        if (entry == 0) {
            *vacant = &slots[i];
            return NULL;
        }
        if (entry_tag(place_bits, entry) == kept) {
            uintptr_t object = entry_object(place_bits, entry);
            if (same((const void *)(object + twin), wanted)) {
                return (const void *)object;
            }
        }
    }
}

static inline const void *
find_in_group(const stoa_own_group *group, uint64_t tag, stoa_same_fn same, const void *wanted)
{
    if ((group->marks[tag >> 6 & 3] >> (tag & 63) & 1) == 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < group->count; i++) {
        const stoa_own_entry *entry = &group->entries[i];
        if (entry->tag == tag && same(stoa__rw(entry->object), wanted)) {
            return entry->object;
        }
    }
    return NULL;
}

static inline const void *
find_own(stoa_own *own, uint64_t tag, stoa_same_fn same, const void *wanted)
{
    uintptr_t twin = stoa__process->space.alias_delta;
    if (own->slots != NULL) {
        const slot *vacant = NULL;
        const void *found = probe(own->slots + ((size_t)shard_index(tag) << own->log2), slot_mask(own->log2),
                                  own->place_bits, twin, tag, same, wanted, &vacant);
        own->vacant = (slot *)(uintptr_t)vacant;
        own->vacant_tag = tag;
        found = found == NULL ? find_in_group(&own->groups[0], tag, same, wanted) : found;
        return found == NULL ? find_in_group(&own->groups[1], tag, same, wanted) : found;
    }
    for (size_t i = 0; i < own->count; i++) {
        if (own->few[i].tag == tag && same((const char *)own->few[i].object + twin, wanted)) {
            return own->few[i].object;
        }
    }
    return NULL;
}

/* The slots, as views are, of the shard where `tag` belongs. 0: none, or there is no table. */
static inline uintptr_t
view_for(const stoa_intern_table *table, uint64_t tag)
{
    return table == NULL ? 0
                         : atomic_load_explicit(&table->shards[shard_index(tag)].view, memory_order_acquire);
}

static inline const void *
find_in(const stoa_region *region, uint64_t tag, stoa_same_fn same, const void *wanted)
{
    stoa_intern_table *table = table_of(region);
    uintptr_t view = view_for(table, tag);
    const slot *vacant;
    return view == 0
               ? NULL
               : probe(view_slots(view), view_mask(view), table->place_bits, 0, tag, same, wanted, &vacant);
}

const void *
stoa__intern_find(stoa_batch *batch, stoa_key key, stoa_same_fn same, const void *wanted)
{
    if ((batch->flags & (STOA_BATCH_INTERN | STOA_BATCH_FRESH)) != STOA_BATCH_INTERN) {
        batch->state->misses += (batch->flags & STOA_BATCH_INTERN) != 0;
        return NULL;
    }
    uint64_t tag = key.tag;
    stoa_region *general = stoa__process->regions.general;
    const void *found = NULL;
    if ((batch->flags & STOA_BATCH_UNMET) == 0) {
        found = find_own(&batch->state->own, tag, same, wanted);
    }
    if (found == NULL) {
        found = find_in(batch->region, tag, same, wanted);
    }
    if (found == NULL && batch->region != general) {
        found = find_in(general, tag, same, wanted);
    }
    *(found != NULL ? &batch->state->hits : &batch->state->misses) += 1;
    return found;
}

/* A table to ask the processor for; NULL: there is none, or a small one, which is in its cache anyway. One shard tells for all,
 * since entries are spread evenly. */
static inline const stoa_intern_table *
table_to_ask(const stoa_region *region)
{
    const stoa_intern_table *table = table_of(region);
    return table != NULL && view_mask(view_for(table, 0)) >= SMALL ? table : NULL;
}

size_t
stoa__intern_places(const stoa_batch *batch, const stoa_key *keys, size_t count, const void **out)
{
    const stoa_region *regions[2] = {batch->region, stoa__process->regions.general};
    const stoa_own *own = &batch->state->own;
    const void **next = out;
    if ((batch->flags & STOA_BATCH_INTERN) == 0) {
        return 0;
    }
    const slot *slots = own->slots;
    unsigned log2 = own->log2;
    for (size_t i = 0; slots != NULL && i < count; i++) {
        uint64_t tag = keys[i].tag;
        *next++ = (const void *)&slots[((size_t)shard_index(tag) << log2) + (tag & slot_mask(log2))];
    }
    for (int r = 0; r < 2 && (r == 0 || regions[1] != regions[0]); r++) {
        const stoa_intern_table *table = table_to_ask(regions[r]);
        for (size_t i = 0; table != NULL && i < count; i++) {
            uintptr_t view = view_for(table, keys[i].tag);
            *next = (const void *)&view_slots(view)[keys[i].tag & view_mask(view)];
            next += view != 0;
        }
    }
    return (size_t)(next - out);
}

/* The first object of this tag in the line of its slot. */
static inline const void *
hint(const slot *slots, size_t mask, unsigned place_bits, uintptr_t twin, uint64_t tag)
{
    uint64_t kept = tag << place_bits >> place_bits, entry = 1;
    size_t turn = 0;
    for (size_t i = tag & mask; turn < LINE && entry != 0; i = next_slot(i, mask, &turn)) {
        /* acquire: as in probe, though nothing is read */
        entry = atomic_load_explicit(&slots[i], memory_order_acquire);
        if (entry_tag(place_bits, entry) == kept && entry != 0) {
            return (const void *)(entry_object(place_bits, entry) + twin);
        }
    }
    return NULL;
}

static inline const void *
hint_in(const stoa_intern_table *table, uint64_t tag)
{
    uintptr_t view = view_for(table, tag);
    return view != 0 ? hint(view_slots(view), view_mask(view), table->place_bits, 0, tag) : NULL;
}

void
stoa__intern_hints(const stoa_batch *batch, const stoa_key *keys, size_t count, const void **out)
{
    const stoa_own *own = &batch->state->own;
    const stoa_region *general = stoa__process->regions.general;
    bool interning = (batch->flags & STOA_BATCH_INTERN) != 0;
    const stoa_intern_table *first = interning ? table_to_ask(batch->region) : NULL;
    const stoa_intern_table *second = interning && batch->region != general ? table_to_ask(general) : NULL;
    const slot *slots = interning ? own->slots : NULL;
    unsigned log2 = own->log2, place_bits = own->place_bits;
    uintptr_t twin = stoa__process->space.alias_delta;
    for (size_t i = 0; i < count; i++) {
        uint64_t tag = keys[i].tag;
        const void *found = NULL;
        if (slots != NULL) {
            found = hint(slots + ((size_t)shard_index(tag) << log2), slot_mask(log2), place_bits, twin, tag);
        }
        found = found == NULL && first != NULL ? hint_in(first, tag) : found;
        out[i] = found == NULL && second != NULL ? hint_in(second, tag) : found;
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void
stoa__intern_add(stoa_batch *batch, stoa_key key, const void *object)
{
    stoa_batch_state *state = batch->state;
    if ((batch->flags & STOA_BATCH_INTERN) != 0 && state->generation == stoa__fork_generation()) {
        stoa__own_add(batch, key.tag, object, (batch->flags & (STOA_BATCH_FRESH | STOA_BATCH_UNMET)) != 0);
    }
}

uint64_t
stoa__intern_entered(const stoa_batch *batch)
{
    const stoa_own *own = &batch->state->own;
    return own->count + own->groups[0].count + own->groups[1].count;
}

void
stoa__intern_settle(stoa_batch *batch)
{
    if (batch->state->generation == stoa__fork_generation()) {
        stoa__own_settle(batch);
    }
}
