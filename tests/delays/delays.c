/* Delays around every atomic operation, to make rare interleavings frequent: `make test PRESET=delays`.
 *
 * Most races need a thread to be held up for a while at one place out of thousands, between two atomics that stand on
 * neighbouring lines. Real schedulers do that once in a million times, on somebody else's machine. The compiler, told to
 * prepare code for ThreadSanitizer, replaces each atomic operation by a call of its runtime; this is another runtime for the
 * same calls: it does what was asked for, with seq_cst, and before and after it now and then spins, yields or sleeps. A weak
 * compare-exchange fails for no reason now and then, as it may. Nothing is checked here: what is found are assertions,
 * wrong results and hangs of the tests.
 *
 * From the environment: STOA_DELAYS_RATE, of how many operations one is delayed (default 500; 0: none at all);
 * STOA_DELAYS_SEED (default: the process's own). A thread's delays follow from seed, process and the thread's number; what
 * threads do between them does not, so a seed makes a failure likely to come again, no more.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Shares of the delays, in 1/1024; the rest spins. */
#define YIELDS 300
#define NAPS 200 /* 0.1 to 2 ms: longer than a wake-up */
#define SLEEPS 4 /* 20 to 100 ms: longer than the pauses of whatever asks again */
#define SPIN_MAX 1024
#define START UINT64_C(200000000) /* nanoseconds that a new thread may sleep at once */

static uint64_t threshold; /* of 2^64: const after load */
static uint64_t seed;      /* the same */
static uint32_t threads;   /* atomic */
/* initial-exec: the first use on a thread may be in a signal handler, which must not allocate */
#define OF_THREAD static __thread __attribute__((tls_model("initial-exec")))
OF_THREAD uint64_t random_state;
OF_THREAD uint64_t began, slept; /* nanoseconds: since when it is delayed, and how long it was */

static uint64_t
mix(uint64_t x) /* the finaliser of splitmix64 (Steele, Lea, Flood 2014) */
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static uint64_t
next_random(void)
{
    if (random_state == 0) {
        uint64_t number = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED); /* only has to differ */
        random_state = mix(seed + number * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)getpid()) | 1;
    }
    random_state += UINT64_C(0x9E3779B97F4A7C15);
    return mix(random_state);
}

static uint64_t
now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* A thread sleeps half of its time at most, so that a million operations end on the same day. */
static void
sleep_for(uint64_t nanoseconds)
{
    uint64_t time = now();
    if (began == 0) {
        began = time;
    }
    if (slept + nanoseconds > (time - began) / 2 + START) {
        (void)sched_yield();
        return;
    }
    slept += nanoseconds;
    int saved = errno;
    (void)nanosleep(&(struct timespec){.tv_sec = 0, .tv_nsec = (long)nanoseconds}, NULL);
    errno = saved;
}

static void
delay(void)
{
    uint64_t kind = next_random() & 1023, length = next_random();
    if (kind < SLEEPS) {
        sleep_for(20000000 + length % 80000000);
    }
    else if (kind < SLEEPS + NAPS) {
        sleep_for(100000 + length % 1900000);
    }
    else if (kind < SLEEPS + NAPS + YIELDS) {
        (void)sched_yield();
    }
    else {
        for (volatile uint64_t i = 0; i < length % SPIN_MAX; i++) {
        }
    }
}

static inline void
perhaps_delay(void)
{
    if (threshold != 0 && next_random() < threshold) {
        delay();
    }
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 0);
}

/* Before the constructors of those who are linked to this. */
__attribute__((constructor(101))) static void
load(void)
{
    uint64_t rate = number_of("STOA_DELAYS_RATE", 500);
    seed = number_of("STOA_DELAYS_SEED", (uint64_t)time(NULL));
    threshold = rate == 0 ? 0 : UINT64_MAX / rate;
}

/* ---- the interface: compilers call it by these names ----------------------------------------------------------------- */

#define ORDER __ATOMIC_SEQ_CST

