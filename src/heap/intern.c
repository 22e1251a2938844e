#include "heap/intern.h"

#include "heap/batch_struct.h"
#include "heap/intern_table.h"
#include "heap/memory.h"
#include "heap/os.h"
#include "heap/process_struct.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

/* Why there is no data race, by C11:
 *  - Slots, views and marks are atomics. A slot's tag is stored before its object (release); a reader loads the object
 *    (acquire), then the tag: it sees this object's tag or a later one's. A later one's only when ours was withdrawn,
 *    and then the visibility test refuses the object, so a mixed pair costs at most a miss.
 *  - A reader looks at an object's bytes only after its chunk's `sealed` (acquire) covers it, which is stored (release)
 *    after the bytes; or when it wrote them itself. Sealed bytes are never written again.
 *  - An address can come to mean another object only by abort. Its entry is withdrawn first, then a grace period passes
 *    (heap/epoch.h), then the bytes are zeroed and reused. So a reader that met the old entry has ended before; one that
 *    began after cannot meet it. The same holds for a slot array that was replaced: it is cleared after a grace period.
 *  - Every probe ends: an array always has an empty slot, and one that was replaced does not change any more.
 * Writers hold the shard's lock.
 */

#define SHARD_BITS 5u
#define SHARDS (1u << SHARD_BITS)
#define LEAST_LOG2 5u /* 32 slots a shard */
#define MOST_LOG2 40u
#define TOMBSTONE ((uintptr_t)1)
#define VIEW_LOG2 ((uintptr_t)63) /* low bits of a view; arrays are aligned to 64 */

/* object: 0 empty -> an address -> TOMBSTONE (or 0 again, when the next slot is empty) -> another address */
typedef struct slot {
    _Atomic uint64_t tag;
    _Atomic uintptr_t object;
} slot;

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
    stoa_region *region;  /* const: whose it is. A replaced array holds a reference until it is cleared */
    stoa_lock slabs_lock; /* STOA_RANK_INTERN, taken after a shard's: guards slabs */
    slab *slabs[MOST_LOG2 + 1][2];
    _Atomic size_t bytes; /* relaxed */
} stoa_intern_table;

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

