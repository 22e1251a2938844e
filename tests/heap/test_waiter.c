#include "heap/waiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "heap/process_struct.h"
#include "support/check.h"
#include "support/process.h"

static _Atomic(stoa_waiter *) other;
static _Atomic int stage;

static void
wait_for_stage(int wanted)
{
    while (atomic_load(&stage) < wanted) {
        usleep(100);
    }
}

static void *
sleep_until_stage_one(void *unused)
{
    (void)unused;
    stoa_waiter *self = stoa__waiter_here();
    atomic_store(&other, stoa__waiter_ref(self));
    for (;;) {
        uint32_t seen = stoa__waiter_look(self);
        if (atomic_load(&stage) == 1) {
            break;
        }
        (void)stoa__waiter_sleep(self, seen, STOA_FOREVER);
    }
    return NULL;
}

static stoa_waiter *
started(pthread_t *thread, void *(*body)(void *))
{
    atomic_store(&stage, 0);
    atomic_store(&other, NULL);
    assert_int_equal(pthread_create(thread, NULL, body, NULL), 0);
    stoa_waiter *waiter;
    while ((waiter = atomic_load(&other)) == NULL) {
        usleep(100);
    }
    return waiter;
}

static void
news_wakes_a_sleeper(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        pthread_t thread;
        stoa_waiter *waiter = started(&thread, sleep_until_stage_one);
        atomic_store(&stage, 1);
        stoa__waiter_wake(waiter);
        pthread_join(thread, NULL);
        stoa__waiter_wake(waiter); /* an ended thread's: nothing happens */
        stoa__waiter_unref(waiter);
    }
}

static void
sleep_ends_at_the_deadline(void **state)
{
    (void)state;
    stoa_waiter *self = stoa__waiter_here();
    int64_t begin = stoa__now();
    assert_int_equal(stoa__waiter_sleep(self, stoa__waiter_look(self), begin + 20000000), STOA_TIMED_OUT);
    assert_true(stoa__now() - begin >= 20000000);
    assert_int_equal(stoa__waiter_spin_sleep(self, stoa__waiter_look(self), 1000, stoa__now() + 1000000),
                     STOA_TIMED_OUT);
}

static void
news_before_the_sleep_are_not_missed(void **state)
{
    (void)state;
    stoa_waiter *self = stoa__waiter_here();
    uint32_t seen = stoa__waiter_look(self);
    stoa__waiter_wake(self);
    assert_int_equal(stoa__waiter_sleep(self, seen, STOA_FOREVER), STOA_WOKEN);
    assert_false(stoa__waiter_take_interrupt(self));
    stoa__waiter_interrupt(self);
    assert_true(stoa__waiter_take_interrupt(self));
    assert_false(stoa__waiter_take_interrupt(self));
}

static stoa_waiter *boss;

static void *
wait_for_boss(void *unused)
{
    (void)unused;
    stoa_waiter *self = stoa__waiter_here();
    stoa_wait_edge edge;
    stoa__waiter_push(self, &edge, "east");
    assert_int_equal(stoa__waiter_waits_for(self, boss, "a lock"), STOA_OK);
    atomic_store(&other, stoa__waiter_ref(self));
    wait_for_stage(1);
    stoa__waiter_pop(self, &edge);
    atomic_store(&stage, 2);
    wait_for_stage(3);
    return NULL;
}

static void
a_circle_of_waits_is_named(void **state)
{
    (void)state;
    pthread_t thread;
    stoa_wait_edge edge, above;
    boss = stoa__waiter_here();
    stoa__waiter_push(boss, &edge, NULL);
    stoa_waiter *waiter = started(&thread, wait_for_boss);
    assert_int_equal(stoa__waiter_waits_for(boss, waiter, "a reply"), STOA_EDEADLOCK);
    assert_non_null(strstr(stoa_error_message(), "a reply of thread"));
    assert_non_null(strstr(stoa_error_message(), "in interpreter 'east' waits for a lock of thread"));
    /* what it waits for went to somebody else, and comes back */
    stoa__waiter_waits_now_for(waiter, boss, NULL);
    assert_int_equal(stoa__waiter_waits_for(boss, waiter, "a reply"), STOA_OK);
    /* who runs something while it waits can be waited for; afterwards the circle is found */
    stoa__waiter_push(boss, &above, NULL);
    assert_int_equal(stoa__waiter_waits_for(waiter, boss, "a lock"), STOA_OK);
    stoa__waiter_pop(boss, &above);
    assert_int_equal(stoa__waiter_still_waits(boss), STOA_EDEADLOCK);
    atomic_store(&stage, 1);
    wait_for_stage(2);
    assert_int_equal(stoa__waiter_waits_for(boss, waiter, "a reply"), STOA_OK);
    stoa__waiter_pop(boss, &edge);
    stoa__waiter_push(boss, &edge, NULL);
    assert_int_equal(stoa__waiter_still_waits(boss), STOA_OK);
    assert_int_equal(stoa__waiter_waits_for(boss, boss, "itself"), STOA_EDEADLOCK);
    stoa__waiter_pop(boss, &edge);
    atomic_store(&stage, 3);
    pthread_join(thread, NULL);
    stoa__waiter_unref(waiter);
}

static int topic;

static void *
end_while_it_waits(void *unused)
{
    (void)unused;
    stoa_wait_edge edges[2];
    stoa_waiter *self = stoa__waiter_here();
    stoa__waiter_push_on(self, &edges[0], "gone", &topic);
    stoa__waiter_push_on(self, &edges[1], "gone", &topic);
    atomic_store(&other, stoa__waiter_ref(self));
    pthread_exit(NULL); /* as CPython ends daemon threads */
}

