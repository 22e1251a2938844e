#include "heap/retire.h"

#include "heap/error.h"
#include "heap/process_struct.h"

/* Changes with everything that somebody may have an address by. */
static uint64_t
mark_of(const stoa_region *region)
{
    return atomic_load(&region->deliveries) + atomic_load(&region->freezes) + atomic_load(&region->aborts);
}

stoa_err
stoa__retire_begin(uint32_t id, const char *name, uint64_t *out_mark)
{
    stoa_regions *regions = &stoa__process->regions;
    stoa_err err = STOA_OK;
    uint32_t nobody = 0;
    if (id == 1) {
        return stoa__fail(STOA_EINVAL,
                          "the default region lives as long as the process: it cannot be retired");
    }
    stoa__lock(&regions->lock); /* who is listed now has not been ended, and is not until we are through with it */
    stoa_region *region = stoa__region_by_id(id);
    if (region == NULL) {
        err = stoa__fail(STOA_EGONE, "region '%s' was retired by somebody else", name);
    }
    else if (!atomic_compare_exchange_strong(&region->retiring, &nobody, 1)) {
        err = stoa__fail(STOA_EGONE, "region '%s' is being retired by somebody else", name);
    }
    else {
        *out_mark = mark_of(region);
    }
    stoa__unlock(&regions->lock);
    return err;
}

void
stoa__retire_cancel(stoa_region *region)
{
    atomic_store(&region->retiring, 0);
}

uint32_t
stoa__retire_others(const stoa_region *region)
{
    return atomic_load(&region->refs) - 1;
}

/* Every chunk that the region has taken, also those whose records are gone. */
static void
return_pages(const stoa_region *region)
{
    stoa_space *space = &stoa__process->space;
    stoa__lock(&space->lock);
    size_t count = (space->frontier - space->public_base) >> STOA_GRANULE_SHIFT;
    stoa__unlock(&space->lock);
    for (size_t i = 0; i < count; i++) {
        stoa_granule *granule = &space->granules[i];
        if (atomic_load_explicit(&granule->region, memory_order_acquire) == region->id &&
            granule->chunk_back == 0) {
            stoa__space_retire_chunk(space, (void *)(space->public_base + (i << STOA_GRANULE_SHIFT)));
        }
    }
}

/* The lock of the regions is held. `refs`: how many may hold it. */
static bool
end_for(stoa_region *region, uint32_t refs, bool (*unused)(const stoa_region *region, uint64_t mark),
        uint64_t mark)
{
    atomic_store(&region->retired, STOA_REGION_ENDING);
    bool end = atomic_load(&region->refs) == refs && unused(region, mark);
    atomic_store(&region->retired, end ? STOA_REGION_RETIRED : STOA_REGION_OPEN);
    if (end) {
        return_pages(region);
    }
    return end;
}

static bool
is_unchanged(const stoa_region *region, uint64_t mark)
{
    return mark_of(region) == mark;
}

static bool
is_deserted(const stoa_region *region, uint64_t mark)
{
    (void)mark;
    return stoa__region_is_deserted(region);
}

bool
stoa__retire_deserted(stoa_region *region)
{
    return stoa__region_is_deserted(region) && end_for(region, 0, is_deserted, 0);
}

bool
stoa__retire_finish(stoa_region *region, uint64_t mark)
{
    stoa_regions *regions = &stoa__process->regions;
    stoa__lock(&regions->lock); /* no fork meanwhile: the child would have half of it */
    bool end = end_for(region, 1, is_unchanged, mark);
    if (end) {
        stoa__region_unlist(region); /* nobody takes a reference by an address any more */
    }
    stoa__unlock(&regions->lock);
    if (end) {
        stoa__region_end(region);
    }
    return end;
}

bool
stoa__is_retired(const void *address)
{
    uint32_t id = stoa__region_of(address);
    return id != 0 && stoa__region_by_id(id) == NULL;
}
