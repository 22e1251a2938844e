/* What an open batch has made: its own intern table, until it is committed.
 *
 * Problem: nobody but the batch may find what it has made before the commit, which may not come; yet an entry in the
 * region's table costs a lock whose line the other freezing thread has written last, a second wait for memory, and a
 * look-up in the granule table for everybody who meets it.
 * Mechanism: the batch keeps its entries to itself: a few in a list, more in arrays of the same form as the region's
 * (heap/intern_struct.h), one for each shard, without locks. The commit enters them into the region's table, shard by shard
 * and in order of the slots, so that both are gone through from one end to the other. A batch that has made more than
 * there is in the table gives it the arrays themselves, and what was there is entered into them. Abort frees them.
 * What is entered has nearly always just been looked up in vain: then its slot is known.
 *
 * Owner: the batch's thread.
 */
#ifndef STOA_HEAP_INTERN_OWN_H
#define STOA_HEAP_INTERN_OWN_H

#include "heap/intern.h"

#include <stdatomic.h>

#define STOA_INTERN_SHARD_BITS 5u
#define STOA_INTERN_SHARDS (1u << STOA_INTERN_SHARD_BITS)
#define STOA_OWN_FEW 8u
#define STOA_OWN_GROUP 16u

typedef struct stoa_own_entry {
    uint64_t tag;
    const void *object;
} stoa_own_entry;

/* Entries whose slots nobody has looked at: they are asked for together (immortal/ahead.h says why), and written when the next
 * group is complete. Until then they are found here. */
typedef struct stoa_own_group {
    uint32_t count;
    uint64_t marks[4]; /* a bit for each tag in it: 0 says that it is not here */
    stoa_own_entry entries[STOA_OWN_GROUP];
} stoa_own_group;

/* Invariant: no array has more entries than most_used(log2), unless there was no memory for larger ones; and each has an
 * empty slot. */
typedef struct stoa_own {
    _Atomic uint64_t *slots; /* the arrays, one behind the other; NULL: what there is lies in `few` */
    unsigned log2;           /* slots of one array */
    unsigned place_bits;     /* of an entry; set with `slots` */
    size_t count;            /* entries in all */
    struct slab *home;       /* where the arrays lie, if they are large enough to be given away */
    uint32_t counts[STOA_INTERN_SHARDS]; /* entries of each array */
    _Atomic uint64_t *vacant; /* the empty slot that the last look-up came to; NULL: it is none any more */
    uint64_t vacant_tag;      /* what was looked up */
    stoa_own_entry few[STOA_OWN_FEW];
    unsigned filling;         /* the group that is being filled; the other one has been asked for */
    stoa_own_group groups[2]; /* empty without `slots` */
} stoa_own;

/* Keeps an entry. Without memory it is counted as not entered. `later`: its slot has not been looked at. */
void stoa__own_add(stoa_batch *batch, uint64_t tag, const void *object, bool later);

/* Enters all into the region's table, which everybody may read: the objects are sealed. */
void stoa__own_settle(stoa_batch *batch);

/* Forgets all, and frees the arrays: at the end of the batch. */
void stoa__own_clear(stoa_own *own);

#endif
