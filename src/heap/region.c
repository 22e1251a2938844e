#include "heap/region.h"

#include "heap/arena.h"
#include "heap/error.h"
#include "heap/intern_table.h"
#include "heap/memory.h"
#include "heap/os.h"
#include "heap/process_struct.h"
#include "heap/retire.h" /* what nobody can use any more goes */

#include <stdio.h>
#include <string.h>

static inline stoa_regions *
all(void)
{
    return &stoa__process->regions;
}

/* ---- by id ------------------------------------------------------------------------------------------------------- */

static unsigned
segment_of(uint32_t id, uint32_t *index)
{
    uint32_t high = id >> STOA_REGION_SEGMENT_0;
    if (high == 0) {
        *index = id;
        return 0;
    }
    unsigned bit = 31u - (unsigned)__builtin_clz(id);
    *index = id - (1u << bit);
    return bit - STOA_REGION_SEGMENT_0 + 1;
}

static size_t
segment_size(unsigned segment)
{
    return (size_t)1 << (segment == 0 ? STOA_REGION_SEGMENT_0 : segment + STOA_REGION_SEGMENT_0 - 1);
}

stoa_region *
stoa__region_by_id(uint32_t id)
{
    uint32_t index;
    unsigned segment = segment_of(id, &index);
    /* acquire: pair with the release stores of put_region */
    _Atomic(stoa_region *) *places = atomic_load_explicit(&all()->segments[segment], memory_order_acquire);
    return places != NULL ? atomic_load_explicit(&places[index], memory_order_acquire) : NULL;
}

/* The lock of the regions is held, or nobody else can see them yet. */
static bool
put_region(stoa_regions *regions, uint32_t id, stoa_region *region)
{
    uint32_t index;
    unsigned segment = segment_of(id, &index);
    _Atomic(stoa_region *) *places = atomic_load_explicit(&regions->segments[segment], memory_order_relaxed);
    if (places == NULL) {
        places = stoa__alloc(segment_size(segment) * sizeof *places);
        if (places == NULL) {
            return false;
        }
        atomic_store_explicit(&regions->segments[segment], places, memory_order_release);
    }
    atomic_store_explicit(&places[index], region, memory_order_release);
    return true;
}

/* ---- making, ending ---------------------------------------------------------------------------------------------- */

static stoa_region *
make_region(stoa_regions *regions, const char *name, size_t limit)
{
    stoa_region *region = stoa__alloc(sizeof *region);
    if (region == NULL) {
        return NULL;
    }
    uint32_t id = atomic_load_explicit(&regions->last_id, memory_order_relaxed) + 1;
    region->id = id;
    region->limit = limit;
    atomic_init(&region->refs, 1);
    stoa__lock_init(&region->lock, STOA_RANK_REGION);
    if (name != NULL) {
        snprintf(region->name, sizeof region->name, "%s", name);
    }
    else {
        snprintf(region->name, sizeof region->name, "region %u", (unsigned)id);
    }
    if (id == 0 || !put_region(regions, id, region)) {
        stoa__free(region);
        return NULL;
    }
    atomic_store_explicit(&regions->last_id, id, memory_order_release);
    return region;
}

stoa_err
stoa__regions_init(stoa_regions *regions)
{
    memset(regions, 0, sizeof *regions);
    stoa__lock_init(&regions->lock, STOA_RANK_REGIONS);
    regions->intern_seed = stoa__os_random();
    regions->general = make_region(regions, "default", 0);
    return regions->general != NULL ? STOA_OK : stoa__fail(STOA_ENOMEM, "no memory for the default region");
}

stoa_err
stoa__region_new(const char *name, size_t limit, stoa_region **out_region)
{
    stoa_err err = stoa__process_open();
    if (err != STOA_OK) {
        return err;
    }
    stoa__lock(&all()->lock);
    stoa_region *region = make_region(all(), name, limit);
    stoa__unlock(&all()->lock);
    if (region == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for the record of a region");
    }
    *out_region = region;
    return STOA_OK;
}

stoa_region *
stoa__region_default(void)
{
    return all()->general;
}

void
stoa__region_unlist(stoa_region *region)
{
    put_region(all(), region->id, NULL);
}

