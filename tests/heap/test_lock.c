#include "heap/lock.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define THREADS 4
#define ROUNDS 50000

static stoa_lock shared_lock = STOA_LOCK_INIT(STOA_RANK_NAMES);
static long shared_count; /* guarded by shared_lock: a plain variable, for ThreadSanitizer to judge */

static void *
count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        stoa__lock(&shared_lock);
        shared_count++;
        stoa__unlock(&shared_lock);
    }
    return NULL;
}

static void
lock_excludes(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(shared_count, (long)THREADS * ROUNDS);
    assert_int_equal(atomic_load(&shared_lock.word), 0);
}

static int64_t
processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *
take_once(void *out_cpu)
{
    stoa__lock(&shared_lock);
    stoa__unlock(&shared_lock);
    *(int64_t *)out_cpu = processor_time();
    return NULL;
}

static void
waiting_for_a_lock_uses_no_processor(void **state)
{
    (void)state;
    stoa__lock(&shared_lock);
    pthread_t thread;
    int64_t cpu = -1;
    assert_int_equal(pthread_create(&thread, NULL, take_once, &cpu), 0);
    usleep(200000);
    stoa__unlock(&shared_lock);
    pthread_join(thread, NULL);
    assert_in_range(cpu, 0, 50000000);
    assert_int_equal(atomic_load(&shared_lock.word), 0);
}

/* Runs `act` in a child; its exit or signal status, and what it wrote to stderr. */
static int
in_child(void (*act)(void), char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        signal(SIGABRT, SIG_DFL);
        act();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t n;
    while (length + 1 < size && (n = read(ends[0], text + length, size - 1 - length)) > 0) {
        length += (size_t)n;
    }
    text[length] = 0;
    close(ends[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void
take_downwards(void)
{
    stoa_lock low, high;
    stoa__lock_init(&low, STOA_RANK_NAMES);
    stoa__lock_init(&high, STOA_RANK_SPACE);
    stoa__lock(&high);
    stoa__lock(&low);
}

static void
take_two_of_a_rank(void)
{
    stoa_lock a = STOA_LOCK_INIT(STOA_RANK_INTERN), b = STOA_LOCK_INIT(STOA_RANK_INTERN);
    stoa__lock(&a);
    stoa__lock(&b);
}

static void
release_what_is_not_held(void)
{
    stoa_lock a = STOA_LOCK_INIT(STOA_RANK_INTERN);
    stoa__unlock(&a);
}

static void
take_without_init(void)
{
    stoa_lock a;
    memset(&a, 0, sizeof a);
    stoa__lock(&a);
}

static void
run_python_with_a_lock(void)
{
    stoa_lock a = STOA_LOCK_INIT(STOA_RANK_REGION);
    stoa__assert_no_locks("entering an interpreter with");
    stoa__lock(&a);
    stoa__assert_no_locks("entering an interpreter with");
}

static void
wrong_order_aborts_in_debug_builds(void **state)
{
    (void)state;
#if STOA_DEBUG
    char text[8192];
    const struct {
        void (*act)(void);
        const char *say[2];
    } cases[] = {
        {take_downwards, {"'names'", "'space'"}},
        {take_two_of_a_rank, {"'intern' while", "lock 'intern'"}},
        {release_what_is_not_held, {"holds no", "'intern'"}},
        {take_without_init, {"not initialised", "no rank"}},
        {run_python_with_a_lock, {"entering an interpreter with", "'region'"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = in_child(cases[i].act, text, sizeof text);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(text, cases[i].say[0]));
        assert_non_null(strstr(text, cases[i].say[1]));
    }
#else
    (void)take_downwards, (void)take_two_of_a_rank, (void)release_what_is_not_held, (void)take_without_init;
    (void)run_python_with_a_lock;
    skip();
#endif
}

static void
every_rank_has_a_name(void **state)
{
    (void)state;
    for (unsigned a = 1; a < STOA_RANK_COUNT; a++) {
        assert_string_not_equal(stoa__rank_name(a), "no rank");
        for (unsigned b = 1; b < a; b++) {
            assert_string_not_equal(stoa__rank_name(a), stoa__rank_name(b));
        }
    }
    assert_string_equal(stoa__rank_name(0), "no rank");
    assert_string_equal(stoa__rank_name(1000), "no rank");
}

static stoa_lock fork_locks[3] = {STOA_LOCK_INIT(STOA_RANK_NAMES), STOA_LOCK_INIT(STOA_RANK_NAMES),
                                  STOA_LOCK_INIT(STOA_RANK_SPACE)};

static void
use_after_fork(void)
{
    for (int i = 0; i < 3; i++) {
        stoa__lock_reset(&fork_locks[i]);
    }
    alarm(100); /* a lock that is still held would hang */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            stoa__lock_another(&fork_locks[i]);
        }
        for (int i = 0; i < 3; i++) {
            stoa__unlock(&fork_locks[i]);
        }
    }
    stoa__assert_no_locks("after fork");
    fprintf(stderr, "free");
}

static void
locks_are_free_in_a_forked_child(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        stoa__lock_another(&fork_locks[i]);
    }
    char text[1000];
    int status = in_child(use_after_fork, text, sizeof text);
    assert_int_equal(status, 0);
    assert_string_equal(text, "free");
    for (int i = 0; i < 3; i++) {
        stoa__unlock(&fork_locks[i]);
    }
}

static void
deadlines_from_seconds(void **state)
{
    (void)state;
    stoa_deadline d = 1;
    assert_false(stoa__deadline_in(NAN, &d));
    assert_false(stoa__deadline_in(-NAN, &d));
    const double for_ever[] = {INFINITY, 1e300, 1e10, 9.3e9};
    for (size_t i = 0; i < sizeof for_ever / sizeof *for_ever; i++) {
        assert_true(stoa__deadline_in(for_ever[i], &d));
        assert_true(d == STOA_FOREVER);
    }
    const double none[] = {0, -0.0, -1, -1e300, -INFINITY};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        int64_t before = stoa__now();
        assert_true(stoa__deadline_in(none[i], &d));
        assert_true(d >= before && d <= stoa__now());
    }
    int64_t before = stoa__now();
    assert_true(stoa__deadline_in(1e-300, &d));
    assert_true(d > before && d <= stoa__now() + 1);
    before = stoa__now();
    assert_true(stoa__deadline_in(1.5, &d));
    assert_true(d - before >= 1500000000 && d - stoa__now() <= 1500000000);
    assert_true(stoa__deadline_in(1e9, &d)); /* 31 years are no eternity */
    assert_true(d != STOA_FOREVER);
}

