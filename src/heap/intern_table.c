#include "heap/intern_struct.h"

#include "heap/memory.h"
#include "heap/os.h"
#include "heap/process_struct.h"

#include <string.h>

#define POPULATE_WORTH ((size_t)64 << 10)

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

slab *
stoa__slab_make(stoa_intern_table *table, unsigned log2)
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

void
stoa__slab_free(slab *old)
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
            *place = stoa__slab_make(table, log2);
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
        stoa__slab_free(home);
    }
    stoa__region_unref(table->region);
}

/* Replaces the shard's array; its entries are in the new one. The lock is held. */
static void
publish(stoa_intern_table *table, shard *own, slab *home)
{
    unsigned index = (unsigned)(own - table->shards);
    /* release: pairs with the acquire loads of readers; publishes all slots of the array */
    atomic_store_explicit(&own->view, (uintptr_t)(home->memory + ((size_t)index << home->log2)) | home->log2,
                          memory_order_release);
    if (own->home != NULL) {
        stoa_deferred *deferred = &own->home->pieces[index].deferred;
        deferred->dispose = give_piece;
        stoa__region_ref(table->region); /* give_piece gives it up */
        stoa__epoch_defer(deferred);
    }
    own->home = home;
}

/* A larger array for the shard. The lock is held. False: no memory. */
static bool
rebuild(stoa_intern_table *table, shard *own)
{
    unsigned index = (unsigned)(own - table->shards);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    unsigned old = (unsigned)(view & VIEW_LOG2), log2 = view == 0 ? LEAST_LOG2 : old + stoa__intern_growth(old);
    slab *home = take_piece(table, index, log2);
    if (home == NULL) {
        return false;
    }
    slot *slots = home->memory + ((size_t)index << log2);
    size_t bytes = sizeof(slot) << log2;
    if (bytes >= POPULATE_WORTH) {
        (void)stoa__os_populate(slots, bytes); /* best effort: else it is faulted in */
    }
    if (view != 0) {
        move_slots(table->place_bits, view_slots(view), old, slots, log2);
    }
    publish(table, own, home);
    return true;
}

bool
stoa__intern_enter(stoa_intern_table *table, shard *to, uint64_t entry)
{
    uintptr_t view = atomic_load_explicit(&to->view, memory_order_relaxed);
    size_t live = atomic_load_explicit(&to->live, memory_order_relaxed);
    if (view == 0 || live >= most_used((unsigned)(view & VIEW_LOG2))) {
        /* an array that cannot be replaced may be filled up to its last but one slot */
        if (!rebuild(table, to) && (view == 0 || live >= view_mask(view))) {
            return false;
        }
        view = atomic_load_explicit(&to->view, memory_order_relaxed);
    }
    put_slot(view_slots(view), view_mask(view), entry_tag(table->place_bits, entry), entry);
    atomic_store_explicit(&to->live, live + 1, memory_order_relaxed);
    return true;
}

/* ---- what a batch brings ------------------------------------------------------------------------------------------- */

bool
stoa__slab_keep(stoa_intern_table *table, slab *brought)
{
    bool kept = false;
    stoa__lock(&table->slabs_lock);
    for (int way = 0; way < 2 && !kept; way++) {
        slab **place = &table->slabs[brought->log2][way];
        if (*place == NULL) {
            *place = brought;
            brought->busy = UINT32_MAX;
            kept = true;
        }
    }
    stoa__unlock(&table->slabs_lock);
    return kept;
}
_Static_assert(SHARDS == 32, "a bit a shard");

bool
stoa__intern_take_over(stoa_intern_table *table, shard *own, slab *brought, size_t count)
{
    unsigned index = (unsigned)(own - table->shards);
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    size_t live = atomic_load_explicit(&own->live, memory_order_relaxed);
    if (count + live > most_used(brought->log2)) {
        return false;
    }
    if (view != 0) {
        move_slots(table->place_bits, view_slots(view), (unsigned)(view & VIEW_LOG2),
                   brought->memory + ((size_t)index << brought->log2), brought->log2);
    }
    atomic_store_explicit(&own->live, live + count, memory_order_relaxed);
    publish(table, own, brought);
    return true;
}

void
stoa__slab_give_up(slab *brought, unsigned index)
{
    stoa__region_ref(brought->table->region); /* give_piece gives it up */
    give_piece(&brought->pieces[index].deferred);
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
        table->place_bits = 64 - (unsigned)__builtin_clzll(stoa__process->space.reserved / 8 + 1);
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
                stoa__slab_free(table->slabs[log2][way]);
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
    size_t live = 0;
    bool good = true;
    size_t count = view != 0 ? view_mask(view) + 1 : 0;
    slot *slots = view_slots(view);
    for (size_t i = 0; i < count && good; i++) {
        uint64_t entry = atomic_load_explicit(&slots[i], memory_order_relaxed);
        if (entry != 0) {
            live++;
            good = stoa__in_heap((const void *)entry_object(table->place_bits, entry));
            size_t turn = 0, k = entry_tag(table->place_bits, entry) & (count - 1);
            while (good && k != i) {
                good = atomic_load_explicit(&slots[k], memory_order_relaxed) != 0;
                k = next_slot(k, count - 1, &turn);
            }
        }
    }
    return good && live == atomic_load_explicit(&own->live, memory_order_relaxed) &&
           (count == 0 || live < count);
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
