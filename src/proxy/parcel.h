/* A parcel: what crosses from one interpreter to another, written down so that it needs neither of them.
 *
 * Reading the sender's objects in the receiver would need the sender to stay alive and unchanged meanwhile; a call that is
 * queued, or a sender that is closed, breaks that. So packing writes a little program for a stack machine into ordinary
 * memory: shared objects as pointers, small values as bytes, containers as "take the last n values". Only the text of
 * large str and bytes is not written down but held (a reference of the sender) and copied straight by the receiver,
 * so that it is copied once; a parcel that must outlive its sender is packed STOA_PACK_DETACHED and holds nothing.
 *
 * A parcel belongs to one thread at a time.
 */
#ifndef STOA_PROXY_PARCEL_H
#define STOA_PROXY_PARCEL_H

#include <Python.h>

#include "heap/handle.h"
#include "stoa/base.h"

#define STOA_PARCEL_INLINE 320

typedef struct stoa_parcel {
    unsigned char *data; /* `here`, or malloc'ed */
    size_t size, capacity;
    PyObject **held; /* references of the sender; given up under its GIL */
    size_t held_count, held_room;
    stoa_handle *handles; /* a reference of each: proxies that cross; given up anywhere */
    size_t handle_count, handle_room;
    unsigned char here[STOA_PARCEL_INLINE];
} stoa_parcel;

void stoa__parcel_init(stoa_parcel *parcel);
/* -1 with MemoryError. */
int stoa__parcel_write(stoa_parcel *parcel, const void *bytes, size_t size);
/* Room for `size` bytes behind what is written, for the caller to fill and then to count in `size`. NULL: MemoryError. */
unsigned char *stoa__parcel_reserve(stoa_parcel *parcel, size_t size);
int stoa__parcel_write_byte(stoa_parcel *parcel, unsigned char byte);
/* An opcode with one 64-bit operand. */
int stoa__parcel_write_op(stoa_parcel *parcel, unsigned char op, uint64_t operand);
/* Holds one more reference to `object`. */
int stoa__parcel_hold(stoa_parcel *parcel, PyObject *object);
/* Takes over one reference of `handle`, in failure too. */
int stoa__parcel_hold_handle(stoa_parcel *parcel, stoa_handle handle);
/* Frees it. Needs the sender's GIL if it holds references (held_count), else none. */
void stoa__parcel_clear(stoa_parcel *parcel);
/* `to` (not initialised, or empty) gets all that `from` has; `from` is empty then. Anywhere. */
void stoa__parcel_move(stoa_parcel *to, stoa_parcel *from);
/* The sender is gone, and its objects with it: frees the parcel without touching them. No GIL. */
void stoa__parcel_abandon(stoa_parcel *parcel);

#endif
