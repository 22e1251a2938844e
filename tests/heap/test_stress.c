/* Imitates many freezes at once: threads that open batches in several regions, some with limits, lay down and intern toys
 * of all sizes, commit or abort, look at what others made, make and drop regions, and fork, all at random. Whatever was
 * committed must be whole for ever, whatever was aborted must be gone, limits hold, and every invariant holds at the end.
 *
 *   STOA_STRESS_SEED=n     another run (default 1; printed)
 *   STOA_STRESS_ROUNDS=n   batches a thread (default 150)
 */
#include "heap_testing.h"

#include <pthread.h>

#define THREADS 3
#define REGIONS 4
#define KEPT 2000
#define LIMIT ((size_t)6 << 20)

static stoa_region *regions[REGIONS]; /* 0: default, 1: no limit, 2: LIMIT, 3: LIMIT, interned by nobody */
static uint64_t seed = 1, rounds = 150;

typedef struct worker {
    uint64_t random;
    uint64_t committed, aborted, full;
    const toy *kept[KEPT];
    uint64_t kept_values[KEPT];
    size_t kept_count;
} worker;

static uint64_t
next(worker *self, uint64_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (self->random >> 11) % below;
}

static size_t
size_of(uint64_t value)
{
    uint64_t kind = value % 1000;
    size_t size = kind < 900 ? 16 + value % 200 : kind < 990 ? 1000 + value % 20000 : 200000 + value % 900000;
    return (size & ~(size_t)7) + 16;
}

static void
keep(worker *self, const toy *object, uint64_t value)
{
    size_t at = self->kept_count < KEPT ? self->kept_count++ : next(self, KEPT);
    self->kept[at] = object;
    self->kept_values[at] = value;
}

static void
check_kept(const worker *self)
{
    for (size_t i = 0; i < self->kept_count; i++) {
        CHECK(self->kept[i]->size == size_of(self->kept_values[i]));
        CHECK(toy_is_whole(self->kept[i], self->kept_values[i]));
    }
}

/* One batch. Returns what became of it. */
static void
one_batch(worker *self)
{
    unsigned which = (unsigned)next(self, REGIONS);
    stoa_batch batch;
    CHECK(stoa__batch_begin(&batch, regions[which], which == 3 ? 0 : STOA_BATCH_INTERN) == STOA_OK);
    const toy *made[300];
    uint64_t values[300];
    size_t count = 1 + next(self, next(self, 10) == 0 ? 300 : 30);
    bool full = false;
    for (size_t i = 0; i < count; i++) {
        values[i] = next(self, 3000) * 7 + (which == 3 ? UINT64_C(1) << 40 : 0);
        made[i] = toy_find(&batch, values[i]);
        if (made[i] == NULL) {
            made[i] = toy_new(&batch, values[i], size_of(values[i]));
        }
        if (made[i] == NULL) {
            CHECK(batch.err == STOA_ENOMEM && regions[which]->limit != 0);
            full = true;
            break;
        }
        CHECK(toy_is_whole(made[i], values[i]));
    }
    if (full || next(self, 3) == 0) {
        stoa__batch_abort(&batch);
        self->aborted++;
        self->full += full;
        return;
    }
    stoa__batch_commit(&batch);
    self->committed++;
    for (size_t i = 0; i < count; i++) {
        keep(self, made[i], values[i]);
    }
}

static void
short_region(worker *self)
{
    stoa_region *region;
    stoa_batch batch;
    CHECK(stoa__region_new("short", next(self, 2) * LIMIT, &region) == STOA_OK);
    CHECK(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN) == STOA_OK);
    for (uint64_t i = 0; i < next(self, 2000); i++) {
        (void)toy_new(&batch, i, 64);
    }
    stoa__batch_abort(&batch);
    stoa__region_unref(region);
}

static void
fork_and_work(worker *self)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        check_kept(self);
        for (int i = 0; i < 20; i++) {
            one_batch(self);
        }
        check_kept(self);
        check_heap(); /* the only thread */
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void *
work(void *arg)
{
    worker *self = arg;
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t what = next(self, 100);
        if (what < 95) {
            one_batch(self);
        }
        else if (what < 98) {
            short_region(self);
        }
        else if (what == 98) {
            fork_and_work(self);
        }
        else {
            check_kept(self);
        }
    }
    check_kept(self);
    return NULL;
}

static void
everything_at_random(void **state)
{
    (void)state;
    static worker workers[THREADS];
    regions[0] = stoa__region_default();
    for (int i = 1; i < REGIONS; i++) {
        assert_int_equal(stoa__region_new("stress", i >= 2 ? LIMIT : 0, &regions[i]), STOA_OK);
    }
    pthread_t threads[THREADS];
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i].random = (seed * THREADS + i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    uint64_t committed = 0, aborted = 0, full = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        committed += workers[i].committed;
        aborted += workers[i].aborted;
        full += workers[i].full;
    }
    print_message("seed %llu: %llu committed, %llu aborted, %llu of them by a limit\n",
                  (unsigned long long)seed, (unsigned long long)committed, (unsigned long long)aborted,
                  (unsigned long long)full);
    check_heap();
    uint64_t freezes = 0;
    for (int i = 0; i < REGIONS; i++) {
        stoa_region_stats stats = stats_of(regions[i]);
        freezes += stats.freezes;
        assert_true(stats.limit == 0 || stats.used_bytes <= stats.limit);
        assert_true(stats.limit == 0 || atomic_load(&regions[i]->charged) == stats.used_bytes);
        assert_true(i == 3 ? stats.intern_entries == 0 : stats.intern_entries == stats.objects);
    }
    assert_int_equal(freezes, committed);
}

static uint64_t
number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

int
main(void)
{
    seed = number("STOA_STRESS_SEED", seed);
    rounds = number("STOA_STRESS_ROUNDS", rounds);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_at_random),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
