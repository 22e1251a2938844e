#include "heap/chunk.h"

#include "heap/arena.h"
#include "heap/error.h"
#include "heap/memory.h"
#include "heap/os.h"
#include "heap/process_struct.h"

#include <string.h>

#define LOOK_AT 8                    /* chunks of the list that are tried before a new one is taken */
#define ROOM_WORTH 1024              /* a chunk with less is left to itself */
#define BIG_REGION ((size_t)4 << 20) /* from here on chunks grow, and are made of huge pages */
#define MOST_CHUNK ((size_t)8 << 20)
#define POPULATE_WORTH ((size_t)64 << 10) /* below, faulting the pages in one by one is no dearer */
#define DROP_WORTH ((size_t)256 << 10)
#define PUNCH_WORTH ((size_t)256 << 10) /* below, zeroing is cheaper than new pages */

static inline stoa_space *
space(void)
{
    return &stoa__process->space;
}

static inline size_t
page_up(size_t offset)
{
    size_t page = stoa__os_page_size();
    return (offset + page - 1) & ~(page - 1);
}

/* Where the room starts: chunks start at a granule, so offsets align as addresses do. */
static inline size_t
room_start(const stoa_chunk *chunk, size_t alignment)
{
    return (chunk->fill + alignment - 1) & ~(alignment - 1);
}

