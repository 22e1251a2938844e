/* Counters of the process: they only grow, and order nothing. Read by stats(). X(name, meaning)
 *
 * One word that every thread adds to would cost more than what it counts (a look-up is 20 ns, a cache line that two
 * processors fight for 50), so each counter exists several times, on lines apart; reading adds up.
 */
#ifndef STOA_HEAP_COUNTERS_H
#define STOA_HEAP_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define STOA_COUNTER_TABLE(X)                                             \
    X(lookups, "names looked up")                                         \
    X(publishes, "names published or replaced")                           \
    X(calls, "calls entered into another interpreter")                    \
    X(calls_let_in, "of those, let in by a busy owner's running thread")  \
    X(calls_posted, "calls run by the owner's running thread")            \
    X(calls_home, "calls run by the home thread of an object")            \
    X(calls_served, "calls with a timeout, run by a service thread")      \
    X(calls_withdrawn, "calls taken back by their sender and entered")    \
    X(calls_timed_out, "calls whose sender had no more time")             \
    X(thread_states_made, "thread states made for (thread, interpreter)") \
    X(thread_states_ended, "thread states taken down")                    \
    X(handles_made, "handles made")                                       \
    X(handles_released, "handles whose last reference went")              \
    X(idle_releases, "times releases were applied in an idle owner")      \
    X(interpreters_made, "interpreters made")                             \
    X(interpreters_closed, "interpreters closed")                         \
    X(granules_taken, "granules of address space handed out")             \
    X(granules_punched, "granules given back to the system")              \
    X(guard_tolerated, "refcount writes let through by the guard")        \
    X(intern_unentered, "objects left out of a full intern table")

#define STOA_COUNTER_STRIPES 8u

typedef struct stoa_counters {
    struct {
#define STOA_COUNTER_FIELD(name, meaning) _Atomic uint64_t name;
        _Alignas(64) STOA_COUNTER_TABLE(STOA_COUNTER_FIELD)
#undef STOA_COUNTER_FIELD
    } stripe[STOA_COUNTER_STRIPES];
} stoa_counters;

/* All zero. */
void stoa__counters_init(stoa_counters *counters);

/* A stripe for this thread: threads have their stacks apart. Any stripe would be right. */
static inline unsigned
stoa__counter_stripe(void)
{
    uint64_t stack = (uintptr_t)__builtin_frame_address(0) >> 16;
    return (unsigned)((stack * UINT64_C(0x9E3779B97F4A7C15)) >> 61);
}

/* relaxed: nothing is ordered by a counter. Async-signal-safe. */
#define STOA_COUNT(counters, name)                                                        \
    ((void)atomic_fetch_add_explicit(&(counters)->stripe[stoa__counter_stripe()].name, 1, \
                                     memory_order_relaxed))

/* The sum. Exact when nobody is counting; never less than what happened before the call. */
#define STOA_COUNTER_READ(counters, name) \
    stoa__counter_sum(&(counters)->stripe[0].name, sizeof(counters)->stripe[0])
uint64_t stoa__counter_sum(const _Atomic uint64_t *first, size_t stride);

#endif