void
stoa__region_end(stoa_region *region)
{
    while (region->partial != NULL) {
        stoa_chunk *chunk = region->partial;
        region->partial = chunk->next;
        if (atomic_load(&region->retired) ==
            STOA_REGION_OPEN) { /* else its addresses stay known as a retired region's */
            stoa__space_remove_chunk(&stoa__process->space, chunk->start);
        }
        stoa__free(chunk);
    }
    stoa__lock(&region->lock);
    if (region->has_arena) {
        stoa__arena_destroy(region->arena);
    }
    stoa__unlock(&region->lock);
    stoa__space_uncharge(&stoa__process->space, atomic_load(&region->chunk_bytes));
    stoa__intern_table_free(atomic_load(&region->intern));
    stoa__serials_free(&region->delivered.serials);
    stoa_held *held = region->held;
    stoa__free(region);
    stoa__held_release(held);
}

stoa_region *
stoa__region_ref(stoa_region *region)
{
    if (region->id != 1) {
        atomic_fetch_add(&region->refs, 1); /* seq_cst: see stoa__batch_begin */
    }
    return region;
}

void
stoa__region_unref(stoa_region *region)
{
    if (region == NULL || region->id == 1) {
        return;
    }
    uint32_t refs = atomic_load_explicit(&region->refs, memory_order_relaxed);
    while (refs > 1) {
        /* release: pairs with the acquire below, so that the last one sees all that the others did */
        if (atomic_compare_exchange_weak_explicit(&region->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed)) {
            return;
        }
    }
    stoa__lock(&all()->lock);
    refs = atomic_fetch_sub_explicit(&region->refs, 1, memory_order_acq_rel) - 1;
    bool end = refs == 0 && (atomic_load_explicit(&region->used_bytes, memory_order_relaxed) == 0 ||
                             stoa__retire_deserted(region));
    if (end) {
        stoa__region_unlist(region);
    }
    stoa__unlock(&all()->lock);
    if (end) {
        stoa__region_end(region);
    }
}

void
stoa__regions_end_deserted(void)
{
    stoa_region *ending = NULL;
    stoa__lock(&all()->lock);
    uint32_t last = atomic_load_explicit(&all()->last_id, memory_order_relaxed);
    for (uint32_t id = 2; id <= last && id != 0; id++) {
        stoa_region *region = stoa__region_by_id(id);
        if (region != NULL && atomic_load(&region->refs) == 0 && stoa__retire_deserted(region)) {
            stoa__region_unlist(region);
            region->next_ending = ending;
            ending = region;
        }
    }
    stoa__unlock(&all()->lock);
    while (ending != NULL) {
        stoa_region *next = ending->next_ending;
        stoa__region_end(ending);
        ending = next;
    }
}

uint32_t
stoa__region_id(const stoa_region *region)
{
    return region->id;
}

uint32_t
stoa__region_of(const void *address)
{
    if (!stoa__in_heap(address)) {
        return 0;
    }
    return atomic_load_explicit(&stoa__granule(&stoa__process->space, address)->region, memory_order_acquire);
}

stoa_region *
stoa__region_ref_of(const void *address)
{
    uint32_t id = stoa__region_of(address);
    stoa_region *region = id > 1 ? stoa__region_by_id(id) : NULL;
    return region != NULL ? stoa__region_ref(region) : NULL;
}

/* ---- the limit --------------------------------------------------------------------------------------------------- */

size_t
stoa__region_charge(stoa_region *region, size_t least, size_t wanted)
{
    size_t now = atomic_load_explicit(&region->charged, memory_order_relaxed);
    size_t got;
    do {
        size_t left = now < region->limit ? region->limit - now : 0;
        if (left < least) {
            stoa__fail(STOA_ENOMEM,
                       "region '%s' is full: %zu of %zu bytes are taken and %zu more are needed; raise its "
                       "limit, or freeze into another region",
                       region->name, now, region->limit, least);
            return 0;
        }
        got = left < wanted ? left : wanted;
    } while (!atomic_compare_exchange_weak_explicit(&region->charged, &now, now + got, memory_order_relaxed,
                                                    memory_order_relaxed));
    return got;
}

void
stoa__region_uncharge(stoa_region *region, size_t size)
{
    atomic_fetch_sub_explicit(&region->charged, size, memory_order_relaxed);
}

/* ---- who received something -------------------------------------------------------------------------------------- */

void
stoa__region_mark(stoa_region *region, uint32_t serial)
{
    if (region->id == 1) {
        return;
    }
    atomic_fetch_add(&region->deliveries, 1);
    if (serial == 0 || !stoa__serials_add(&region->delivered.serials, serial)) {
        /* outside all interpreters; or no memory: then err on the side of keeping the region */
        atomic_store(&region->delivered.everybody, 1);
    }
}

