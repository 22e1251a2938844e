/* Handles that objects of a region hold: proxies and things inside frozen graphs.
 *
 * An object of the heap never ends by itself, so what it names must live as long as its region. A batch collects the handles
 * that its objects hold; commit gives them to the region, abort gives them up. Adding may fail, the rest cannot: commit only
 * links what there is. The default region never ends, so what is frozen into it is held for good.
 */
#ifndef STOA_HEAP_HELD_H
#define STOA_HEAP_HELD_H

#include "heap/handle.h"

typedef struct stoa_held {
    struct stoa_held *next; /* of another batch */
    size_t count, room;
    stoa_handle handles[]; /* a reference of each */
} stoa_held;

/* Takes over one reference of `handle`, in failure too. `held`: the batch's. STOA_ENOMEM. */
stoa_err stoa__held_add(stoa_held **held, stoa_handle handle);
/* Gives up all references and frees the list. No lock of ours held; no GIL needed. */
void stoa__held_release(stoa_held *held);
/* Only frees: in a forked child the references are the parent's. */
void stoa__held_forget(stoa_held *held);

#endif
