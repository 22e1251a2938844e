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

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Seconds of one of `count` round trips; negative: no thread. Before each this side is busy for `pause` seconds, which do not
 * count: long enough, and the other side sleeps whenever it is told. */
__attribute__((visibility("default"))) double
bench_futex_round_trip(int count, double pause)
{
    pair p = {0, 0, count};
    pthread_t thread;
    double taken = 0;
    if (pthread_create(&thread, NULL, echo, &p) != 0) {
        return -1;
    }
    for (int i = 1; i <= count; i++) {
        double from = now();
        while (pause > 0 && now() - from < pause) {
        }
        from = now();
        tell(&p.there, (uint32_t)i);
        wait_for(&p.back, (uint32_t)i);
        taken += now() - from;
    }
    pthread_join(thread, NULL);
    return taken / count;
}
