#include "heap/once.h"

#include "heap/names.h"
#include "heap/process_struct.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/process.h"

static char things[64];

static stoa_value
thing(size_t i)
{
    return (stoa_value){.kind = STOA_VALUE_OBJECT, .object = &things[i]};
}

static uint64_t
maker(uint32_t serial, uint32_t who)
{
    return (uint64_t)serial << 32 | who;
}

static stoa_err
once(const char *name, uint64_t who, double seconds, stoa_once *what, stoa_value *out)
{
    stoa_deadline d;
    stoa__deadline_in(seconds, &d);
    return stoa__name_once(name, strlen(name), NULL, who, d, what, out);
}

static stoa_err
done(const char *name, uint64_t who, const stoa_value *value)
{
    return stoa__name_once_done(name, strlen(name), who, value);
}

static void
the_first_makes_and_later_ones_have(void **state)
{
    (void)state;
    stoa_once what;
    stoa_value value = thing(1), got;
    assert_int_equal(once("a", maker(1, 1), 0, &what, &got), STOA_OK);
    assert_int_equal(what, STOA_ONCE_MAKE);
    assert_int_equal(stoa__name_lookup("a", 1, NULL, &got), STOA_ENOTFOUND); /* not yet */
    assert_int_equal(done("a", maker(1, 1), &value), STOA_OK);
    assert_int_equal(once("a", maker(2, 1), 0, &what, &got), STOA_OK);
    assert_int_equal(what, STOA_ONCE_HAVE);
    assert_ptr_equal(got.object, &things[1]);
    assert_int_equal(done("a", maker(1, 1), &value), STOA_ESTATE); /* exactly once */
    assert_int_equal(stoa__name_unpublish("a", 1), STOA_OK);
}

static void
a_failed_attempt_lets_the_next_try(void **state)
{
    (void)state;
    stoa_once what;
    stoa_value bad = {.kind = STOA_VALUE_OBJECT}, got;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(once("b", maker(1, 1), 0, &what, &got), STOA_OK);
        assert_int_equal(what, STOA_ONCE_MAKE);
        assert_int_equal(done("b", maker(1, 1), i == 1 ? &bad : NULL), i == 1 ? STOA_EINVAL : STOA_OK);
    }
    assert_int_equal(stoa__name_lookup("b", 1, NULL, &got), STOA_ENOTFOUND);
}

static void
a_name_published_meanwhile_stays(void **state)
{
    (void)state;
    stoa_once what;
    stoa_value mine = thing(1), other = thing(2), got;
    assert_int_equal(once("c", maker(1, 1), 0, &what, &got), STOA_OK);
    assert_int_equal(stoa__name_publish("c", 1, &other), STOA_OK);
    assert_int_equal(done("c", maker(1, 1), &mine), STOA_EEXIST);
    assert_int_equal(stoa__name_lookup("c", 1, NULL, &got), STOA_OK);
    assert_ptr_equal(got.object, &things[2]);
    assert_int_equal(stoa__name_unpublish("c", 1), STOA_OK);
}

static void
waiting_for_oneself_is_a_deadlock(void **state)
{
    (void)state;
    stoa_once what;
    stoa_value got;
    assert_int_equal(once("d", maker(1, 1), 0, &what, &got), STOA_OK);
    assert_int_equal(stoa__name_once("d", 1, NULL, maker(1, 1), STOA_FOREVER, &what, &got), STOA_EDEADLOCK);
    assert_non_null(strstr(stoa_error_message(), "'d'"));
    /* by way of another interpreter, too: it is the same thread */
    assert_int_equal(stoa__name_once("d", 1, NULL, maker(2, 1), STOA_FOREVER, &what, &got), STOA_EDEADLOCK);
    assert_int_equal(done("d", maker(1, 1), NULL), STOA_OK);
}

/* A thread that makes the name `own`, then asks for `other`. */
typedef struct circler {
    const char *own, *other;
    uint64_t who;
    stoa_err err;
    pthread_barrier_t *met;
} circler;

