/* The state of one freeze: shared by freeze.c (the loop), step.c (one object), enter.c (opening containers), ahead.h (asking
 * for memory) and refuse.c (errors).
 *
 * `slots` holds, for every container that the walk stands in, its children: from the frame's base up to where it has come
 * they are frozen, from there on they are still sources. So a container is complete when its slots are, and they lie
 * just as the make_* functions want them. `frames` holds what is needed to come back to the outer containers.
 *
 * Invariants
 *  1. Slots of a frame are [base, top of it), where the top is the base of the next frame, or `top` for the innermost.
 *  2. Slots below `next` of a frame are shared objects, or pending numbers (content.h) in frames that `numbers` says have
 *     some; the slot at `next` is the one being worked on; those above are sources (but for keys that were known before:
 *     `step`), kept alive by the source container, which cannot change: the GIL is held and no Python code runs. Much
 *     rests on that: the memo, keys computed ahead, and tables of dicts that are copied when the dict is left.
 *  3. STOA_SPARE slots above `top` are allocated, so that prefetching may look ahead without asking.
 */
#ifndef STOA_IMMORTAL_WALK_H
#define STOA_IMMORTAL_WALK_H

#include <Python.h>

#include "heap/intern.h"
#include "immortal/heading.h"
#include "immortal/memo.h"
#include "immortal/path.h"
#include "immortal/texts.h"

#define STOA_SPARE 16 /* how far ahead sources are asked for */
#define STOA_FIRST_SLOTS 112
#define STOA_FIRST_FRAMES 16
#define STOA_SIGNAL_INTERVAL 1000000 /* objects between two looks for Ctrl-C, at most */
#define STOA_WALK_PLANS 8            /* classes of records, a power of two */
#define STOA_SIGNAL_FIRST 256        /* until the first, which finds out that the walk is long */

typedef enum stoa_frame_kind {
    STOA_FRAME_ROOT,    /* one slot: what was passed in */
    STOA_FRAME_TUPLE,   /* from a tuple or list */
    STOA_FRAME_MAPPING, /* slots: key, value, key, value … */
    STOA_FRAME_SET,
    STOA_FRAME_SLICE,
    STOA_FRAME_FOREIGN /* slots: the parts of a node */
} stoa_frame_kind;

typedef struct stoa_frame {
    const PyObject *source; /* what stands in the memo: the container, or a mark for the mapping behind a proxy */
    size_t base;
    size_t next;
    uint8_t kind; /* stoa_frame_kind */
    uint8_t step; /* from one slot to visit to the next: 2, where the keys between are frozen already (heading.h) */
    bool in_memo; /* can be met again */
    bool fresh;   /* a child was laid down by visiting it here: so an equal container cannot exist yet */
    bool numbers, recurring;       /* a child is pending (content.h); one is that may be met again */
    uint8_t node_kind, node_flags; /* of a foreign one: stoa_node_kind, STOA_NODE_* */
    uint64_t sum;                  /* of its pending numbers: sieve.h */
} stoa_frame;

typedef enum stoa_walk_result {
    STOA_WALK_DONE,
    STOA_WALK_FAILED,
    STOA_WALK_SIGNAL,
    STOA_WALK_APART, /* `apart` holds what must be taken apart first */
    STOA_WALK_RAISED /* an exception is set, which is to be raised as it is */
} stoa_walk_result;

/* What a step says of the object in the current slot. */
typedef enum stoa_visit_result {
    STOA_VISIT_LEAF,
    STOA_VISIT_ENTERED,
    STOA_VISIT_FAILED,
    STOA_VISIT_SIGNAL,
    STOA_VISIT_APART
} stoa_visit_result;

typedef struct stoa_walk {
    stoa_batch batch;
    unsigned flags; /* STOA_FREEZE_* */
    bool watch_signals;
    bool foreign;      /* there may be nodes among the children: containers of them are nodes, too */
    bool postponed;    /* an object must be taken apart first: this attempt only looks for others */
    uint32_t budget;   /* objects until the next look for Ctrl-C */
    uint32_t interval; /* what it was set to */
    PyObject **slots;
    size_t top, slot_capacity;
    stoa_frame *frames;
    size_t depth, frame_capacity; /* frames[depth - 1] is the innermost */
    stoa_memo memo;
    struct stoa_scout *scout;     /* NULL: the walk does not intern, or is short, or there was no memory */
    stoa_headings *headings;      /* NULL: the walk is short, or there was no memory */
    stoa_texts *texts;            /* NULL: the walk interns, or is short, or there was no memory */
    struct stoa_numbers *numbers; /* NULL: the walk does not intern, or is short, or there was no memory */
    struct stoa_sieve *sieve;     /* NULL: as above */
    size_t sum_count;
    uint64_t sums[STOA_SIGNAL_FIRST]; /* of the containers closed before there was a sieve */
    uint64_t numbers_interned;        /* numbers that were looked up one by one: numbers.h */
    stoa_path message;  /* of a refusal: path, then what is wrong; raised once the batch is gone */
    size_t path_size;   /* bytes of `message` that are the path */
    char offender[128]; /* type of what was refused; "" when nothing was */
    struct stoa_foreign_side *side;           /* set with the first plan */
    struct stoa_plan *plans[STOA_WALK_PLANS]; /* of classes of records met lately (foreign_walk.h); NULL: none */
    struct stoa_apart *apart; /* what needed Python code, over all attempts; NULL: nothing did */
    PyObject *cause;          /* the exception behind a refusal: borrowed from `apart` */
    PyObject *keys; /* containers and lists of their keys, which are to be tried (keys.h); NULL: none */
    PyObject *first_slots[STOA_FIRST_SLOTS];
    stoa_frame first_frames[STOA_FIRST_FRAMES];
} stoa_walk;

/* Room for `more` slots above top (and the spare ones). false: no memory, batch.err and the message are set. */
bool stoa__walk_reserve(stoa_walk *walk, size_t more);

/* Opens a frame for a container, whose children become slots. false: no memory. */
bool stoa__walk_enter(stoa_walk *walk, PyObject *container, stoa_frame_kind kind, const PyObject *source,
                      bool in_memo);

/* Opens a frame without children: the caller puts them into slots that it has reserved. */
bool stoa__walk_open(stoa_walk *walk, const PyObject *source, stoa_frame_kind kind, bool in_memo);

/* Writes the refusal of the object in the innermost frame's current slot. */
void stoa__refuse_type(stoa_walk *walk, PyObject *object);
void stoa__refuse_mutable(stoa_walk *walk, PyObject *object);
void stoa__refuse_cycle(stoa_walk *walk, PyObject *object, const PyObject *source);
void stoa__refuse_because(stoa_walk *walk, PyObject *object, const char *why);
/* An exception was raised, which stands as it is, with a note of where. */
void stoa__refuse_raised(stoa_walk *walk);
void stoa__refuse_failed(stoa_walk *walk, PyObject *object,
                         const char *what); /* its own code failed: the remedy is added */

#endif
