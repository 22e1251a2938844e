#include "heap/name_table_struct.h"

#include "heap/memory.h"

#include <string.h>

#define TRIES 3      /* without the lock */
#define SMALLEST 16u /* slots */
#define WORDS ((STOA_NAME_MAX + 7) / 8)

/* Atomic words are stored with release and loaded with acquire throughout: see the header for why. */
#define STORE(place, value) atomic_store_explicit(&(place), (value), memory_order_release)
#define LOAD(place) atomic_load_explicit(&(place), memory_order_acquire)

void
stoa__name_table_init(stoa_name_table *table)
{
    memset(table, 0, sizeof *table);
    stoa__lock_init(&table->lock, STOA_RANK_NAMES);
}

/* ---- reading: with the lock, or validated afterwards -------------------------------------------------------------- */

static bool
same_text(const stoa_name_entry *entry, const char *text, size_t size)
{
    /* a size that is being written may be anything, but what lies behind `text` is as long as its class says */
    if (LOAD(entry->size) != size || size > (128u << entry->size_class) - sizeof *entry) {
        return false;
    }
    size_t i = 0;
    uint64_t word;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, text + i, 8);
        if (LOAD(entry->text[i / 8]) != word) {
            return false;
        }
    }
    if (i == size) {
        return true;
    }
    word = 0;
    memcpy(&word, text + i, size - i);
    return LOAD(entry->text[i / 8]) == word;
}

/* The slot of a name, or the empty one where the search ended. */
static size_t
probe(const stoa_name_slots *slots, const stoa_name_key *key, stoa_name_entry **out)
{
    size_t i = key->hash & slots->mask;
    /* a reader without the lock may see entries moving about: it must not run round for ever */
    for (size_t left = slots->mask + 1; left != 0; left--, i = (i + 1) & slots->mask) {
        stoa_name_entry *entry = LOAD(slots->at[i].entry);
        if (entry == NULL || (LOAD(slots->at[i].hash) == key->hash && same_text(entry, key->text, key->size))) {
            *out = entry;
            return i;
        }
    }
    *out = NULL;
    return i;
}

static void
read_value(const stoa_name_entry *entry, stoa_held_value *out)
{
    uint64_t kind_domain = LOAD(entry->kind_domain);
    out->value.kind = (stoa_value_kind)(kind_domain >> 32);
    out->value.domain = (uint32_t)kind_domain;
    out->value.object = LOAD(entry->object);
    out->value.handle = LOAD(entry->handle);
    out->region = LOAD(entry->region);
}

bool
stoa__name_table_find_locked(const stoa_name_table *table, const stoa_name_key *key, stoa_held_value *out)
{
    const stoa_name_slots *slots = LOAD(table->slots);
    if (slots == NULL) {
        return false;
    }
    stoa_name_entry *entry;
    probe(slots, key, &entry);
    if (entry == NULL) {
        return false;
    }
    read_value(entry, out);
    return true;
}

bool
stoa__name_table_find(stoa_name_table *table, const stoa_name_key *key, stoa_held_value *out)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = LOAD(table->sequence);
        if (before & 1) {
            break;
        }
        bool found = stoa__name_table_find_locked(table, key, out);
        /* relaxed is enough: the acquire loads before it keep it behind them */
        if (atomic_load_explicit(&table->sequence, memory_order_relaxed) == before) {
            return found;
        }
    }
    stoa__lock(&table->lock);
    bool found = stoa__name_table_find_locked(table, key, out);
    stoa__unlock(&table->lock);
    return found;
}

/* ---- writing: under the lock -------------------------------------------------------------------------------------- */

static void
begin_change(stoa_name_table *table)
{
    uint64_t now = atomic_load_explicit(&table->sequence, memory_order_relaxed);
    atomic_store_explicit(&table->sequence, now + 1,
                          memory_order_relaxed); /* ordered by each release store after it */
}

static void
end_change(stoa_name_table *table)
{
    uint64_t now = atomic_load_explicit(&table->sequence, memory_order_relaxed);
    STORE(table->sequence, now + 1);
}

static void
write_value(stoa_name_entry *entry, const stoa_held_value *from)
{
    STORE(entry->kind_domain, (uint64_t)from->value.kind << 32 | from->value.domain);
    STORE(entry->object, from->value.object);
    STORE(entry->handle, from->value.handle);
    STORE(entry->region, from->region);
}

/* An entry with room for `size` bytes of text. NULL: out of memory. */
static stoa_name_entry *
take_entry(stoa_name_table *table, size_t size)
{
    unsigned size_class = 0;
    while ((128u << size_class) - sizeof(stoa_name_entry) < size) {
        size_class++;
    }
    stoa_name_entry *entry = table->free_entries[size_class];
    if (entry != NULL) {
        table->free_entries[size_class] = entry->next_free;
        return entry;
    }
    entry = stoa__alloc(128u << size_class);
    if (entry != NULL) {
        entry->size_class = size_class;
    }
    return entry;
}