static void *
go_in_a_circle(void *arg)
{
    circler *c = arg;
    stoa_once what;
    stoa_value got, value = thing(3);
    if (once(c->own, c->who, 0, &what, &got) != STOA_OK || what != STOA_ONCE_MAKE) {
        abort();
    }
    pthread_barrier_wait(c->met);
    c->err = stoa__name_once(c->other, strlen(c->other), NULL, c->who, STOA_FOREVER, &what, &got);
    if (c->err == STOA_OK && what == STOA_ONCE_MAKE) {
        done(c->other, c->who, &value);
    }
    done(c->own, c->who, c->err == STOA_OK ? &value : NULL);
    return NULL;
}

static void
a_circle_of_three_makers_is_found(void **state)
{
    (void)state;
    pthread_barrier_t met;
    pthread_barrier_init(&met, NULL, 3);
    circler c[3] = {{"k0", "k1", maker(1, 1), 0, &met},
                    {"k1", "k2", maker(2, 2), 0, &met},
                    {"k2", "k0", maker(3, 3), 0, &met}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, go_in_a_circle, &c[i]), 0);
    }
    int deadlocks = 0;
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        deadlocks += c[i].err == STOA_EDEADLOCK;
        assert_true(c[i].err == STOA_OK || c[i].err == STOA_EDEADLOCK);
    }
    assert_int_equal(deadlocks, 1); /* one is told; its giving up lets the others finish */
    for (int i = 0; i < 3; i++) {
        stoa__name_unpublish(c[i].own, 2);
    }
    pthread_barrier_destroy(&met);
}

static void
nothing(int number)
{
    (void)number;
}

static pthread_barrier_t makes;

static void *
make_slowly(void *unused)
{
    (void)unused;
    sigset_t alarms; /* they are for the other thread */
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    stoa_once what;
    stoa_value got, value = thing(4);
    once("slow", maker(1, 1), 0, &what, &got);
    pthread_barrier_wait(&makes);
    pthread_barrier_wait(&makes);
    usleep(20000); /* the other thread waits by now, most probably */
    done("slow", maker(1, 1), &value);
    return NULL;
}

static void
waiting_for_a_maker_ends_by_time_signal_and_value(void **state)
{
    (void)state;
    pthread_t thread;
    pthread_barrier_init(&makes, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, make_slowly, NULL), 0);
    pthread_barrier_wait(&makes);
    stoa_once what;
    stoa_value got;
    assert_int_equal(once("slow", maker(2, 2), 0, &what, &got), STOA_ETIMEDOUT);
    assert_int_equal(once("slow", maker(2, 2), 0.01, &what, &got), STOA_ETIMEDOUT);
    assert_non_null(strstr(stoa_error_message(), "'slow'"));
    struct sigaction action = {.sa_handler = nothing}, old;
    sigaction(SIGALRM, &action, &old);
    ualarm(20000, 20000); /* again and again: the first may come before the wait */
    assert_int_equal(once("slow", maker(2, 2), 1e300, &what, &got), STOA_EINTERRUPTED);
    ualarm(0, 0);
    sigaction(SIGALRM, &old, NULL);
    pthread_barrier_wait(&makes);
    assert_int_equal(once("slow", maker(2, 2), 1e300, &what, &got), STOA_OK);
    assert_int_equal(what, STOA_ONCE_HAVE);
    assert_ptr_equal(got.object, &things[4]);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&makes);
    assert_null(stoa__process->names.once.waitings);
    assert_null(stoa__process->names.once.makings);
    stoa__name_unpublish("slow", 4);
}

static void *
take_over(void *arg)
{
    stoa_once what;
    stoa_value got, value = thing(5);
    stoa_err err = stoa__name_once("orphan", 6, NULL, maker(9, 9), STOA_FOREVER, &what, &got);
    *(stoa_once *)arg = what;
    if (err == STOA_OK && what == STOA_ONCE_MAKE) {
        err = done("orphan", maker(9, 9), &value);
    }
    return (void *)(intptr_t)err;
}

static void
makers_of_a_closed_interpreter_are_given_up(void **state)
{
    (void)state;
    stoa_interp_record *r;
    assert_int_equal(stoa__interp_register(1, 0, "maker", NULL, &r), STOA_OK);
    stoa_once what, taken = STOA_ONCE_HAVE;
    stoa_value got, value = thing(6);
    assert_int_equal(once("orphan", maker(r->serial, 1), 0, &what, &got), STOA_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_over, &taken), 0);
    usleep(20000);
    stoa__interp_gone(r);
    void *result;
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, STOA_OK);
    assert_int_equal(taken, STOA_ONCE_MAKE);
    assert_int_equal(done("orphan", maker(r->serial, 1), &value), STOA_ESTATE);
    assert_int_equal(stoa__name_lookup("orphan", 6, NULL, &got), STOA_OK);
    assert_ptr_equal(got.object, &things[5]);
    stoa__name_unpublish("orphan", 6);
    stoa__interp_unref(r);
}

