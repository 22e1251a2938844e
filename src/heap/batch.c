#include "heap/batch.h"

#include "heap/batch_struct.h"
#include "heap/error.h"
#include "heap/guard.h"
#include "heap/intern_table.h"
#include "heap/memory.h"
#include "heap/os.h"
#include "heap/process_struct.h"
#include "heap/wipe.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* A window is the part of the chunk that the inline half may fill without asking: pages made present, bytes charged. It
 * starts small, so that one string takes one page and little of a limit, and grows with the batch. */
#define FIRST_WINDOW ((size_t)16 << 10)
#define MOST_WINDOW ((size_t)1 << 20)
#define LOOK_AT 4

stoa_err
stoa__batch_begin(stoa_batch *batch, stoa_region *region, unsigned flags)
{
    memset(batch, 0, sizeof *batch);
    if (region == NULL) {
        region = stoa__region_default();
    }
    stoa__region_ref(region);
    /* after the reference, both seq_cst: either we see the mark, or who sets it sees the reference (heap/retire.h) */
    uint32_t retired;
    while ((retired = atomic_load(&region->retired)) == STOA_REGION_ENDING) {
        (void)sched_yield();
    }
    if (retired == STOA_REGION_RETIRED) {
        stoa_err err = stoa__fail(STOA_EGONE, "region '%s' is retired; make a new one", region->name);
        stoa__region_unref(region);
        return err;
    }
    stoa_batch_state *state = stoa__alloc(sizeof *state);
    if (state == NULL) {
        stoa__region_unref(region);
        return stoa__fail(STOA_ENOMEM, "no memory for the state of a freeze");
    }
    state->batch = batch;
    state->thread = pthread_self();
    state->generation = stoa__fork_generation();
    state->step = FIRST_WINDOW;
    batch->region = region;
    batch->flags = flags;
    batch->state = state;
    stoa__epoch_enter(&state->slot);
    stoa__guard_refresh();
    return STOA_OK;
}

/* ---- laying out -------------------------------------------------------------------------------------------------- */

/* Brings the current chunk's fill up to what the inline half has laid down, and closes the window. */
static void
close_window(stoa_batch *batch)
{
    stoa_batch_state *state = batch->state;
    if (state->current != NULL) {
        size_t laid = (size_t)(batch->next - state->window);
        state->laid += laid;
        state->current->fill += laid;
    }
    batch->next = batch->end = state->window = NULL;
}

/* Has charged for `least` bytes beyond `laid`, and at best for `wanted`. Returns how many; 0: limit hit. */
static size_t
charge(stoa_batch *batch, size_t least, size_t wanted)
{
    stoa_batch_state *state = batch->state;
    if (batch->region->limit == 0) {
        return wanted;
    }
    size_t left = state->charged - state->laid;
    if (left < wanted) {
        size_t more = stoa__region_charge(batch->region, least > left ? least - left : 1, wanted - left);
        if (more == 0 && left < least) {
            return 0;
        }
        state->charged += more;
        left += more;
    }
    return left < wanted ? left : wanted;
}

/* Opens a window of at least `size` bytes in the current chunk, which has the room. */
static bool
open_window(stoa_batch *batch, size_t size)
{
    stoa_batch_state *state = batch->state;
    stoa_chunk *chunk = state->current;
    size_t wanted = state->step > size ? state->step : size;
    size_t ready = stoa__chunk_prepare(chunk, size, wanted);
    if (ready == 0) {
        return false;
    }
    if (batch->region->limit != 0 && ready > wanted) { /* others may want some of the limit, too */
        ready = wanted;
    }
    size_t got = charge(batch, size, ready) & ~(size_t)7;
    if (got == 0) {
        return false;
    }
    state->step = state->step < MOST_WINDOW ? state->step * 2 : MOST_WINDOW;
    state->window = batch->next = chunk->start + chunk->fill;
    batch->end = batch->next + got;
    return true;
}

static void
hold(stoa_batch_state *state, stoa_chunk *chunk)
{
    chunk->next = state->others;
    state->others = chunk;
}

