#include "immortal/sieve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint64_t
sum_of(uint64_t i)
{
    return stoa__sieve_sum(stoa__sieve_sum(0, i), i * 31);
}

static void
what_was_added_is_never_new(void **state)
{
    (void)state;
    stoa_sieve *sieve = NULL;
    size_t wrong = 0, next = 0;
    for (uint64_t expected = 1000; expected <= 64000; expected *= 4) {
        stoa__sieve_widen(&sieve, expected);
        assert_non_null(sieve);
        for (; next < expected; next++) {
            wrong += !stoa__sieve_add(sieve,
                                      sum_of(next)); /* it may take a new one for an old one, now and then */
        }
        for (uint64_t i = 0; i < next; i++) {
            assert_false(stoa__sieve_add(sieve, sum_of(i)));
        }
    }
    assert_true(wrong < next / 5);
    stoa__sieve_free(sieve);
}

static void
widening_keeps_what_is_large_enough(void **state)
{
    (void)state;
    stoa_sieve *sieve = NULL;
    stoa__sieve_widen(&sieve, 0);
    stoa_sieve *first = sieve;
    stoa__sieve_widen(&sieve, 16);
    assert_ptr_equal(sieve, first);
    stoa__sieve_widen(&sieve, UINT64_MAX);
    assert_ptr_not_equal(sieve, first);
    assert_ptr_equal(sieve->before, first);
    assert_int_equal(sieve->log2_words, STOA_SIEVE_MOST);
    stoa__sieve_free(sieve);
    stoa__sieve_free(NULL);
}

static void
order_of_numbers_counts(void **state)
{
    (void)state;
    assert_int_not_equal(stoa__sieve_sum(stoa__sieve_sum(0, 1), 2), stoa__sieve_sum(stoa__sieve_sum(0, 2), 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_never_new),
        cmocka_unit_test(widening_keeps_what_is_large_enough),
        cmocka_unit_test(order_of_numbers_counts),
    };
    return cmocka_run_group_tests_name("immortal.sieve", tests, NULL, NULL);
}
