/* Which frozen object a source object has become: pointer -> pointer, for one walk.
 *
 * A walk that asked a hash table for each object would spend more time there than on the object. Two observations help:
 * an object that is referenced once cannot be met twice, and of those that can most are a handful of dict keys. So only
 * objects with more references are entered, and a small direct-mapped cache stands before the table. Within a walk no
 * source dies (the GIL is held and no Python code runs), so an address stands for one object.
 *
 * The cache starts inside the struct, so that freezing something small clears 1 KiB and not 32.
 */
#ifndef STOA_IMMORTAL_MEMO_H
#define STOA_IMMORTAL_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct stoa_memo_entry {
    const void *source; /* NULL: free */
    void *twin;         /* STOA_MEMO_OPEN: entered, not finished */
} stoa_memo_entry;

/* The twin of a container that the walk stands in. */
#define STOA_MEMO_OPEN ((void *)(uintptr_t)1)

#define STOA_MEMO_FIRST 64   /* cache entries at the start */
#define STOA_MEMO_CACHE 2048 /* cache entries of a long walk */

typedef struct stoa_memo {
    stoa_memo_entry *cache; /* direct-mapped: `first`, later an array of its own */
    size_t cache_mask;
    stoa_memo_entry *table; /* linear probing, at most half full */
    size_t table_mask;      /* 0: no table yet */
    size_t used;
    bool wipes; /* memory that it gives back is overwritten (heap/wipe.h); true, unless its owner knows better */
    stoa_memo_entry first[STOA_MEMO_FIRST];
} stoa_memo;

void stoa__memo_init(stoa_memo *memo);
void stoa__memo_clear(stoa_memo *memo);

/* The walk is long: takes the large cache, if there is memory for it. */
void stoa__memo_widen(stoa_memo *memo);

/* Enters source -> twin, or changes what was entered. false: no memory. */
bool stoa__memo_put(stoa_memo *memo, const void *source, void *twin);

/* What was entered, or NULL. Does not look into the cache. */
void *stoa__memo_find(const stoa_memo *memo, const void *source);

static inline size_t
stoa__memo_spread(const void *source)
{
    /* objects are 16-byte aligned; the upper part tells pools apart */
    uintptr_t a = (uintptr_t)source;
    return (size_t)((a >> 4) ^ (a >> 14));
}

static inline stoa_memo_entry *
stoa__memo_cached(const stoa_memo *memo, const void *source)
{
    return &memo->cache[stoa__memo_spread(source) & memo->cache_mask];
}

#endif
