#include "heap/handle.h"

#include "heap/error.h"
#include "heap/memory.h"
#include "heap/process_struct.h"
#include "heap/segment.h"
#include "heap/waiter.h"
#include "heap/thing.h" /* a handle that is the process's own stands for one */

#include <string.h>

/* In a record's `released`: its handles are stale, nothing is queued any more. No slot has this number (see new_slot). */
#define CLOSED UINT32_MAX

#define GENERATION(word) ((uint32_t)((word) >> 32))
#define COUNT(word) ((uint32_t)(word))
#define WORD(generation, count) ((uint64_t)(generation) << 32 | (count))
#define COUNT_MAX 0xFFFFFFF0u

static stoa_handles *
table(void)
{
    return &stoa__process->handles;
}

void
stoa__handles_init(stoa_handles *handles)
{
    memset(handles, 0, sizeof *handles);
    stoa__lock_init(&handles->lock, STOA_RANK_HANDLES);
    handles->fresh = 1;
}

/* ---- slots -------------------------------------------------------------------------------------------------------- */

/* The slot of an index that new_slot once gave. */
static stoa_handle_slot *
slot_at(uint32_t index)
{
    uint32_t offset;
    unsigned segment = stoa__segment_of(index, STOA_HANDLE_SEGMENT_0, &offset);
    /* acquire: pairs with the release store in new_slot, for the segment's zeroes */
    return atomic_load_explicit(&table()->segments[segment], memory_order_acquire) + offset;
}

/* Under the lock. 0: out of memory, or of indices. */
static uint32_t
new_slot(stoa_handles *t)
{
    uint32_t index = t->free_slots;
    if (index != 0) {
        t->free_slots = atomic_load_explicit(&slot_at(index)->next, memory_order_relaxed);
        return index;
    }
    if (t->fresh == CLOSED) {
        return 0;
    }
    uint32_t offset;
    unsigned segment = stoa__segment_of(t->fresh, STOA_HANDLE_SEGMENT_0, &offset);
    if (atomic_load_explicit(&t->segments[segment], memory_order_relaxed) == NULL) {
        stoa_handle_slot *slots = stoa__alloc(stoa__segment_size(segment, STOA_HANDLE_SEGMENT_0) *
                                              sizeof *slots);
        if (slots == NULL) {
            return 0;
        }
        atomic_store_explicit(&t->segments[segment], slots, memory_order_release);
    }
    return t->fresh++;
}

/* The slot's count is 0 and it is in no queue: forgets the rest and makes it free, unless its generations are used up. */
static void
free_slot(uint32_t index)
{
    stoa_handles *t = table();
    stoa_handle_slot *slot = slot_at(index);
    stoa_interp_record *owner = atomic_load_explicit(&slot->owner, memory_order_relaxed);
    struct stoa_waiter *home = slot->home;
    slot->home = NULL;
    /* release: a reader who sees these (acquire, in get) sees by his second look at the word that the handle went */
    atomic_store_explicit(&slot->object, NULL, memory_order_release);
    atomic_store_explicit(&slot->owner, NULL, memory_order_release);
    if (GENERATION(atomic_load_explicit(&slot->word, memory_order_relaxed)) != 0) {
        stoa__lock(&t->lock);
        atomic_store_explicit(&slot->next, t->free_slots, memory_order_relaxed);
        t->free_slots = index;
        stoa__unlock(&t->lock);
    }
    STOA_COUNT(&stoa__process->counters, handles_released);
    stoa__interp_unref(owner);
    if (home != NULL) {
        stoa__waiter_unref(home);
    }
}

/* ---- the owner's queue -------------------------------------------------------------------------------------------- */

/* seq_cst on both sides: either whoever takes the ring back finds the release in its queue, or this finds no ring. */
static void
ring(void)
{
    _Atomic uint32_t *bell = &table()->bell;
    if (atomic_load(bell) == 0 && atomic_exchange(bell, 1) == 0) {
        stoa__futex_wake(bell, 1);
    }
}

