#include "heap/interp_table.h"

#include "heap/handle.h"
#include "heap/names.h"
#include "heap/process_struct.h"
#include "heap/waiter.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/check.h"
#include "support/process.h"

static void
serials_are_never_used_twice(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (int i = 0; i < 1000; i++) {
        stoa_interp_record *record = make_owner(NULL);
        assert_true(record->serial > last);
        assert_int_equal(atomic_load(&record->state), STOA_INTERP_LIVE);
        assert_int_equal(stoa__interp_inside(record), 0);
        assert_null(record->cookie);
        last = record->serial;
        end_owner(record);
    }
}

static void
names_are_kept_or_made_and_cut(void **state)
{
    (void)state;
    stoa_interp_record *a = make_owner("worker"), *b;
    assert_string_equal(a->name, "worker");
    assert_int_equal(stoa__interp_register(-7, 3, NULL, NULL, &b), STOA_OK);
    assert_string_equal(b->name, "interpreter -7");
    char name[200];
    for (size_t i = 0; i + 3 < sizeof name; i += 2) {
        memcpy(name + i, "\xc3\xa9", 3);
    }
    stoa_interp_record *c = make_owner(name);
    assert_int_equal(strlen(c->name), 62); /* 63 would end in half a letter */
    end_owner(a);
    end_owner(b);
    end_owner(c);
}

/* ---- the cookie is there for whoever finds the record ------------------------------------------------------------ */

static int cookie;
static _Atomic bool enough;

static void
look_at_cookie(stoa_interp_record *record, void *strangers)
{
    if (record->domain == 9 && stoa__interp_enter(record) == STOA_OK) {
        *(size_t *)strangers += record->cookie != &cookie;
        stoa__interp_leave(record);
    }
}

static void *
look_at_all(void *strangers)
{
    while (!enough) {
        CHECK(stoa__interp_each(look_at_cookie, strangers) == STOA_OK);
    }
    return NULL;
}

static void
found_with_its_cookie(void **state)
{
    (void)state;
    pthread_t thread;
    size_t strangers = 0;
    enough = false;
    assert_int_equal(pthread_create(&thread, NULL, look_at_all, &strangers), 0);
    for (int64_t i = 0; i < 3000; i++) {
        stoa_interp_record *record;
        assert_int_equal(stoa__interp_register(i, 9, NULL, &cookie, &record), STOA_OK);
        if (i % 64 == 0) {
            (void)sched_yield();
        }
        assert_true(stoa__interp_start_close(record));
        assert_int_equal(stoa__interp_wait_empty(record, 0, STOA_FOREVER), STOA_OK);
        stoa__interp_gone(record);
        stoa__interp_unref(record);
    }
    enough = true;
    void *complaint;
    assert_int_equal(pthread_join(thread, &complaint), 0);
    assert_null(complaint);
    assert_int_equal(strangers, 0);
}

static void
found_by_serial_and_by_python_id(void **state)
{
    (void)state;
    stoa_interp_record *a, *b, *other;
    assert_int_equal(stoa__interp_register(5, 0, "a", NULL, &a), STOA_OK);
    assert_int_equal(stoa__interp_register(5, 1, "b", NULL, &b), STOA_OK);
    assert_int_equal(stoa__interp_register(5, 1, "c", NULL, &other), STOA_EEXIST);
    assert_non_null(strstr(stoa_error_message(), "'b'"));
    stoa_interp_record *found = stoa__interp_find_python(5, 1);
    assert_ptr_equal(found, b);
    stoa__interp_unref(found);
    found = stoa__interp_find(a->serial);
    assert_ptr_equal(found, a);
    stoa__interp_unref(found);
    assert_null(stoa__interp_find(0));
    assert_null(stoa__interp_find(UINT32_MAX));
    assert_null(stoa__interp_find_python(5, 2));
    uint32_t serial = b->serial;
    stoa__interp_gone(b);
    assert_null(stoa__interp_find(serial));
    assert_null(stoa__interp_find_python(5, 1));
    assert_int_equal(stoa__interp_register(5, 1, "c", NULL, &other), STOA_OK); /* CPython may use an id again */
    assert_true(other != b);
    assert_string_equal(b->name, "b"); /* held: outlives the interpreter */
    stoa__interp_unref(b);
    end_owner(other);
    end_owner(a);
}

