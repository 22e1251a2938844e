#include "heap/intern_own.h"

#include "heap/batch_struct.h"
#include "heap/intern_struct.h"
#include "heap/memory.h"
#include "heap/os.h"
#include "heap/process_struct.h"

#include <string.h>

#define SLAB_WORTH ((size_t)64 << 10) /* below, the arrays are not worth pages of their own */
#define TRUSTED 64u                   /* times as much as there is: further an expectation is not believed */
#define AHEAD 24u                     /* slots that entries are asked for ahead */

static void
count_unentered(size_t count)
{
    while (count-- > 0) {
        STOA_COUNT(&stoa__process->counters, intern_unentered);
    }
}

static inline slot *
array_of(const stoa_own *own, unsigned index)
{
    return own->slots + ((size_t)index << own->log2);
}

/* ---- growing ----------------------------------------------------------------------------------------------------- */

static inline size_t
capacity(unsigned log2)
{
    return most_used(log2) * SHARDS;
}

/* The size after this one: by steps, or at once what the whole batch is expected to need. */
static unsigned
next_log2(const stoa_batch *batch, const stoa_own *own)
{
    if (own->slots == NULL) {
        return LEAST_LOG2;
    }
    unsigned log2 = own->log2 + stoa__intern_growth(own->log2);
    uint64_t expected = batch->expected;
    if (expected / TRUSTED <= own->count) {
        /* expectations are high, since much of what comes later has been met before; and too large costs more than too small */
        while (capacity(log2) < expected / 4 * 3) {
            log2++;
        }
    }
    return log2;
}

static bool
grow(stoa_batch *batch)
{
    stoa_own *own = &batch->state->own;
    stoa_intern_table *table = stoa__intern_make(batch->region);
    unsigned log2 = next_log2(batch, own);
    if (table == NULL || log2 > 64 - table->place_bits) {
        return false;
    }
    own->vacant = NULL;
    stoa_own old = *own;
    size_t bytes = (sizeof(slot) * SHARDS) << log2;
    slab *home = NULL;
    slot *slots;
    if (bytes < SLAB_WORTH) {
        slots = stoa__alloc(bytes);
    }
    else {
        home = stoa__slab_make(table, log2);
        slots = home != NULL ? home->memory : NULL;
    }
    if (slots == NULL) {
        return false;
    }
    if (home != NULL) {
        (void)stoa__os_populate(slots, bytes); /* best effort: else it is faulted in */
    }
    own->slots = slots;
    own->log2 = log2;
    own->home = home;
    own->place_bits = table->place_bits;
    for (unsigned index = 0; old.slots != NULL && index < SHARDS; index++) {
        move_slots(own->place_bits, array_of(&old, index), old.log2, array_of(own, index), log2);
    }
    for (size_t i = 0; old.slots == NULL && i < old.count; i++) {
        uint64_t tag = old.few[i].tag;
        put_slot(array_of(own, shard_index(tag)), slot_mask(log2), tag,
                 entry_of(own->place_bits, tag, (uintptr_t)old.few[i].object));
        own->counts[shard_index(tag)]++;
    }
    stoa__own_clear(&old);
    return true;
}

static void
add(stoa_batch *batch, uint64_t tag, const void *object)
{
    stoa_own *own = &batch->state->own;
    uint32_t *count = &own->counts[shard_index(tag)];
    if (*count >= most_used(own->log2)) {
        /* arrays that cannot be replaced may be filled up to their last but one slot */
        if (!grow(batch) && *count >= slot_mask(own->log2)) {
            count_unentered(1);
            return;
        }
    }
    uint64_t entry = entry_of(own->place_bits, tag, (uintptr_t)object);
    if (own->vacant != NULL && own->vacant_tag == tag) {
        atomic_store_explicit(own->vacant, entry, memory_order_relaxed); /* the batch's thread alone reads it */
    }
    else {
        put_slot(array_of(own, shard_index(tag)), slot_mask(own->log2), tag, entry);
    }
    own->vacant = NULL; /* also of another tag: it may be the slot that was taken */
    *count += 1;
    own->count++;
}

static void
add_group(stoa_batch *batch, stoa_own_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        add(batch, group->entries[i].tag, group->entries[i].object);
    }
    group->count = 0;
    memset(group->marks, 0, sizeof group->marks);
}

/* The group is complete: the one before is written, this one asked for. */
static void
change_groups(stoa_batch *batch)
{
    stoa_own *own = &batch->state->own;
    const stoa_own_group *full = &own->groups[own->filling];
    own->filling ^= 1;
    add_group(batch, &own->groups[own->filling]);
    for (uint32_t i = 0; i < full->count; i++) {
        uint64_t tag = full->entries[i].tag;
        __builtin_prefetch((const void *)&array_of(own, shard_index(tag))[tag & slot_mask(own->log2)], 1);
    }
}

