/* Locks and waiting, usable by several copies of the library in one process and across fork.
 *
 * pthread mutexes belong to one C library; a second dlmopen namespace brings another. So locks are one 32-bit futex
 * word: 0 free, 1 held, 2 held with waiters. Every lock has a rank; a thread takes locks in ascending rank only, and
 * builds with STOA_DEBUG abort on inversion and print both names. No lock is held while Python code runs, while a GIL
 * is being taken, or while waiting for anything but a lock of higher rank.
 */
#ifndef STOA_HEAP_LOCK_H
#define STOA_HEAP_LOCK_H

#include "stoa/base.h"

#include <stdatomic.h>

/* Ascending: the order of taking. */
typedef enum stoa_rank {
    STOA_RANK_PROCESS = 1,
    STOA_RANK_INTERPS,
    STOA_RANK_INTERP, /* one interpreter record */
    STOA_RANK_ONCE,   /* names that are being made */
    STOA_RANK_NAMES,  /* one shard of the names */
    STOA_RANK_HANDLES,
    STOA_RANK_REGIONS, /* list of regions */
    STOA_RANK_REGION,  /* one region: its chunks, its arena */
    STOA_RANK_INTERN,  /* one shard of an intern table */
    STOA_RANK_EPOCH,
    STOA_RANK_SPACE,
    STOA_RANK_POOLS,   /* list of pools */
    STOA_RANK_THINGS,  /* list of things */
    STOA_RANK_THING,   /* one thing: queue, lock, pool, … */
    STOA_RANK_TASKS,   /* one worker's queue of tasks, one task's waiters */
    STOA_RANK_BELL,    /* what one event loop is told */
    STOA_RANK_MAILBOX, /* one mailbox */
    STOA_RANK_WAITS,   /* who waits for whom */
    STOA_RANK_MESSAGE, /* message hook, warnings */
    STOA_RANK_COUNT
} stoa_rank;

typedef struct stoa_lock {
    _Atomic uint32_t word;
    uint16_t rank;
} stoa_lock;

#define STOA_LOCK_INIT(r) \
    {                     \
        0, (uint16_t)(r)  \
    }

void stoa__lock_init(stoa_lock *lock, stoa_rank rank);
void stoa__lock(stoa_lock *lock);
void stoa__unlock(stoa_lock *lock);
/* As stoa__lock, but several of one rank may be held: only for who holds the lock of the list that they are in, so that
 * nobody else is taking two of them (fork; visits of all shards). */
void stoa__lock_another(stoa_lock *lock);
/* In a forked child, the only thread: makes the lock free whoever held it. */
void stoa__lock_reset(stoa_lock *lock);
/* The name of a rank, for messages; "no rank" for another number. */
const char *stoa__rank_name(unsigned rank);
/* Ends the process with a message when this thread holds a lock (builds with STOA_DEBUG; else nothing): to be called
 * where Python code is about to run, a GIL to be taken, or the thread to sleep. */
void stoa__assert_no_locks(const char *where);

/* Absolute CLOCK_MONOTONIC nanoseconds; STOA_FOREVER waits without end. */
typedef int64_t stoa_deadline;
#define STOA_FOREVER INT64_MAX
int64_t stoa__now(void);
/* From seconds (NaN: returns false; negative: now; huge or infinite: for ever). */
bool stoa__deadline_in(double seconds, stoa_deadline *out);

typedef enum stoa_wait_result { STOA_WOKEN, STOA_TIMED_OUT, STOA_SIGNALLED } stoa_wait_result;

/* Sleeps while *word == expected, without using the processor. STOA_SIGNALLED after a signal handler ran. STOA_WOKEN may
 * come without a wake and says nothing about memory: look at the word again. No lock and no GIL may be held. Keeps
 * errno. Words are private to the process; every copy of the library in it, and every C library, sleeps on the same. */
stoa_wait_result stoa__futex_wait(_Atomic uint32_t *word, uint32_t expected, stoa_deadline deadline);
/* The same where nothing is waited for but the time. */
stoa_wait_result stoa__sleep_until(stoa_deadline deadline);
void stoa__futex_wake(_Atomic uint32_t *word, int how_many); /* INT_MAX: all */

#endif
