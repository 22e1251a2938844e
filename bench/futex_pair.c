/* What a round trip between two sleeping threads costs on this machine, with nothing around it: two futex words. */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct pair {
    _Atomic uint32_t there, back;
    int count;
} pair;

static void
wait_for(_Atomic uint32_t *word, uint32_t value)
{
    uint32_t seen;
    while ((seen = atomic_load(word)) != value) {
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
}

static void
tell(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *
echo(void *arg)
{
    pair *p = arg;
    for (int i = 1; i <= p->count; i++) {
        wait_for(&p->there, (uint32_t)i);
        tell(&p->back, (uint32_t)i);
    }
    return NULL;
}

/* Seconds of one of `count` round trips; negative: no thread. */
__attribute__((visibility("default"))) double
bench_futex_round_trip(int count)
{
    pair p = {0, 0, count};
    pthread_t thread;
    struct timespec from, to;
    if (pthread_create(&thread, NULL, echo, &p) != 0) {
        return -1;
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 1; i <= count; i++) {
        tell(&p.there, (uint32_t)i);
        wait_for(&p.back, (uint32_t)i);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    pthread_join(thread, NULL);
    return ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9) / count;
}
