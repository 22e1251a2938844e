/* The inside of a table of names, for name_table.c, and for who reads another process's (module/look.c). */
#ifndef STOA_HEAP_NAME_TABLE_STRUCT_H
#define STOA_HEAP_NAME_TABLE_STRUCT_H

#include "heap/name_table.h"

struct stoa_name_entry {
    stoa_name_entry *next_free; /* guarded by the table's lock */
    uint64_t size_class;        /* const */
    _Atomic uint64_t size;
    _Atomic uint64_t kind_domain; /* kind << 32 | domain */
    _Atomic(const void *) object;
    _Atomic uint64_t handle;
    _Atomic(stoa_region *) region;
    _Atomic uint64_t text[]; /* padded with zeroes */
};

struct stoa_name_slots {
    size_t mask;            /* const: number of slots - 1 */
    stoa_name_slots *older; /* const: the array before this one */
    struct {
        _Atomic uint64_t hash;
        _Atomic(stoa_name_entry *) entry; /* NULL: empty */
    } at[];
};

#endif