/* Many ask at once, most attempts fail: never two make at a time, all who finish have the same. */
static _Atomic int making, overlaps, attempts, got_it;

static void *
try_once(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    uint64_t who = maker(1, (uint32_t)(uintptr_t)arg);
    for (;;) {
        stoa_once what;
        stoa_value got, value = thing(7);
        stoa_err err = stoa__name_once("crowd", 5, NULL, who, STOA_FOREVER, &what, &got);
        if (err == STOA_EINTERRUPTED) {
            continue;
        }
        if (err != STOA_OK) {
            return NULL;
        }
        if (what == STOA_ONCE_HAVE) {
            atomic_fetch_add(&got_it, got.object == &things[7]);
            return NULL;
        }
        atomic_fetch_add(&overlaps, atomic_fetch_add(&making, 1) != 0);
        int attempt = atomic_fetch_add(&attempts, 1);
        usleep((unsigned)rand_r(&seed) % 200);
        atomic_fetch_sub(&making, 1);
        if (attempt >= 20) {
            done("crowd", who, &value);
            atomic_fetch_add(&got_it, 1);
            return NULL;
        }
        done("crowd", who, NULL);
    }
}

static void
one_makes_at_a_time(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        atomic_store(&attempts, 0);
        atomic_store(&got_it, 0);
        pthread_t threads[6];
        for (uintptr_t i = 0; i < 6; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, try_once, (void *)(i + 1)), 0);
        }
        for (int i = 0; i < 6; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(atomic_load(&overlaps), 0);
        assert_int_equal(atomic_load(&got_it), 6);
        assert_int_equal(atomic_load(&attempts), 21);
        stoa__name_unpublish("crowd", 5);
    }
}

static pthread_barrier_t paused;

static void *
make_and_pause(void *unused)
{
    (void)unused;
    stoa_once what;
    stoa_value got;
    once("theirs", maker(5, 5), 0, &what, &got);
    pthread_barrier_wait(&paused);
    pthread_barrier_wait(&paused);
    done("theirs", maker(5, 5), NULL);
    return NULL;
}

static void
a_forked_child_keeps_only_the_makings_of_its_thread(void **state)
{
    (void)state;
    stoa_once what;
    stoa_value got, value = thing(8);
    pthread_t thread;
    pthread_barrier_init(&paused, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, make_and_pause, NULL), 0);
    pthread_barrier_wait(&paused);
    assert_int_equal(once("mine", maker(1, 1), 0, &what, &got), STOA_OK);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        bool ok = stoa__name_once("mine", 4, NULL, maker(1, 1), STOA_FOREVER, &what, &got) == STOA_EDEADLOCK &&
                  done("mine", maker(1, 1), &value) == STOA_OK &&
                  stoa__name_once("theirs", 6, NULL, maker(1, 1), STOA_FOREVER, &what, &got) == STOA_OK &&
                  what == STOA_ONCE_MAKE && done("theirs", maker(1, 1), &value) == STOA_OK;
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    pthread_barrier_wait(&paused);
    pthread_join(thread, NULL);
    assert_int_equal(done("mine", maker(1, 1), NULL), STOA_OK);
    pthread_barrier_destroy(&paused);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_makes_and_later_ones_have),
        cmocka_unit_test(a_failed_attempt_lets_the_next_try),
        cmocka_unit_test(a_name_published_meanwhile_stays),
        cmocka_unit_test(waiting_for_oneself_is_a_deadlock),
        cmocka_unit_test(a_circle_of_three_makers_is_found),
        cmocka_unit_test(waiting_for_a_maker_ends_by_time_signal_and_value),
        cmocka_unit_test(makers_of_a_closed_interpreter_are_given_up),
        cmocka_unit_test(one_makes_at_a_time),
        cmocka_unit_test(a_forked_child_keeps_only_the_makings_of_its_thread),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
