/* Names: process-wide, from UTF-8 text to a shared object (or, later, a handle).
 *
 * Looking up is what every interpreter does at its start and may do in every request, so it takes no lock and writes
 * nothing that others read: a reader probes the shard's table, compares, copies the value, and takes the result only if
 * the shard's sequence number is even and did not change meanwhile. For that the memory of entries and tables is only
 * ever reused for entries and tables. A reader that keeps losing takes the lock.
 *
 * Each shard has a lock and an event count that waiters sleep on, so that publishing wakes only those who wait for names
 * of that shard, and nobody polls. A waiter holds no lock and no GIL. `once` marks a name as being made by a thread;
 * if that thread's attempt ends without a value the next waiter takes over.
 *
 * `receiver` is the interpreter on whose behalf a value is asked for, NULL for a thread outside all of them. An object
 * of a non-default region is marked as delivered to it (serial 0 for NULL) before anybody can take the name away, so
 * the region cannot go between look-up and use. A wait ends with STOA_EGONE once the receiver is not LIVE any more.
 *
 * A name is 1 to STOA_NAME_MAX bytes of UTF-8, zero bytes included: else STOA_EINVAL, STOA_EUTF8.
 */
#ifndef STOA_HEAP_NAMES_H
#define STOA_HEAP_NAMES_H

#include "heap/interp_table.h"
#include "heap/region.h"

#define STOA_NAME_MAX 4096u

typedef enum stoa_value_kind { STOA_VALUE_OBJECT = 1, STOA_VALUE_HANDLE = 2 } stoa_value_kind;

typedef struct stoa_value {
    stoa_value_kind kind;
    uint32_t domain;
    const void *object; /* STOA_VALUE_OBJECT: shared object of the publisher's domain, or a process-wide one of CPython */
    uint64_t handle;    /* STOA_VALUE_HANDLE */
} stoa_value;

#define STOA_NAME_SHARDS 64u
#define STOA_NAME_CLASSES 8u /* entries of 64 << class bytes */

typedef struct stoa_name_shard {
    _Alignas(64) stoa_lock lock;      /* STOA_RANK_NAMES */
    _Atomic uint32_t sequence;        /* odd while the holder of `lock` changes entries */
    _Atomic(struct stoa_name_table *) table; /* changed under lock */
    uint32_t count;                   /* guarded by lock: names */
    uint32_t used;                    /* guarded by lock: slots that are not empty (names and tombstones) */
    struct stoa_name_entry *free_entries[STOA_NAME_CLASSES]; /* guarded by lock */
    struct stoa_name_table *old_tables;                      /* guarded by lock */
    _Alignas(64) _Atomic uint32_t event; /* grows with each change that a waiter may wait for; futex */
    _Atomic uint32_t waiters;            /* who sleeps on event, or is about to */
} stoa_name_shard;

typedef struct stoa_names {
    stoa_name_shard shards[STOA_NAME_SHARDS];
    stoa_lock once_lock;                /* STOA_RANK_NAMES, taken before a shard's; guards the two lists */
    struct stoa_name_making *makings;   /* names that some thread is making */
    struct stoa_name_waiting *waitings; /* who waits for such a one: lies on the waiter's stack */
    uint32_t forking_thread;            /* thread id, set by fork_prepare */
} stoa_names;

void stoa__names_init(stoa_names *names);
void stoa__names_fork_prepare(stoa_names *names);
void stoa__names_fork_parent(stoa_names *names);
void stoa__names_fork_child(stoa_names *names); /* makings of threads that the child lacks are given up */

/* All three: any thread, no GIL needed. A value of a handle: the name takes a reference of its own. STOA_EGONE: the
 * handle is stale. STOA_ENOMEM. */
stoa_err stoa__name_publish(const char *name, size_t size, const stoa_value *value); /* STOA_EEXIST */
stoa_err stoa__name_replace(const char *name, size_t size, const stoa_value *value);
stoa_err stoa__name_unpublish(const char *name, size_t size);                        /* STOA_ENOTFOUND */
/* STOA_ENOTFOUND. A handle in *out comes with a reference for the caller (STOA_EGONE when its owner is closed). */
stoa_err stoa__name_lookup(const char *name, size_t size, const stoa_interp_record *receiver, stoa_value *out);
/* Waits until the name appears. STOA_ETIMEDOUT; STOA_EINTERRUPTED after a signal (call again to go on waiting);
 * STOA_EGONE when the receiver is being closed. */
stoa_err stoa__name_wait(const char *name, size_t size, const stoa_interp_record *receiver, stoa_deadline deadline,
                         stoa_value *out);

typedef enum stoa_once { STOA_ONCE_HAVE, STOA_ONCE_MAKE } stoa_once;
/* HAVE: *out is the value. MAKE: this thread must now call stoa__name_once_done exactly once. Waits while another
 * thread makes. `maker` names who asks (interpreter serial << 32 | anything) for the messages and to give up. A thread
 * that would wait for itself, by whatever chain of names and threads, gets STOA_EDEADLOCK. STOA_ETIMEDOUT,
 * STOA_EINTERRUPTED, STOA_EGONE, STOA_ENOMEM. */
stoa_err stoa__name_once(const char *name, size_t size, const stoa_interp_record *receiver, uint64_t maker,
                         stoa_deadline deadline, stoa_once *what, stoa_value *out);
/* value NULL: the attempt failed; the next waiter makes. STOA_EEXIST: somebody published the name meanwhile: that value
 * stays, look it up. STOA_ESTATE: this maker is not making (it was given up). Whatever it returns, the making is over. */
stoa_err stoa__name_once_done(const char *name, size_t size, uint64_t maker, const stoa_value *value);
/* All makings of a maker whose interpreter is gone are given up (serial in the upper half). stoa__interp_gone does it. */
void stoa__name_once_abandon(uint32_t serial);

/* Wakes all waiters, so that they look at their receiver's state. */
void stoa__names_wake_all(void);

/* Calls visit for each name, a copy of which is passed, with no lock held; ends when it returns false. Order: by name.
 * The value is as of some moment during the call; no reference, and nothing is delivered. STOA_ENOMEM. */
stoa_err stoa__name_each(bool (*visit)(const char *name, size_t size, const stoa_value *, void *), void *arg);
size_t stoa__name_count(void);

#endif
