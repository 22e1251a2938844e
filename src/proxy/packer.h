/* The state of one packing, and what it has met.
 *
 * A container that is met twice must become one on the other side, too, so what is met is looked up in a memo; for a million
 * small containers that costs more than all else. Most can be met but once: nobody has a reference but the container that they
 * are in (and the frame that keeps its items). These are not looked up. But code that runs while parts are taken, a property or a
 * __reduce__, can reach anything by way of its container. So before the first such code runs, a packing that has left
 * something out of the memo begins once more, and this time leaves out nothing.
 */
#ifndef STOA_PROXY_PACKER_H
#define STOA_PROXY_PACKER_H

#include <stdbool.h>

#include "proxy/pack_memo.h"
#include "proxy/parcel.h"

/* There may be ways to it that do not count as references. */
#define STOA_OWN_UNKNOWN 0

typedef struct stoa_pack_frame {
    PyObject *source; /* borrowed: the container, alive by `items` or its own container */
    PyObject *items; /* owned: a tuple of what is in it, taken at once, so that changes meanwhile do no harm */
    Py_ssize_t next;
    Py_ssize_t filled; /* of a list, dict or set: so many items have been put into it */
    unsigned char op;  /* written when all items are */
    uint8_t own;       /* references to each item that are its container's and ours; or STOA_OWN_UNKNOWN */
    bool pairs;        /* items are key, value, … */
    bool copy;         /* below by_copy: mutable containers are allowed */
    bool names;        /* below a value: classes and functions go by name */
    bool first;        /* of a value: one part is written already */
    uint8_t kind;      /* of a value: stoa_node_kind */
    Py_ssize_t memo;   /* slot in the memo, or -1 */
} stoa_pack_frame;

typedef struct stoa_packer {
    stoa_parcel *parcel;
    const char *root;
    unsigned flags;
    stoa_pack_frame *frames;
    size_t depth, frame_room;
    stoa_pack_memo memo;
    int64_t numbers; /* given so far */
    size_t calls;    /* frames of values that say by code what they are made of */
    bool in_exception;
    bool wary;    /* code may run that reaches anything: whatever could be met twice is in the memo */
    bool skipped; /* something is not in the memo since nothing but its container has it; never if wary */
} stoa_packer;

/* -1 with NotFreezable, which says where in what is packed `object` is. */
int stoa__packer_refuse(const stoa_packer *p, PyObject *object, const char *why_and_remedy);
/* 1: met before, and recalled; 0: new, or one that is sent again; -1 with an exception: it contains itself. */
int stoa__packer_recall(stoa_packer *p, PyObject *object);
/* What was new and is written now gets the next number. */
int stoa__packer_remember(stoa_packer *p, PyObject *object);
/* Can it be met but once? `own`: of the frame that it is an item of. */
bool stoa__packer_meets_once(const stoa_packer *p, PyObject *object, unsigned own);
/* From here on code may run. 0; or -1 without an exception: once more from the beginning. */
int stoa__packer_beware(stoa_packer *p);

#endif
