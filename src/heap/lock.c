#include "heap/lock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FREE 0u
#define HELD 1u
#define HELD_WAITERS 2u

/* Looks at a held lock before sleeping. A critical section here is 20-100 ns, a sleep and its wake 5-10 us; a holder
 * that lost its processor is not worth more than this. */
#define SPINS 40

static inline void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` is a no-op on most cores */
#endif
}

const char *
stoa__rank_name(unsigned rank)
{
    static const char *const names[STOA_RANK_COUNT] = {
        [STOA_RANK_PROCESS] = "process",    [STOA_RANK_INTERPS] = "interpreters",
        [STOA_RANK_INTERP] = "interpreter", [STOA_RANK_ONCE] = "once",
        [STOA_RANK_NAMES] = "names",        [STOA_RANK_HANDLES] = "handles",
        [STOA_RANK_REGIONS] = "regions",    [STOA_RANK_REGION] = "region",
        [STOA_RANK_INTERN] = "intern",      [STOA_RANK_EPOCH] = "epoch",
        [STOA_RANK_SPACE] = "space",        [STOA_RANK_POOLS] = "pools",
        [STOA_RANK_THINGS] = "things",      [STOA_RANK_THING] = "thing",
        [STOA_RANK_TASKS] = "tasks",        [STOA_RANK_BELL] = "bell",
        [STOA_RANK_MAILBOX] = "mailbox",    [STOA_RANK_WAITS] = "waits",
        [STOA_RANK_MESSAGE] = "message",
    };
    return rank < STOA_RANK_COUNT && names[rank] != NULL ? names[rank] : "no rank";
}

#if STOA_DEBUG
/* How many locks of each rank this thread holds. */
static _Thread_local uint16_t held[STOA_RANK_COUNT];

static void
die(const char *what, unsigned rank, const char *other)
{
    fprintf(stderr, "stoa: lock order: %s lock '%s'%s%s%s\n", what, stoa__rank_name(rank),
            *other ? " while holding lock '" : "", other, *other ? "'" : "");
    abort();
}

/* Before taking: everything held must be of a lower rank (`another`: or of the same). */
static void
check_order(const stoa_lock *lock, bool another)
{
    unsigned rank = lock->rank;
    if (rank == 0 || rank >= STOA_RANK_COUNT) {
        die("taking a lock that was not initialised:", rank, "");
    }
    for (unsigned r = another ? rank + 1 : rank; r < STOA_RANK_COUNT; r++) {
        if (held[r] != 0) {
            die("taking", rank, stoa__rank_name(r));
        }
    }
}

static void
note_taken(const stoa_lock *lock)
{
    held[lock->rank]++;
}

static void
note_released(const stoa_lock *lock)
{
    if (held[lock->rank] == 0) {
        die("releasing, but this thread holds no", lock->rank, "");
    }
    held[lock->rank]--;
}

static void
note_reset(const stoa_lock *lock)
{
    if (held[lock->rank] != 0) {
        held[lock->rank]--;
    }
}

void
stoa__assert_no_locks(const char *where)
{
    for (unsigned r = 0; r < STOA_RANK_COUNT; r++) {
        if (held[r] != 0) {
            die(where, r, "held");
        }
    }
}
#else
#define check_order(lock, another) ((void)0)
#define note_taken(lock) ((void)0)
#define note_released(lock) ((void)0)
#define note_reset(lock) ((void)0)
void
stoa__assert_no_locks(const char *where)
{
    (void)where;
}
#endif

void
stoa__lock_init(stoa_lock *lock, stoa_rank rank)
{
    atomic_init(&lock->word, FREE);
    lock->rank = (uint16_t)rank;
}

/* Who slept takes the lock as HELD_WAITERS, since others may be asleep still; one needless wake is the price. */
static void
lock_slow(stoa_lock *lock)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (seen == HELD_WAITERS) {
            break;
        }
        if (seen == FREE && atomic_compare_exchange_weak_explicit(
                                &lock->word, &seen, HELD, memory_order_acquire, memory_order_relaxed)) {
            return;
        }
        relax();
    }
    while (atomic_exchange_explicit(&lock->word, HELD_WAITERS, memory_order_acquire) != FREE) {
        stoa__futex_wait(&lock->word, HELD_WAITERS, STOA_FOREVER);
    }
}

static inline void
lock_word(stoa_lock *lock)
{
    uint32_t expected = FREE;
    /* acquire: pairs with the release exchange of stoa__unlock */
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &expected, HELD, memory_order_acquire,
                                                 memory_order_relaxed)) {
        lock_slow(lock);
    }
}

void
stoa__lock(stoa_lock *lock)
{
    check_order(lock, false);
    lock_word(lock);
    note_taken(lock);
}

void
stoa__lock_another(stoa_lock *lock)
{
    check_order(lock, true);
    lock_word(lock);
    note_taken(lock);
}

void
stoa__unlock(stoa_lock *lock)
{
    note_released(lock);
    /* release: pairs with the acquire of whoever takes it next */
    if (atomic_exchange_explicit(&lock->word, FREE, memory_order_release) == HELD_WAITERS) {
        stoa__futex_wake(&lock->word, 1);
    }
}

void
stoa__lock_reset(stoa_lock *lock)
{
    note_reset(lock);
    atomic_store_explicit(&lock->word, FREE, memory_order_relaxed); /* one thread: nobody to order for */
}

int64_t
stoa__now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool
stoa__deadline_in(double seconds, stoa_deadline *out)
{
    if (isnan(seconds)) {
        return false;
    }
    int64_t now = stoa__now();
    if (seconds <= 0) {
        *out = now;
        return true;
    }
    double nanoseconds = ceil(seconds * 1e9); /* up: a positive timeout is never none */
    /* a little under the limit: near 2^63 a double is exact only to 1024 */
    *out = nanoseconds >= (double)(INT64_MAX - now) - 4096 ? STOA_FOREVER : now + (int64_t)nanoseconds;
    return true;
}

stoa_wait_result
stoa__futex_wait(_Atomic uint32_t *word, uint32_t expected, stoa_deadline deadline)
{
    struct timespec until;
    struct timespec *timeout = NULL;
    if (deadline != STOA_FOREVER) {
        if (deadline < 0) {
            deadline = 0;
        }
        until.tv_sec = (time_t)(deadline / 1000000000);
        until.tv_nsec = (long)(deadline % 1000000000);
        timeout = &until;
    }
    int saved = errno;
    /* the bitset form takes an absolute CLOCK_MONOTONIC time, so a retry after a signal does not wait anew */
    long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, timeout, NULL,
                          FUTEX_BITSET_MATCH_ANY);
    int error = result < 0 ? errno : 0;
    errno = saved;
    switch (error) {
    case ETIMEDOUT:
        return STOA_TIMED_OUT;
    case EINTR:
        return STOA_SIGNALLED;
    default:
        return STOA_WOKEN; /* 0, or EAGAIN: the word had changed already */
    }
}

stoa_wait_result
stoa__sleep_until(stoa_deadline deadline)
{
    _Atomic uint32_t nothing = 0;
    return stoa__futex_wait(&nothing, 0, deadline);
}

void
stoa__futex_wake(_Atomic uint32_t *word, int how_many)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, how_many, NULL, NULL, 0);
    errno = saved;
}
