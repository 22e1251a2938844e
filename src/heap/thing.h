/* Things: process-wide objects that are no Python objects: queues, locks, events, executors.
 *
 * A queue between interpreters must live on when the one that made it is closed, so it belongs to none of them: it is an
 * ordinary struct whose head is a stoa_thing, and each interpreter that knows it has a small wrapper of its own. What keeps
 * a thing alive is its handle (heap/handle.h), whose owner is not an interpreter but a record that stands for the process
 * and is never closed. So a thing goes wherever a handle goes (arguments, results, names, queues, C), and its last
 * reference ends it at once instead of queueing a release.
 *
 * All things are in one list, so that the end of an interpreter, a fork, and who wants to look can reach them.
 *
 * Invariants
 *  1. A thing is in the list from stoa__thing_open to the start of class->end.
 *  2. handle is live exactly as long as the thing: who found the thing in the list, or holds no reference, may not use it
 *     beyond the lock of the list.
 */
#ifndef STOA_HEAP_THING_H
#define STOA_HEAP_THING_H

#include "heap/handle.h"

typedef struct stoa_thing stoa_thing;

typedef enum stoa_thing_kind {
    STOA_THING_QUEUE = 1,
    STOA_THING_LOCK,
    STOA_THING_RLOCK,
    STOA_THING_EVENT,
    STOA_THING_CONDITION,
    STOA_THING_SEMAPHORE,
    STOA_THING_BOUNDED_SEMAPHORE,
    STOA_THING_BARRIER,
    STOA_THING_EXECUTOR,
    STOA_THING_CALLBACK,
    STOA_THING_KINDS /* how many, and one more: kind 0 is none */
} stoa_thing_kind;

/* What one looks like from outside, for statistics and messages: of one moment. */
typedef struct stoa_thing_info {
    uint64_t id, handle;
    const char *name; /* the class's */
    uint32_t kind;
    uint32_t refs;
    uint32_t waiters; /* threads and tasks that wait for it */
    /* items of a queue; tasks that a pool has not begun; how often an RLock is held; value of a semaphore; set event: 1 */
    uint64_t depth;
    uint64_t limit;     /* of depth; 0: none */
    uint32_t holder;    /* number of the thread (heap/waiter.h) that holds a lock; 0: nobody */
    uint32_t holder_in; /* serial of the interpreter it was taken in; 0: none */
    bool broken;        /* shut down; the holder's interpreter is closed; broken barrier */
} stoa_thing_info;

/* All of them with the thing's class pointer const. But for `end`, called with the list locked, and `thing->lock` not;
 * they may take it, and locks of a higher rank. Nothing may be freed there that could end another thing. */
typedef struct stoa_thing_class {
    const char *name; /* "Queue" */
    /* The last reference is gone: frees it. No lock held; any thread, with or without a GIL. */
    void (*end)(stoa_thing *thing);
    /* An interpreter is closed: what it held is given up. May be NULL. */
    void (*interp_gone)(stoa_thing *thing, uint32_t serial);
    /* In a forked child, all locks free: threads other than `self` are not here any more. May be NULL. */
    void (*fork_child)(stoa_thing *thing, uint32_t self);
    /* Fills all but id, kind, refs. May be NULL. */
    void (*describe)(stoa_thing *thing, stoa_thing_info *info);
} stoa_thing_class;

struct stoa_thing {
    const stoa_thing_class *class; /* const */
    uint32_t kind;                 /* const: stoa_thing_kind */
    uint64_t id;                   /* const: never used twice in the process */
    stoa_handle handle;            /* const: see above */
    stoa_lock lock;                /* STOA_RANK_THING: guards what the class says */
    stoa_thing *next, *previous;   /* guarded by the list's lock */
    stoa_thing *next_ended;        /* one thread's: the thread that ends it */
};

typedef struct stoa_things {
    stoa_lock lock;           /* STOA_RANK_THINGS; guards first, count, last_id */
    stoa_interp_record owner; /* const: the owner of all their handles; serial 0; never closed */
    stoa_thing *first;
    uint64_t count, last_id;
} stoa_things;

void stoa__things_init(stoa_things *things);
void stoa__things_fork_prepare(stoa_things *things);
void stoa__things_fork_parent(stoa_things *things);
void stoa__things_fork_child_locks(stoa_things *things);
void stoa__things_fork_child(stoa_things *things); /* when all locks are free */

/* Enters a thing that is whole otherwise, with one reference for the caller. STOA_ENOMEM: the caller frees it. */
stoa_err stoa__thing_open(stoa_thing *thing, const stoa_thing_class *thing_class, stoa_thing_kind kind);
/* Any thread, no GIL needed. Unref: no lock of ours held; may free what the thing holds. */
stoa_thing *stoa__thing_ref(stoa_thing *thing);
void stoa__thing_unref(stoa_thing *thing);
/* The thing that a live handle stands for, or NULL: it stands for an object of an interpreter. The caller holds the
 * handle. */
stoa_thing *stoa__thing_of_handle(stoa_handle handle);
/* Is this the owner of the things' handles? */
bool stoa__thing_owns(const stoa_interp_record *owner);
/* Private to handle.c: the last reference of the handle is gone. */
void stoa__thing_end(void *thing);

/* The interpreter `serial` is closed: every thing is told. */
void stoa__things_interp_gone(uint32_t serial);

/* Calls visit for every thing, newest first, with the list locked: it must not wait, nor open or unref things. */
void stoa__things_each(void (*visit)(const stoa_thing_info *info, void *arg), void *arg);
uint64_t stoa__things_count(void);

#endif