static void
closing_refuses_entries_and_reopening_lets_in(void **state)
{
    (void)state;
    stoa_interp_record *r = make_owner("shop");
    assert_int_equal(stoa__interp_enter(r), STOA_OK);
    assert_int_equal(stoa__interp_enter(r), STOA_OK);
    assert_int_equal(stoa__interp_inside(r), 2);
    assert_true(stoa__interp_start_close(r));
    assert_false(stoa__interp_start_close(r));
    assert_int_equal(stoa__interp_enter(r), STOA_EGONE);
    assert_non_null(strstr(stoa_error_message(), "'shop'"));
    assert_non_null(strstr(stoa_error_message(), "being closed"));
    assert_int_equal(stoa__interp_inside(r), 2);
    stoa_deadline soon;
    stoa__deadline_in(0.02, &soon);
    assert_int_equal(stoa__interp_wait_empty(r, 1, soon), STOA_ETIMEDOUT);
    assert_non_null(strstr(stoa_error_message(), "1 call"));
    assert_int_equal(stoa__interp_wait_empty(r, 2, STOA_FOREVER), STOA_OK);
    assert_int_equal(stoa__interp_enter_occupied(r), STOA_EGONE); /* of both nobody is to be reached */
    stoa__interp_reopen(r);
    assert_int_equal(stoa__interp_enter(r), STOA_OK);
    assert_int_equal(stoa__interp_inside(r), 3);
    for (int i = 0; i < 3; i++) {
        stoa__interp_leave(r);
    }
    assert_true(stoa__interp_start_close(r));
    assert_int_equal(stoa__interp_wait_empty(r, 0, 0), STOA_OK);
    stoa__interp_gone(r);
    stoa__interp_gone(r);
    stoa__interp_reopen(r); /* too late: nothing */
    assert_int_equal(stoa__interp_enter(r), STOA_EGONE);
    assert_null(strstr(stoa_error_message(), "being"));
    assert_false(stoa__interp_start_close(r));
    stoa__interp_unref(r);
}

/* Who has to do with those who are still inside may come in while it closes, until nobody is. */
static void
those_inside_are_reached_until_it_is_sealed(void **state)
{
    (void)state;
    stoa_interp_record *r = make_owner("reached");
    assert_int_equal(stoa__interp_enter_occupied(r), STOA_OK); /* LIVE: as anybody */
    assert_true(stoa__interp_start_close(r));
    assert_int_equal(stoa__interp_enter(r), STOA_EGONE);
    assert_int_equal(stoa__interp_enter_occupied(r), STOA_OK);
    assert_int_equal(stoa__interp_inside(r), 2);
    assert_false(stoa__interp_seal(r));
    stoa__interp_leave(r);
    stoa__interp_leave(r);
    assert_int_equal(stoa__interp_enter_occupied(r), STOA_EGONE); /* empty */
    assert_true(stoa__interp_seal(r));
    assert_true(stoa__interp_seal(r));
    assert_int_equal(stoa__interp_enter_occupied(r), STOA_EGONE);
    assert_int_equal(stoa__interp_inside(r), 0);
    stoa__interp_reopen(r);
    assert_int_equal(stoa__interp_enter(r), STOA_OK);
    assert_true(stoa__interp_start_close(r));
    stoa__interp_abandon(r);
    assert_int_equal(stoa__interp_enter_occupied(r), STOA_EGONE);
    assert_int_equal(stoa__interp_inside(r), 1);
    assert_false(stoa__interp_seal(r)); /* who was closing it does not end it ... */
    stoa__interp_leave(r);
    assert_false(stoa__interp_seal(r)); /* ... nor when it is empty after all ... */
    stoa__interp_reopen(r);             /* ... and cannot take it back */
    assert_int_equal(stoa__interp_enter(r), STOA_EGONE);
    end_owner(r);
}

/* Both wait while somebody is inside, and will stay there. */
static void *
wait_until_empty(void *record)
{
    CHECK(stoa__interp_wait_empty(record, 0, STOA_FOREVER) == STOA_OK);
    return NULL;
}

