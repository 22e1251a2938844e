/* What an open batch has made and not entered into the intern table yet.
 *
 * Problem: an entry made at once costs a lock whose line the other freezing thread has written last, and a wait for a slot
 * that nobody has asked for; while nobody but this batch can see the object before the commit anyway.
 * Mechanism: the batch keeps its latest entries to itself, in a table small enough for the processor's cache. When that is
 * full, and at commit, it is emptied: sorted by shard, so that one lock serves some thirty entries, whose slots are asked
 * for while those of the shard before are written.
 *
 * Owner: the batch's thread. A batch that makes few objects never allocates the table.
 */
#ifndef STOA_HEAP_INTERN_RECENT_H
#define STOA_HEAP_INTERN_RECENT_H

#include "heap/intern.h"

/* An intern entry of a batch: enough to find its slot again. */
typedef struct stoa_batch_entry {
    uint64_t tag;
    const void *object;
} stoa_batch_entry;

#define STOA_RECENT_FEW 8u
#define STOA_RECENT_MOST 1023u
#define STOA_RECENT_SLOTS 2048u
#define STOA_RECENT_NUMBER 0x3FFu /* of a slot: which entry, counted from 1; the bits above are of its tag */

/* Invariant: each of the `count` entries is found from its tag's slot on before an empty slot is met. */
typedef struct stoa_recent_table {
    uint16_t slots[STOA_RECENT_SLOTS]; /* 0: empty */
    uint16_t order[STOA_RECENT_MOST];  /* used while emptying */
    stoa_batch_entry entries[STOA_RECENT_MOST];
} stoa_recent_table;

typedef struct stoa_recent {
    uint32_t count;           /* entries kept here */
    uint32_t entered;         /* by one: a batch that has entered some gets the table */
    stoa_recent_table *table; /* NULL: what there is lies in `few` */
    stoa_batch_entry few[STOA_RECENT_FEW];
} stoa_recent;

static inline size_t
stoa__recent_slot(uint64_t tag)
{
    return (size_t)(tag >> 40) & (STOA_RECENT_SLOTS - 1);
}

static inline uint16_t
stoa__recent_check(uint64_t tag)
{
    return (uint16_t)(tag >> 43) & (uint16_t)~STOA_RECENT_NUMBER;
}

/* The object of this tag and content, or NULL. */
static inline const void *
stoa__recent_find(const stoa_recent *recent, uint64_t tag, stoa_same_fn same, const void *wanted)
{
    const stoa_recent_table *table = recent->table;
    if (table == NULL) {
        for (uint32_t i = 0; i < recent->count; i++) {
            const stoa_batch_entry *entry = &recent->few[i];
            if (entry->tag == tag && same(stoa__rw(entry->object), wanted)) {
                return entry->object;
            }
        }
        return NULL;
    }
    for (size_t i = stoa__recent_slot(tag);; i = (i + 1) & (STOA_RECENT_SLOTS - 1)) {
        uint16_t slot = table->slots[i];
        if (slot == 0) {
            return NULL;
        }
        if ((slot & ~STOA_RECENT_NUMBER) == stoa__recent_check(tag)) {
            const stoa_batch_entry *entry = &table->entries[(slot & STOA_RECENT_NUMBER) - 1];
            if (entry->tag == tag && same(stoa__rw(entry->object), wanted)) {
                return entry->object;
            }
        }
    }
}

/* Keeps an entry; may empty the table first. */
void stoa__recent_add(stoa_batch *batch, uint64_t tag, const void *object);

/* Enters all that is kept. */
void stoa__recent_empty(stoa_batch *batch);

/* Forgets all that is kept, and frees the table: at the end of the batch. */
void stoa__recent_clear(stoa_recent *recent);

#endif
