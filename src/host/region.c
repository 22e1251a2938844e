/* stoa/region.h: regions for hosts. */
#include "stoa/region.h"

#include "heap/error.h"
#include "heap/region.h"

#include <string.h>

stoa_err
stoa_region_new(const char *name, size_t limit, stoa_region **out_region)
{
    if (out_region == NULL) {
        return stoa__fail(STOA_EINVAL, "stoa_region_new: out_region is NULL");
    }
    if (name != NULL && strlen(name) >= sizeof(((stoa_region_info *)NULL)->name)) {
        return stoa__fail(STOA_EINVAL, "stoa_region_new: the name has %zu bytes, 63 are possible",
                          strlen(name));
    }
    stoa_err err = stoa__process_open();
    return err != STOA_OK ? err : stoa__region_new(name, limit, out_region);
}

void
stoa_region_free(stoa_region *region)
{
    if (region != NULL) {
        stoa__region_unref(region);
    }
}

stoa_err
stoa_region_get_info(const stoa_region *region, stoa_region_info *info)
{
    if (info == NULL || info->size != sizeof(*info)) {
        return stoa__fail(STOA_EINVAL, "stoa_region_get_info: set info->size to sizeof(stoa_region_info)");
    }
    stoa_err err = stoa__process_open();
    if (err != STOA_OK) {
        return err;
    }
    stoa_region_stats stats;
    stoa__region_get_stats(region != NULL ? region : stoa__region_default(), &stats);
    *info = (stoa_region_info){
        .size = sizeof(*info),
        .id = stats.id,
        .limit = stats.limit,
        .used_bytes = stats.used_bytes,
        .chunk_bytes = stats.chunk_bytes,
        .intern_bytes = stats.intern_bytes,
        .objects = stats.objects,
        .intern_entries = stats.intern_entries,
        .intern_hits = stats.intern_hits,
        .intern_misses = stats.intern_misses,
        .freezes = stats.freezes,
        .aborts = stats.aborts,
    };
    memcpy(info->name, stats.name, sizeof(info->name));
    return STOA_OK;
}