static void *
wait_until_decided(void *arg)
{
    stoa_interp_record *record = arg;
    stoa_waiter *self = stoa__waiter_here();
    stoa_wait_edge edge;
    stoa__waiter_push_on(self, &edge, NULL, record);
    for (;;) {
        uint32_t seen = stoa__waiter_look(self);
        if (atomic_load(&record->state) != STOA_INTERP_CLOSING) {
            break;
        }
        CHECK(stoa__waiter_sleep(self, seen, STOA_FOREVER) == STOA_WOKEN);
    }
    stoa__waiter_pop(self, &edge);
    return NULL;
}

static void
who_waits_for_another_closer_is_told_how_it_ends(void **state)
{
    (void)state;
    for (int reopen = 0; reopen < 2; reopen++) {
        stoa_interp_record *r = make_owner("decided");
        pthread_t threads[2];
        void *failed;
        assert_int_equal(stoa__interp_enter(r), STOA_OK);
        assert_true(stoa__interp_start_close(r));
        int count = reopen ? 1 : 2;
        assert_int_equal(pthread_create(&threads[0], NULL, wait_until_decided, r), 0);
        if (!reopen) { /* else it is not empty after all */
            assert_int_equal(pthread_create(&threads[1], NULL, wait_until_empty, r), 0);
        }
        (void)usleep(100000); /* asleep by now, most likely */
        if (reopen) {
            stoa__interp_reopen(r);
        }
        else {
            stoa__interp_gone(r);
        }
        for (int i = 0; i < count; i++) {
            assert_int_equal(pthread_join(threads[i], &failed), 0);
            assert_null(failed);
        }
        stoa__interp_leave(r);
        end_owner(r);
    }
}

static void
nothing(int number)
{
    (void)number;
}

static void
waiting_to_close_can_be_interrupted(void **state)
{
    (void)state;
    stoa_interp_record *r = make_owner("busy");
    stoa__interp_enter(r);
    stoa__interp_start_close(r);
    struct sigaction action = {.sa_handler = nothing}, old;
    sigaction(SIGALRM, &action, &old);
    ualarm(100000, 100000); /* again and again: the first may come before the wait */
    assert_int_equal(stoa__interp_wait_empty(r, 0, STOA_FOREVER), STOA_EINTERRUPTED);
    ualarm(0, 0);
    sigaction(SIGALRM, &old, NULL);
    stoa__interp_leave(r);
    end_owner(r);
}

/* Threads go in and out while one closes: after wait_empty nobody is in, and nobody comes in. */
typedef struct contest {
    stoa_interp_record *record;
    _Atomic int in, after_close, closed;
    bool occupied; /* they come in while others are inside, too */
} contest;

static void *
go_in_and_out(void *arg)
{
    contest *c = arg;
    for (;;) {
        stoa_err err = c->occupied ? stoa__interp_enter_occupied(c->record) : stoa__interp_enter(c->record);
        if (err != STOA_OK) {
            break;
        }
        atomic_fetch_add(&c->in, 1);
        if (atomic_load(&c->closed)) {
            atomic_fetch_add(&c->after_close, 1);
        }
        atomic_fetch_sub(&c->in, 1);
        stoa__interp_leave(c->record);
    }
    stoa__interp_unref(c->record);
    return NULL;
}

static void
nobody_is_inside_after_the_wait(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        contest c = {.record = make_owner("contest"), .occupied = round % 2 == 1};
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            stoa__interp_ref(c.record);
            assert_int_equal(pthread_create(&threads[i], NULL, go_in_and_out, &c), 0);
        }
        usleep(200);
        assert_true(stoa__interp_start_close(c.record));
        assert_int_equal(stoa__interp_wait_empty(c.record, 0, STOA_FOREVER), STOA_OK);
        atomic_store(&c.closed, 1);
        int in = atomic_load(&c.in);
        stoa__interp_gone(c.record);
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(in, 0);
        assert_int_equal(atomic_load(&c.after_close), 0);
        stoa__interp_unref(c.record);
    }
}

/* One comes just when it is empty, is refused and goes: the closer, in the middle of looking, is not left asleep. */
typedef struct late_comer {
    stoa_interp_record *_Atomic record; /* NULL: not yet */
    _Atomic int refused;
} late_comer;

static void *
come_too_late(void *arg)
{
    late_comer *late = arg;
    for (int round = 1;; round++) {
        stoa_interp_record *record;
        while ((record = late->record) == NULL) {
            (void)sched_yield();
        }
        late->record = NULL;
        if (record == (stoa_interp_record *)late) { /* enough */
            return NULL;
        }
        for (volatile int i = 0; i < round % 64; i++) {
        }
        CHECK(stoa__interp_enter(record) == STOA_EGONE);
        stoa__interp_unref(record);
        late->refused = round;
    }
}

