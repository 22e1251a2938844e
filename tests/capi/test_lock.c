/* Locks, events, conditions, semaphores and barriers as an outside host uses them: public headers only, threads that Python
 * has never seen. */
#include "host_testing.h"

#include <math.h>

#define THREADS 4
#define ROUNDS 2000

typedef struct shared {
    stoa_handle lock, event, condition, semaphore, barrier;
    uint64_t count;   /* guarded by lock */
    size_t items;     /* guarded by the condition's lock */
    size_t most, now; /* guarded by lock */
    _Atomic uint32_t failures, places;
} shared;

static void
expect(shared *s, bool ok)
{
    s->failures += !ok;
}

static void
all_at_once(void *(*work)(void *), shared *s)
{
    on_threads(THREADS, work, s);
    assert_int_equal(s->failures, 0);
}

static void *
count_up(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        stoa_err err = stoa_lock_acquire(s->lock, i % 7 == 0 ? 0.00002 : -1);
        if (err == STOA_ETIMEDOUT) {
            i--;
            continue;
        }
        expect(s, err == STOA_OK);
        s->count++;
        expect(s, stoa_lock_release(s->lock) == STOA_OK);
    }
    return NULL;
}

static void
lock_lets_one_in(void **state)
{
    (void)state;
    for (int recursive = 0; recursive < 2; recursive++) {
        shared s = {0};
        OK(stoa_lock_new(recursive, &s.lock));
        all_at_once(count_up, &s);
        assert_int_equal(s.count, THREADS * ROUNDS);
        assert_int_equal(stoa_lock_release(s.lock), STOA_ESTATE);
        OK(stoa_lock_acquire(s.lock, 0));
        assert_int_equal(stoa_lock_acquire(s.lock, 0), recursive ? STOA_OK : STOA_ETIMEDOUT);
        OK(stoa_handle_release(s.lock));
    }
}

static void *
pass_the_barrier(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < 200; i++) {
        size_t place = 99;
        expect(s, stoa_barrier_wait(s->barrier, 60, &place) == STOA_OK && place < THREADS);
        s->places += (uint32_t)place;
    }
    return NULL;
}

static void *
be_two_at_most(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < 300; i++) {
        expect(s, stoa_semaphore_acquire(s->semaphore, 60) == STOA_OK);
        expect(s, stoa_lock_acquire(s->lock, -1) == STOA_OK);
        s->most = ++s->now > s->most ? s->now : s->most;
        expect(s, stoa_lock_release(s->lock) == STOA_OK);
        expect(s, stoa_lock_acquire(s->lock, -1) == STOA_OK);
        s->now--;
        expect(s, stoa_lock_release(s->lock) == STOA_OK);
        expect(s, stoa_semaphore_release(s->semaphore, 1) == STOA_OK);
    }
    return NULL;
}

/* Each puts as many items as it takes. */
static void *
hand_items_on(void *arg)
{
    shared *s = arg;
    expect(s, stoa_event_wait(s->event, 60) == STOA_OK);
    for (int i = 0; i < 300; i++) {
        expect(s, stoa_lock_acquire(s->condition, -1) == STOA_OK);
        s->items++;
        expect(s, stoa_condition_notify(s->condition, i % 5 == 0 ? SIZE_MAX : 1) == STOA_OK);
        while (s->items == 0) {
            expect(s, stoa_condition_wait(s->condition, 60) == STOA_OK);
        }
        s->items--;
        expect(s, stoa_lock_release(s->condition) == STOA_OK);
    }
    return NULL;
}

static void *
set_late(void *arg)
{
    shared *s = arg;
    stoa_handle never;
    expect(s, stoa_event_new(&never) == STOA_OK);
    expect(s, stoa_event_wait(never, 0.01) == STOA_ETIMEDOUT);
    expect(s, stoa_event_set(s->event) == STOA_OK);
    expect(s, stoa_handle_release(never) == STOA_OK);
    return NULL;
}

