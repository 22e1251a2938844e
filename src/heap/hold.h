/* Holds: what a C host has in its hands when it holds an interpreter's object.
 *
 * A handle is counted, and its count is shared by everybody who stands for the object: a host that gave one up twice would
 * take the reference of somebody's proxy, whose pointer would dangle. So a host gets a number of its own for each
 * reference: {index, generation} of a slot here that owns one reference of the handle. A number that was given up, or
 * never was one, is an error for ever, whoever else holds the object.
 *
 * Looking one up takes no lock. The slot's word says whether it is held and for which generation; slots are never given
 * back to malloc; a reader takes a reference of the handle that he found and looks at the word again. If the slot has
 * changed hands meanwhile, the reference was one of another live handle, and is given up.
 *
 * Invariants
 *  1. word's low bit set  =>  the slot owns one reference of `handle` and one of `owner`.
 *  2. A slot is in the free list, or held, or in the hands of who cleared its low bit; its generation grows with that.
 */
#ifndef STOA_HEAP_HOLD_H
#define STOA_HEAP_HOLD_H

#include "heap/handle.h"

typedef uint64_t stoa_hold; /* generation << 32 | index; 0 is none */

#define STOA_HOLD_SEGMENT_0 8u
#define STOA_HOLD_SEGMENTS (32u - STOA_HOLD_SEGMENT_0 + 1u)

typedef struct stoa_hold_slot {
    _Atomic uint64_t word;               /* generation << 32 | held; release store when held */
    _Atomic uint64_t handle;             /* a stoa_handle; written by who has the slot to himself */
    _Atomic(stoa_interp_record *) owner; /* as handle; for messages, and for asking after the handle is stale */
    uint32_t next;                       /* free list: guarded by the lock of the handles */
} stoa_hold_slot;

typedef struct stoa_holds { /* guarded by the lock of the handles, but for the segments' content */
    uint32_t free_slots;    /* 0: none */
    uint32_t fresh;         /* slots from here on were never used; slot 0 never is */
    _Atomic(stoa_hold_slot *) segments[STOA_HOLD_SEGMENTS]; /* release store when made; never freed */
} stoa_holds;

void stoa__holds_init(stoa_holds *holds);

/* All: any thread, no GIL, no lock held. */

/* A hold on `handle`, whose reference it takes over, in failure too. STOA_ENOMEM; STOA_EGONE: the handle is stale. */
stoa_err stoa__hold_new(stoa_handle handle, stoa_hold *out);
/* A further reference of what is held, for the caller. STOA_EGONE: it was released, never was one, or the owner is gone. */
stoa_err stoa__hold_get(stoa_hold hold, stoa_handle *out);
/* The owner, closed or not: new reference. STOA_EGONE: it was released, or never was one. */
stoa_err stoa__hold_owner(stoa_hold hold, stoa_interp_record **out);
/* Gives it up. 0: nothing happens. STOA_EGONE: it was released before, or never was one. */
stoa_err stoa__hold_release(stoa_hold hold);

#endif