void
stoa__own_add(stoa_batch *batch, uint64_t tag, const void *object, bool later)
{
    stoa_own *own = &batch->state->own;
    if (own->slots == NULL) {
        if (own->count < STOA_OWN_FEW) {
            own->few[own->count++] = (stoa_own_entry){tag, object};
            return;
        }
        if (!grow(batch)) {
            count_unentered(1);
            return;
        }
    }
    if (!later) {
        add(batch, tag, object);
        return;
    }
    stoa_own_group *group = &own->groups[own->filling];
    group->entries[group->count++] = (stoa_own_entry){tag, object};
    group->marks[tag >> 6 & 3] |= UINT64_C(1) << (tag & 63);
    if (group->count == STOA_OWN_GROUP) {
        change_groups(batch);
    }
}

void
stoa__own_clear(stoa_own *own)
{
    if (own->home != NULL) {
        stoa__slab_free(own->home);
    }
    else {
        stoa__free((void *)own->slots);
    }
    own->slots = NULL;
    own->home = NULL;
    own->vacant = NULL;
    own->count = 0;
    own->groups[0].count = own->groups[1].count = 0;
}

/* ---- settling ---------------------------------------------------------------------------------------------------- */

/* Enters one array's entries into the shard, whose lock is held. Returns how many found no room. */
static size_t
enter_array(stoa_intern_table *table, shard *to, const slot *slots, size_t count)
{
    size_t left_out = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t later = i + AHEAD < count ? atomic_load_explicit(&slots[i + AHEAD], memory_order_relaxed) : 0;
        if (later != 0) {
            ask_slot(atomic_load_explicit(&to->view, memory_order_relaxed),
                     entry_tag(table->place_bits, later));
        }
        uint64_t entry = atomic_load_explicit(&slots[i], memory_order_relaxed);
        if (entry != 0) {
            left_out += !stoa__intern_enter(table, to, entry);
        }
    }
    return left_out;
}

/* The arrays become the region's, if it has less than they. */
static bool
give_arrays(stoa_own *own, stoa_intern_table *table)
{
    size_t slots = (size_t)SHARDS << own->log2, live = 0;
    for (unsigned index = 0; index < SHARDS; index++) {
        live += atomic_load_explicit(&table->shards[index].live, memory_order_relaxed);
    }
    if (own->home == NULL || own->count < slots / 8 || live > own->count / 2 ||
        !stoa__slab_keep(table, own->home)) {
        return false;
    }
    size_t left_out = 0;
    for (unsigned index = 0; index < SHARDS; index++) {
        shard *to = &table->shards[index];
        stoa__lock(&to->lock);
        bool taken = stoa__intern_take_over(table, to, own->home, own->counts[index]);
        if (!taken) { /* somebody else has just entered many */
            left_out += enter_array(table, to, array_of(own, index), slot_mask(own->log2) + 1);
        }
        stoa__unlock(&to->lock);
        if (!taken) {
            stoa__slab_give_up(own->home, index);
        }
    }
    count_unentered(left_out);
    own->home = NULL;
    own->slots = NULL;
    return true;
}

static void
enter_few(const stoa_own *own, stoa_intern_table *table)
{
    for (size_t i = 0; i < own->count; i++) {
        uint64_t tag = own->few[i].tag;
        shard *to = &table->shards[shard_index(tag)];
        stoa__lock(&to->lock);
        bool entered = stoa__intern_enter(table, to,
                                          entry_of(table->place_bits, tag, (uintptr_t)own->few[i].object));
        stoa__unlock(&to->lock);
        count_unentered(!entered);
    }
}

void
stoa__own_settle(stoa_batch *batch)
{
    stoa_own *own = &batch->state->own;
    add_group(batch, &own->groups[0]);
    add_group(batch, &own->groups[1]);
    if (own->count == 0) {
        return;
    }
    stoa_intern_table *table = stoa__intern_make(batch->region);
    if (table == NULL) {
        count_unentered(own->count);
    }
    else if (own->slots == NULL) {
        enter_few(own, table);
    }
    else if (!give_arrays(own, table)) {
        for (unsigned index = 0; index < SHARDS; index++) {
            shard *to = &table->shards[index];
            stoa__lock(&to->lock);
            size_t left_out = enter_array(table, to, array_of(own, index), slot_mask(own->log2) + 1);
            stoa__unlock(&to->lock);
            count_unentered(left_out);
        }
    }
    stoa__own_clear(own);
}
