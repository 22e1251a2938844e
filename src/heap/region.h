/* A region: a part of the shared heap with one lifetime and one memory limit.
 *
 * The default region (id 1) lives as long as the process. An object may point only into its own region or into the
 * default one: interning and freezing keep to that, so that a region can go as a whole.
 * Who ever received something of a region is marked by interpreter serial (heap/interp_table.h): retiring needs it.
 */
#ifndef STOA_HEAP_REGION_H
#define STOA_HEAP_REGION_H

#include "heap/batch.h"

typedef struct stoa_region_stats {
    uint32_t id;
    char name[64];
    size_t limit;        /* 0: none */
    size_t used_bytes;   /* sealed object bytes (padding included, chunk tails not) */
    size_t chunk_bytes;  /* bytes of chunks taken from the space */
    size_t intern_bytes; /* ordinary memory of the intern table */
    uint64_t objects;    /* allocations sealed */
    uint64_t intern_entries, intern_hits, intern_misses;
    uint64_t freezes, aborts; /* batches committed, aborted */
} stoa_region_stats;

/* A new region; owned, given up by stoa__region_unref. `name` may be NULL ("region <id>"), is cut to fit; `limit`, in bytes
 * of objects, 0: none. STOA_ENOMEM. A region that nobody holds ends at once when nothing was ever frozen into it; else its
 * objects stay as long as one of those that received any lives, since it may use them; then it ends with its pages. */
stoa_err stoa__region_new(const char *name, size_t limit, stoa_region **out_region);
stoa_region *stoa__region_default(void); /* borrowed */
stoa_region *stoa__region_ref(stoa_region *region);
void stoa__region_unref(stoa_region *region);
uint32_t stoa__region_id(const stoa_region *region);

/* New reference to the region that `address` lies in; NULL for the default region and for what is not in the heap. */
stoa_region *stoa__region_ref_of(const void *address);

/* The region of an address of the heap; 0 when the address is in no chunk. No lock. */
uint32_t stoa__region_of(const void *address);

/* May an object that lives in region `id` be pointed at from `region`? */
static inline bool
stoa__region_reaches(const stoa_region *region, uint32_t id)
{
    return id == 1 || id == stoa__region_id(region);
}

/* Interpreter `serial` has received something of the region of `address`. Default region: nothing to do. Serial 0 is a
 * thread outside all interpreters: it never ends, so the region counts as in use for good. Called with a lock of rank
 * STOA_RANK_NAMES held. */
void stoa__region_mark_delivered(const void *address, uint32_t serial);
/* The same, of a region that the caller holds. */
void stoa__region_mark(stoa_region *region, uint32_t serial);

/* Ends the regions that nobody holds, and whose receivers have all ended: an interpreter just has. No lock of ours held. */
void stoa__regions_end_deserted(void);

/* Has it been marked for this serial (or for everybody)? */
bool stoa__region_is_delivered(const stoa_region *region, uint32_t serial);

/* No lock; each number is right, but they are not of one moment. */
void stoa__region_get_stats(const stoa_region *region, stoa_region_stats *out);
/* Calls visit for every region, by ascending id, with a reference held and no lock. */
void stoa__region_each(void (*visit)(stoa_region *region, void *arg), void *arg);

#endif