/* Puts a slot whose count has become 0 into its owner's queue; or frees it when the owner's handles are stale. Only
 * pushes and exchanges of the whole list happen to the head, so it cannot be mistaken for an older one (ABA). */
static void
queue_release(stoa_handle_slot *slot, uint32_t index)
{
    stoa_interp_record *owner = atomic_load_explicit(&slot->owner, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&owner->released, memory_order_relaxed);
    do {
        if (head == CLOSED) {
            free_slot(index);
            return;
        }
        atomic_store_explicit(&slot->next, head, memory_order_relaxed);
        /* seq_cst: pairs with the acquire exchange of the taker, for slot->next; and comes before the look at the bell */
    } while (!atomic_compare_exchange_weak_explicit(&owner->released, &head, index, memory_order_seq_cst,
                                                    memory_order_relaxed));
    if (head == 0) {
        ring();
    }
}

stoa_wait_result
stoa__handle_await_release(void)
{
    stoa_wait_result result = STOA_WOKEN;
    if (table()->bell == 0) {
        result = stoa__futex_wait(&table()->bell, 0, STOA_FOREVER);
    }
    atomic_store(&table()->bell,
                 0); /* seq_cst: before the caller's look at the queues; the other half is in ring */
    return result;
}

bool
stoa__handle_awaits_release(const stoa_interp_record *owner)
{
    uint32_t head = owner->released; /* seq_cst: after the bell was taken back */
    return (head != 0 && head != CLOSED) || owner->released_rest != 0;
}

void
stoa__handle_ring_again(const stoa_interp_record *owner)
{
    if (stoa__handle_awaits_release(owner)) {
        ring();
    }
}

/* The last reference of a handle is gone. A thing belongs to no interpreter that would come by: it ends here. */
static void
let_go(stoa_handle_slot *slot, uint32_t index)
{
    if (!stoa__thing_owns(atomic_load_explicit(&slot->owner, memory_order_relaxed))) {
        queue_release(slot, index);
        return;
    }
    void *thing = atomic_load_explicit(&slot->object, memory_order_relaxed);
    free_slot(index);
    stoa__thing_end(thing);
}

static void
free_list(uint32_t index)
{
    while (index != 0) {
        uint32_t next = atomic_load_explicit(&slot_at(index)->next, memory_order_relaxed);
        free_slot(index);
        index = next;
    }
}

size_t
stoa__handle_take_released(stoa_interp_record *owner, void **objects, struct stoa_waiter **homes, size_t max)
{
    /* relaxed: a release that is missed here is found the next time. released_rest is only written by takers, who are
     * inside the owner, under its GIL; the lock is for those who are not. */
    if (atomic_load_explicit(&owner->released, memory_order_relaxed) == 0 &&
        atomic_load_explicit(&owner->released_rest, memory_order_relaxed) == 0) {
        return 0;
    }
    uint32_t taken = 0; /* list of those to free once the lock is given up */
    size_t count = 0;
    stoa__lock(&owner->lock);
    uint32_t rest = atomic_load_explicit(&owner->released_rest, memory_order_relaxed);
    while (count < max) {
        if (rest == 0) {
            rest = atomic_load_explicit(&owner->released, memory_order_relaxed);
            if (rest == CLOSED || rest == 0) {
                rest = 0;
                break;
            }
            rest = atomic_exchange_explicit(&owner->released, 0, memory_order_acquire);
        }
        stoa_handle_slot *slot = slot_at(rest);
        uint32_t next = atomic_load_explicit(&slot->next, memory_order_relaxed);
        if (homes != NULL) { /* nobody reads it any more: the handle is stale, the slot not yet free */
            homes[count] = slot->home;
            slot->home = NULL;
        }
        objects[count++] = atomic_load_explicit(&slot->object, memory_order_relaxed);
        atomic_store_explicit(&slot->next, taken, memory_order_relaxed);
        taken = rest;
        rest = next;
    }
    atomic_store_explicit(&owner->released_rest, rest, memory_order_relaxed);
    stoa__unlock(&owner->lock);
    free_list(taken);
    return count;
}

