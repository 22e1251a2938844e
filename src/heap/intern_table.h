/* The intern table as the other files of this layer see it: making, statistics, fork. */
#ifndef STOA_HEAP_INTERN_TABLE_H
#define STOA_HEAP_INTERN_TABLE_H

#include "heap/intern.h"
#include "heap/region_struct.h"

void stoa__intern_table_free(struct stoa_intern_table *table); /* NULL: nothing */
/* No lock. */
void stoa__intern_table_stats(const stoa_region *region, uint64_t *out_entries, size_t *out_bytes);

void stoa__intern_fork_prepare(stoa_region *region);
void stoa__intern_fork_parent(stoa_region *region);
void stoa__intern_fork_child(stoa_region *region);

/* Do the invariants hold? Takes each shard's lock. */
bool stoa__intern_check(stoa_region *region);

#endif
