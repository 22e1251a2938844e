#include "heap/hold.h"

#include "heap/error.h"
#include "heap/memory.h"
#include "heap/process_struct.h"
#include "heap/segment.h"

#include <string.h>

#define HELD 1u
#define GENERATION(word) ((uint32_t)((word) >> 32))
#define WORD(generation, low) ((uint64_t)(generation) << 32 | (low))

static stoa_holds *
table(void)
{
    return &stoa__process->holds;
}

void
stoa__holds_init(stoa_holds *holds)
{
    memset(holds, 0, sizeof *holds);
    holds->fresh = 1;
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

/* NULL: no hold ever had this index. */
static stoa_hold_slot *
slot_at(uint32_t index)
{
    uint32_t offset;
    unsigned segment = stoa__segment_of(index, STOA_HOLD_SEGMENT_0, &offset);
    /* acquire: pairs with the release store in take_fresh, for the segment's zeroes */
    stoa_hold_slot *slots = atomic_load_explicit(&table()->segments[segment], memory_order_acquire);
    return slots == NULL ? NULL : slots + offset;
}

/* Under the lock. 0: out of memory, or of indices. */
static uint32_t
take_fresh(stoa_holds *t)
{
    if (t->fresh == UINT32_MAX) {
        return 0;
    }
    uint32_t offset;
    unsigned segment = stoa__segment_of(t->fresh, STOA_HOLD_SEGMENT_0, &offset);
    if (atomic_load_explicit(&t->segments[segment], memory_order_relaxed) == NULL) { /* under the lock */
        stoa_hold_slot *slots = stoa__alloc(stoa__segment_size(segment, STOA_HOLD_SEGMENT_0) * sizeof *slots);
        if (slots == NULL) {
            return 0;
        }
        atomic_store_explicit(&t->segments[segment], slots, memory_order_release);
    }
    return t->fresh++;
}

static uint32_t
take_slot(void)
{
    stoa_holds *t = table();
    stoa__lock(&stoa__process->handles.lock);
    uint32_t index = t->free_slots;
    if (index != 0) {
        t->free_slots = slot_at(index)->next;
    }
    else {
        index = take_fresh(t);
    }
    stoa__unlock(&stoa__process->handles.lock);
    return index;
}

/* ---- holds ------------------------------------------------------------------------------------------------------- */

static stoa_err
not_held(stoa_hold hold)
{
    return stoa__fail(STOA_EGONE,
                      hold == 0 ? "handle 0 is no handle"
                                : "handle %u.%u is not held: it was released, or never was one",
                      (uint32_t)hold, GENERATION(hold));
}

/* The slot, if it is held by this very hold at the moment. */
static stoa_hold_slot *
find(stoa_hold hold)
{
    if (stoa__process == NULL || (uint32_t)hold == 0) {
        return NULL;
    }
    stoa_hold_slot *slot = slot_at((uint32_t)hold);
    /* acquire: pairs with the release store in stoa__hold_new, for handle and owner */
    bool held = slot != NULL &&
                atomic_load_explicit(&slot->word, memory_order_acquire) == WORD(GENERATION(hold), HELD);
    return held ? slot : NULL;
}

static bool
still(const stoa_hold_slot *slot, stoa_hold hold)
{
    return atomic_load(&slot->word) == WORD(GENERATION(hold), HELD);
}

stoa_err
stoa__hold_new(stoa_handle handle, stoa_hold *out)
{
    stoa_interp_record *owner;
    void *object;
    stoa_err err = stoa__handle_get(handle, &owner, &object);
    uint32_t index = err == STOA_OK ? take_slot() : 0;
    if (index == 0) {
        stoa__handle_unref(handle);
        return err != STOA_OK ? err : stoa__fail(STOA_ENOMEM, "no memory for a handle");
    }
    stoa_hold_slot *slot = slot_at(index);
    /* relaxed: the slot is this thread's */
    uint32_t generation = GENERATION(atomic_load_explicit(&slot->word, memory_order_relaxed)) + 1;
    atomic_store(&slot->handle, handle);
    atomic_store(&slot->owner, stoa__interp_ref(owner));
    /* release: pairs with the acquire load in find */
    atomic_store_explicit(&slot->word, WORD(generation, HELD), memory_order_release);
    *out = WORD(generation, index);
    return STOA_OK;
}

stoa_err
stoa__hold_get(stoa_hold hold, stoa_handle *out)
{
    stoa_hold_slot *slot = find(hold);
    if (slot == NULL) {
        return not_held(hold);
    }
    stoa_handle handle = atomic_load(&slot->handle);
    stoa_interp_record *owner = atomic_load(&slot->owner); /* the memory of a record is never given back */
    stoa_err err = stoa__handle_ref(handle);
    if (!still(slot, hold)) {
        if (err == STOA_OK) {
            stoa__handle_unref(handle);
        }
        return not_held(hold);
    }
    if (err == STOA_EGONE) {
        return stoa__fail(err, "interpreter '%s' is closed, and the object of handle %u.%u with it; release it",
                          owner->name, (uint32_t)hold, GENERATION(hold));
    }
    *out = handle;
    return err;
}

stoa_err
stoa__hold_owner(stoa_hold hold, stoa_interp_record **out)
{
    stoa_hold_slot *slot = find(hold);
    if (slot == NULL) {
        return not_held(hold);
    }
    /* the lock that a release needs to give the slot up: so the slot's reference is there while ours is taken */
    stoa__lock(&stoa__process->handles.lock);
    bool held = still(slot, hold);
    stoa_interp_record *owner = held ? stoa__interp_ref(atomic_load(&slot->owner)) : NULL;
    stoa__unlock(&stoa__process->handles.lock);
    if (!held) {
        return not_held(hold);
    }
    *out = owner;
    return STOA_OK;
}

stoa_err
stoa__hold_release(stoa_hold hold)
{
    if (hold == 0) {
        return STOA_OK;
    }
    stoa_hold_slot *slot = find(hold);
    if (slot == NULL) {
        return not_held(hold);
    }
    stoa_handle handle = atomic_load(&slot->handle);
    stoa_interp_record *owner = atomic_load(&slot->owner);
    stoa__lock(&stoa__process->handles.lock);
    bool held = still(slot, hold);
    if (held) {
        atomic_store(&slot->word, WORD(GENERATION(hold), 0));
        if (GENERATION(hold) != UINT32_MAX) { /* else its generations are used up */
            slot->next = table()->free_slots;
            table()->free_slots = (uint32_t)hold;
        }
    }
    stoa__unlock(&stoa__process->handles.lock);
    if (!held) {
        return not_held(hold);
    }
    stoa__handle_unref(handle);
    stoa__interp_unref(owner);
    return STOA_OK;
}