#define FETCH(bits, name)                                                                                 \
    EXPORT uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *at, uint##bits##_t value, \
                                                       int order)                                         \
    {                                                                                                     \
        (void)order;                                                                                      \
        perhaps_delay();                                                                                  \
        uint##bits##_t before = __atomic_##name(at, value, ORDER);                                        \
        perhaps_delay();                                                                                  \
        return before;                                                                                    \
    }

#define EXCHANGE_IF(bits, name, fails)                                                                       \
    EXPORT int __tsan_atomic##bits##_compare_exchange_##name(volatile uint##bits##_t *at,                    \
                                                             uint##bits##_t *expected, uint##bits##_t value, \
                                                             int order, int order_failed)                    \
    {                                                                                                        \
        (void)order;                                                                                         \
        (void)order_failed;                                                                                  \
        perhaps_delay();                                                                                     \
        if ((fails) && threshold != 0 && (next_random() & 63) == 0) {                                        \
            *expected = __atomic_load_n(at, ORDER);                                                          \
            return 0;                                                                                        \
        }                                                                                                    \
        int done = __atomic_compare_exchange_n(at, expected, value, 0, ORDER, ORDER);                        \
        perhaps_delay();                                                                                     \
        return done;                                                                                         \
    }

#define ATOMICS(bits)                                                                                       \
    EXPORT uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *at, int order)          \
    {                                                                                                       \
        (void)order;                                                                                        \
        perhaps_delay();                                                                                    \
        uint##bits##_t value = __atomic_load_n(at, ORDER);                                                  \
        perhaps_delay();                                                                                    \
        return value;                                                                                       \
    }                                                                                                       \
    EXPORT void __tsan_atomic##bits##_store(volatile uint##bits##_t *at, uint##bits##_t value, int order)   \
    {                                                                                                       \
        (void)order;                                                                                        \
        perhaps_delay();                                                                                    \
        __atomic_store_n(at, value, ORDER);                                                                 \
        perhaps_delay();                                                                                    \
    }                                                                                                       \
    EXPORT uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *at, uint##bits##_t value, \
                                                         int order)                                         \
    {                                                                                                       \
        (void)order;                                                                                        \
        perhaps_delay();                                                                                    \
        uint##bits##_t before = __atomic_exchange_n(at, value, ORDER);                                      \
        perhaps_delay();                                                                                    \
        return before;                                                                                      \
    }                                                                                                       \
    FETCH(bits, fetch_add)                                                                                  \
    FETCH(bits, fetch_sub)                                                                                  \
    FETCH(bits, fetch_and)                                                                                  \
    FETCH(bits, fetch_or)                                                                                   \
    FETCH(bits, fetch_xor)                                                                                  \
    FETCH(bits, fetch_nand)                                                                                 \
    EXCHANGE_IF(bits, strong, 0)                                                                            \
    EXCHANGE_IF(bits, weak, 1)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

EXPORT void
__tsan_atomic_thread_fence(int order)
{
    (void)order;
    perhaps_delay();
    __atomic_thread_fence(ORDER);
    perhaps_delay();
}

EXPORT void
__tsan_atomic_signal_fence(int order)
{
    (void)order;
}

EXPORT void
__tsan_init(void)
{
}

EXPORT void
__tsan_func_entry(void *caller)
{
    (void)caller;
}

EXPORT void
__tsan_func_exit(void)
{
}

/* Plain reads and writes are left alone. */
#define PLAIN(name)                     \
    EXPORT void __tsan_##name(void *at) \
    {                                   \
        (void)at;                       \
    }
#define PLAIN_SIZES(name) PLAIN(name##2) PLAIN(name##4) PLAIN(name##8) PLAIN(name##16)

PLAIN(read1)
PLAIN(write1)
PLAIN(volatile_read1)
PLAIN(volatile_write1)
PLAIN_SIZES(read)
PLAIN_SIZES(write)
PLAIN_SIZES(volatile_read)
PLAIN_SIZES(volatile_write)
PLAIN_SIZES(unaligned_read)
PLAIN_SIZES(unaligned_write)

#define RANGE(name)                                         \
    EXPORT void __tsan_##name(void *at, unsigned long size) \
    {                                                       \
        (void)at;                                           \
        (void)size;                                         \
    }
RANGE(read_range)
RANGE(write_range)
