#include "heap/space.h"

#include "heap/error.h"
#include "heap/os.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_RESERVE ((size_t)1 << 40)
#if defined(__SANITIZE_THREAD__)
#define MOST_RESERVE ((size_t)64 << 30) /* its shadow leaves no room for more */
#else
#define MOST_RESERVE ((size_t)16 << 40)
#endif

bool
stoa__parse_size(const char *text, size_t *out)
{
    size_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        size_t digit = (size_t)(*p - '0');
        if (value > (SIZE_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (p == text) {
        return false;
    }
    while (*p == ' ') {
        p++;
    }
    static const char units[] = "kKmMgGtT";
    const char *unit = *p != '\0' ? strchr(units, *p) : NULL;
    if (unit != NULL) {
        unsigned shift = 10 * ((unsigned)(unit - units) / 2 + 1);
        if (value > SIZE_MAX >> shift) {
            return false;
        }
        value <<= shift;
        p++;
        p += *p == 'i' && (p[1] == 'B' || p[1] == 'b');
    }
    if (*p == 'B' || *p == 'b') {
        p++;
    }
    *out = value;
    return *p == '\0';
}

/* `*out` keeps its value when the variable is not set or empty. */
static stoa_err
size_from_environment(const char *variable, size_t *out)
{
    const char *text = getenv(variable);
    if (text != NULL && *text != '\0' && !stoa__parse_size(text, out)) {
        return stoa__fail(STOA_EINVAL,
                          "environment variable %s=\"%.60s\" is no size; write bytes, or 64K, 512M, 4G, 1T",
                          variable, text);
    }
    return STOA_OK;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static size_t
largest_sensible(size_t wanted)
{
    size_t size = wanted < MOST_RESERVE ? wanted : MOST_RESERVE;
    size_t file = stoa__os_file_size_limit();
    size = size < file ? size : file;
    size_t left = stoa__os_address_space_left();
    if (left != SIZE_MAX) { /* two views in a quarter of what is left: the program needs the rest */
        size_t share = left / 8;
        while (size > share && size > STOA_SPACE_LEAST) {
            size /= 2;
        }
    }
    return size & ~(STOA_HUGE_PAGE - 1);
}

static stoa_err
map_views(stoa_space *space, uintptr_t from)
{
    size_t offset = from - space->public_base;
    size_t size = space->reserved - offset;
    int fd;
    stoa_err err = stoa__os_shared_file(size, &fd, &space->scarce);
    if (err != STOA_OK) {
        return err;
    }
    err = stoa__os_map_view(fd, 0, (void *)from, size, false);
    if (err == STOA_OK) {
        err = stoa__os_map_view(fd, 0, (void *)(from + space->alias_delta), size, true);
    }
    stoa__os_close(fd);
    return err;
}

stoa_err
stoa__space_init(stoa_space *space)
{
    memset(space, 0, sizeof *space);
    stoa__lock_init(&space->lock, STOA_RANK_SPACE);
    stoa__pages_init(&space->pages);
    size_t wanted = DEFAULT_RESERVE;
    stoa_err err = size_from_environment("STOA_HEAP_RESERVE", &wanted);
    err = err == STOA_OK ? size_from_environment("STOA_HEAP_LIMIT", &space->limit) : err;
    if (err != STOA_OK) {
        return err;
    }
    for (size_t size = largest_sensible(wanted); size >= STOA_SPACE_LEAST;
         size = (size / 2) & ~(STOA_HUGE_PAGE - 1)) {
        char *range = stoa__os_reserve(2 * size, STOA_HUGE_PAGE);
        if (range == NULL) {
            continue;
        }
        space->public_base = (uintptr_t)range;
        space->alias_delta = size;
        space->reserved = size;
        space->frontier = space->public_base;
        space->fork_floor = space->public_base;
        space->granules = stoa__os_alloc((size >> STOA_GRANULE_SHIFT) * sizeof *space->granules, false);
        if (space->granules != NULL) {
            err = map_views(space, space->public_base);
            if (err == STOA_OK) {
                return STOA_OK;
            }
        }
        stoa__space_end(space);
    }
    if (err != STOA_OK) {
        return err;
    }
    return stoa__fail(
        STOA_ENOMEM,
        "no address space for the shared heap: twice %zu MiB are the least it can use; raise the limit "
        "(ulimit -v, ulimit -f) or STOA_HEAP_RESERVE",
        STOA_SPACE_LEAST >> 20);
}

void
stoa__space_end(stoa_space *space)
{
    if (space->reserved != 0) {
        stoa__os_release((void *)space->public_base, 2 * space->reserved);
        stoa__os_free(space->granules, (space->reserved >> STOA_GRANULE_SHIFT) * sizeof *space->granules);
        space->reserved = 0;
        space->granules = NULL;
    }
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

void *
stoa__space_take(stoa_space *space, size_t size, size_t alignment)
{
    size = (size + STOA_GRANULE - 1) & ~(STOA_GRANULE - 1);
    stoa__lock(&space->lock);
    uintptr_t end = space->public_base + space->reserved;
    uintptr_t start = (space->frontier + alignment - 1) & ~(uintptr_t)(alignment - 1);
    bool fits = !space->closed && size != 0 && start >= space->frontier && start <= end && size <= end - start;
    if (fits) {
        space->frontier = start + size;
    }
    stoa__unlock(&space->lock);
    if (!fits) {
        return NULL;
    }
    stoa__os_dumpable((void *)start, size);
    return (void *)start;
}

bool
stoa__space_charge(stoa_space *space, size_t size)
{
    size_t now = atomic_load_explicit(&space->chunk_bytes, memory_order_relaxed);
    do {
        if (space->limit != 0 && (now > space->limit || size > space->limit - now)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&space->chunk_bytes, &now, now + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void
stoa__space_uncharge(stoa_space *space, size_t size)
{
    atomic_fetch_sub_explicit(&space->chunk_bytes, size, memory_order_relaxed);
}

void
stoa__space_enter_chunk(stoa_space *space, void *chunk, size_t size, uint32_t region)
{
    stoa_granule *first = stoa__granule(space, chunk);
    size_t count = size >> STOA_GRANULE_SHIFT;
    atomic_store_explicit(&first->sealed, 0, memory_order_relaxed);
    first->size = size;
    for (size_t i = 0; i < count; i++) {
        first[i].chunk_back = (uint32_t)i;
        /* release: who sees the region sees chunk_back and size */
        atomic_store_explicit(&first[i].region, region, memory_order_release);
    }
}

void
stoa__space_remove_chunk(stoa_space *space, void *chunk)
{
    stoa_granule *first = stoa__granule(space, chunk);
    size_t count = first->size >> STOA_GRANULE_SHIFT;
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&first[i].region, 0, memory_order_relaxed);
    }
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

void
stoa__space_punch(stoa_space *space, void *address, size_t size)
{
    if ((uintptr_t)address >= space->fork_floor && size != 0) {
        stoa__os_punch((void *)((uintptr_t)address + space->alias_delta), size);
    }
}

void
stoa__space_drop_alias(stoa_space *space, const void *address, size_t size)
{
    if ((uintptr_t)address >= space->fork_floor && size != 0) {
        stoa__os_drop((void *)((uintptr_t)address + space->alias_delta), size);
    }
}

void
stoa__space_retire_chunk(stoa_space *space, void *chunk)
{
    stoa_granule *first = stoa__granule(space, chunk);
    size_t size = first->size;
    atomic_store_explicit(&first->sealed, 0, memory_order_release);
    if (!atomic_load(&space->forked)) {
        stoa__space_punch(space, chunk, size);
    }
    /* also where the guard has opened pages, or put private copies of them */
    (void)stoa__os_map_private(chunk, size, false);
    (void)stoa__os_map_private((void *)((uintptr_t)chunk + space->alias_delta), size, false);
}

bool
stoa__space_check(stoa_space *space)
{
    size_t count = space->reserved >> STOA_GRANULE_SHIFT;
    stoa__lock(&space->lock);
    size_t used = (space->frontier - space->public_base) >> STOA_GRANULE_SHIFT;
    stoa__unlock(&space->lock);
    bool good = used <= count && space->fork_floor <= space->public_base + (used << STOA_GRANULE_SHIFT);
    for (size_t i = 0; good && i < used;) {
        stoa_granule *first = &space->granules[i];
        uint32_t region = atomic_load_explicit(&first->region, memory_order_acquire);
        if (region == 0) {
            i++;
            continue;
        }
        size_t length = first->size >> STOA_GRANULE_SHIFT;
        good = first->chunk_back == 0 && length != 0 && length <= used - i &&
               (first->size & (STOA_GRANULE - 1)) == 0 &&
               atomic_load_explicit(&first->sealed, memory_order_relaxed) <= first->size;
        for (size_t k = 1; good && k < length; k++) {
            good = first[k].chunk_back == k &&
                   atomic_load_explicit(&first[k].region, memory_order_relaxed) == region;
        }
        i += length;
    }
    return good;
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

void
stoa__space_fork_prepare(stoa_space *space)
{
    stoa__lock(&space->lock);
}

void
stoa__space_fork_parent(stoa_space *space)
{
    atomic_store(&space->forked, true);
    stoa__unlock(&space->lock);
}

void
stoa__space_fork_child(stoa_space *space)
{
    stoa__lock_reset(&space->lock);
    /* whole huge pages, so that views of two files never share one */
    uintptr_t floor = (space->frontier + STOA_HUGE_PAGE - 1) & ~(uintptr_t)(STOA_HUGE_PAGE - 1);
    uintptr_t old = space->fork_floor;
    space->fork_floor = floor;
    space->frontier = floor;
    /* nothing of ours may write through the alias of the parent's pages any more */
    stoa_err err = STOA_OK;
    if (floor > old) { /* else nothing was handed out since the last fork */
        err = stoa__os_map_private((void *)(old + space->alias_delta), floor - old, false);
    }
    if (err == STOA_OK && floor < space->public_base + space->reserved) {
        err = map_views(space, floor);
    }
    space->closed = err != STOA_OK;
    atomic_store(&space->forked, false); /* of the new file nobody knows yet; the old one lies below the floor */
}
