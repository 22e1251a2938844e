/* Handles: process-wide counted names for (owner interpreter, object).
 *
 * A pointer to another interpreter's object must never be dereferenced here, and may dangle once the owner is gone. A
 * handle is {index, generation}: a stale one is an error, not undefined behaviour. The object pointer inside is used by
 * the owner only. The last unref does not touch the object: it queues the release with the owner (one queue an owner),
 * who applies it the next time somebody is inside.
 *
 * Reading takes no lock: a slot's generation and count are one word, slots and records are never given back to malloc,
 * and a reader looks at the word again after it has read the rest. Who holds a reference finds the slot as it is;
 * who comes with a stale handle may see a slot change owners under its hands, and sees by the word that it did.
 * The queue is linked through the slots, so giving up a handle needs no memory and cannot fail.
 */
#ifndef STOA_HEAP_HANDLE_H
#define STOA_HEAP_HANDLE_H

#include "heap/interp_table.h"

typedef uint64_t stoa_handle; /* generation << 32 | index; 0 is none */

/* A slot is free, live (count > 0), or awaits release (count == 0, in its owner's queue). Its generation grows when the
 * count falls to 0. A slot whose generations are used up (after 2^32 handles) is never used again. */
typedef struct stoa_handle_slot {
    _Atomic uint64_t word;               /* generation << 32 | count */
    _Atomic(void *) object;              /* written by whoever has the slot to himself: new, taker */
    _Atomic(stoa_interp_record *) owner; /* as object; the slot holds a reference */
    struct stoa_waiter *home; /* const while the handle lives: a reference; NULL: any thread may touch the object */
    _Atomic uint32_t next; /* free list: guarded by `lock`; queue: guarded by who took it off */
} stoa_handle_slot;

#define STOA_HANDLE_SEGMENT_0 \
    10u /* the first segment has 2^10 slots, each further one as many as all before it */
#define STOA_HANDLE_SEGMENTS (32u - STOA_HANDLE_SEGMENT_0 + 1u)

typedef struct stoa_handles {
    stoa_lock lock;      /* STOA_RANK_HANDLES; guards all below but the bell and the segments' content */
    uint32_t free_slots; /* head of the free list, 0: empty */
    uint32_t fresh;      /* slots from here on were never used; slot 0 never is */
    _Atomic uint32_t bell; /* 1: a release was queued with an owner who had none; futex of whoever cares for idle ones */
    _Atomic(stoa_handle_slot *) segments[STOA_HANDLE_SEGMENTS]; /* release store when made; never freed */
} stoa_handles;

void stoa__handles_init(stoa_handles *handles);
void stoa__handles_fork_prepare(stoa_handles *handles);
void stoa__handles_fork_parent(stoa_handles *handles);
void stoa__handles_fork_child(stoa_handles *handles);

/* A handle with one reference. The caller (inside the owner) has given one reference of `object` to it.
 * STOA_ENOMEM; STOA_EGONE when the owner's handles are stale already. */
stoa_err stoa__handle_new(stoa_interp_record *owner, void *object, stoa_handle *out);
/* The same for an object that only the thread of `home` may touch; NULL: any. */
stoa_err
stoa__handle_new_at(stoa_interp_record *owner, void *object, struct stoa_waiter *home, stoa_handle *out);
/* That thread, borrowed from the handle, of which the caller holds a reference; NULL: any. */
struct stoa_waiter *stoa__handle_home(stoa_handle handle);
stoa_err stoa__handle_ref(stoa_handle handle); /* STOA_EGONE: stale */
void stoa__handle_unref(stoa_handle handle);   /* any thread, any interpreter, no GIL; 0 or stale: nothing */
/* Owner (borrowed: while the caller holds its reference of the handle) and object of a live handle; the object may be
 * used inside the owner only. STOA_EGONE. */
stoa_err stoa__handle_get(stoa_handle handle, stoa_interp_record **out_owner, void **out_object);
/* For who holds a reference: work even when the owner is closed, so that what was sent before can still be delivered (as a
 * proxy that says so). STOA_EGONE: he holds none. */
stoa_err stoa__handle_get_held(stoa_handle handle, stoa_interp_record **out_owner, void **out_object);
stoa_err stoa__handle_ref_held(stoa_handle handle); /* STOA_ENOMEM: 2^32 references */
/* How many references it has now; 0: stale. For statistics. */
uint32_t stoa__handle_count(stoa_handle handle);
/* Takes up to `max` objects that await release in this owner; returns how many. The caller, inside the owner, drops
 * one reference of each. `homes` (or NULL, where nothing has one): where each was at home, a reference for the caller, or
 * NULL. One load when there is nothing. */
size_t
stoa__handle_take_released(stoa_interp_record *owner, void **objects, struct stoa_waiter **homes, size_t max);
/* Sleeps until a release is queued with an owner who had none, then takes the ring back: what was queued before is seen
 * by the caller's look at the owners, what comes later rings again. STOA_SIGNALLED, too, takes it back. */
stoa_wait_result stoa__handle_await_release(void);
/* For who has turned away those who came to apply them, and does so no more: rings for what awaits release in this owner. */
void stoa__handle_ring_again(const stoa_interp_record *owner);
/* Does any object wait for its release in this owner? A hint. */
bool stoa__handle_awaits_release(const stoa_interp_record *owner);
/* All handles of an owner become stale; their objects are abandoned (the owner's end frees them). stoa__interp_gone
 * does it, too. Idempotent. */
void stoa__handle_owner_gone(stoa_interp_record *owner);

#endif
