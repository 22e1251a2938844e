#include "heap/counters.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static stoa_counters counters;

static void *
count(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10000; i++) {
        STOA_COUNT(&counters, lookups);
        STOA_COUNT(&counters, calls);
        STOA_COUNT(&counters, calls);
    }
    return NULL;
}

static void
nothing_is_lost(void **state)
{
    (void)state;
    stoa__counters_init(&counters);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(STOA_COUNTER_READ(&counters, lookups), 40000);
    assert_int_equal(STOA_COUNTER_READ(&counters, calls), 80000);
    assert_int_equal(STOA_COUNTER_READ(&counters, publishes), 0);
    stoa__counters_init(&counters);
    assert_int_equal(STOA_COUNTER_READ(&counters, calls), 0);
}

static void
stripes_lie_on_lines_of_their_own(void **state)
{
    (void)state;
    assert_int_equal((uintptr_t)&counters.stripe[1] % 64, 0);
    assert_true(sizeof counters.stripe[0] % 64 == 0);
    for (int i = 0; i < 1000; i++) {
        assert_in_range(stoa__counter_stripe(), 0, STOA_COUNTER_STRIPES - 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(stripes_lie_on_lines_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