/* A chunk of this batch, other than the current one, with the room; taken off the list. */
static stoa_chunk *
held_with_room(stoa_batch_state *state, size_t size, size_t alignment)
{
    stoa_chunk **link = &state->others;
    for (int i = 0; i < LOOK_AT && *link != NULL; i++, link = &(*link)->next) {
        stoa_chunk *chunk = *link;
        if (stoa__chunk_room(chunk, alignment) >= size) {
            *link = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

static stoa_chunk *
find_chunk(stoa_batch *batch, size_t size, size_t alignment)
{
    stoa_chunk *chunk = held_with_room(batch->state, size, alignment);
    return chunk != NULL ? chunk : stoa__chunk_take(batch->region, size, alignment, (uintptr_t)batch->state);
}

/* One object laid down by hand: large, or aligned. The window is closed. */
static void *
lay_one(stoa_batch *batch, stoa_chunk *chunk, size_t size, size_t alignment)
{
    stoa_batch_state *state = batch->state;
    size_t start = (chunk->fill + alignment - 1) & ~(alignment - 1);
    size_t cost = start + size - chunk->fill; /* the gap is used up as well */
    bool bare = (batch->flags & STOA_BATCH_BARE) != 0 && !stoa__process->space.scarce;
    if (charge(batch, cost, cost) == 0 || (!bare && stoa__chunk_prepare(chunk, cost, cost) == 0)) {
        return NULL;
    }
    chunk->fill = start + size;
    state->laid += cost;
    batch->allocations++;
    return chunk->start + start;
}

static void *
alloc_by_hand(stoa_batch *batch, size_t size, size_t alignment)
{
    stoa_batch_state *state = batch->state;
    close_window(batch);
    stoa_chunk *chunk = state->current;
    if (chunk != NULL && stoa__chunk_room(chunk, alignment) >= size) {
        return lay_one(batch, chunk, size, alignment);
    }
    chunk = find_chunk(batch, size, alignment);
    if (chunk == NULL) {
        return NULL;
    }
    /* small objects go on where there is more room */
    if (state->current == NULL || stoa__chunk_room(state->current, 8) < stoa__chunk_room(chunk, 8) - size) {
        if (state->current != NULL) {
            hold(state, state->current);
        }
        state->current = chunk;
    }
    else {
        hold(state, chunk);
    }
    return lay_one(batch, chunk, size, alignment);
}

static void *
fail_alloc(stoa_batch *batch, stoa_err err)
{
    batch->err = err;
    return NULL;
}

void *
stoa__batch_alloc_aligned(stoa_batch *batch, size_t size, size_t alignment)
{
    stoa_batch_state *state = batch->state;
    if (state->generation != stoa__fork_generation()) {
        return fail_alloc(batch, stoa__fail(STOA_EFORKED,
                                            "this freeze began before the process was forked; the parent "
                                            "goes on with it, start it anew in the child"));
    }
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > STOA_GRANULE) {
        return fail_alloc(batch, stoa__fail(STOA_EINVAL, "alignment %zu is no power of two up to %zu",
                                            alignment, STOA_GRANULE));
    }
    if (size > PTRDIFF_MAX / 2) {
        return fail_alloc(batch,
                          stoa__fail(STOA_ENOMEM, "an object of %zu bytes is larger than any heap", size));
    }
    size = (size + 7) & ~(size_t)7;
    void *object = alloc_by_hand(batch, size != 0 ? size : 8, alignment > 8 ? alignment : 8);
    if (object == NULL) {
        fail_alloc(batch, STOA_ENOMEM);
    }
    return object;
}

void *
stoa__batch_alloc_slow(stoa_batch *batch, size_t size)
{
    stoa_batch_state *state = batch->state;
    if (size - 1 >= STOA_BATCH_LARGE - 1 || state->generation != stoa__fork_generation()) {
        return stoa__batch_alloc_aligned(batch, size, 8);
    }
    size = (size + 7) & ~(size_t)7;
    close_window(batch);
    if (state->current == NULL || stoa__chunk_room(state->current, 8) < size) {
        stoa_chunk *chunk = find_chunk(batch, size, 8);
        if (chunk == NULL) {
            return fail_alloc(batch, STOA_ENOMEM);
        }
        if (state->current != NULL) {
            hold(state, state->current);
        }
        state->current = chunk;
    }
    if (!open_window(batch, size)) {
        return fail_alloc(batch, STOA_ENOMEM);
    }
    return stoa__batch_alloc(batch, size);
}

bool
stoa__batch_sees(const stoa_batch *batch, const void *address)
{
    const stoa_space *space = &stoa__process->space;
    if (stoa__region_of(address) == 0) {
        return false;
    }
    const stoa_granule *first = stoa__granule_first(space, address);
    uintptr_t chunk = space->public_base + ((uintptr_t)(first - space->granules) << STOA_GRANULE_SHIFT);
    /* acquire: pairs with the release store of stoa__chunk_seal */
    return (uintptr_t)address - chunk < atomic_load_explicit(&first->sealed, memory_order_acquire) ||
           atomic_load_explicit(&first->batch, memory_order_relaxed) == (uintptr_t)batch->state;
}

stoa_err
stoa__batch_hold(stoa_batch *batch, uint64_t handle)
{
    stoa_err err = stoa__held_add(&batch->state->held, handle);
    if (err != STOA_OK) {
        batch->err = err;
    }
    return err;
}

size_t
stoa__batch_bytes(const stoa_batch *batch)
{
    const stoa_batch_state *state = batch->state;
    return state->laid + (size_t)(batch->next - state->window);
}

void
stoa__batch_poison(stoa_batch_state *state)
{
    stoa_batch *batch = state->batch;
    batch->end = batch->next;
    if (state->current != NULL) {
        hold(state, state->current);
        state->current->fill += (size_t)(batch->next - state->window);
        state->laid += (size_t)(batch->next - state->window);
        state->current = NULL;
        state->window = batch->next;
    }
    for (stoa_chunk *chunk = state->others; chunk != NULL; chunk = chunk->next) {
        /* best effort: without it, such a write faults */
        (void)stoa__os_map_private(stoa__rw(chunk->start), chunk->size, true);
    }
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

/* All chunks of the batch as one list. */
static stoa_chunk *
take_chunks(stoa_batch *batch)
{
    stoa_batch_state *state = batch->state;
    close_window(batch);
    stoa_chunk *chunks = state->others;
    if (state->current != NULL) { /* first here, so last when the list is reversed for sealing */
        state->current->next = chunks;
        chunks = state->current;
    }
    state->current = state->others = NULL;
    return chunks;
}

static void
count_lookups(stoa_region *region, const stoa_batch_state *state)
{
    if (state->hits != 0) {
        atomic_fetch_add_explicit(&region->intern_hits, state->hits, memory_order_relaxed);
    }
    if (state->misses != 0) {
        atomic_fetch_add_explicit(&region->intern_misses, state->misses, memory_order_relaxed);
    }
}

static void
free_state(stoa_batch *batch)
{
    stoa__own_clear(&batch->state->own);
    if (batch->region->id != 1) {
        stoa__wipe(batch->state, sizeof *batch->state);
    }
    stoa__free(batch->state);
    batch->state = NULL;
    stoa__region_unref(batch->region);
    batch->region = NULL;
}

/* A batch of before the fork, in the child: its chunks are the parent's, its slot is in no list any more. */
static void
end_in_child(stoa_batch *batch)
{
    for (stoa_chunk *chunk = take_chunks(batch), *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        /* the state's address, our identity, may soon be another batch's */
        atomic_store(&stoa__granule(&stoa__process->space, chunk->start)->batch, 0);
        stoa__free(chunk);
    }
    batch->err = STOA_EFORKED;
    stoa__held_forget(batch->state->held);
    free_state(batch);
}

static stoa_chunk *
reversed(stoa_chunk *list)
{
    stoa_chunk *result = NULL;
    while (list != NULL) {
        stoa_chunk *next = list->next;
        list->next = result;
        result = list;
        list = next;
    }
    return result;
}

void
stoa__batch_commit(stoa_batch *batch)
{
    stoa_batch_state *state = batch->state;
    stoa_region *region = batch->region;
    if (state->generation != stoa__fork_generation()) {
        end_in_child(batch);
        return;
    }
    stoa_chunk *chunks = take_chunks(batch);
    for (stoa_chunk *chunk = chunks; chunk != NULL; chunk = chunk->next) {
        stoa__chunk_drop_alias(chunk);
    }
    chunks = reversed(chunks); /* the current one is pushed last, so the next batch goes on in it */
    stoa__lock(&region->lock);
    while (chunks != NULL) {
        stoa_chunk *next = chunks->next;
        stoa__chunk_seal(chunks);
        chunks = next;
    }
    atomic_fetch_add_explicit(&region->used_bytes, state->laid, memory_order_relaxed);
    atomic_fetch_add_explicit(&region->objects, batch->allocations, memory_order_relaxed);
    atomic_fetch_add_explicit(&region->freezes, 1, memory_order_relaxed);
    count_lookups(region, state);
    if (state->held != NULL) {
        state->held->next = region->held;
        region->held = state->held;
    }
    stoa__unlock(&region->lock);
    stoa__intern_settle(batch); /* now that all is sealed; and before the epoch is left: arrays are replaced */
    if (state->charged != 0) {
        stoa__region_uncharge(region, state->charged - state->laid);
    }
    stoa__epoch_leave(&state->slot);
    free_state(batch);
}

void
stoa__batch_abort(stoa_batch *batch)
{
    stoa_batch_state *state = batch->state;
    stoa_region *region = batch->region;
    if (state->generation != stoa__fork_generation()) {
        end_in_child(batch);
        return;
    }
    stoa_chunk *chunks = take_chunks(batch);
    if (state->charged != 0) {
        stoa__region_uncharge(region, state->charged);
    }
    atomic_fetch_add_explicit(&region->aborts, 1, memory_order_relaxed);
    count_lookups(region, state);
    stoa__epoch_leave(&state->slot);
    stoa__held_release(state->held);
    while (chunks != NULL) {
        stoa_chunk *next = chunks->next;
        stoa__chunk_abort(chunks);
        chunks = next;
    }
    free_state(batch);
}
