#include "heap/intern_struct.h"

#include "heap/memory.h"
#include "heap/os.h"
#include "heap/process_struct.h"

#include <string.h>

#define QUICK_LOG2 \
    14u /* arrays of fewer slots grow four times at once: such a slab has 4 MiB at most, soon outgrown */
#define POPULATE_WORTH ((size_t)64 << 10)

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

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
    if (log2 > MOST_LOG2 || log2 > 64 - table->place_bits) {
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
put_slot(slot *slots, size_t mask, uint64_t tag, uint64_t entry)
{
    size_t i = tag & mask;
    while (atomic_load_explicit(&slots[i], memory_order_relaxed) != 0) {
        i = (i + 1) & mask;
    }
    atomic_store_explicit(&slots[i], entry, memory_order_relaxed); /* published with the view */
}

bool
stoa__intern_rebuild(stoa_intern_table *table, shard *own)
{
    unsigned index = (unsigned)(own - table->shards);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    size_t live = atomic_load_explicit(&own->live, memory_order_relaxed);
    unsigned log2 = view == 0 ? LEAST_LOG2 : (unsigned)(view & VIEW_LOG2);
    slab *home = NULL;
    if (view == 0 || live <= most_used(log2) / 2) {
        home = take_piece(table, index, log2);
    }
    if (home == NULL && view != 0) {
        log2 += log2 < QUICK_LOG2 ? 2 : 1;
        home = take_piece(table, index, log2);
    }
    if (home == NULL) {
        return false;
    }
    slot *slots = home->memory + ((size_t)index << log2);
    size_t bytes = sizeof(slot) << log2;
    if (bytes >= POPULATE_WORTH) {
        (void)stoa__os_populate(slots, bytes); /* best effort: else it is faulted in */
    }
    size_t mask = ((size_t)1 << log2) - 1;
    slot *old = view_slots(view);
    size_t count = view != 0 ? view_mask(view) + 1 : 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = atomic_load_explicit(&old[i], memory_order_relaxed);
        if (entry > TOMBSTONE) {
            put_slot(slots, mask, entry_tag(table, entry), entry);
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

/* ---- the table as a whole ---------------------------------------------------------------------------------------- */

stoa_intern_table *
stoa__intern_make(stoa_region *region)
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
        table->place_bits = 64 - (unsigned)__builtin_clzll(stoa__process->space.reserved / 8 + 2);
        atomic_store_explicit(&region->intern, table, memory_order_release);
    }
    stoa__unlock(&region->lock);
    return table;
}

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
        uint64_t entry = atomic_load_explicit(&slots[i], memory_order_relaxed);
        used += entry != 0;
        if (entry > TOMBSTONE) {
            live++;
            good = stoa__in_heap((const void *)entry_object(table, entry));
            for (size_t k = entry_tag(table, entry) & (count - 1); good && k != i; k = (k + 1) & (count - 1)) {
                good = atomic_load_explicit(&slots[k], memory_order_relaxed) != 0;
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
