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
stoa__retire_begin(stoa_region *region, uint64_t *out_mark)
{
    uint32_t nobody = 0;
    if (region->id == 1) {
        return stoa__fail(STOA_EINVAL,
                          "the default region lives as long as the process: it cannot be retired");
    }
    if (!atomic_compare_exchange_strong(&region->retiring, &nobody, 1)) {
        return stoa__fail(STOA_EGONE, "region '%s' is being retired by somebody else", region->name);
    }
    *out_mark = mark_of(region);
    return STOA_OK;
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

bool
stoa__retire_finish(stoa_region *region, uint64_t mark)
{
    stoa_regions *regions = &stoa__process->regions;
    stoa__lock(&regions->lock); /* no fork meanwhile: the child would have half of it */
    atomic_store(&region->retired, STOA_REGION_ENDING);
    bool unused = stoa__retire_others(region) == 0 && mark_of(region) == mark;
    if (!unused) {
        atomic_store(&region->retired, STOA_REGION_OPEN);
        stoa__unlock(&regions->lock);
        return false;
    }
    atomic_store(&region->retired, STOA_REGION_RETIRED);
    stoa__region_unlist(region); /* nobody takes a reference by an address any more */
    return_pages(region);
    stoa__unlock(&regions->lock);
    stoa_held *held = region->held;
    region->held = NULL;
    stoa__region_end(region);
    stoa__held_release(held);
    return true;
}

bool
stoa__is_retired(const void *address)
{
    uint32_t id = stoa__region_of(address);
    return id != 0 && stoa__region_by_id(id) == NULL;
}
