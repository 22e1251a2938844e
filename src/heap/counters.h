/* Counters of the process: monotonic, relaxed, one cache line each where hot. Read by stats(). X(name, meaning) */
#ifndef STOA_HEAP_COUNTERS_H
#define STOA_HEAP_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#define STOA_COUNTER_TABLE(X)                                                                      \
    X(lookups, "names looked up")                                                                  \
    X(publishes, "names published or replaced")                                                    \
    X(calls, "calls entered into another interpreter")                                             \
    X(thread_states_made, "thread states made for (thread, interpreter)")                          \
    X(thread_states_ended, "thread states taken down")                                             \
    X(handles_made, "handles made")                                                                \
    X(handles_released, "handles whose last reference went")                                       \
    X(interpreters_made, "interpreters made")                                                      \
    X(interpreters_closed, "interpreters closed")                                                  \
    X(granules_taken, "granules of address space handed out")                                      \
    X(granules_punched, "granules given back to the system")                                       \
    X(guard_tolerated, "refcount writes let through by the guard")                                 \
    X(intern_unentered, "objects left out of a full intern table")

typedef struct stoa_counters {
#define STOA_COUNTER_FIELD(name, meaning) _Atomic uint64_t name;
    STOA_COUNTER_TABLE(STOA_COUNTER_FIELD)
#undef STOA_COUNTER_FIELD
} stoa_counters;

/* relaxed: nothing is ordered by a counter */
#define STOA_COUNT(counters, name)                                                                 \
    ((void)atomic_fetch_add_explicit(&(counters)->name, 1, memory_order_relaxed))

#endif
