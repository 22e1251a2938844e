/* \file stoa/region.h
 * \brief Regions: parts of the shared heap with one lifetime and one memory limit.
 *
 * Everything shared lives in a region. The default region lives as long as the process; that is where things go when no
 * region (NULL) is named. A region of one's own bounds how much one job may take: when its limit is hit, the freeze or
 * build that hit it fails with STOA_ENOMEM and leaves nothing behind. And it can end before the process does: it is
 * retired, or goes by itself when nobody holds it and all interpreters that ever received something of it are closed.
 * What C code has built or received (a builder, a look-up, stoa_object_from_python …) it may use for ever: such a
 * region does not go by itself.
 *
 * Threads: any, no GIL, no interpreter; a region may be used by many threads at once.
 */
#ifndef STOA_REGION_H
#define STOA_REGION_H

#include "stoa/error.h"

STOA_BEGIN_DECLS

typedef struct stoa_region stoa_region;

/* A new region. `name` (may be NULL) is for people: messages and statistics; `limit` in bytes, 0: none.
 * STOA_ENOMEM; STOA_EINVAL: the name is no UTF-8 or longer than 63 bytes. *out_region is owned: stoa_region_free.
 * Opens the shared heap when nobody has yet: then the codes of stoa_runtime_open are possible, too. */
STOA_API stoa_err stoa_region_new(const char *name, size_t limit, stoa_region **out_region);

/* Gives up the caller's hold. Objects in the region stay valid for all who have received one; builders at work in it finish.
 * NULL: nothing happens. */
STOA_API void stoa_region_free(stoa_region *region);

/* Ends the region before the process ends, and gives its memory back: its addresses fault from then on, and are never used
 * again. On success the caller's hold is given up with it. That may only be while nobody uses anything of it, which is looked
 * for: names, queues and freezes at work that hold the region; interpreters that ever received something of it (garbage is
 * collected in each); then conservatively all of the process's writable memory and the stacks of its threads. What C code has
 * written down in another form than as an aligned address, or uses on a thread that runs meanwhile, is the host's to know.
 * STOA_ESTATE: something is in use; the message says who holds what, and the region is as it was. `timeout`: seconds to try
 * again and again before that; 0: once; negative: without end. STOA_EINVAL: the default region (NULL), or NaN. STOA_EGONE:
 * somebody else is retiring it. STOA_EINTERRUPTED after a signal, STOA_ENOMEM, STOA_EOS (memory cannot be looked at).
 * Any thread, with or without a GIL. */
STOA_API stoa_err stoa_region_retire(stoa_region *region, double timeout);

/* What a region holds. The struct may grow at its end: `size` is set by the caller to sizeof(stoa_region_info). */
typedef struct stoa_region_info {
    size_t size; /* in: sizeof(stoa_region_info) as the caller knows it */
    uint32_t id; /* 1 is the default region */
    char name[64];
    size_t limit;            /* bytes; 0: none */
    size_t used_bytes;       /* bytes of objects, padding included */
    size_t chunk_bytes;      /* address space taken from the heap for it */
    size_t intern_bytes;     /* ordinary memory of the table of equal values */
    uint64_t objects;        /* objects laid down */
    uint64_t intern_entries; /* values that later equal ones become */
    uint64_t intern_hits, intern_misses;
    uint64_t freezes, aborts; /* freezes and builds that succeeded, that were undone */
} stoa_region_info;

/* Fills *info. `region` NULL: the default region. STOA_EINVAL: info->size is not that of any version. */
STOA_API stoa_err stoa_region_get_info(const stoa_region *region, stoa_region_info *info);

STOA_END_DECLS

#endif /* STOA_REGION_H */
