/* The table of one shard of the names: read without a lock, without writing anything.
 *
 * A lock would be fast enough for one reader, but two interpreters that look up the same name would pass its cache line
 * to and fro. So: a sequence number that is odd while a writer changes something. A reader probes, compares, copies the
 * value, and takes the result only if the number is even and the same as before; after a few failures it takes the
 * lock. It may so follow pointers into entries and tables that are just being taken out, therefore the memory of
 * entries is only ever reused for entries, old slot arrays are kept (together they are smaller than the present one),
 * and all that a reader looks at is atomic words. Why an acquire load for each word: it orders the second look at the
 * sequence number after it; the writer's release stores order its odd number before them. So who saw a word of a
 * change under way sees its number, too.
 *
 * Linear probing; taking out moves later entries back, so there are no tombstones and nothing to clean up.
 */
#ifndef STOA_HEAP_NAME_TABLE_H
#define STOA_HEAP_NAME_TABLE_H

#include "heap/lock.h"
#include "heap/region.h"

#define STOA_NAME_MAX 4096u
#define STOA_NAME_CLASSES 7u /* entries of 128 << class bytes */

typedef enum stoa_value_kind { STOA_VALUE_OBJECT = 1, STOA_VALUE_HANDLE = 2 } stoa_value_kind;

typedef struct stoa_value {
    stoa_value_kind kind;
    uint32_t domain;
    const void *object; /* STOA_VALUE_OBJECT: shared object of the publisher's domain, or a process-wide one of CPython */
    uint64_t handle; /* STOA_VALUE_HANDLE */
} stoa_value;

/* A value and what keeps it alive: the name's own reference of a handle, or of a region that is not the default one. */
typedef struct stoa_held_value {
    stoa_value value;
    stoa_region *region; /* NULL: default region, or not an object of the heap */
} stoa_held_value;

typedef struct stoa_name_slots stoa_name_slots;
typedef struct stoa_name_entry stoa_name_entry;

typedef struct stoa_name_table {
    _Alignas(64) stoa_lock lock;                      /* STOA_RANK_NAMES */
    _Atomic uint64_t sequence;                        /* odd while the holder of `lock` changes something */
    _Atomic(stoa_name_slots *) slots;                 /* written under lock; NULL before the first name */
    size_t count;                                     /* guarded by lock: names */
    stoa_name_entry *free_entries[STOA_NAME_CLASSES]; /* guarded by lock */
} stoa_name_table;

typedef struct stoa_name_key { /* text: 1 to STOA_NAME_MAX bytes, checked by the caller */
    const char *text;
    size_t size;
    uint64_t hash;
} stoa_name_key;

void stoa__name_table_init(stoa_name_table *table);

/* The value of a name; false: there is none. No lock held by the caller; takes it only when writers keep interfering.
 * The value is as of some moment during the call; nothing keeps it alive. */
bool stoa__name_table_find(stoa_name_table *table, const stoa_name_key *key, stoa_held_value *out);

/* The following: with table->lock held by the caller. */
bool stoa__name_table_find_locked(const stoa_name_table *table, const stoa_name_key *key, stoa_held_value *out);
/* Enters a name that is not there. False: out of memory. */
bool stoa__name_table_add(stoa_name_table *table, const stoa_name_key *key, const stoa_held_value *value);
/* The name is there. */
void stoa__name_table_set(stoa_name_table *table, const stoa_name_key *key, const stoa_held_value *value);
void stoa__name_table_remove(stoa_name_table *table, const stoa_name_key *key);
/* Calls visit for each name, in no order, until it returns false; then false. `text` is valid during the call only. */
bool stoa__name_table_each(const stoa_name_table *table,
                           bool (*visit)(const char *text, size_t size, const stoa_value *, void *), void *arg);

#endif
