#include "heap_testing.h"

#include "heap/serials.h"

#include <pthread.h>

static void
sets_hold_what_was_added(void **state)
{
    (void)state;
    static const uint32_t serials[] = {1, 2, 31, 32, 255, 256, 65535, 65536, 16777216, UINT32_MAX};
    const size_t count = sizeof serials / sizeof *serials;
    stoa_serials set = {NULL};
    for (size_t i = 0; i < count; i++) {
        assert_false(stoa__serials_has(&set, serials[i]));
        assert_true(stoa__serials_add(&set, serials[i]));
        assert_true(stoa__serials_add(&set, serials[i]));
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(stoa__serials_has(&set, serials[k]), k <= i);
        }
    }
    assert_false(stoa__serials_has(&set, 3));
    assert_false(stoa__serials_has(&set, 1u << 31));
    stoa__serials_free(&set);
    assert_false(stoa__serials_has(&set, 1));
}

static void
an_empty_set_is_in_none(void **state)
{
    (void)state;
    stoa_serials empty = {NULL}, whole = {NULL};
    assert_false(stoa__serials_are_in(&empty, &whole));
    assert_true(stoa__serials_add(&whole, 5));
    assert_false(stoa__serials_are_in(&empty, &whole));
    assert_false(stoa__serials_are_in(&whole, &empty));
    assert_true(stoa__serials_are_in(&whole, &whole));
    stoa__serials_free(&whole);
}

static void
inclusion_is_of_every_serial(void **state)
{
    (void)state;
    stoa_serials part = {NULL}, whole = {NULL};
    for (uint32_t serial = 1; serial < 3000000; serial = serial * 3 + 1) {
        assert_true(stoa__serials_add(&part, serial));
        assert_false(stoa__serials_are_in(&part, &whole));
        assert_true(stoa__serials_add(&whole, serial + 1) && stoa__serials_add(&whole, serial ^ 256));
        assert_false(stoa__serials_are_in(&part, &whole));
        assert_true(stoa__serials_add(&whole, serial));
        assert_true(stoa__serials_are_in(&part, &whole));
        assert_false(stoa__serials_are_in(&whole, &part));
    }
    stoa__serials_free(&part);
    stoa__serials_free(&whole);
}

static stoa_serials shared;

static void *
add_some(void *arg)
{
    uint32_t first = (uint32_t)(uintptr_t)arg;
    for (uint32_t i = first; i < 20000; i += 4) {
        CHECK(stoa__serials_add(&shared, i * 50 + 1));
        CHECK(stoa__serials_has(&shared, i * 50 + 1));
        (void)stoa__serials_are_in(&shared, &shared);
        i += i % 3 == 0 ? 400 : 0;
    }
    return NULL;
}

static void
threads_add_without_a_lock(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_some, (void *)i), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(stoa__serials_are_in(&shared, &shared));
    stoa__serials_free(&shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_hold_what_was_added),
        cmocka_unit_test(an_empty_set_is_in_none),
        cmocka_unit_test(inclusion_is_of_every_serial),
        cmocka_unit_test(threads_add_without_a_lock),
    };
    if (stoa__process_open() != STOA_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