static void
many_threads_meet(void **state)
{
    (void)state;
    shared s = {0};
    bool set;
    OK(stoa_lock_new(false, &s.lock));
    OK(stoa_event_new(&s.event));
    OK(stoa_condition_new(s.lock, &s.condition));
    OK(stoa_semaphore_new(2, true, &s.semaphore));
    OK(stoa_barrier_new(THREADS, &s.barrier));
    all_at_once(pass_the_barrier, &s);
    assert_int_equal(s.places, 200 * THREADS * (THREADS - 1) / 2);
    all_at_once(be_two_at_most, &s);
    assert_in_range(s.most, 1, 2);
    assert_int_equal(stoa_semaphore_release(s.semaphore, 1), STOA_ESTATE);
    OK(stoa_event_is_set(s.event, &set));
    assert_false(set);
    pthread_t late = start(set_late, &s);
    all_at_once(hand_items_on, &s);
    join(late);
    assert_int_equal(s.items, 0);
    OK(stoa_event_clear(s.event));
    assert_int_equal(stoa_event_wait(s.event, 0), STOA_ETIMEDOUT);
    stoa_handle all[] = {s.lock, s.event, s.condition, s.semaphore, s.barrier};
    for (size_t i = 0; i < 5; i++) {
        OK(stoa_handle_release(all[i]));
    }
}

static void
wrong_use_is_told(void **state)
{
    (void)state;
    stoa_handle lock, condition, semaphore, barrier, none;
    size_t place;
    assert_int_equal(stoa_lock_new(false, NULL), STOA_EINVAL);
    assert_int_equal(stoa_event_is_set(1, NULL), STOA_EINVAL);
    assert_int_equal(stoa_barrier_new(0, &none), STOA_EINVAL);
    assert_int_equal(stoa_semaphore_new(UINT64_MAX, false, &none), STOA_EINVAL);
    OK(stoa_lock_new(false, &lock));
    OK(stoa_condition_new(0, &condition));
    OK(stoa_semaphore_new(0, false, &semaphore));
    OK(stoa_barrier_new(2, &barrier));
    assert_int_equal(stoa_lock_acquire(lock, NAN), STOA_EINVAL);
    assert_int_equal(stoa_lock_acquire(barrier, 0), STOA_ETYPE);
    assert_non_null(strstr(stoa_error_message(), "Barrier"));
    assert_int_equal(stoa_barrier_wait(lock, 0, &place), STOA_ETYPE);
    assert_int_equal(stoa_condition_new(semaphore, &none), STOA_ETYPE);
    assert_int_equal(stoa_condition_wait(condition, 0), STOA_ESTATE);
    assert_int_equal(stoa_condition_notify(condition, 1), STOA_ESTATE);
    assert_int_equal(stoa_semaphore_acquire(semaphore, 0), STOA_ETIMEDOUT);
    assert_int_equal(stoa_semaphore_acquire(semaphore, 0.005), STOA_ETIMEDOUT);
    OK(stoa_lock_acquire(condition, -1));
    OK(stoa_lock_acquire(condition, -1)); /* an RLock of its own */
    assert_int_equal(stoa_condition_wait(condition, 0.005), STOA_ETIMEDOUT);
    OK(stoa_lock_release(condition));
    OK(stoa_lock_release(condition));
    assert_int_equal(stoa_lock_release(condition), STOA_ESTATE);
    assert_int_equal(stoa_barrier_wait(barrier, 0.005, NULL), STOA_ETIMEDOUT);
    assert_int_equal(stoa_barrier_wait(barrier, 60, NULL), STOA_EBROKEN);
    OK(stoa_barrier_reset(barrier));
    OK(stoa_barrier_abort(barrier));
    assert_int_equal(stoa_barrier_wait(barrier, 60, NULL), STOA_EBROKEN);
    OK(stoa_handle_release(lock));
    assert_int_equal(stoa_lock_acquire(lock, 0), STOA_EGONE);
    OK(stoa_handle_release(condition));
    OK(stoa_handle_release(semaphore));
    OK(stoa_handle_release(barrier));
}

typedef struct circle {
    stoa_handle one, two, ready;
    stoa_err got;
} circle;

static void *
other_way_round(void *arg)
{
    circle *c = arg;
    if ((c->got = stoa_lock_acquire(c->two, -1)) == STOA_OK) {
        (void)stoa_event_set(c->ready);
        c->got = stoa_lock_acquire(c->one, -1);
        if (c->got == STOA_OK) {
            (void)stoa_lock_release(c->one);
        }
        (void)stoa_lock_release(c->two);
    }
    return NULL;
}

