#include "proxy/handle_map.h"

#include <stdlib.h>

#define SMALLEST 16u

static size_t
home_of(uint64_t key, size_t capacity)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (capacity - 1);
}

static stoa_map_entry *
find_from(const stoa_handle_map *map, uint64_t key, size_t at)
{
    for (;; at++) {
        stoa_map_entry *entry = &map->entries[at & (map->capacity - 1)];
        if (entry->key == key) {
            return entry;
        }
        if (entry->key == 0) {
            return NULL;
        }
    }
}

stoa_map_entry *
stoa__map_first(const stoa_handle_map *map, uint64_t key)
{
    return map->entries == NULL ? NULL : find_from(map, key, home_of(key, map->capacity));
}

stoa_map_entry *
stoa__map_next(const stoa_handle_map *map, const stoa_map_entry *entry)
{
    return find_from(map, entry->key, (size_t)(entry - map->entries) + 1);
}

static void
put(stoa_map_entry *entries, size_t capacity, uint64_t key, uint64_t value)
{
    size_t at = home_of(key, capacity);
    while (entries[at & (capacity - 1)].key != 0) {
        at++;
    }
    entries[at & (capacity - 1)] = (stoa_map_entry){key, value};
}

static bool
resize(stoa_handle_map *map, size_t capacity)
{
    stoa_map_entry *entries = calloc(capacity, sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].key != 0) {
            put(entries, capacity, map->entries[i].key, map->entries[i].value);
        }
    }
    free(map->entries);
    map->entries = entries;
    map->capacity = capacity;
    return true;
}

bool
stoa__map_add(stoa_handle_map *map, uint64_t key, uint64_t value)
{
    if ((map->count + 1) * 4 > map->capacity * 3 &&
        !resize(map, map->capacity == 0 ? SMALLEST : map->capacity * 2)) {
        return false;
    }
    put(map->entries, map->capacity, key, value);
    map->count++;
    return true;
}

void
stoa__map_remove(stoa_handle_map *map, stoa_map_entry *entry)
{
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(entry - map->entries);
    for (size_t at = (hole + 1) & mask; map->entries[at].key != 0; at = (at + 1) & mask) {
        /* may it move up: is the hole on its way from home? */
        if (((at - home_of(map->entries[at].key, map->capacity)) & mask) >= ((at - hole) & mask)) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole].key = 0;
    map->count--;
    if (map->capacity > SMALLEST && map->count * 8 < map->capacity) {
        (void)resize(map, map->capacity / 2); /* no memory: it stays as large as it is */
    }
}

void
stoa__map_free(stoa_handle_map *map)
{
    free(map->entries);
    *map = (stoa_handle_map){NULL, 0, 0};
}