static void
a_late_comer_leaves_no_closer_asleep(void **state)
{
    (void)state;
    late_comer late = {.refused = 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, come_too_late, &late), 0);
    for (int round = 1; round <= 3000; round++) {
        stoa_interp_record *record = make_owner("late");
        assert_true(stoa__interp_start_close(record));
        late.record = stoa__interp_ref(record);
        assert_int_equal(stoa__interp_wait_empty(record, 0, STOA_FOREVER), STOA_OK);
        while (late.refused != round) {
            (void)sched_yield();
        }
        end_owner(record);
    }
    late.record = (stoa_interp_record *)&late;
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
count_visit(stoa_interp_record *record, void *arg)
{
    uint32_t *last = arg;
    assert_true(record->serial > *last); /* oldest first */
    *last = record->serial;
    stoa_interp_record *found = stoa__interp_find(record->serial); /* no lock is held */
    stoa__interp_unref(found);
    if (record->python_id == 7001) {
        stoa__interp_gone(record);
    }
}

static void
each_visits_all_that_are_not_gone(void **state)
{
    (void)state;
    stoa_interp_record *r[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stoa__interp_register(7000 + i, 0, NULL, NULL, &r[i]), STOA_OK);
    }
    uint32_t last = 0;
    assert_int_equal(stoa__interp_each(count_visit, &last), STOA_OK);
    assert_int_equal(last, r[2]->serial);
    assert_int_equal(atomic_load(&r[1]->state), STOA_INTERP_GONE);
    stoa__interp_unref(r[1]);
    end_owner(r[0]);
    end_owner(r[2]);
}

static void *
wait_for_name(void *arg)
{
    stoa_value value;
    return (void *)(intptr_t)stoa__name_wait("never", 5, arg, STOA_FOREVER, &value);
}

static void
closing_ends_waits_for_names(void **state)
{
    (void)state;
    stoa_interp_record *r = make_owner("waiter");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_name, r), 0);
    usleep(20000);
    assert_true(stoa__interp_start_close(r));
    void *result;
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, STOA_EGONE);
    end_owner(r);
}

static stoa_interp_record *survivor;

static bool
keep_survivor(stoa_interp_record *record, uint32_t *own)
{
    *own = record == survivor ? 1 : 0;
    return record == survivor;
}

static void
a_forked_child_keeps_only_its_own_interpreter(void **state)
{
    (void)state;
    stoa_interp_record *other = make_owner("other");
    survivor = make_owner("survivor");
    stoa__interp_enter(other);
    stoa__interp_enter(survivor);
    stoa__interp_enter(survivor); /* by a thread that the child lacks, as it were */
    stoa__interps_set_fork_hook(keep_survivor);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        bool ok = atomic_load(&other->state) == STOA_INTERP_GONE && stoa__interp_enter(other) == STOA_EGONE &&
                  stoa__interp_find(other->serial) == NULL && stoa__interp_inside(survivor) == 1 &&
                  stoa__interp_enter(survivor) == STOA_OK && stoa__interp_find(survivor->serial) == survivor;
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    stoa__interps_set_fork_hook(NULL);
    assert_int_equal(stoa__interp_enter(other), STOA_OK);
    end_owner(other);
    end_owner(survivor);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serials_are_never_used_twice),
        cmocka_unit_test(names_are_kept_or_made_and_cut),
        cmocka_unit_test(found_by_serial_and_by_python_id),
        cmocka_unit_test(found_with_its_cookie),
        cmocka_unit_test(closing_refuses_entries_and_reopening_lets_in),
        cmocka_unit_test(those_inside_are_reached_until_it_is_sealed),
        cmocka_unit_test(who_waits_for_another_closer_is_told_how_it_ends),
        cmocka_unit_test(waiting_to_close_can_be_interrupted),
        cmocka_unit_test(nobody_is_inside_after_the_wait),
        cmocka_unit_test(a_late_comer_leaves_no_closer_asleep),
        cmocka_unit_test(each_visits_all_that_are_not_gone),
        cmocka_unit_test(closing_ends_waits_for_names),
        cmocka_unit_test(a_forked_child_keeps_only_its_own_interpreter),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