/* Whoever closes the circle is told, and the other one goes on. */
static void
a_circle_of_locks_is_a_deadlock(void **state)
{
    (void)state;
    circle c = {0};
    OK(stoa_lock_new(false, &c.one));
    OK(stoa_lock_new(true, &c.two));
    OK(stoa_event_new(&c.ready));
    OK(stoa_lock_acquire(c.one, -1));
    pthread_t thread = start(other_way_round, &c);
    OK(stoa_event_wait(c.ready, 60));
    stoa_err err = stoa_lock_acquire(c.two, -1);
    OK(stoa_lock_release(c.one));
    join(thread);
    assert_true((err == STOA_EDEADLOCK && c.got == STOA_OK) || (err == STOA_OK && c.got == STOA_EDEADLOCK));
    OK(stoa_handle_release(c.one));
    OK(stoa_handle_release(c.two));
    OK(stoa_handle_release(c.ready));
}

static void
python_sees_the_same_ones(void **state)
{
    (void)state;
    stoa_interp *interp;
    stoa_handle lock, barrier, found, event;
    stoa_data argument, got;
    OK(stoa_interp_new(NULL, false, &interp));
    OK(stoa_lock_new(false, &lock));
    OK(stoa_handle_publish("capi.lock", lock));
    OK(stoa_exec(interp,
                 "import os, sys\n"
                 "sys.path[:0] = os.environ['PYTHONPATH'].split(':')\n" /* hosts are isolated from it */
                 "import stoa\n"
                 "lock = stoa.lookup('capi.lock')\n"
                 "assert type(lock) is stoa.Lock\n"
                 "lock.acquire()\n"
                 "ran = []\n"
                 "barrier = stoa.Barrier(1, action=lambda: ran.append(stoa.current().id))\n"
                 "bad = stoa.Barrier(1, action=lambda: 1 / 0)\n"
                 "event = stoa.Event()\n"
                 "def ran_here():\n"
                 "    return ran == [stoa.current().id]\n",
                 NULL, NULL));
    assert_int_equal(stoa_lock_acquire(lock, 0.005), STOA_ETIMEDOUT);
    OK(stoa_handle_get(interp, "__main__:barrier", -1, &barrier, NULL)); /* its action runs where it is of */
    OK(stoa_barrier_wait(barrier, 60, NULL));
    OK(stoa_call(interp, "__main__:ran_here", NULL, 0, 0, &got, NULL));
    assert_true(got.kind == STOA_DATA_BOOL && got.as.boolean);
    OK(stoa_handle_release(barrier));
    OK(stoa_handle_get(interp, "__main__:bad", -1, &barrier, NULL));
    assert_int_equal(stoa_barrier_wait(barrier, 60, NULL), STOA_EPYTHON);
    assert_int_equal(stoa_barrier_wait(barrier, 60, NULL), STOA_EBROKEN);
    OK(stoa_handle_release(barrier));
    OK(stoa_handle_get(interp, "__main__:event", -1, &event, NULL));
    OK(stoa_event_set(event));
    OK(stoa_handle_release(event));
    argument = stoa_data_handle(lock);
    OK(stoa_call(interp, "operator:is_", (stoa_data[]){argument, argument}, 2, 0, &got, NULL));
    assert_true(got.as.boolean);
    OK(stoa_interp_close(interp, -1)); /* with the lock held */
    stoa_interp_free(interp);
    assert_int_equal(stoa_lock_acquire(lock, -1), STOA_EBROKEN);
    OK(stoa_lock_release(lock)); /* put right */
    OK(stoa_handle_lookup("capi.lock", 0, &found));
    OK(stoa_lock_acquire(found, 0));
    OK(stoa_lock_release(lock));
    OK(stoa_unpublish("capi.lock"));
    OK(stoa_handle_release(found));
    OK(stoa_handle_release(lock));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_lets_one_in),          cmocka_unit_test(many_threads_meet),
        cmocka_unit_test(wrong_use_is_told),         cmocka_unit_test(a_circle_of_locks_is_a_deadlock),
        cmocka_unit_test(python_sees_the_same_ones),
    };
    return cmocka_run_group_tests(tests, stoa_test_runtime_setup, stoa_test_runtime_teardown);
}
