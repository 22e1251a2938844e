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

typedef enum stoa_rank { /* ascending = the order of taking */
    STOA_RANK_PROCESS = 1,
    STOA_RANK_INTERPS,
    STOA_RANK_INTERP,  /* one interpreter record */
    STOA_RANK_NAMES,   /* one shard of the names */
    STOA_RANK_HANDLES,
    STOA_RANK_REGIONS, /* list of regions */
    STOA_RANK_REGION,  /* one region: its chunks, its arena */
    STOA_RANK_INTERN,  /* one shard of an intern table */
    STOA_RANK_EPOCH,
    STOA_RANK_SPACE,
    STOA_RANK_MESSAGE, /* message hook, warnings */
    STOA_RANK_COUNT
} stoa_rank;

typedef struct stoa_lock {
    _Atomic uint32_t word;
    uint16_t rank;
} stoa_lock;

#define STOA_LOCK_INIT(r) {0, (uint16_t)(r)}

void stoa__lock_init(stoa_lock *lock, stoa_rank rank);
void stoa__lock(stoa_lock *lock);
bool stoa__trylock(stoa_lock *lock);
void stoa__unlock(stoa_lock *lock);
/* In a forked child, the only thread: makes the lock free whoever held it. */
void stoa__lock_reset(stoa_lock *lock);

/* Absolute CLOCK_MONOTONIC nanoseconds; STOA_FOREVER waits without end. */
typedef int64_t stoa_deadline;
#define STOA_FOREVER INT64_MAX
int64_t stoa__now(void);
/* From seconds (NaN: returns false; negative: now; huge or infinite: for ever). */
bool stoa__deadline_in(double seconds, stoa_deadline *out);

typedef enum stoa_wait_result { STOA_WOKEN, STOA_TIMED_OUT, STOA_SIGNALLED } stoa_wait_result;

/* Sleeps while *word == expected. STOA_SIGNALLED after EINTR. Spurious STOA_WOKEN is possible. No CPU, no GIL needed
 * (and none may be held). */
stoa_wait_result stoa__futex_wait(_Atomic uint32_t *word, uint32_t expected, stoa_deadline deadline);
void stoa__futex_wake(_Atomic uint32_t *word, int how_many); /* INT_MAX: all */

#endif