static inline stoa_intern_table *
table_of(const stoa_region *region)
{
    return atomic_load_explicit(&region->intern, memory_order_acquire);
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

static inline bool
is_visible(uintptr_t object, uintptr_t batch)
{
    const stoa_space *space = &stoa__process->space;
    const stoa_granule *first = stoa__granule_first(space, (const void *)object);
    uintptr_t chunk = space->public_base + ((uintptr_t)(first - space->granules) << STOA_GRANULE_SHIFT);
    /* acquire: pairs with the release store of stoa__chunk_seal */
    return object - chunk < atomic_load_explicit(&first->sealed, memory_order_acquire) ||
           atomic_load_explicit(&first->batch, memory_order_relaxed) == batch;
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
    for (size_t i = tag & mask;; i = (i + 1) & mask) {
        uintptr_t object = atomic_load_explicit(&slots[i].object, memory_order_acquire);
        if (object == 0) {
            return NULL;
        }
        /* relaxed: ordered by the acquire load of the object */
        if (atomic_load_explicit(&slots[i].tag, memory_order_relaxed) == tag && object != TOMBSTONE &&
            is_visible(object, batch) && same((const void *)object, wanted)) {
            return (const void *)object;
        }
    }
}

static const void *
find_waiting(const stoa_batch_state *state, uint64_t tag, stoa_same_fn same, const void *wanted)
{
    for (uint32_t i = 0; i < state->waiting_count; i++) {
        const stoa_batch_entry *entry = &state->waiting[(state->waiting_first + i) % STOA_BATCH_WAITING];
        if (entry->tag == tag && same(entry->object, wanted)) {
            return entry->object;
        }
    }
    return NULL;
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
    const void *found = table != NULL ? look_up(table, (uintptr_t)batch->state, tag, same, wanted) : NULL;
    if (found == NULL && batch->region != general && (table = table_of(general)) != NULL) {
        found = look_up(table, (uintptr_t)batch->state, tag, same, wanted);
    }
    if (found == NULL && batch->state->waiting_count != 0) {
        found = find_waiting(batch->state, tag, same, wanted);
    }
    *(found != NULL ? &batch->state->hits : &batch->state->misses) += 1;
    return found;
}

static inline void
prefetch(const stoa_region *region, uint64_t tag)
{
    stoa_intern_table *table = table_of(region);
    if (table != NULL) {
        uintptr_t view = atomic_load_explicit(&shard_of(table, tag)->view, memory_order_acquire);
        if (view != 0) {
            __builtin_prefetch(&view_slots(view)[tag & view_mask(view)]);
        }
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

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

static size_t
most_used(unsigned log2)
{
    return ((size_t)5 << log2) / 8;
}

static slab *
make_slab(stoa_intern_table *table, unsigned log2)
{
    slab *fresh = stoa__alloc(sizeof *fresh);
    if (fresh == NULL) {
        return NULL;
    }
    fresh->table = table;
    fresh->log2 = log2;
    fresh->bytes = (sizeof(slot) * SHARDS) << log2;
    fresh->memory = stoa__os_alloc(fresh->bytes, stoa__pages_prefer_huge(&stoa__process->space.pages));
    if (fresh->memory == NULL) {
        stoa__free(fresh);
        return NULL;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        fresh->pieces[i].slab = fresh;
    }
    atomic_fetch_add_explicit(&table->bytes, fresh->bytes, memory_order_relaxed);
    return fresh;
}

static void
free_slab(slab *old)
{
    atomic_fetch_sub_explicit(&old->table->bytes, old->bytes, memory_order_relaxed);
    stoa__os_free(old->memory, old->bytes);
    stoa__free(old);
}

/* A cleared array of 2^log2 slots for shard `index`; NULL: none. The shard's lock is held. */
static slab *
take_piece(stoa_intern_table *table, unsigned index, unsigned log2)
{
    slab *got = NULL;
    if (log2 > MOST_LOG2) {
        return NULL;
    }
    stoa__lock_another(&table->slabs_lock);
    for (int way = 0; way < 2 && got == NULL; way++) {
        slab **place = &table->slabs[log2][way];
        if (*place == NULL) {
            *place = make_slab(table, log2);
        }
        if (*place == NULL) {
            break;
        }
        if (((*place)->busy >> index & 1) == 0) {
            got = *place;
            got->busy |= 1u << index;
        }
    }
    stoa__unlock(&table->slabs_lock);
    return got;
}

/* Nobody reads the piece any more. */
static void
give_piece(stoa_deferred *deferred)
{
    piece *old = (piece *)((char *)deferred - offsetof(piece, deferred));
    slab *home = old->slab;
    unsigned index = (unsigned)(old - home->pieces);
    size_t bytes = sizeof(slot) << home->log2;
    slot *memory = home->memory + ((size_t)index << home->log2);
    stoa_intern_table *table = home->table;
    stoa__lock_another(&table->slabs_lock);
    home->busy &= ~(1u << index);
    bool last = home->busy == 0;
    if (last) {
        slab **place = table->slabs[home->log2];
        place[place[1] == home] = NULL;
    }
    else if (bytes % stoa__os_page_size() == 0) {
        stoa__os_clear(memory, bytes);
    }
    else {
        memset(memory, 0, bytes);
    }
    stoa__unlock(&table->slabs_lock);
    if (last) {
        free_slab(home);
    }
    stoa__region_unref(table->region);
}

static void
put_slot(slot *slots, size_t mask, uint64_t tag, uintptr_t object)
{
    size_t i = tag & mask;
    while (atomic_load_explicit(&slots[i].object, memory_order_relaxed) != 0) {
        i = (i + 1) & mask;
    }
    atomic_store_explicit(&slots[i].tag, tag, memory_order_relaxed);
    atomic_store_explicit(&slots[i].object, object, memory_order_relaxed); /* published with the view */
}

/* Another array for the shard: larger, or of the same size without the tombstones. Its lock is held. False: no memory. */
static bool
rebuild(stoa_intern_table *table, shard *own)
{
    unsigned index = (unsigned)(own - table->shards);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    size_t live = atomic_load_explicit(&own->live, memory_order_relaxed);
    unsigned log2 = view == 0 ? LEAST_LOG2 : (unsigned)(view & VIEW_LOG2);
    slab *home = NULL;
    if (view == 0 || live <= most_used(log2) / 2) {
        home = take_piece(table, index, log2);
    }
    if (home == NULL) {
        log2 += view != 0;
        home = take_piece(table, index, log2);
    }
    if (home == NULL) {
        return false;
    }
    slot *slots = home->memory + ((size_t)index << log2);
    size_t mask = ((size_t)1 << log2) - 1;
    slot *old = view_slots(view);
    size_t count = view != 0 ? view_mask(view) + 1 : 0;
    for (size_t i = 0; i < count; i++) {
        uintptr_t object = atomic_load_explicit(&old[i].object, memory_order_relaxed);
        if (object > TOMBSTONE) {
            put_slot(slots, mask, atomic_load_explicit(&old[i].tag, memory_order_relaxed), object);
        }
    }
    /* release: pairs with the acquire loads of readers; publishes all slots of the array */
    atomic_store_explicit(&own->view, (uintptr_t)slots | log2, memory_order_release);
    own->used = live;
    if (own->home != NULL) {
        stoa_deferred *deferred = &own->home->pieces[index].deferred;
        deferred->dispose = give_piece;
        stoa__region_ref(table->region); /* give_piece gives it up */
        stoa__epoch_defer(deferred);
    }
    own->home = home;
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static stoa_intern_table *
make_table(stoa_region *region)
{
    stoa_intern_table *table = table_of(region);
    if (table != NULL) {
        return table;
    }
    stoa__lock(&region->lock);
    table = table_of(region);
    if (table == NULL && (table = stoa__os_alloc(sizeof *table, false)) != NULL) {
        for (unsigned i = 0; i < SHARDS; i++) {
            stoa__lock_init(&table->shards[i].lock, STOA_RANK_INTERN);
        }
        stoa__lock_init(&table->slabs_lock, STOA_RANK_INTERN);
        atomic_init(&table->bytes, sizeof *table);
        table->region = region;
        atomic_store_explicit(&region->intern, table, memory_order_release);
    }
    stoa__unlock(&region->lock);
    return table;
}

static bool
enter(stoa_intern_table *table, uint64_t tag, uintptr_t object)
{
    shard *own = shard_of(table, tag);
    stoa__lock(&own->lock);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    if (view == 0 || own->used + 1 > most_used((unsigned)(view & VIEW_LOG2))) {
        /* an array that cannot be replaced may be filled up to its last but one slot */
        if (!rebuild(table, own) && (view == 0 || own->used >= view_mask(view))) {
            stoa__unlock(&own->lock);
            return false;
        }
        view = atomic_load_explicit(&own->view, memory_order_relaxed);
    }
    slot *slots = view_slots(view);
    size_t mask = view_mask(view);
    size_t i = tag & mask;
    uintptr_t seen;
    while ((seen = atomic_load_explicit(&slots[i].object, memory_order_relaxed)) > TOMBSTONE) {
        i = (i + 1) & mask;
    }
    own->used += seen == 0;
    atomic_store_explicit(&slots[i].tag, tag, memory_order_relaxed);
    /* release: pairs with the acquire load of look_up; the tag comes with it */
    atomic_store_explicit(&slots[i].object, object, memory_order_release);
    atomic_store_explicit(&own->live, atomic_load_explicit(&own->live, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    stoa__unlock(&own->lock);
    return true;
}

/* Remembers the entry for an abort. Without memory, or with many, an abort will look through the table. */
static void
note_entry(stoa_batch_state *state, uint64_t tag, const void *object)
{
    if (!state->indexed) {
        return;
    }
    if (state->entry_count == state->entry_capacity) {
        uint32_t capacity = state->entry_capacity == 0 ? 16 : state->entry_capacity * 4;
        stoa_batch_entry *more = capacity <= STOA_BATCH_ENTRIES ? stoa__alloc(capacity * sizeof *more) : NULL;
        if (more == NULL) {
            state->indexed = false;
            return;
        }
        if (state->entry_count != 0) {
            memcpy(more, state->entries, state->entry_count * sizeof *more);
        }
        stoa__free(state->entries);
        state->entries = more;
        state->entry_capacity = capacity;
    }
    state->entries[state->entry_count++] = (stoa_batch_entry){tag, object};
}

static void
enter_now(stoa_batch *batch, uint64_t tag, const void *object)
{
    stoa_intern_table *table = make_table(batch->region);
    if (table == NULL || !enter(table, tag, (uintptr_t)object)) {
        STOA_COUNT(&stoa__process->counters, intern_unentered);
        return;
    }
    note_entry(batch->state, tag, object);
}

static void
enter_oldest(stoa_batch *batch)
{
    stoa_batch_state *state = batch->state;
    const stoa_batch_entry *oldest = &state->waiting[state->waiting_first];
    enter_now(batch, oldest->tag, oldest->object);
    state->waiting_first = (state->waiting_first + 1) % STOA_BATCH_WAITING;
    state->waiting_count--;
}

void
stoa__intern_add(stoa_batch *batch, stoa_key key, const void *object)
{
    stoa_batch_state *state = batch->state;
    if ((batch->flags & STOA_BATCH_INTERN) == 0 || state->generation != stoa__fork_generation()) {
        return;
    }
    uint64_t tag = tag_of(key);
    if ((batch->flags & STOA_BATCH_FRESH) == 0) {
        enter_now(batch, tag, object);
        return;
    }
    prefetch(batch->region, tag);
    if (state->waiting_count == STOA_BATCH_WAITING) {
        enter_oldest(batch);
    }
    uint32_t at = (state->waiting_first + state->waiting_count++) % STOA_BATCH_WAITING;
    state->waiting[at] = (stoa_batch_entry){tag, object};
}

void
stoa__intern_settle(stoa_batch *batch)
{
    while (batch->state->waiting_count != 0 && batch->state->generation == stoa__fork_generation()) {
        enter_oldest(batch);
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
    atomic_store_explicit(&slots[i].object, TOMBSTONE, memory_order_relaxed);
    if (atomic_load_explicit(&slots[(i + 1) & mask].object, memory_order_relaxed) != 0) {
        return;
    }
    while (atomic_load_explicit(&slots[i].object, memory_order_relaxed) == TOMBSTONE) {
        atomic_store_explicit(&slots[i].object, 0, memory_order_relaxed);
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
        uintptr_t seen = atomic_load_explicit(&slots[i].object, memory_order_relaxed);
        if (seen == object && atomic_load_explicit(&slots[i].tag, memory_order_relaxed) == tag) {
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
withdraw_from_shard(shard *own, uintptr_t batch)
{
    stoa__lock(&own->lock);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    if (view != 0) {
        slot *slots = view_slots(view);
        size_t mask = view_mask(view);
        for (size_t i = mask + 1; i-- > 0;) { /* backwards: then most become empty, not tombstones */
            uintptr_t object = atomic_load_explicit(&slots[i].object, memory_order_relaxed);
            if (object > TOMBSTONE && is_open_part_of(object, batch)) {
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
        withdraw_from_shard(&table->shards[i], (uintptr_t)state);
    }
}

/* ---- the table as a whole ---------------------------------------------------------------------------------------- */

void
stoa__intern_table_free(stoa_intern_table *table)
{
    if (table == NULL) {
        return;
    }
    for (unsigned log2 = 0; log2 <= MOST_LOG2; log2++) {
        for (int way = 0; way < 2; way++) {
            if (table->slabs[log2][way] != NULL) {
                free_slab(table->slabs[log2][way]);
            }
        }
    }
    stoa__os_free(table, sizeof *table);
}

void
stoa__intern_table_stats(const stoa_region *region, uint64_t *out_entries, size_t *out_bytes)
{
    stoa_intern_table *table = table_of(region);
    *out_entries = 0;
    *out_bytes = 0;
    if (table == NULL) {
        return;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        *out_entries += atomic_load_explicit(&table->shards[i].live, memory_order_relaxed);
    }
    *out_bytes = atomic_load_explicit(&table->bytes, memory_order_relaxed);
}

static bool
check_shard(stoa_intern_table *table, unsigned index)
{
    shard *own = &table->shards[index];
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    size_t live = 0, used = 0;
    bool good = true;
    size_t count = view != 0 ? view_mask(view) + 1 : 0;
    slot *slots = view_slots(view);
    for (size_t i = 0; i < count && good; i++) {
        uintptr_t object = atomic_load_explicit(&slots[i].object, memory_order_relaxed);
        uint64_t tag = atomic_load_explicit(&slots[i].tag, memory_order_relaxed);
        used += object != 0;
        if (object > TOMBSTONE) {
            live++;
            good = shard_of(table, tag) == own && stoa__in_heap((const void *)object);
            for (size_t k = tag & (count - 1); good && k != i; k = (k + 1) & (count - 1)) {
                good = atomic_load_explicit(&slots[k].object, memory_order_relaxed) != 0;
            }
        }
    }
    return good && used == own->used && live == atomic_load_explicit(&own->live, memory_order_relaxed) &&
           (count == 0 || used < count);
}

bool
stoa__intern_check(stoa_region *region)
{
    stoa_intern_table *table = table_of(region);
    bool good = true;
    for (unsigned i = 0; i < SHARDS && table != NULL && good; i++) {
        stoa__lock(&table->shards[i].lock);
        good = check_shard(table, i);
        stoa__unlock(&table->shards[i].lock);
    }
    return good;
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

void
stoa__intern_fork_prepare(stoa_region *region)
{
    stoa_intern_table *table = table_of(region);
    for (unsigned i = 0; i < SHARDS && table != NULL; i++) {
        stoa__lock_another(&table->shards[i].lock);
    }
    if (table != NULL) {
        stoa__lock_another(&table->slabs_lock);
    }
}

void
stoa__intern_fork_parent(stoa_region *region)
{
    stoa_intern_table *table = table_of(region);
    if (table != NULL) {
        stoa__unlock(&table->slabs_lock);
    }
    for (unsigned i = 0; i < SHARDS && table != NULL; i++) {
        stoa__unlock(&table->shards[i].lock);
    }
}

void
stoa__intern_fork_child(stoa_region *region)
{
    stoa_intern_table *table = table_of(region);
    if (table != NULL) {
        stoa__lock_reset(&table->slabs_lock);
    }
    for (unsigned i = 0; i < SHARDS && table != NULL; i++) {
        stoa__lock_reset(&table->shards[i].lock);
    }
}
