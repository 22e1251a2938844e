/* The inside of a region, for the files of this layer that work on it: region.c, chunk.c, batch.c, intern.c. */
#ifndef STOA_HEAP_REGION_STRUCT_H
#define STOA_HEAP_REGION_STRUCT_H

#include "heap/chunk.h"
#include "heap/held.h"
#include "heap/lock.h"
#include "heap/region.h"
#include "heap/serials.h"

struct stoa_intern_table; /* intern.c */

/* Who received something. */
typedef struct stoa_delivered {
    stoa_serials serials;
    _Atomic uint32_t everybody; /* a thread outside, or a serial there was no memory to note: the region is in use for good */
} stoa_delivered;

#define STOA_REGION_OPEN 0u
#define STOA_REGION_ENDING \
    1u /* for a moment, during which no lock and no GIL is waited for: open or retired comes next */
#define STOA_REGION_RETIRED 2u

struct stoa_region {
    uint32_t id;           /* const */
    char name[64];         /* const */
    size_t limit;          /* const: bytes of objects, 0 = none */
    _Atomic uint32_t refs; /* holders, open batches, aborted chunks; to 0 and up from 0 only under the regions' lock,
                                  unless something is sealed. The default region is not counted */
    _Atomic uint32_t retired;    /* STOA_REGION_*: whether a batch may begin; seq_cst, against refs */
    _Atomic uint32_t retiring;   /* 1: somebody looks whether it can be retired (heap/retire.h) */
    _Atomic uint64_t deliveries; /* counts marks: has anything been handed over since? */
    _Atomic size_t charged; /* <= limit: bytes sealed, and quotas of open batches. Unused while limit is 0 */

    stoa_lock lock;       /* STOA_RANK_REGION */
    bool has_arena;       /* guarded by lock */
    unsigned arena;       /* guarded by lock; all calls of jemalloc for it happen under lock */
    stoa_chunk *partial;  /* guarded by lock: chunks with room that no batch has, the last returned first */
    size_t partial_count; /* guarded by lock */
    stoa_held *held;      /* guarded by lock: handles that its objects hold */

    _Atomic(struct stoa_intern_table *) intern; /* made under lock when first needed (release; acquire loads) */
    stoa_delivered delivered;
    struct stoa_region *next_ending; /* of those that are being ended together */

    /* relaxed; changed under lock, read anywhere */
    _Atomic size_t used_bytes, chunk_bytes;
    _Atomic uint64_t objects, freezes, aborts, intern_hits, intern_misses;
};

#define STOA_REGION_SEGMENT_0 \
    6u /* the first segment has 2^6 places, each further one as many as all before it */
#define STOA_REGION_SEGMENTS (32u - STOA_REGION_SEGMENT_0 + 1u)

typedef struct stoa_regions {
    stoa_lock lock;           /* STOA_RANK_REGIONS: guards making and ending */
    _Atomic uint32_t last_id; /* changed under lock */
    stoa_region *general;     /* const after init: the default region, id 1 */
    uint64_t intern_seed;     /* const after init: mixed into every key */
    _Atomic(_Atomic(stoa_region *) *) segments[STOA_REGION_SEGMENTS]; /* by id; release stores, made under lock, kept */
} stoa_regions;

stoa_err stoa__regions_init(stoa_regions *regions); /* STOA_ENOMEM */
/* The region of that id, or NULL. No lock. It stays as long as something of it is sealed or a reference is held. */
stoa_region *stoa__region_by_id(uint32_t id);
void stoa__regions_fork_prepare(stoa_regions *regions);
void stoa__regions_fork_parent(stoa_regions *regions);
void stoa__regions_fork_child(stoa_regions *regions);

/* The end of a region that nobody holds or uses any more: its record, what is left of its chunks, arena and table, and what its
 * objects held. It has been taken off the list of regions. No lock of ours held. */
void stoa__region_end(stoa_region *region);
/* Have all who ever received something of it ended? (no: also where nobody is known to have.) No lock. */
bool stoa__region_is_deserted(const stoa_region *region);
/* Takes it off the list. The lock of the regions is held. */
void stoa__region_unlist(stoa_region *region);

/* Takes `size` more bytes of the region's limit for a batch: all of `wanted`, or what is left if that is at least
 * `least`. Returns how many; 0: the limit is hit (message set). No limit: `wanted`. */
size_t stoa__region_charge(stoa_region *region, size_t least, size_t wanted);
void stoa__region_uncharge(stoa_region *region, size_t size);

#endif
