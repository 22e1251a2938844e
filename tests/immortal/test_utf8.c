#include "immortal/shared.h"

#include "immortal/utf8.h"

/* The same verdict, offset and characters as bytes.decode('utf-8'). */
static void
compare(const char *bytes, size_t size)
{
    stoa_text_shape shape;
    bool ours = stoa__utf8_shape(bytes, size, &shape);
    PyObject *str = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)size, "strict");
    if (str == NULL) {
        PyObject *error = PyErr_GetRaisedException();
        Py_ssize_t start = -1;
        assert_int_equal(PyUnicodeDecodeError_GetStart(error, &start), 0);
        Py_DECREF(error);
        assert_false(ours);
        assert_int_equal(shape.length, start);
        return;
    }
    assert_true(ours);
    assert_int_equal(shape.length, PyUnicode_GET_LENGTH(str));
    assert_int_equal(shape.kind, PyUnicode_KIND(str));
    assert_int_equal(shape.ascii, PyUnicode_IS_ASCII(str));
    char room[4096], back[4096];
    assert_true(shape.length * 4 <= sizeof room);
    stoa__utf8_decode(bytes, size, shape.kind, room);
    assert_memory_equal(room, PyUnicode_DATA(str), shape.length * (size_t)shape.kind);
    assert_int_equal(stoa__utf8_size(shape.kind, room, shape.length), size);
    stoa__utf8_encode(shape.kind, room, shape.length, back);
    assert_memory_equal(back, bytes, size);
    Py_DECREF(str);
}

static void
test_every_beginning(void **state)
{
    (void)state;
    /* every pair of bytes, followed by what makes or breaks a longer sequence */
    static const char tails[][3] = {"\x80\x80", "\xbf\xbf", "\x80z", "zz", "\xc3\xa9"};
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            char bytes[5] = {'x', (char)first, (char)second, 0, 0};
            compare(bytes, 3);
            if (first >= 0xC0) {
                for (size_t tail = 0; tail < sizeof tails / sizeof tails[0]; tail++) {
                    memcpy(bytes + 3, tails[tail], 2);
                    compare(bytes, 5);
                    compare(bytes, 4);
                }
            }
        }
    }
}

static void
test_borders(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\x7f",
        "\xc2\x80",
        "\xc3\xbf",
        "\xc4\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf5\x80\x80\x80",
        "\xff",
        "\x80",
        "abc\xe2\x82",
        "abc\xf0\x9f\x8c",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        compare(texts[i], strlen(texts[i]));
    }
}

static void
test_ascii_prefix_at_every_place(void **state)
{
    (void)state;
    char text[130] = {0};
    for (size_t size = 0; size < sizeof text; size++) {
        memset(text, 'a', sizeof text);
        assert_int_equal(stoa__ascii_prefix(text, size), size);
        for (size_t at = 0; at < size; at++) {
            text[at] = (char)0xC3;
            assert_int_equal(stoa__ascii_prefix(text, size), at);
            text[at] = 'a';
        }
        if (size >= 2) { /* one character of two bytes among ASCII */
            memcpy(text + size / 2 - 1, "\xc3\xa9", 2);
            compare(text, size);
        }
    }
}

static void
test_lone_surrogates_have_no_utf8(void **state)
{
    (void)state;
    const uint16_t two[] = {'a', 0xD800}, fine[] = {0xD7FF, 0xE000};
    const uint32_t four[] = {0x1F30D, 0xDFFF};
    assert_int_equal(stoa__utf8_size(2, two, 2), SIZE_MAX);
    assert_int_equal(stoa__utf8_size(4, four, 2), SIZE_MAX);
    assert_int_equal(stoa__utf8_size(2, fine, 2), 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_beginning),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_ascii_prefix_at_every_place),
        cmocka_unit_test(test_lone_surrogates_have_no_utf8),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