static void
who_ends_in_the_midst_of_a_wait_waits_no_more(void **state)
{
    (void)state;
    pthread_t threads[3];
    stoa_waiter *waiters[3];
    for (int i = 0; i < 3; i++) {
        waiters[i] = started(&threads[i], end_while_it_waits);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_null(waiters[i]->top); /* which was on its stack */
        assert_int_equal(waiters[i]->waits, 0);
    }
    assert_null(stoa__process->asleep);
    uint32_t seen = stoa__waiter_look(waiters[0]);
    stoa__waiters_wake_on(&topic);
    stoa__waiters_wake_all();
    assert_int_equal(stoa__waiter_look(waiters[0]), seen);
    for (int i = 0; i < 3; i++) {
        stoa__waiter_unref(waiters[i]);
    }
}

static void
expect_good_end(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
a_forked_child_can_wait(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        stoa_waiter *self = stoa__waiter_here();
        bool slept = stoa__waiter_sleep(self, stoa__waiter_look(self), stoa__now() + 1000000) == STOA_TIMED_OUT;
        stoa_wait_edge edge;
        stoa__waiter_push(self, &edge, NULL);
        bool noted = stoa__waiter_waits_for(self, self, "itself") == STOA_EDEADLOCK;
        _exit(slept && noted ? 0 : 1);
    }
    expect_good_end(child);
}

static void
keep(stoa_posted *call)
{
    (void)call; /* it lies on the stack of a test */
}

static stoa_err
post(stoa_waiter *to, stoa_posted *call)
{
    bool summon;
    stoa__call_init(call, NULL, keep, keep);
    return stoa__mailbox_post(&to->home, call, &summon);
}

static void *
be_at_ones_calls(void *unused)
{
    (void)unused;
    stoa_waiter *self = stoa__waiter_here();
    atomic_store(&other, stoa__waiter_ref(self));
    wait_for_stage(1);
    stoa__lock(&self->home.lock);
    atomic_store(&stage, 2);
    wait_for_stage(3);
    stoa__unlock(&self->home.lock);
    wait_for_stage(4);
    return NULL;
}

/* Its thread is not there to take it: so it is with one that has ended. */
static void
who_is_left_in_the_parent_takes_no_calls_in_the_child(void **state)
{
    (void)state;
    pthread_t thread;
    stoa_waiter *waiter = started(&thread, be_at_ones_calls);
    stoa_posted before, after;
    assert_int_equal(post(waiter, &before), STOA_OK);
    atomic_store(&stage, 1);
    wait_for_stage(2); /* its lock is taken, and stays so in the child */
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        bool refused = post(waiter, &after) == STOA_EGONE;
        bool told = stoa__call_over(&before) && !stoa__call_withdraw(&before);
        _exit(refused && told && stoa__mailbox_count(&waiter->home) == 0 ? 0 : 1);
    }
    expect_good_end(child);
    atomic_store(&stage, 3);
    assert_int_equal(post(waiter, &after), STOA_OK);
    assert_int_equal(atomic_load(&before.state), STOA_CALL_POSTED);
    atomic_store(&stage, 4);
    assert_int_equal(pthread_join(thread, NULL), 0);
    stoa__waiter_unref(waiter);
}

static void *
watch_late(void *unused)
{
    (void)unused;
    stoa_waiter *self = stoa__waiter_here();
    stoa_posted call;
    uint64_t count;
    CHECK(post(self, &call) == STOA_OK);
    stoa__waiter_call_home(self);
    int fd = stoa__waiter_loop_fd(self);
    CHECK(fd >= 0);
    CHECK(read(fd, &count, sizeof count) == sizeof count);
    CHECK(stoa__mailbox_take(&self->home) == &call);
    stoa__call_done(&call);
    CHECK(stoa__waiter_loop_fd(self) == fd);
    CHECK(read(fd, &count, sizeof count) < 0);
    return NULL;
}

/* The caller has found nothing to write to, and the thread has not come by before it sleeps in its loop. */
static void
a_loop_that_begins_to_watch_hears_of_calls_that_came_before(void **state)
{
    (void)state;
    pthread_t thread;
    void *failed;
    assert_int_equal(pthread_create(&thread, NULL, watch_late, NULL), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

/* What is read there is read nowhere else. */
static void
what_a_loop_watches_is_not_shared_with_the_parent(void **state)
{
    (void)state;
    stoa_waiter *self = stoa__waiter_here();
    int fd = stoa__waiter_loop_fd(self);
    uint64_t count;
    assert_true(fd >= 0);
    stoa__waiter_call_home(self);
    pid_t child = fork();
    if (child == 0) {
        int own = stoa__waiter_loop_fd(self);
        bool quiet = own >= 0 && read(own, &count, sizeof count) < 0;
        stoa__waiter_call_home(self);
        _exit(quiet && read(own, &count, sizeof count) == sizeof count && count == 1 ? 0 : 1);
    }
    expect_good_end(child);
    assert_int_equal(stoa__waiter_loop_fd(self), fd);
    assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_wakes_a_sleeper),
        cmocka_unit_test(sleep_ends_at_the_deadline),
        cmocka_unit_test(news_before_the_sleep_are_not_missed),
        cmocka_unit_test(a_circle_of_waits_is_named),
        cmocka_unit_test(who_ends_in_the_midst_of_a_wait_waits_no_more),
        cmocka_unit_test(a_forked_child_can_wait),
        cmocka_unit_test(who_is_left_in_the_parent_takes_no_calls_in_the_child),
        cmocka_unit_test(a_loop_that_begins_to_watch_hears_of_calls_that_came_before),
        cmocka_unit_test(what_a_loop_watches_is_not_shared_with_the_parent),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
