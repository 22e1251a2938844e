#include "heap/arena.h"

#include "heap/error.h"
#include "heap/process_struct.h"

#include <jemalloc/jemalloc.h>
#include <stdio.h>

/* jemalloc's settings, read by it at load. One arena of its own is enough, since its malloc is not used; nothing is given
 * back by clock (what a region frees is punched by us already, and the addresses are kept for that region). It is built
 * without cache-oblivious padding, which would add a page to each chunk and so waste the rest of a granule. */
const char *stoa_je_malloc_conf =
    "narenas:1,tcache:false,dirty_decay_ms:-1,muzzy_decay_ms:-1,retain:true,background_thread:false";

/* What experimental.arenas_create_ext takes; jemalloc has it in an internal header only. Its size is checked at run time:
 * another one is answered with EINVAL. */
typedef struct arena_config {
    extent_hooks_t *extent_hooks;
    bool metadata_use_hooks;
} arena_config;

/* ---- extent hooks: called by jemalloc, under the region's lock ---------------------------------------------------- */

static bool
ours(const void *address)
{
    return (uintptr_t)address >= stoa__process->space.fork_floor;
}

static void *
extent_alloc(extent_hooks_t *hooks, void *wanted, size_t size, size_t alignment, bool *zero, bool *commit,
             unsigned arena)
{
    (void)hooks;
    (void)arena;
    if (wanted != NULL) {
        return NULL;
    }
    void *got = stoa__space_take(&stoa__process->space, size,
                                 alignment > STOA_GRANULE ? alignment : STOA_GRANULE);
    if (got != NULL) {
        *zero = true;
        *commit = true;
    }
    return got;
}

static bool
extent_dalloc(extent_hooks_t *hooks, void *address, size_t size, bool committed, unsigned arena)
{
    (void)hooks;
    (void)committed;
    (void)arena;
    stoa_space *space = &stoa__process->space;
    for (char *at = address, *end = at + size; ours(address) && at < end; at += STOA_GRANULE) {
        /* a chunk that is still entered was retired with its region: punched and unmapped already */
        if (atomic_load_explicit(&stoa__granule(space, at)->region, memory_order_relaxed) == 0) {
            stoa__space_punch(space, at, STOA_GRANULE);
        }
    }
    return false; /* taken: the addresses are not used again */
}

static void
extent_destroy(extent_hooks_t *hooks, void *address, size_t size, bool committed, unsigned arena)
{
    extent_dalloc(hooks, address, size, committed, arena);
}

/* Purging: jemalloc believes in the content of no page of ours, and pages were punched when they were freed. */
static bool
extent_refuse(extent_hooks_t *hooks, void *address, size_t size, size_t offset, size_t length, unsigned arena)
{
    (void)hooks;
    (void)address;
    (void)size;
    (void)offset;
    (void)length;
    (void)arena;
    return true;
}

static bool
extent_split(extent_hooks_t *hooks, void *address, size_t size, size_t size_a, size_t size_b, bool committed,
             unsigned arena)
{
    (void)hooks;
    (void)size;
    (void)size_a;
    (void)size_b;
    (void)committed;
    (void)arena;
    return !ours(address);
}

static bool
extent_merge(extent_hooks_t *hooks, void *a, size_t size_a, void *b, size_t size_b, bool committed,
             unsigned arena)
{
    (void)hooks;
    (void)size_a;
    (void)b;
    (void)size_b;
    (void)committed;
    (void)arena;
    return !ours(a);
}

/* No commit and no decommit hook: NULL means that jemalloc takes all as committed. */
static extent_hooks_t extent_hooks = {
    .alloc = extent_alloc,
    .dalloc = extent_dalloc,
    .destroy = extent_destroy,
    .purge_lazy = extent_refuse,
    .purge_forced = extent_refuse,
    .split = extent_split,
    .merge = extent_merge,
};

/* ---- what the creator offers to all copies ------------------------------------------------------------------------ */

static stoa_err
own_new(unsigned *out_arena)
{
    arena_config config = {.extent_hooks = &extent_hooks, .metadata_use_hooks = false};
    size_t size = sizeof *out_arena;
    int error = stoa_je_mallctl("experimental.arenas_create_ext", out_arena, &size, &config, sizeof config);
    if (error != 0) {
        return stoa__fail_os(error,
                             "jemalloc made no arena for a region; there may be too many regions (4094)");
    }
    return STOA_OK;
}

static int
flags(unsigned arena, size_t alignment)
{
    return (int)MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE | (int)MALLOCX_ALIGN(alignment);
}

static void *
own_alloc(unsigned arena, size_t size, size_t alignment)
{
    return stoa_je_mallocx(size, flags(arena, alignment > STOA_GRANULE ? alignment : STOA_GRANULE));
}

static void
own_free(unsigned arena, void *chunk, size_t size)
{
    (void)size;
    stoa_je_dallocx(chunk, flags(arena, STOA_GRANULE));
}

static void
own_destroy(unsigned arena)
{
    char name[48];
    snprintf(name, sizeof name, "arena.%u.destroy", arena);
    (void)stoa_je_mallctl(name, NULL, NULL, NULL, 0);
}

void
stoa__arena_offer(stoa_arena_ops *ops)
{
    *ops = (stoa_arena_ops){own_new, own_alloc, own_free, own_destroy};
}

/* ---- what everybody calls ------------------------------------------------------------------------------------------ */

stoa_err
stoa__arena_new(unsigned *out_arena)
{
    return stoa__process->arena.new_arena(out_arena);
}

void *
stoa__arena_alloc(unsigned arena, size_t size, size_t alignment)
{
    return stoa__process->arena.alloc(arena, size, alignment);
}

void
stoa__arena_free(unsigned arena, void *chunk, size_t size)
{
    stoa__process->arena.free(arena, chunk, size);
}

void
stoa__arena_destroy(unsigned arena)
{
    stoa__process->arena.destroy(arena);
}
