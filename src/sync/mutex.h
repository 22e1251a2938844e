/* Lock and RLock between threads of any interpreters, and of none.
 *
 * Nobody contends most of the time, so taking and letting go are one compare-and-swap of a word that says who has it. Who
 * must wait marks the word CONTENDED and leaves his node; then letting go takes the thing's lock and hands the mutex to the
 * first who waits, so that nobody overtakes him.
 *
 * The word: serial of the holder's interpreter << 33 | number of its thread (heap/waiter.h) << 1 | CONTENDED; 0: free.
 * A Lock may be let go by any thread, as in threading; an RLock belongs to (thread, interpreter).
 *
 * A holder whose interpreter is closed will never let go: the mutex is broken then. All who wait and who come are told so,
 * until somebody lets go of it, having put right what it guards.
 *
 * Invariants (under thing.lock)
 *  1. CONTENDED is set  <=>  waiters is not empty, or broken.
 *  2. broken  =>  waiters is empty, word == STOA_MUTEX_BROKEN.
 */
#ifndef STOA_SYNC_MUTEX_H
#define STOA_SYNC_MUTEX_H

#include "heap/thing.h"
#include "sync/node.h"

#define STOA_MUTEX_CONTENDED 1u
#define STOA_MUTEX_BROKEN UINT64_MAX

typedef struct stoa_mutex {
    stoa_thing thing;
    _Atomic uint64_t word;
    _Atomic uint64_t depth; /* RLock: how often its holder has it; written by the holder, to others a hint */
    bool recursive;         /* const */
    uint32_t broke_in;      /* guarded by thing.lock: serial of the interpreter that is gone */
    stoa_node_list waiters, given; /* guarded by thing.lock */
} stoa_mutex;

typedef enum stoa_mutex_result {
    STOA_MUTEX_DONE,
    STOA_MUTEX_WAIT, /* somebody has it; with a node: it is in the list now */
    STOA_MUTEX_IS_BROKEN,
    STOA_MUTEX_NOT_HELD, /* by nobody; an RLock: not by the caller */
    STOA_MUTEX_STOPPED   /* of waits (proxy/mutex_wait.h): something else ended it */
} stoa_mutex_result;

stoa_err stoa__mutex_new(bool recursive, stoa_mutex **out);

static inline stoa_mutex *
stoa__mutex(stoa_thing *thing)
{
    return (stoa_mutex *)thing;
}

/* What the word is when this thread has it, in the interpreter `serial` (0: in none). */
static inline uint64_t
stoa__mutex_owner(const stoa_waiter *self, uint32_t serial)
{
    return (uint64_t)serial << 33 | (uint64_t)self->number << 1;
}

static inline bool
stoa__mutex_try(stoa_mutex *mutex, uint64_t owner)
{
    uint64_t expected = 0;
    /* acquire: pairs with the release of whoever let go */
    return atomic_compare_exchange_strong_explicit(&mutex->word, &expected, owner, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline bool
stoa__mutex_is_held_by(const stoa_mutex *mutex, uint64_t owner)
{
    /* relaxed: only the owner itself can make it, or cease to make it, true */
    return (atomic_load_explicit(&mutex->word, memory_order_relaxed) & ~(uint64_t)STOA_MUTEX_CONTENDED) ==
           owner;
}

static inline bool
stoa__mutex_is_held(const stoa_mutex *mutex)
{
    return atomic_load(&mutex->word) != 0;
}

static inline bool
stoa__mutex_is_broken(const stoa_mutex *mutex)
{
    return atomic_load(&mutex->word) == STOA_MUTEX_BROKEN;
}

/* Any thread, no GIL needed, never wait. A holder of an RLock comes again: depth grows. `node` may be NULL: just try. A
 * settled node: GIVEN, the mutex is the waiter's, at the depth that node->count said (0 is 1); BROKEN. */
stoa_mutex_result stoa__mutex_acquire(stoa_mutex *mutex, uint64_t owner, stoa_node *node);
stoa_mutex_result stoa__mutex_release(stoa_mutex *mutex, uint64_t owner);
/* An RLock wholly, whatever its depth, which *depth gets; a Lock as above. */
stoa_mutex_result stoa__mutex_release_save(stoa_mutex *mutex, uint64_t owner, uint64_t *depth);
/* The waiter gives up. True: it was still waiting. False: it is settled; if it was GIVEN, the mutex is let go again. */
bool stoa__mutex_withdraw(stoa_mutex *mutex, stoa_node *node);
/* A task takes what it was given: false when its interpreter is gone. */
bool stoa__mutex_taken(stoa_mutex *mutex, stoa_node *node);
/* For finding circles (heap/waiter.h): the thread's innermost edge stands for the holder from now on, whoever that is, until
 * the node is settled or withdrawn. STOA_EDEADLOCK: that closes a circle. Own thread, which has pushed an edge; the node
 * waits without a deadline. */
stoa_err stoa__mutex_watch(stoa_mutex *mutex, stoa_node *node);
/* Serial of the closed interpreter, for messages; 0: it is not broken, or the holder was in none. */
uint32_t stoa__mutex_broke_in(stoa_mutex *mutex);

#endif
