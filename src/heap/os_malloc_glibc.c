/* What glibc's malloc has free, found by walking its blocks.
 *
 * A block says how long it is, and whether the one before it is in use. Of the free ones that does not tell: those in the
 * caches of threads carry a number that is the same for the whole process (glibc 2.34 and newer; it is learnt here from a
 * block of our own), and malloc_trim() dissolves the others that look used (fast bins). A walk that does not end where it must
 * proves nothing: then all of that arena counts as used. Other threads go on meanwhile: what they free is counted as used,
 * what they are given now was free when we looked.
 */
#include "heap/os_memory.h"

#include "heap/os.h"

#if defined(__GLIBC__) && defined(__LP64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_USE_BEFORE ((size_t)1)
#define FLAGS ((size_t)7)
#define LEAST_BLOCK ((size_t)32)
#define ARENA_ALIGNMENT ((uintptr_t)64 << 20) /* of all arenas but the first */
/* In an arena's description: where it says which its last block is, which is free. Since 2.26; since the fast bins are gone. A
 * wrong one is found out: the walk must meet that block. */
static const size_t arena_tops[] = {0x60, 0x08};
#define BEHIND_TOP 0x838 /* from there to the end of the description */

typedef struct block { /* as glibc has it in memory, from 8 bytes before the address that malloc returned for the one before */
    size_t size_before;
    size_t size; /* and flags */
    uintptr_t user[2];
} block;

#define WINDOW ((size_t)64 << 10)

typedef struct walk {
    stoa_pieces *out;
    uintptr_t cached; /* second word of a block that a thread keeps for itself */
    char *window;     /* WINDOW bytes: a copy of what lies at `from` */
    uintptr_t from;
    size_t size;
    uintptr_t but_from, but_to;
} walk;

static bool
read_word(uintptr_t at, uintptr_t *out)
{
    return stoa__os_copy(out, (const void *)at, sizeof *out) == sizeof *out;
}

/* What a block says of itself. false: it cannot be read. */
static bool
read_block(walk *w, uintptr_t at, block *out)
{
    if (at < w->from || at + sizeof *out > w->from + w->size) {
        w->from = at;
        w->size = stoa__os_copy(w->window, (const void *)at, WINDOW);
        if (w->size < sizeof *out) {
            w->size = 0;
            return false;
        }
    }
    memcpy(out, w->window + (at - w->from), sizeof *out);
    return true;
}

/* Walks the blocks of [start, end) up to `top`, or (0) to the block that ends there. On success their free parts are added. */
static bool
walk_blocks(walk *w, uintptr_t start, uintptr_t end, uintptr_t top)
{
    size_t mark = w->out->count;
    uintptr_t free_since = 0;
    block here;
    w->size = 0;
    for (uintptr_t at = start; read_block(w, at, &here);) {
        size_t size = here.size & ~FLAGS;
        if (free_since != 0 && (here.size & IN_USE_BEFORE) == 0) {
            stoa__pieces_add(w->out, free_since, at); /* its last word says how long it is */
        }
        if (at == top || (top == 0 && at + size == end)) {
            stoa__pieces_add(w->out, at, end);
            return true;
        }
        if (size < LEAST_BLOCK || size % 16 != 0 || size > end - at || at + size >= end) {
            break;
        }
        free_since = at + 16;
        if (w->cached != 0 && here.user[1] == w->cached) {
            stoa__pieces_add(w->out, at + 16, at + size + 8);
        }
        at += size;
    }
    w->out->count = mark;
    return false;
}

/* An arena of threads: its description, then blocks. What it has in further mappings counts as used. */
static void
walk_arena(walk *w, uintptr_t start, uintptr_t end)
{
    uintptr_t arena, top;
    if (!read_word(start, &arena) || arena <= start || arena > start + 128) {
        return;
    }
    for (size_t i = 0; i < sizeof arena_tops / sizeof *arena_tops; i++) {
        uintptr_t first = arena + arena_tops[i] + BEHIND_TOP;
        first += (first + 16) % 16; /* what malloc returns is aligned to 16 */
        if (read_word(arena + arena_tops[i], &top) && top > arena && top < end &&
            walk_blocks(w, first, end, top)) {
            return;
        }
    }
}

static void
walk_mapping(const stoa_mapping *here, void *arg)
{
    const walk *w = arg;
    if (!here->readable || !here->writable || (here->start >= w->but_from && here->end <= w->but_to)) {
        return;
    }
    if (here->is_heap) {
        (void)walk_blocks(arg, here->start, here->end, 0);
        return;
    }
    /* what lies just below an arena may be one mapping with it */
    uintptr_t at = (here->start + ARENA_ALIGNMENT - 1) & ~(ARENA_ALIGNMENT - 1);
    for (; at >= here->start && at < here->end; at += ARENA_ALIGNMENT) {
        walk_arena(arg, at, here->end);
    }
}

#define SAMPLES 6

/* The number in blocks that threads keep for themselves; 0: not known. Small blocks only: those that a thread has enough of
 * go where nothing is written over their second word. */
static uintptr_t
learn_cached(void)
{
    unsigned major = 0, minor = 0;
    uintptr_t seen[SAMPLES];
    if (sscanf(gnu_get_libc_version(), "%u.%u", &major, &minor) != 2 || major != 2 || minor < 34) {
        return 0;
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        uintptr_t places[3];
        for (size_t k = 0; k < 3; k++) {
            volatile uintptr_t *fresh = malloc(24 + 16 * i); /* calloc() does not take from the thread's own */
            if (fresh != NULL) {
                fresh[1] = 0;
            }
            places[k] = (uintptr_t)fresh;
        }
        for (size_t k = 3; k-- > 0;) {
            free((void *)places[k]);
            if (k == 2 && (places[k] == 0 || !read_word(places[k] + 8, &seen[i]))) {
                seen[i] = 0;
            }
        }
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        for (size_t k = 0; k < i; k++) {
            if (seen[i] != 0 && seen[i] == seen[k]) {
                return seen[i];
            }
        }
    }
    return 0;
}

void
stoa__os_unused_malloc(stoa_pieces *out, uintptr_t but_from, uintptr_t but_to)
{
    walk w = {.out = out, .cached = learn_cached(), .but_from = but_from, .but_to = but_to};
    if ((w.window = stoa__os_alloc(WINDOW, false)) == NULL) {
        return;
    }
    (void)malloc_trim(0);
    (void)stoa__os_each_mapping(walk_mapping, &w);
    stoa__os_free(w.window, WINDOW);
}

#else

void
stoa__os_unused_malloc(stoa_pieces *out, uintptr_t but_from, uintptr_t but_to)
{
    (void)out;
    (void)but_from;
    (void)but_to;
}

#endif

#if defined(__SANITIZE_ADDRESS__)
int __asan_address_is_poisoned(const void *address);
#endif

bool
stoa__os_is_poisoned(const void *address)
{
#if defined(__SANITIZE_ADDRESS__)
    return __asan_address_is_poisoned(address) != 0;
#else
    (void)address;
    return false;
#endif
}