static void
nothing(int signal_number)
{
    (void)signal_number;
}

static void
futex_wait_tells_why_it_returned(void **state)
{
    (void)state;
    _Atomic uint32_t word = 5;
    errno = ERANGE;
    assert_int_equal(stoa__futex_wait(&word, 4, STOA_FOREVER), STOA_WOKEN);
    assert_int_equal(stoa__futex_wait(&word, 5, 0), STOA_TIMED_OUT);
    assert_int_equal(stoa__futex_wait(&word, 5, -5), STOA_TIMED_OUT);
    stoa_deadline d;
    stoa__deadline_in(0.05, &d);
    assert_int_equal(stoa__futex_wait(&word, 5, d), STOA_TIMED_OUT);
    assert_true(stoa__now() >= d);

    struct sigaction action = {.sa_handler = nothing}, old;
    sigaction(SIGALRM, &action, &old);
    ualarm(100000, 100000); /* again and again: the first may come before the wait */
    assert_int_equal(stoa__futex_wait(&word, 5, STOA_FOREVER), STOA_SIGNALLED);
    ualarm(0, 0);
    sigaction(SIGALRM, &old, NULL);
    stoa__futex_wake(&word, INT_MAX);
    assert_int_equal(errno, ERANGE);
}

static _Atomic uint32_t gate;

static void *
wait_at_gate(void *unused)
{
    (void)unused;
    while (atomic_load(&gate) == 0) {
        stoa__futex_wait(&gate, 0, STOA_FOREVER);
    }
    return NULL;
}

static void
futex_wake_wakes_all(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_at_gate, NULL), 0);
    }
    usleep(20000);
    atomic_store(&gate, 1);
    stoa__futex_wake(&gate, INT_MAX);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_excludes),
        cmocka_unit_test(waiting_for_a_lock_uses_no_processor),
        cmocka_unit_test(every_rank_has_a_name),
        cmocka_unit_test(wrong_order_aborts_in_debug_builds),
        cmocka_unit_test(locks_are_free_in_a_forked_child),
        cmocka_unit_test(deadlines_from_seconds),
        cmocka_unit_test(futex_wait_tells_why_it_returned),
        cmocka_unit_test(futex_wake_wakes_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