static void
put_in(stoa_name_slots *slots, uint64_t hash, stoa_name_entry *entry)
{
    size_t i = hash & slots->mask;
    while (LOAD(slots->at[i].entry) != NULL) {
        i = (i + 1) & slots->mask;
    }
    STORE(slots->at[i].hash, hash);
    STORE(slots->at[i].entry, entry);
}

/* Room for one more name: at most half of the slots are used. A new array is filled before anybody sees it. */
static bool
grow(stoa_name_table *table)
{
    stoa_name_slots *old = LOAD(table->slots);
    if (old != NULL && table->count < (old->mask + 1) / 2) {
        return true;
    }
    size_t size = old == NULL ? SMALLEST : 2 * (old->mask + 1);
    stoa_name_slots *slots = stoa__alloc(sizeof *slots + size * sizeof slots->at[0]);
    if (slots == NULL) {
        return false;
    }
    slots->mask = size - 1;
    slots->older = old;
    for (size_t i = 0; old != NULL && i <= old->mask; i++) {
        stoa_name_entry *entry = LOAD(old->at[i].entry);
        if (entry != NULL) {
            put_in(slots, LOAD(old->at[i].hash), entry);
        }
    }
    begin_change(table);
    STORE(table->slots, slots);
    end_change(table);
    return true;
}

bool
stoa__name_table_add(stoa_name_table *table, const stoa_name_key *key, const stoa_held_value *value)
{
    if (!grow(table)) {
        return false;
    }
    stoa_name_entry *entry = take_entry(table, key->size);
    if (entry == NULL) {
        return false;
    }
    begin_change(table);
    STORE(entry->size, key->size);
    for (size_t i = 0; i < key->size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, key->text + i, key->size - i < 8 ? key->size - i : 8);
        STORE(entry->text[i / 8], word);
    }
    write_value(entry, value);
    put_in(LOAD(table->slots), key->hash, entry);
    table->count++;
    end_change(table);
    return true;
}

void
stoa__name_table_set(stoa_name_table *table, const stoa_name_key *key, const stoa_held_value *value)
{
    stoa_name_entry *entry;
    probe(LOAD(table->slots), key, &entry);
    begin_change(table);
    write_value(entry, value);
    end_change(table);
}

/* Closes the hole at `hole`: an entry further on moves into it unless its own place lies between the two. */
static void
close_hole(stoa_name_slots *slots, size_t hole)
{
    for (size_t i = (hole + 1) & slots->mask;; i = (i + 1) & slots->mask) {
        stoa_name_entry *entry = LOAD(slots->at[i].entry);
        if (entry == NULL) {
            break;
        }
        uint64_t hash = LOAD(slots->at[i].hash);
        size_t from_home = (i - (hash & slots->mask)) & slots->mask;
        size_t from_hole = (i - hole) & slots->mask;
        if (from_home >= from_hole) {
            STORE(slots->at[hole].hash, hash);
            STORE(slots->at[hole].entry, entry);
            hole = i;
        }
    }
    STORE(slots->at[hole].entry, NULL);
}

void
stoa__name_table_remove(stoa_name_table *table, const stoa_name_key *key)
{
    stoa_name_slots *slots = LOAD(table->slots);
    stoa_name_entry *entry;
    size_t hole = probe(slots, key, &entry);
    begin_change(table);
    close_hole(slots, hole);
    table->count--;
    write_value(entry, &(stoa_held_value){.region = NULL}); /* an address left there would look like a holder's */
    end_change(table);
    entry->next_free = table->free_entries[entry->size_class];
    table->free_entries[entry->size_class] = entry;
}

bool
stoa__name_table_each(const stoa_name_table *table,
                      bool (*visit)(const char *text, size_t size, const stoa_value *, void *), void *arg)
{
    const stoa_name_slots *slots = LOAD(table->slots);
    for (size_t i = 0; slots != NULL && i <= slots->mask; i++) {
        const stoa_name_entry *entry = LOAD(slots->at[i].entry);
        if (entry == NULL) {
            continue;
        }
        uint64_t text[WORDS];
        size_t size = LOAD(entry->size);
        for (size_t w = 0; w < (size + 7) / 8; w++) {
            text[w] = LOAD(entry->text[w]);
        }
        stoa_held_value held;
        read_value(entry, &held);
        if (!visit((const char *)text, size, &held.value, arg)) {
            return false;
        }
    }
    return true;
}
