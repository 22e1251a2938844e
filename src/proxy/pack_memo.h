/* What one packing has met: object -> the number by which the parcel recalls it (STOA_OP_RECALL). One thread's. */
#ifndef STOA_PROXY_PACK_MEMO_H
#define STOA_PROXY_PACK_MEMO_H

#include <Python.h>
#include <stdbool.h>

#define STOA_PACK_BEING_MADE (-1) /* met again, it contains itself */
#define STOA_PACK_BY_PROXY (-2)   /* looked like a value, but is none: each time a handle */

typedef struct stoa_pack_slot {
    PyObject *object; /* owned, so that the address stays taken */
    int64_t number;   /* or one of the above */
} stoa_pack_slot;

typedef struct stoa_pack_memo {
    stoa_pack_slot *slots; /* open addressing; capacity a power of two */
    size_t used, room;
} stoa_pack_memo;

/* The slot of an object; a new one has the number STOA_PACK_BEING_MADE, and *fresh is true. Valid until the next call. NULL
 * with MemoryError. GIL. */
stoa_pack_slot *stoa__pack_memo_slot(stoa_pack_memo *memo, PyObject *object, bool *fresh);
/* The slot of an object that has one. */
stoa_pack_slot *stoa__pack_memo_known(const stoa_pack_memo *memo, PyObject *object);
void stoa__pack_memo_free(stoa_pack_memo *memo);

#endif
