#include "heap/hold.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "support/process.h"

#define OK(call) assert_int_equal((call), STOA_OK)
#define GONE(call) assert_int_equal((call), STOA_EGONE)

static int thing;

static stoa_handle
make_handle(stoa_interp_record *owner)
{
    stoa_handle handle;
    OK(stoa__handle_new(owner, &thing, &handle));
    return handle;
}

static size_t
released(stoa_interp_record *owner)
{
    void *objects[4];
    return stoa__handle_take_released(owner, objects, NULL, 4);
}

static void
each_hold_has_a_reference_of_its_own(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o");
    stoa_handle handle = make_handle(owner), got;
    stoa_hold one, two;
    OK(stoa__handle_ref(handle));
    OK(stoa__hold_new(handle, &one));
    OK(stoa__hold_new(handle, &two));
    assert_true(one != 0 && one != two);
    OK(stoa__hold_get(two, &got));
    assert_int_equal(got, handle);
    stoa__handle_unref(got);
    OK(stoa__hold_release(one));
    assert_int_equal(released(owner), 0);
    OK(stoa__hold_release(two));
    assert_int_equal(released(owner), 1);
    end_owner(owner);
}

static void
released_twice_is_an_error_that_harms_nobody(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o"), *found;
    stoa_handle handle = make_handle(owner), got;
    stoa_hold one, two;
    OK(stoa__handle_ref(handle));
    OK(stoa__hold_new(handle, &one));
    OK(stoa__hold_release(one));
    GONE(stoa__hold_release(one));
    GONE(stoa__hold_get(one, &got));
    GONE(stoa__hold_owner(one, &found));
    assert_non_null(strstr(stoa_error_message(), "not held"));
    OK(stoa__handle_ref(handle)); /* the other user's reference stands */
    OK(stoa__hold_new(handle, &two));
    assert_true((uint32_t)two == (uint32_t)one && two != one); /* the slot again, not the number */
    GONE(stoa__hold_release(one));
    OK(stoa__hold_release(two));
    assert_int_equal(released(owner), 0);
    stoa__handle_unref(handle);
    assert_int_equal(released(owner), 1);
    end_owner(owner);
}

static void
no_number_is_taken_for_a_hold(void **state)
{
    (void)state;
    stoa_handle got;
    OK(stoa__hold_release(0));
    GONE(stoa__hold_get(0, &got));
    const stoa_hold wrong[] = {1, UINT64_C(1) << 32, UINT64_MAX, UINT64_C(7) << 32 | 5,
                               UINT64_C(1) << 32 | 900000};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        GONE(stoa__hold_get(wrong[i], &got));
        GONE(stoa__hold_release(wrong[i]));
    }
    stoa_interp_record *owner = make_owner("o");
    stoa_hold hold;
    stoa_handle handle = make_handle(owner);
    stoa__handle_unref(handle);
    GONE(stoa__hold_new(handle, &hold)); /* stale */
    end_owner(owner);
}

static void
a_closed_owner_is_told_by_name(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o"), *found;
    stoa_hold hold;
    stoa_handle got;
    OK(stoa__hold_new(make_handle(owner), &hold));
    stoa__interp_gone(owner);
    GONE(stoa__hold_get(hold, &got));
    assert_non_null(strstr(stoa_error_message(), "interpreter 'o' is closed"));
    OK(stoa__hold_owner(hold, &found));
    assert_ptr_equal(found, owner);
    stoa__interp_unref(found);
    OK(stoa__hold_release(hold));
    GONE(stoa__hold_release(hold));
    stoa__interp_unref(owner);
}

static void
many_are_held_at_once(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    stoa_interp_record *owner = make_owner("o");
    static stoa_hold holds[MANY];
    stoa_handle handle = make_handle(owner), got;
    for (size_t i = 0; i < MANY; i++) {
        OK(stoa__handle_ref(handle));
        OK(stoa__hold_new(handle, &holds[i]));
    }
    stoa__handle_unref(handle);
    for (size_t i = 0; i < MANY; i++) {
        OK(stoa__hold_get(holds[i], &got));
        stoa__handle_unref(got);
        OK(stoa__hold_release(holds[i]));
    }
    assert_int_equal(released(owner), 1);
    end_owner(owner);
}

/* Threads that fight for the same numbers: each hold is given up once, whoever does it, and no handle by mistake. */
enum { FIGHTERS = 4, ROUNDS = 4000, RING = 8 };
static _Atomic uint64_t ring[RING];
static _Atomic size_t given_up;
static stoa_handle fought_for[2];

static void *
fight(void *arg)
{
    unsigned random = (unsigned)(uintptr_t)arg * 2654435761u + 1;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        stoa_hold hold = 0, other = atomic_load(&ring[random >> 10 & (RING - 1)]);
        stoa_handle got;
        if (stoa__hold_get(other, &got) == STOA_OK) {
            if (got != fought_for[0] && got != fought_for[1]) {
                return "another handle";
            }
            stoa__handle_unref(got);
        }
        given_up += other != 0 && stoa__hold_release(other) == STOA_OK;
        stoa_handle handle = fought_for[random >> 20 & 1];
        if (stoa__handle_ref(handle) != STOA_OK || stoa__hold_new(handle, &hold) != STOA_OK) {
            return "the handle went";
        }
        other = atomic_exchange(&ring[random >> 15 & (RING - 1)], hold);
        given_up += other != 0 && stoa__hold_release(other) == STOA_OK;
    }
    return NULL;
}

static void
threads_give_each_up_once(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o");
    pthread_t threads[FIGHTERS];
    fought_for[0] = make_handle(owner);
    fought_for[1] = make_handle(owner);
    for (size_t i = 0; i < FIGHTERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fight, (void *)(i + 1)), 0);
    }
    for (size_t i = 0; i < FIGHTERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    for (size_t i = 0; i < RING; i++) {
        given_up += ring[i] != 0 && stoa__hold_release(ring[i]) == STOA_OK;
    }
    assert_int_equal(given_up, FIGHTERS * ROUNDS);
    assert_int_equal(released(owner), 0);
    stoa__handle_unref(fought_for[0]);
    stoa__handle_unref(fought_for[1]);
    assert_int_equal(released(owner), 2);
    end_owner(owner);
}

static void
a_forked_child_knows_its_parents_numbers(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o");
    stoa_hold hold;
    OK(stoa__hold_new(make_handle(owner), &hold));
    pid_t child = fork();
    if (child == 0) { /* nobody's interpreter goes on: there is no hook */
        stoa_handle got;
        bool good = stoa__hold_get(hold, &got) == STOA_EGONE && stoa__hold_release(hold) == STOA_OK &&
                    stoa__hold_release(hold) == STOA_EGONE;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(stoa__hold_release(hold));
    assert_int_equal(released(owner), 1);
    end_owner(owner);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hold_has_a_reference_of_its_own),
        cmocka_unit_test(released_twice_is_an_error_that_harms_nobody),
        cmocka_unit_test(no_number_is_taken_for_a_hold),
        cmocka_unit_test(a_closed_owner_is_told_by_name),
        cmocka_unit_test(many_are_held_at_once),
        cmocka_unit_test(threads_give_each_up_once),
        cmocka_unit_test(a_forked_child_knows_its_parents_numbers),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
