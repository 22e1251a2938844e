#include "heap/search.h"

#include "heap/error.h"
#include "heap/os.h"
#include "heap/os_memory.h"
#include "heap/process_struct.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 1024
#define COPY_AT_ONCE ((size_t)1 << 20)

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

void
stoa__pieces_add(stoa_pieces *pieces, uintptr_t start, uintptr_t end)
{
    if (start >= end || pieces->short_of_memory) {
        return;
    }
    if (pieces->count == pieces->room) {
        size_t room = pieces->room == 0 ? FIRST_ROOM : 2 * pieces->room;
        size_t size = room * sizeof *pieces->at;
        struct stoa_piece *more = stoa__os_alloc(stoa__os_whole_pages(size), false);
        if (more == NULL) {
            pieces->short_of_memory = true;
            return;
        }
        if (pieces->count != 0) {
            memcpy(more, pieces->at, pieces->count * sizeof *more);
            stoa__os_free(pieces->at, stoa__os_whole_pages(pieces->room * sizeof *pieces->at));
        }
        pieces->at = more;
        pieces->room = room;
    }
    pieces->at[pieces->count++] = (struct stoa_piece){start, end};
}

static int
by_start(const void *a, const void *b)
{
    uintptr_t left = ((const struct stoa_piece *)a)->start, right = ((const struct stoa_piece *)b)->start;
    return left < right ? -1 : left > right;
}

/* In order, and no two that touch. */
void
stoa__pieces_sort(stoa_pieces *pieces)
{
    size_t kept = 0;
    if (pieces->count < 2) {
        return;
    }
    qsort(pieces->at, pieces->count, sizeof *pieces->at, by_start);
    for (size_t i = 1; i < pieces->count; i++) {
        if (pieces->at[i].start <= pieces->at[kept].end) {
            if (pieces->at[i].end > pieces->at[kept].end) {
                pieces->at[kept].end = pieces->at[i].end;
            }
        }
        else {
            pieces->at[++kept] = pieces->at[i];
        }
    }
    pieces->count = kept + 1;
}

void
stoa__pieces_free(stoa_pieces *pieces)
{
    if (pieces->at != NULL) {
        stoa__os_free(pieces->at, stoa__os_whole_pages(pieces->room * sizeof *pieces->at));
    }
    memset(pieces, 0, sizeof *pieces);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

typedef struct search {
    uint32_t region;
    uintptr_t low, high; /* no address of the region is outside */
    stoa_found_fn found;
    void *arg;
    uint64_t *copy; /* COPY_AT_ONCE bytes */
    bool enough;
} search;

/* Where the region's chunks begin and end. */
static void
find_bounds(search *s)
{
    stoa_space *space = &stoa__process->space;
    stoa__lock(&space->lock);
    size_t count = (space->frontier - space->public_base) >> STOA_GRANULE_SHIFT;
    stoa__unlock(&space->lock);
    s->low = UINTPTR_MAX;
    for (size_t i = 0; i < count; i++) {
        if (atomic_load_explicit(&space->granules[i].region, memory_order_acquire) == s->region) {
            uintptr_t start = space->public_base + (i << STOA_GRANULE_SHIFT);
            s->low = start < s->low ? start : s->low;
            s->high = start + STOA_GRANULE;
        }
    }
}

/* `word` lies between the bounds. Is it an address of something sealed, other than the very start of a chunk? */
static bool
is_inside(const search *s, uintptr_t word)
{
    const void *address = (const void *)word;
    if (stoa__region_of(address) != s->region) {
        return false;
    }
    const stoa_space *space = &stoa__process->space;
    const stoa_granule *first = stoa__granule_first(space, address);
    uintptr_t start = space->public_base + ((uintptr_t)(first - space->granules) << STOA_GRANULE_SHIFT);
    return word > start && word % STOA_CHUNK_STEP != 0 &&
           word - start < atomic_load_explicit(&first->sealed, memory_order_acquire);
}

static void
look_at(search *s, uintptr_t from, uintptr_t to)
{
    while (from < to && !s->enough) {
        size_t size = to - from < COPY_AT_ONCE ? to - from : COPY_AT_ONCE;
        size_t got = stoa__os_copy(s->copy, (const void *)from, size);
        for (size_t i = 0; i < got / 8 && !s->enough; i++) {
            uintptr_t word = s->copy[i];
            if (word - s->low < s->high - s->low && is_inside(s, word)) {
                const void *place = (const void *)(from + i * 8);
                s->enough = !stoa__os_is_poisoned(place) && !s->found(place, (const void *)word, s->arg);
            }
        }
        /* what cannot be read is gone, or a page of a file that is shorter by now */
        size_t page = stoa__os_page_size();
        from = got == size ? from + size : ((from + got) | (page - 1)) + 1;
    }
}

/* Looks at [from, to) without the pieces of `skip`; `next`: the first that may matter. */
static size_t
look_around(search *s, uintptr_t from, uintptr_t to, const stoa_pieces *skip, size_t next)
{
    while (next < skip->count && skip->at[next].end <= from) {
        next++;
    }
    size_t i = next;
    for (; i < skip->count && skip->at[i].start < to; i++) {
        if (skip->at[i].start > from) {
            look_at(s, from, (skip->at[i].start + 7) & ~(uintptr_t)7);
        }
        uintptr_t after = (skip->at[i].end + 7) & ~(uintptr_t)7;
        from = after > from ? after : from;
    }
    if (from < to) {
        look_at(s, from, to);
    }
    return next;
}

stoa_err
stoa__search(const stoa_region *region, stoa_pieces *skip, const void *stack, stoa_found_fn found, void *arg)
{
    search s = {.region = region->id, .found = found, .arg = arg};
    stoa_pieces memory = {NULL, 0, 0, false};
    find_bounds(&s);
    if (s.high == 0) {
        return STOA_OK; /* nothing was ever laid down in it */
    }
    const stoa_space *space = &stoa__process->space;
    uintptr_t heap = space->public_base, heap_end = heap + space->alias_delta + space->reserved; /* both views */
    s.copy = stoa__os_alloc(COPY_AT_ONCE, false);
    stoa_err err = s.copy == NULL ? stoa__fail(STOA_ENOMEM, "no memory to look through memory")
                                  : stoa__os_writable_memory(&memory, heap, heap_end);
    if (err == STOA_OK) {
        stoa__pieces_add(skip, heap, heap_end); /* what the guard has opened */
        stoa__pieces_add(skip, (uintptr_t)s.copy, (uintptr_t)s.copy + COPY_AT_ONCE);
        stoa__os_unused_stacks(skip, stack);
        stoa__os_unused_malloc(skip, heap, heap_end);
        stoa__pieces_sort(skip);
        stoa__pieces_sort(&memory);
        size_t next = 0;
        for (size_t i = 0; i < memory.count && !s.enough; i++) {
            next = look_around(&s, memory.at[i].start, memory.at[i].end, skip, next);
        }
        if (memory.short_of_memory) {
            err = stoa__fail(STOA_ENOMEM, "no memory to look through memory");
        }
    }
    stoa__pieces_free(&memory);
    if (s.copy != NULL) {
        stoa__os_free(s.copy, COPY_AT_ONCE);
    }
    return err;
}
