/* A hash table from one word to another, neither 0; several values a key are allowed. Open addressing, 16 bytes an entry;
 * entries move up when one is removed, so there are no graves. The caller guards it. */
#ifndef STOA_PROXY_HANDLE_MAP_H
#define STOA_PROXY_HANDLE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct stoa_map_entry {
    uint64_t key, value; /* key 0: empty */
} stoa_map_entry;

typedef struct stoa_handle_map {
    stoa_map_entry *entries; /* capacity is a power of two, or entries is NULL */
    size_t capacity, count;
} stoa_handle_map;

/* The first entry of `key` (NULL: none), and the one after `entry`. Valid until the table changes. */
stoa_map_entry *stoa__map_first(const stoa_handle_map *map, uint64_t key);
stoa_map_entry *stoa__map_next(const stoa_handle_map *map, const stoa_map_entry *entry);
/* false: no memory; nothing has changed. */
bool stoa__map_add(stoa_handle_map *map, uint64_t key, uint64_t value);
void stoa__map_remove(stoa_handle_map *map, stoa_map_entry *entry);
void stoa__map_free(stoa_handle_map *map);

#endif
