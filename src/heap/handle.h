/* Handles: process-wide counted names for (owner interpreter, object).
 *
 * A pointer to another interpreter's object must never be dereferenced here, and may dangle once the owner is gone. A
 * handle is {index, generation}: a stale one is an error, not undefined behaviour. The object pointer inside is used by
 * the owner only. The last unref does not touch the object: it queues the release with the owner (one queue an owner),
 * who applies it the next time somebody is inside.
 */
#ifndef STOA_HEAP_HANDLE_H
#define STOA_HEAP_HANDLE_H

#include "heap/interp_table.h"

typedef uint64_t stoa_handle; /* generation << 32 | index; 0 is none */

/* A handle with one reference. The caller (inside the owner) has given one reference of `object` to it. */
stoa_err stoa__handle_new(uint32_t owner_serial, void *object, stoa_handle *out);
stoa_err stoa__handle_ref(stoa_handle handle);   /* STOA_EGONE: stale */
void stoa__handle_unref(stoa_handle handle);     /* any thread, any interpreter, no GIL */
/* Owner and object of a live handle; the object may be used inside the owner only. STOA_EGONE. */
stoa_err stoa__handle_get(stoa_handle handle, uint32_t *out_owner, void **out_object);
/* Takes up to `max` objects that await release in this owner; returns how many. The caller, inside the owner, drops
 * one reference of each. */
size_t stoa__handle_take_released(uint32_t owner_serial, void **objects, size_t max);
/* All handles of an owner become stale; their objects are abandoned (the owner's end frees them). */
void stoa__handle_owner_gone(uint32_t owner_serial);

#endif
