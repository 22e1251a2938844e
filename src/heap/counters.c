#include "heap/counters.h"

#include <string.h>

_Static_assert(STOA_COUNTER_STRIPES == 1u << (64 - 61), "stoa__counter_stripe yields three bits");

void
stoa__counters_init(stoa_counters *counters)
{
    memset(counters, 0, sizeof *counters);
}

uint64_t
stoa__counter_sum(const _Atomic uint64_t *first, size_t stride)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STOA_COUNTER_STRIPES; i++) {
        const _Atomic uint64_t *one = (const _Atomic uint64_t *)((const char *)first + i * stride);
        sum += atomic_load_explicit(one, memory_order_relaxed);
    }
    return sum;
}