void
stoa__handle_owner_gone(stoa_interp_record *owner)
{
    stoa__lock(&owner->lock);
    uint32_t queued = atomic_exchange_explicit(&owner->released, CLOSED, memory_order_acq_rel);
    uint32_t rest = atomic_exchange_explicit(&owner->released_rest, 0, memory_order_relaxed);
    stoa__unlock(&owner->lock);
    /* each freed slot gives up its reference of the record */
    stoa__interp_ref(owner);
    free_list(rest);
    if (queued != CLOSED) {
        free_list(queued);
    }
    stoa__interp_unref(owner);
}

/* ---- handles ------------------------------------------------------------------------------------------------------ */

static stoa_err
stale(stoa_handle handle)
{
    if (handle == 0) {
        return stoa__fail(STOA_EGONE, "handle 0 is no handle");
    }
    return stoa__fail(STOA_EGONE,
                      "handle %u.%u is stale: its last reference went, or its interpreter was closed",
                      (uint32_t)handle, GENERATION(handle));
}

stoa_err
stoa__handle_new(stoa_interp_record *owner, void *object, stoa_handle *out)
{
    return stoa__handle_new_at(owner, object, NULL, out);
}

stoa_err
stoa__handle_new_at(stoa_interp_record *owner, void *object, struct stoa_waiter *home, stoa_handle *out)
{
    if (atomic_load(&owner->released) == CLOSED) {
        return stoa__fail(STOA_EGONE,
                          "interpreter '%s' (serial %u) is closed: no handle of its objects can be made",
                          owner->name, owner->serial);
    }
    stoa_handles *t = table();
    stoa__lock(&t->lock);
    uint32_t index = new_slot(t);
    stoa__unlock(&t->lock);
    if (index == 0) {
        return stoa__fail(STOA_ENOMEM, "no memory for a handle of an object of interpreter '%s'", owner->name);
    }
    stoa_handle_slot *slot = slot_at(index);
    uint32_t generation = GENERATION(atomic_load_explicit(&slot->word, memory_order_relaxed));
    if (generation == 0) {
        generation = 1; /* a fresh slot */
    }
    atomic_store_explicit(&slot->object, object, memory_order_release); /* as in free_slot */
    atomic_store_explicit(&slot->owner, stoa__interp_ref(owner), memory_order_release);
    slot->home = home == NULL ? NULL : stoa__waiter_ref(home);
    /* release: pairs with the acquire loads of readers, for object, owner and home */
    atomic_store_explicit(&slot->word, WORD(generation, 1), memory_order_release);
    STOA_COUNT(&stoa__process->counters, handles_made);
    *out = WORD(generation, index);
    return STOA_OK;
}

struct stoa_waiter *
stoa__handle_home(stoa_handle handle)
{
    return slot_at((uint32_t)handle)->home;
}

/* The slot of a handle that is live at this moment, and its word; else NULL. */
static stoa_handle_slot *
live_slot(stoa_handle handle, uint64_t *word)
{
    uint32_t offset;
    unsigned segment = stoa__segment_of((uint32_t)handle, STOA_HANDLE_SEGMENT_0, &offset);
    stoa_handle_slot *slots = atomic_load_explicit(&table()->segments[segment],
                                                   memory_order_acquire); /* as slot_at */
    if (slots == NULL || GENERATION(handle) == 0) {
        return NULL; /* no handle ever had this index */
    }
    stoa_handle_slot *slot = slots + offset;
    *word = atomic_load_explicit(&slot->word, memory_order_acquire);
    return GENERATION(*word) == GENERATION(handle) && COUNT(*word) != 0 ? slot : NULL;
}

