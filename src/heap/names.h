/* Names: process-wide, from UTF-8 text to a shared object (or, later, a handle).
 *
 * Each shard has a lock and an event count that waiters sleep on, so that publishing wakes only those who wait for names
 * of that shard, and nobody polls. A waiter holds no lock and no GIL. `once` marks a name as being made by a thread;
 * if that thread's attempt ends without a value the next waiter takes over.
 */
#ifndef STOA_HEAP_NAMES_H
#define STOA_HEAP_NAMES_H

#include "heap/lock.h"
#include "heap/region.h"

typedef enum stoa_value_kind { STOA_VALUE_OBJECT = 1, STOA_VALUE_HANDLE = 2 } stoa_value_kind;

typedef struct stoa_value {
    stoa_value_kind kind;
    const void *object; /* STOA_VALUE_OBJECT: shared object of the publisher's domain, or a process-wide one of CPython */
    uint64_t handle;    /* STOA_VALUE_HANDLE */
    uint32_t domain;
} stoa_value;

stoa_err stoa__name_publish(const char *name, size_t size, const stoa_value *value);         /* STOA_EEXIST */
stoa_err stoa__name_replace(const char *name, size_t size, const stoa_value *value);
stoa_err stoa__name_unpublish(const char *name, size_t size);                                /* STOA_ENOTFOUND */
stoa_err stoa__name_lookup(const char *name, size_t size, stoa_value *out);                  /* STOA_ENOTFOUND */
/* Waits until the name appears. STOA_ETIMEDOUT; STOA_EINTERRUPTED after a signal (call again to go on waiting). */
stoa_err stoa__name_wait(const char *name, size_t size, stoa_deadline deadline, stoa_value *out);

typedef enum stoa_once { STOA_ONCE_HAVE, STOA_ONCE_MAKE } stoa_once;
/* HAVE: *out is the value. MAKE: this thread must now call stoa__name_once_done exactly once. Waits while another
 * thread makes. `maker` names who asks (interpreter serial << 32 | thread id) for Deadlock and messages: the same maker
 * asking again while making gets STOA_EDEADLOCK. STOA_ETIMEDOUT, STOA_EINTERRUPTED. */
stoa_err stoa__name_once(const char *name, size_t size, uint64_t maker, stoa_deadline deadline, stoa_once *what,
                         stoa_value *out);
/* value NULL: the attempt failed; the next waiter makes. */
stoa_err stoa__name_once_done(const char *name, size_t size, uint64_t maker, const stoa_value *value);
/* All makings of a maker whose interpreter is gone are given up (serial in the upper half). */
void stoa__name_once_abandon(uint32_t serial);

/* Calls visit for each name, a copy of which is passed, with no lock held. Order: by name. */
stoa_err stoa__name_each(bool (*visit)(const char *name, size_t size, const stoa_value *, void *), void *arg);
size_t stoa__name_count(void);

#endif