size_t
stoa__chunk_room(const stoa_chunk *chunk, size_t alignment)
{
    size_t start = room_start(chunk, alignment);
    return start < chunk->size ? chunk->size - start : 0;
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

/* Takes a chunk with room off the region's list, or returns NULL. The region's lock is held. */
static stoa_chunk *
take_from_list(stoa_region *region, size_t size, size_t alignment)
{
    stoa_chunk **link = &region->partial;
    for (int i = 0; i < LOOK_AT && *link != NULL; i++, link = &(*link)->next) {
        stoa_chunk *chunk = *link;
        if (stoa__chunk_room(chunk, alignment) >= size) {
            *link = chunk->next;
            region->partial_count--;
            return chunk;
        }
    }
    return NULL;
}

static size_t
preferred_size(const stoa_region *region, size_t least)
{
    size_t have = atomic_load_explicit(&region->chunk_bytes, memory_order_relaxed);
    size_t size = STOA_GRANULE;
    if (have >= BIG_REGION) {
        while (size < MOST_CHUNK && size <= have / 2) {
            size *= 2;
        }
    }
    if (region->limit != 0) { /* no more than the limit can fill */
        size_t charged = atomic_load_explicit(&region->charged, memory_order_relaxed);
        size_t left = charged < region->limit ? region->limit - charged : 0;
        while (size > STOA_GRANULE && size / 2 >= left) {
            size /= 2;
        }
    }
    return size > least ? size : least;
}

/* `size` bytes of address space from the region's arena, counted against the limit of the heap. Lock held. */
static char *
take_addresses(stoa_region *region, size_t size)
{
    if (!region->has_arena) {
        if (stoa__arena_new(&region->arena) != STOA_OK) {
            return NULL;
        }
        region->has_arena = true;
    }
    size_t alignment = size >= STOA_HUGE_PAGE ? STOA_HUGE_PAGE : STOA_GRANULE;
    return stoa__arena_alloc(region->arena, size, alignment);
}

static char *
take_counted(stoa_region *region, size_t size)
{
    if (!stoa__space_charge(space(), size)) {
        return NULL;
    }
    char *start = take_addresses(region, size);
    if (start == NULL) {
        stoa__space_uncharge(space(), size);
    }
    return start;
}

static stoa_err
fail_full(size_t size)
{
    size_t limit = space()->limit;
    size_t used = atomic_load_explicit(&space()->chunk_bytes, memory_order_relaxed);
    if (space()->closed) {
        return stoa__fail(STOA_ENOMEM,
                          "this forked process has no heap of its own (no shared memory could be had); "
                          "it can only read what was there before");
    }
    if (limit != 0 && (used > limit || size > limit - used)) {
        return stoa__fail(STOA_ENOMEM,
                          "the heap is full: %zu of %zu bytes are taken and %zu more are needed; raise "
                          "STOA_HEAP_LIMIT",
                          used, limit, size);
    }
    return stoa__fail(STOA_ENOMEM,
                      "no addresses left for %zu bytes in the heap's range of %zu bytes; raise "
                      "STOA_HEAP_RESERVE, or the limit of address space (ulimit -v)",
                      size, space()->reserved);
}

static bool
crosses_step(const stoa_chunk *chunk)
{
    uintptr_t start = (uintptr_t)chunk->start, end = start + chunk->size;
    return start / STOA_CHUNK_STEP != (end - 1) / STOA_CHUNK_STEP;
}

/* A new chunk with that room, entered into the granule table. The region's lock is held. NULL: message set. */
static stoa_chunk *
take_new(stoa_region *region, size_t size, size_t alignment)
{
    size_t first = region->id == 1 ? 0 : STOA_CHUNK_FIRST;
    if (first != 0 && size <= SIZE_MAX / 2) {
        size += (first + alignment - 1) & ~(alignment - 1);
    }
    if (size > SIZE_MAX / 2) {
        fail_full(size);
        return NULL;
    }
    stoa_chunk *chunk = stoa__alloc(sizeof *chunk);
    if (chunk == NULL) {
        stoa__fail(STOA_ENOMEM, "no memory for the record of a chunk");
        return NULL;
    }
    size_t least = (size + STOA_GRANULE - 1) & ~(STOA_GRANULE - 1);
    chunk->size = preferred_size(region, least);
    chunk->start = take_counted(region, chunk->size);
    if (chunk->start != NULL && chunk->size > least && first != 0 && crosses_step(chunk)) {
        stoa__arena_free(region->arena, chunk->start, chunk->size);
        stoa__space_uncharge(space(), chunk->size);
        chunk->start = NULL; /* a single granule crosses none, and a large object does not begin there */
    }
    if (chunk->start == NULL && chunk->size > least) {
        chunk->size = least;
        chunk->start = take_counted(region, least);
    }
    if (chunk->start == NULL) {
        stoa__free(chunk);
        fail_full(least);
        return NULL;
    }
    chunk->fill = first;
    chunk->region = region;
    chunk->big = chunk->size >= STOA_HUGE_PAGE;
    stoa__space_enter_chunk(space(), chunk->start, chunk->size, region->id);
    atomic_fetch_add_explicit(&region->chunk_bytes, chunk->size, memory_order_relaxed);
    return chunk;
}

stoa_chunk *
stoa__chunk_take(stoa_region *region, size_t size, size_t alignment, uintptr_t batch)
{
    stoa__lock(&region->lock);
    stoa_chunk *chunk = take_from_list(region, size, alignment);
    if (chunk == NULL) {
        chunk = take_new(region, size, alignment);
    }
    if (chunk != NULL) {
        stoa_granule *first = stoa__granule(space(), chunk->start);
        atomic_store_explicit(&first->batch, batch, memory_order_relaxed);
    }
    stoa__unlock(&region->lock);
    return chunk;
}

size_t
stoa__chunk_prepare(stoa_chunk *chunk, size_t least, size_t wanted)
{
    size_t room = chunk->size - chunk->fill;
    wanted = wanted < room ? wanted : room;
    if (chunk->prepared >= chunk->fill + least) {
        size_t ready = chunk->prepared - chunk->fill;
        return ready < room ? ready : room;
    }
    size_t from = chunk->prepared;
    if (chunk->fill <= STOA_CHUNK_FIRST) {
        from = 0; /* nothing is there yet, and huge pages start where the chunk does */
    }
    else if (from <=
             chunk->fill) { /* a page that is begun is there, as a rule; where pages are scarce it is asked for */
        from = space()->scarce ? chunk->fill & ~(stoa__os_page_size() - 1) : page_up(chunk->fill);
    }
    size_t to = page_up(chunk->fill + wanted);
    if (to - from < POPULATE_WORTH && !space()->scarce) {
        return wanted;
    }
    char *start = chunk->start + from;
    bool big = chunk->big && !space()->scarce;
    size_t got = stoa__pages_prepare(&space()->pages, stoa__rw(start), start, to - from, chunk->size - from,
                                     big);
    if (got == 0 && space()->scarce) {
        stoa__fail(STOA_ENOMEM, "the file system behind the heap has no room for %zu bytes", to - from);
        return 0;
    }
    chunk->prepared = got == 0 ? to : from + got;
    return chunk->prepared - chunk->fill;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

void
stoa__chunk_drop_alias(const stoa_chunk *chunk)
{
    if (chunk->fill - chunk->sealed >= DROP_WORTH || chunk->size - chunk->fill < ROOM_WORTH) {
        stoa__space_drop_alias(space(), chunk->start, page_up(chunk->fill));
    }
}

static void
push(stoa_chunk *chunk)
{
    stoa_region *region = chunk->region;
    stoa_granule *first = stoa__granule(space(), chunk->start);
    atomic_store_explicit(&first->batch, 0, memory_order_relaxed);
    if (chunk->size - chunk->fill < ROOM_WORTH) {
        stoa__free(chunk);
        return;
    }
    chunk->next = region->partial;
    region->partial = chunk;
    region->partial_count++;
}

void
stoa__chunk_seal(stoa_chunk *chunk)
{
    stoa_granule *first = stoa__granule(space(), chunk->start);
    /* release: pairs with stoa__batch_sees, and covers the bytes of all chunks of the batch */
    atomic_store_explicit(&first->sealed, chunk->fill, memory_order_release);
    chunk->sealed = chunk->fill;
    push(chunk);
}

/* Zeroes what was laid above the sealed part; whole pages in quantity go back to the system. */
static void
clean(stoa_chunk *chunk)
{
    size_t from = chunk->sealed;
    size_t to = chunk->fill;
    char *writable = stoa__rw(chunk->start);
    size_t first_page = page_up(from);
    if (to - from >= PUNCH_WORTH) {
        memset(writable + from, 0, first_page - from);
        size_t end = page_up(to) < chunk->size ? page_up(to) : chunk->size;
        stoa__space_punch(space(), chunk->start + first_page, end - first_page);
        chunk->prepared = chunk->prepared < first_page ? chunk->prepared : first_page;
    }
    else {
        memset(writable + from, 0, to - from);
    }
    chunk->fill = from;
}

static void
give_to_arena(stoa_chunk *chunk)
{
    stoa_region *region = chunk->region;
    size_t touched = page_up(chunk->fill) > chunk->prepared ? page_up(chunk->fill) : chunk->prepared;
    stoa__space_punch(space(), chunk->start, touched);
    stoa__space_remove_chunk(space(), chunk->start);
    stoa__lock(&region->lock);
    stoa__arena_free(region->arena, chunk->start, chunk->size);
    atomic_fetch_sub_explicit(&region->chunk_bytes, chunk->size, memory_order_relaxed);
    stoa__unlock(&region->lock);
    stoa__space_uncharge(space(), chunk->size);
    stoa__free(chunk);
}

static void
dispose(stoa_deferred *deferred)
{
    stoa_chunk *chunk = (stoa_chunk *)((char *)deferred - offsetof(stoa_chunk, deferred));
    stoa_region *region = chunk->region;
    if (chunk->generation != stoa__fork_generation()) {
        stoa__free(chunk); /* the parent's page */
    }
    else if (chunk->sealed == 0) {
        give_to_arena(chunk);
    }
    else {
        clean(chunk);
        stoa__lock(&region->lock);
        push(chunk);
        stoa__unlock(&region->lock);
    }
    stoa__region_unref(region);
}

void
stoa__chunk_abort(stoa_chunk *chunk)
{
    stoa_granule *first = stoa__granule(space(), chunk->start);
    atomic_store_explicit(&first->batch, 0, memory_order_relaxed);
    stoa__region_ref(chunk->region); /* dispose gives it up */
    chunk->generation = stoa__fork_generation();
    chunk->deferred.dispose = dispose;
    stoa__epoch_defer(&chunk->deferred);
}

bool
stoa__chunk_check_list(stoa_region *region)
{
    bool good = true;
    size_t count = 0;
    stoa__lock(&region->lock);
    for (stoa_chunk *chunk = region->partial; chunk != NULL && good; chunk = chunk->next, count++) {
        stoa_granule *first = stoa__granule(space(), chunk->start);
        good = chunk->sealed <= chunk->fill && chunk->fill <= chunk->size && chunk->region == region &&
               atomic_load(&first->sealed) == chunk->sealed && atomic_load(&first->region) == region->id &&
               first->size == chunk->size && atomic_load(&first->batch) == 0;
        const char *end = chunk->start + chunk->size;
        /* a sample of the room: reading all of it would make all of it present */
        for (const char *p = chunk->start + chunk->fill;
             p < end && p < chunk->start + chunk->fill + 4096 && good; p++) {
            good = *p == 0;
        }
    }
    good = good && count == region->partial_count;
    stoa__unlock(&region->lock);
    return good;
}