stoa_err
stoa__handle_get(stoa_handle handle, stoa_interp_record **out_owner, void **out_object)
{
    uint64_t word;
    stoa_handle_slot *slot = live_slot(handle, &word);
    if (slot == NULL) {
        return stale(handle);
    }
    /* acquire, so that the second look at the word comes after: it tells whether these two belonged to the handle */
    void *object = atomic_load_explicit(&slot->object, memory_order_acquire);
    stoa_interp_record *owner = atomic_load_explicit(&slot->owner, memory_order_acquire);
    if (owner == NULL || atomic_load_explicit(&owner->released, memory_order_acquire) == CLOSED) {
        return stale(handle);
    }
    word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    if (GENERATION(word) != GENERATION(handle) || COUNT(word) == 0) {
        return stale(handle);
    }
    *out_owner = owner;
    *out_object = object;
    return STOA_OK;
}

static stoa_err
too_many(stoa_handle handle)
{
    return stoa__fail(STOA_ENOMEM, "handle %u.%u has %u references already", (uint32_t)handle,
                      GENERATION(handle), COUNT_MAX);
}

stoa_err
stoa__handle_ref(stoa_handle handle)
{
    uint64_t word;
    stoa_handle_slot *slot = live_slot(handle, &word);
    if (slot == NULL) {
        return stale(handle);
    }
    do {
        if (GENERATION(word) != GENERATION(handle) || COUNT(word) == 0) {
            return stale(handle);
        }
        if (COUNT(word) >= COUNT_MAX) {
            return too_many(handle);
        }
        stoa_interp_record *owner = atomic_load_explicit(&slot->owner, memory_order_acquire);
        if (owner == NULL || atomic_load_explicit(&owner->released, memory_order_acquire) == CLOSED) {
            return stale(handle); /* either truly so, or the handle went meanwhile, and this is another's owner */
        }
        /* acquire: the caller may now read the slot */
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, word + 1, memory_order_acquire,
                                                    memory_order_acquire));
    return STOA_OK;
}

uint32_t
stoa__handle_count(stoa_handle handle)
{
    uint64_t word;
    return live_slot(handle, &word) == NULL ? 0 : COUNT(word);
}

stoa_err
stoa__handle_get_held(stoa_handle handle, stoa_interp_record **out_owner, void **out_object)
{
    uint64_t word;
    stoa_handle_slot *slot = live_slot(handle, &word);
    if (slot == NULL) {
        return stale(handle);
    }
    /* relaxed: the caller's reference came to him after both were written, and they stay as long as he has it */
    *out_object = atomic_load_explicit(&slot->object, memory_order_relaxed);
    *out_owner = atomic_load_explicit(&slot->owner, memory_order_relaxed);
    return STOA_OK;
}

stoa_err
stoa__handle_ref_held(stoa_handle handle)
{
    uint64_t word;
    stoa_handle_slot *slot = live_slot(handle, &word);
    if (slot == NULL) {
        return stale(handle);
    }
    do {
        if (COUNT(word) >= COUNT_MAX) {
            return too_many(handle);
        }
        /* relaxed: who makes a reference has one */
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, word + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return STOA_OK;
}

/* The generation moves on in the same step in which the count becomes 0, so a handle is stale from then on, though its
 * slot waits in the owner's queue. */
void
stoa__handle_unref(stoa_handle handle)
{
    uint64_t word;
    stoa_handle_slot *slot = live_slot(handle, &word);
    if (slot == NULL) {
        return;
    }
    uint64_t after;
    do {
        if (GENERATION(word) != GENERATION(handle) || COUNT(word) == 0) {
            return;
        }
        after = COUNT(word) == 1 ? WORD(GENERATION(word) + 1, 0) : word - 1;
        /* release: what this thread did with the object comes before its release; acquire: the last one sees all */
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, after, memory_order_acq_rel,
                                                    memory_order_acquire));
    if (COUNT(after) == 0) {
        let_go(slot, (uint32_t)handle);
    }
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

void
stoa__handles_fork_prepare(stoa_handles *handles)
{
    stoa__lock(&handles->lock);
}

void
stoa__handles_fork_parent(stoa_handles *handles)
{
    stoa__unlock(&handles->lock);
}

void
stoa__handles_fork_child(stoa_handles *handles)
{
    stoa__lock_reset(&handles->lock);
}
