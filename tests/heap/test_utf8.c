#include "heap/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void
good_texts_pass(void **state)
{
    (void)state;
    const char *good[] = {"",
                          "a",
                          "plain ASCII, more than eight bytes",
                          "\xc2\x80",
                          "\xdf\xbf",
                          "\xe0\xa0\x80",
                          "\xed\x9f\xbf",
                          "\xee\x80\x80",
                          "\xef\xbf\xbf",
                          "\xf0\x90\x80\x80",
                          "\xf4\x8f\xbf\xbf",
                          "12345678\xc3\xa9"
                          "12345678"};
    size_t at;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(stoa__utf8_valid(good[i], strlen(good[i]), &at));
    }
    assert_true(stoa__utf8_valid("a\0b", 3, &at));
}

static void
bad_texts_are_refused_at_the_right_byte(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t at;
    } bad[] = {
        {"\x80", 0},
        {"a\xbf", 1},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2", 0},
        {"\xc2"
         "a",
         0},
        {"\xe0\x9f\xbf", 0},
        {"\xe2\x82", 0},
        {"\xed\xa0\x80", 0},
        {"\xed\xbf\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"1234567890\xe2\x82z", 10},
        {"\xf0\x90\x80", 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t at = 99;
        assert_false(stoa__utf8_valid(bad[i].text, strlen(bad[i].text), &at));
        assert_int_equal(at, bad[i].at);
    }
}

/* Every code point, encoded by the rules, passes; the same with a byte missing does not. */
static void
all_code_points(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x110000; c++) {
        unsigned char b[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, at;
        for (size_t i = n; i-- > 1;) {
            b[i] = (unsigned char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3F));
        }
        b[0] = (unsigned char)(n == 1 ? c : (0xF00u >> n & 0xFF) | c >> (6 * (n - 1)));
        bool expected = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
        if (stoa__utf8_valid((char *)b, n, &at) != expected ||
            (n > 1 && stoa__utf8_valid((char *)b, n - 1, &at))) {
            fail_msg("U+%04X", c);
        }
    }
}

static void
cutting_leaves_whole_sequences(void **state)
{
    (void)state;
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8dz";
    const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    size_t at;
    for (size_t size = 0; size <= strlen(text); size++) {
        assert_int_equal(stoa__utf8_cut(text, size), expected[size]);
        assert_true(stoa__utf8_valid(text, stoa__utf8_cut(text, size), &at));
    }
    assert_int_equal(stoa__utf8_cut("\x80\x80\x80\x80\x80", 5), 5); /* no UTF-8: anything, but not beyond */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts_pass),
        cmocka_unit_test(bad_texts_are_refused_at_the_right_byte),
        cmocka_unit_test(all_code_points),
        cmocka_unit_test(cutting_leaves_whole_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
