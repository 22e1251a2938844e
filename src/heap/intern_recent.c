#include "heap/intern_recent.h"

#include "heap/batch_struct.h"
#include "heap/intern_struct.h"
#include "heap/memory.h"
#include "heap/process_struct.h"

#include <string.h>

#define BY_ONE 64u /* entries made one by one before a table is worth its memory */

/* ---- entering ---------------------------------------------------------------------------------------------------- */

/* The shard's lock is held. False: no memory. */
static bool
enter(stoa_intern_table *table, shard *own, uint64_t tag, uintptr_t object)
{
    uintptr_t view = atomic_load_explicit(&own->view, memory_order_relaxed);
    if (view == 0 || own->used + 1 > most_used((unsigned)(view & VIEW_LOG2))) {
        /* an array that cannot be replaced may be filled up to its last but one slot */
        if (!stoa__intern_rebuild(table, own) && (view == 0 || own->used >= view_mask(view))) {
            return false;
        }
        view = atomic_load_explicit(&own->view, memory_order_relaxed);
    }
    slot *slots = view_slots(view);
    size_t mask = view_mask(view);
    size_t i = tag & mask;
    uint64_t seen;
    while ((seen = atomic_load_explicit(&slots[i], memory_order_relaxed)) > TOMBSTONE) {
        i = (i + 1) & mask;
    }
    own->used += seen == 0;
    /* release: pairs with the acquire load of look_up */
    atomic_store_explicit(&slots[i], entry_of(table, tag, object), memory_order_release);
    atomic_store_explicit(&own->live, atomic_load_explicit(&own->live, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    return true;
}

/* Remembers the entry for an abort. Without memory, or with many, an abort will look through the table. */
static void
note(stoa_batch_state *state, const stoa_batch_entry *entry)
{
    if (!state->indexed) {
        return;
    }
    if (state->entry_count == state->entry_capacity) {
        uint32_t capacity = state->entry_capacity == 0 ? 16 : state->entry_capacity * 4;
        stoa_batch_entry *more = capacity <= STOA_BATCH_ENTRIES ? stoa__alloc(capacity * sizeof *more) : NULL;
        if (more == NULL) {
            state->indexed = false;
            return;
        }
        if (state->entry_count != 0) {
            memcpy(more, state->entries, state->entry_count * sizeof *more);
        }
        stoa__free(state->entries);
        state->entries = more;
        state->entry_capacity = capacity;
    }
    state->entries[state->entry_count++] = *entry;
}

/* Enters entries of one shard, those of `entries` that `order` names. */
static void
enter_some(stoa_batch *batch, stoa_intern_table *table, const stoa_batch_entry *entries,
           const uint16_t *order, size_t count)
{
    shard *own = shard_of(table, entries[order[0]].tag);
    size_t entered = 0;
    stoa__lock(&own->lock);
    while (entered < count) {
        const stoa_batch_entry *entry = &entries[order[entered]];
        if (!enter(table, own, entry->tag, (uintptr_t)entry->object)) {
            break;
        }
        entered++;
    }
    stoa__unlock(&own->lock);
    for (size_t i = 0; i < entered && batch->state->indexed; i++) {
        note(batch->state, &entries[order[i]]);
    }
    for (size_t i = entered; i < count; i++) {
        STOA_COUNT(&stoa__process->counters, intern_unentered);
    }
}

/* ---- emptying ---------------------------------------------------------------------------------------------------- */

static void
ask_for(stoa_intern_table *table, const stoa_batch_entry *entries, const uint16_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        stoa__intern_ask(table, entries[order[i]].tag);
    }
}

/* Sorts the entries by shard: those of shard s are order[start[s]] up to order[start[s + 1]]. */
static void
sort(stoa_intern_table *table, const stoa_recent *recent, uint16_t *order, uint16_t start[SHARDS + 1])
{
    const stoa_batch_entry *entries = recent->table->entries;
    uint16_t next[SHARDS] = {0};
    for (uint32_t i = 0; i < recent->count; i++) {
        next[shard_of(table, entries[i].tag) - table->shards]++;
    }
    uint16_t sum = 0;
    for (unsigned s = 0; s < SHARDS; s++) {
        start[s] = sum;
        sum = (uint16_t)(sum + next[s]);
        next[s] = start[s];
    }
    start[SHARDS] = sum;
    for (uint32_t i = 0; i < recent->count; i++) {
        order[next[shard_of(table, entries[i].tag) - table->shards]++] = (uint16_t)i;
    }
}

static void
empty_table(stoa_batch *batch, stoa_intern_table *table)
{
    stoa_recent *recent = &batch->state->recent;
    const stoa_batch_entry *entries = recent->table->entries;
    uint16_t *order = recent->table->order;
    uint16_t start[SHARDS + 1];
    sort(table, recent, order, start);
    ask_for(table, entries, order, start[1]);
    for (unsigned s = 0; s < SHARDS; s++) {
        if (s + 1 < SHARDS) {
            ask_for(table, entries, order + start[s + 1], (size_t)(start[s + 2] - start[s + 1]));
        }
        if (start[s + 1] != start[s]) {
            enter_some(batch, table, entries, order + start[s], (size_t)(start[s + 1] - start[s]));
        }
    }
    memset(recent->table->slots, 0, sizeof recent->table->slots);
}

void
stoa__recent_empty(stoa_batch *batch)
{
    stoa_recent *recent = &batch->state->recent;
    if (recent->count == 0) {
        return;
    }
    stoa_intern_table *table = stoa__intern_make(batch->region);
    if (table == NULL) {
        for (uint32_t i = 0; i < recent->count; i++) {
            STOA_COUNT(&stoa__process->counters, intern_unentered);
        }
        if (recent->table != NULL) {
            memset(recent->table->slots, 0, sizeof recent->table->slots);
        }
    }
    else if (recent->table != NULL) {
        empty_table(batch, table);
    }
    else {
        for (uint16_t i = 0; i < recent->count; i++) {
            enter_some(batch, table, recent->few, &i, 1);
        }
        recent->entered += recent->count;
    }
    recent->count = 0;
}

void
stoa__recent_add(stoa_batch *batch, uint64_t tag, const void *object)
{
    stoa_recent *recent = &batch->state->recent;
    if (recent->count == (recent->table != NULL ? STOA_RECENT_MOST : STOA_RECENT_FEW)) {
        stoa__recent_empty(batch);
        if (recent->table == NULL && recent->entered >= BY_ONE) {
            recent->table = stoa__alloc(sizeof *recent->table); /* none: then by few, as before */
        }
    }
    stoa_recent_table *table = recent->table;
    uint32_t number = recent->count++;
    if (table == NULL) {
        recent->few[number] = (stoa_batch_entry){tag, object};
        return;
    }
    table->entries[number] = (stoa_batch_entry){tag, object};
    size_t i = stoa__recent_slot(tag);
    while (table->slots[i] != 0) {
        i = (i + 1) & (STOA_RECENT_SLOTS - 1);
    }
    table->slots[i] = (uint16_t)(stoa__recent_check(tag) | (number + 1));
}

void
stoa__recent_clear(stoa_recent *recent)
{
    stoa__free(recent->table);
    recent->table = NULL;
    recent->count = 0;
}
