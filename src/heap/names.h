/* Names: process-wide, from UTF-8 text to a shared object (or, later, a handle).
 *
 * Looking up is what every interpreter does at its start and may do in every request, so it takes no lock and writes
 * nothing that others read (heap/name_table.h).
 *
 * Each shard has a table and an event count that waiters sleep on (heap/name_shard.h), so that publishing wakes only
 * those who wait for names of that shard, and nobody polls. A waiter holds no lock and no GIL.
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
#include "heap/name_shard.h"
#include "heap/once.h" /* stoa__name_once, _once_done, _once_abandon */

#define STOA_NAME_SHARDS 64u

typedef struct stoa_names {
    stoa_name_shard shards[STOA_NAME_SHARDS];
    uint64_t seed; /* const after init: of the hash, so that nobody can choose colliding names */
    stoa_once_state once;
} stoa_names;

void stoa__names_init(stoa_names *names);
void stoa__names_fork_prepare(stoa_names *names);
void stoa__names_fork_parent(stoa_names *names);
void stoa__names_fork_child(stoa_names *names); /* makings of threads that the child lacks are given up */

/* All three: any thread, no GIL needed. A value of a handle: the name takes a reference of its own. STOA_EGONE: the
 * handle is stale. STOA_ENOMEM. */
stoa_err stoa__name_publish(const char *name, size_t size, const stoa_value *value); /* STOA_EEXIST */
stoa_err stoa__name_replace(const char *name, size_t size, const stoa_value *value);
stoa_err stoa__name_unpublish(const char *name, size_t size); /* STOA_ENOTFOUND */
/* STOA_ENOTFOUND. A handle in *out comes with a reference for the caller (STOA_EGONE when its owner is closed). */
stoa_err stoa__name_lookup(const char *name, size_t size, const stoa_interp_record *receiver, stoa_value *out);
/* Has the name a value now? Nothing is delivered. STOA_EINVAL, STOA_EUTF8: it can be no name. */
stoa_err stoa__name_in_use(const char *name, size_t size, bool *out_in_use);
/* Waits until the name appears. STOA_ETIMEDOUT; STOA_EINTERRUPTED after a signal (call again to go on waiting);
 * STOA_EGONE when the receiver is being closed. */
stoa_err stoa__name_wait(const char *name, size_t size, const stoa_interp_record *receiver,
                         stoa_deadline deadline, stoa_value *out);

/* Wakes all waiters, so that they look at their receiver's state. */
void stoa__names_wake_all(void);

/* Calls visit for each name, a copy of which is passed, with no lock held; ends when it returns false. Order: by name.
 * The value is as of some moment during the call; no reference, and nothing is delivered. STOA_ENOMEM. */
stoa_err stoa__name_each(bool (*visit)(const char *name, size_t size, const stoa_value *, void *), void *arg);
size_t stoa__name_count(void);

#endif