void
stoa__region_mark_delivered(const void *address, uint32_t serial)
{
    uint32_t id = stoa__region_of(address);
    stoa_region *region = id > 1 ? stoa__region_by_id(id) : NULL;
    if (region != NULL) {
        stoa__region_mark(region, serial);
    }
}

bool
stoa__region_is_delivered(const stoa_region *region, uint32_t serial)
{
    return region->id == 1 || atomic_load(&region->delivered.everybody) != 0 ||
           stoa__serials_has(&region->delivered.serials, serial);
}

bool
stoa__region_is_deserted(const stoa_region *region)
{
    return atomic_load(&region->delivered.everybody) == 0 &&
           stoa__serials_are_in(&region->delivered.serials, &stoa__process->interps.ended);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

void
stoa__region_get_stats(const stoa_region *region, stoa_region_stats *out)
{
    *out = (stoa_region_stats){
        .id = region->id,
        .limit = region->limit,
        .used_bytes = atomic_load_explicit(&region->used_bytes, memory_order_relaxed),
        .chunk_bytes = atomic_load_explicit(&region->chunk_bytes, memory_order_relaxed),
        .objects = atomic_load_explicit(&region->objects, memory_order_relaxed),
        .intern_hits = atomic_load_explicit(&region->intern_hits, memory_order_relaxed),
        .intern_misses = atomic_load_explicit(&region->intern_misses, memory_order_relaxed),
        .freezes = atomic_load_explicit(&region->freezes, memory_order_relaxed),
        .aborts = atomic_load_explicit(&region->aborts, memory_order_relaxed),
    };
    memcpy(out->name, region->name, sizeof out->name);
    stoa__intern_table_stats(region, &out->intern_entries, &out->intern_bytes);
}

void
stoa__region_each(void (*visit)(stoa_region *region, void *arg), void *arg)
{
    uint32_t last = atomic_load_explicit(&all()->last_id, memory_order_acquire);
    for (uint32_t id = 1; id <= last && id != 0; id++) {
        stoa__lock(&all()->lock); /* so that an empty one does not end while we take the reference */
        stoa_region *region = stoa__region_by_id(id);
        if (region != NULL) {
            stoa__region_ref(region);
        }
        stoa__unlock(&all()->lock);
        if (region != NULL) {
            visit(region, arg);
            stoa__region_unref(region);
        }
    }
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

/* Calls `act` for every region; the lock of the regions is held. */
static void
each_locked(stoa_regions *regions, void (*act)(stoa_region *region))
{
    uint32_t last = atomic_load_explicit(&regions->last_id, memory_order_relaxed);
    for (uint32_t id = 1; id <= last && id != 0; id++) {
        stoa_region *region = stoa__region_by_id(id);
        if (region != NULL) {
            act(region);
        }
    }
}

static void
lock_region(stoa_region *region)
{
    stoa__lock_another(&region->lock);
}

static void
unlock_region(stoa_region *region)
{
    stoa__unlock(&region->lock);
}

static void
reset_region(stoa_region *region)
{
    stoa__lock_reset(&region->lock);
    region->has_arena = false;                        /* the parent's */
    atomic_store(&region->retired, STOA_REGION_OPEN); /* whoever was retiring it is not here */
    atomic_store(&region->retiring, 0);
    region->partial_count = 0;
    while (region->partial != NULL) {
        stoa_chunk *chunk = region->partial;
        region->partial = chunk->next;
        stoa__free(chunk);
    }
    /* quotas of the parent's open batches are gone with them */
    atomic_store_explicit(&region->charged, atomic_load_explicit(&region->used_bytes, memory_order_relaxed),
                          memory_order_relaxed);
}

void
stoa__regions_fork_prepare(stoa_regions *regions)
{
    stoa__lock(&regions->lock);
    each_locked(regions, lock_region);
    each_locked(regions, stoa__intern_fork_prepare);
}

void
stoa__regions_fork_parent(stoa_regions *regions)
{
    each_locked(regions, stoa__intern_fork_parent);
    each_locked(regions, unlock_region);
    stoa__unlock(&regions->lock);
}

void
stoa__regions_fork_child(stoa_regions *regions)
{
    each_locked(regions, stoa__intern_fork_child);
    each_locked(regions, reset_region);
    stoa__lock_reset(&regions->lock);
}
