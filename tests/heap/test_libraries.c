/* The versions are told, and never written past the end. */
#include "heap/libraries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
versions_start_with_numbers(void **state)
{
    (void)state;
    void (*const ask[])(char *, size_t) = {stoa__jemalloc_version, stoa__xxhash_version};
    for (size_t i = 0; i < 2; i++) {
        char text[64];
        int major, minor;
        ask[i](text, sizeof(text));
        assert_int_equal(sscanf(text, "%d.%d", &major, &minor), 2);
    }
}

static void
short_buffer_is_respected(void **state)
{
    (void)state;
    char text[4] = {'x', 'x', 'x', 'x'};
    stoa__jemalloc_version(text, 3);
    assert_int_equal(strlen(text), 2);
    assert_int_equal(text[3], 'x');
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_start_with_numbers),
        cmocka_unit_test(short_buffer_is_respected),
    };
    return cmocka_run_group_tests_name("libraries", tests, NULL, NULL);
}
