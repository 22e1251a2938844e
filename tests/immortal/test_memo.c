#include "immortal/memo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const void *
address(size_t i)
{
    return (const void *)(uintptr_t)(0x7f0000000000u + i * 16);
}

static void
finds_what_was_put(void **state)
{
    (void)state;
    stoa_memo memo;
    stoa__memo_init(&memo);
    assert_null(stoa__memo_find(&memo, address(1)));
    for (size_t i = 1; i <= 100000; i++) {
        assert_true(stoa__memo_put(&memo, address(i), (void *)(uintptr_t)(i * 8)));
    }
    assert_int_equal(memo.used, 100000);
    for (size_t i = 1; i <= 100000; i++) {
        assert_ptr_equal(stoa__memo_find(&memo, address(i)), (void *)(uintptr_t)(i * 8));
    }
    assert_null(stoa__memo_find(&memo, address(100001)));
    stoa__memo_clear(&memo);
}

static void
putting_again_changes_the_twin(void **state)
{
    (void)state;
    stoa_memo memo;
    stoa__memo_init(&memo);
    assert_true(stoa__memo_put(&memo, address(7), STOA_MEMO_OPEN));
    assert_true(stoa__memo_put(&memo, address(7), (void *)(uintptr_t)64));
    assert_int_equal(memo.used, 1);
    assert_ptr_equal(stoa__memo_find(&memo, address(7)), (void *)(uintptr_t)64);
    stoa__memo_clear(&memo);
}

static void
widening_forgets_the_cache_only(void **state)
{
    (void)state;
    stoa_memo memo;
    stoa__memo_init(&memo);
    assert_true(stoa__memo_put(&memo, address(7), (void *)(uintptr_t)64));
    *stoa__memo_cached(&memo, address(7)) = (stoa_memo_entry){address(7), (void *)(uintptr_t)64};
    stoa__memo_widen(&memo);
    stoa__memo_widen(&memo);
    assert_int_equal(memo.cache_mask, STOA_MEMO_CACHE - 1);
    assert_null(stoa__memo_cached(&memo, address(7))->source);
    assert_ptr_equal(stoa__memo_find(&memo, address(7)), (void *)(uintptr_t)64);
    stoa__memo_clear(&memo);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(putting_again_changes_the_twin),
        cmocka_unit_test(widening_forgets_the_cache_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
