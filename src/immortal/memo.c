#include "immortal/memo.h"

#include "heap/wipe.h"

#include <stdlib.h>
#include <string.h>

void
stoa__memo_init(stoa_memo *memo)
{
    memset(memo->first, 0, sizeof(memo->first));
    memo->cache = memo->first;
    memo->cache_mask = STOA_MEMO_FIRST - 1;
    memo->table = NULL;
    memo->table_mask = 0;
    memo->used = 0;
    memo->wipes = true;
}

static void
give_back(const stoa_memo *memo, stoa_memo_entry *entries, size_t mask)
{
    stoa__wipe_free(entries, (mask + 1) * sizeof(*entries), memo->wipes);
}

void
stoa__memo_clear(stoa_memo *memo)
{
    if (memo->cache != memo->first) {
        give_back(memo, memo->cache, memo->cache_mask);
    }
    give_back(memo, memo->table, memo->table_mask);
    memo->cache = memo->first;
    memo->table = NULL;
}

void
stoa__memo_widen(stoa_memo *memo)
{
    if (memo->cache != memo->first) {
        return;
    }
    stoa_memo_entry *cache = calloc(STOA_MEMO_CACHE, sizeof(*cache));
    if (cache != NULL) {
        memo->cache = cache; /* what the small one knew is in the table */
        memo->cache_mask = STOA_MEMO_CACHE - 1;
    }
}

static stoa_memo_entry *
find_slot(stoa_memo_entry *table, size_t mask, const void *source)
{
    size_t i = (size_t)(((uintptr_t)source >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & mask;
    while (table[i].source != NULL && table[i].source != source) {
        i = (i + 1) & mask;
    }
    return &table[i];
}

static bool
grow(stoa_memo *memo)
{
    size_t size = memo->table == NULL ? 64 : (memo->table_mask + 1) * 2;
    stoa_memo_entry *table = calloc(size, sizeof(*table));
    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; memo->table != NULL && i <= memo->table_mask; i++) {
        if (memo->table[i].source != NULL) {
            *find_slot(table, size - 1, memo->table[i].source) = memo->table[i];
        }
    }
    give_back(memo, memo->table, memo->table_mask);
    memo->table = table;
    memo->table_mask = size - 1;
    return true;
}

bool
stoa__memo_put(stoa_memo *memo, const void *source, void *twin)
{
    if ((memo->used + 1) * 2 > memo->table_mask && !grow(memo)) {
        return false;
    }
    stoa_memo_entry *slot = find_slot(memo->table, memo->table_mask, source);
    if (slot->source == NULL) {
        slot->source = source;
        memo->used++;
    }
    slot->twin = twin;
    return true;
}

void *
stoa__memo_find(const stoa_memo *memo, const void *source)
{
    return memo->table == NULL ? NULL : find_slot(memo->table, memo->table_mask, source)->twin;
}
