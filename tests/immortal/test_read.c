#define PY_SSIZE_T_CLEAN
#include "stoa/value.h"

#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/cpython/cpython.h"
#include "immortal/freeze.h"
#include "support/python_embed.h"
#include "support/python_immortal.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define OK(call) assert_int_equal((call), STOA_OK)

static void
every_kind_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *expression;
        stoa_kind kind;
    } table[] = {
        {"None", STOA_KIND_NONE},      {"True", STOA_KIND_BOOL},      {"10**30", STOA_KIND_INT},
        {"1.5", STOA_KIND_FLOAT},      {"2j", STOA_KIND_COMPLEX},     {"'text'", STOA_KIND_TEXT},
        {"b'xyz'", STOA_KIND_BYTES},   {"()", STOA_KIND_TUPLE},       {"[1]", STOA_KIND_TUPLE},
        {"{1}", STOA_KIND_SET},        {"{1: 2}", STOA_KIND_MAPPING}, {"range(9)", STOA_KIND_RANGE},
        {"slice(1)", STOA_KIND_SLICE}, {"int", STOA_KIND_OTHER},      {"...", STOA_KIND_OTHER},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(stoa_object_kind(stoa_test_frozen(table[i].expression)), table[i].kind);
    }
#if STOA_NATIVE_DATES
    assert_int_equal(stoa_object_kind(stoa_test_frozen("__import__('datetime').date(2024, 1, 1)")),
                     STOA_KIND_DATETIME);
#endif
    assert_int_equal(stoa_object_kind(NULL), STOA_KIND_OTHER);
    assert_string_equal(stoa_kind_name(STOA_KIND_MAPPING), "mapping");
    assert_string_equal(stoa_kind_name((stoa_kind)999), "unknown");
}

static void
numbers_are_read_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *expression;
        int64_t value;
    } small[] = {
        {"0", 0},   {"1", 1}, {"-1", -1}, {"2**30", 1 << 30}, {"-2**63", INT64_MIN}, {"2**63 - 1", INT64_MAX},
        {"True", 1}};
    int64_t i64;
    uint64_t u64;
    double d, e;
    bool flag;
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
        OK(stoa_get_int64(stoa_test_frozen(small[i].expression), &i64));
        assert_int_equal(i64, small[i].value);
    }
    assert_int_equal(stoa_get_int64(stoa_test_frozen("2**63"), &i64), STOA_EINVAL);
    assert_int_equal(stoa_get_int64(stoa_test_frozen("-2**63 - 1"), &i64), STOA_EINVAL);
    assert_int_equal(stoa_get_int64(stoa_test_frozen("2**600"), &i64), STOA_EINVAL);
    OK(stoa_get_uint64(stoa_test_frozen("2**64 - 1"), &u64));
    assert_true(u64 == UINT64_MAX);
    assert_int_equal(stoa_get_uint64(stoa_test_frozen("2**64"), &u64), STOA_EINVAL);
    assert_int_equal(stoa_get_uint64(stoa_test_frozen("-1"), &u64), STOA_EINVAL);
    OK(stoa_get_double(stoa_test_frozen("-0.0"), &d));
    assert_true(d == 0 && signbit(d));
    OK(stoa_get_complex(stoa_test_frozen("1-2j"), &d, &e));
    assert_true(d == 1 && e == -2);
    OK(stoa_get_bool(stoa_test_frozen("True"), &flag));
    assert_true(flag);
}

static void
ints_become_doubles_as_python_rounds_them(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0",
                                          "1",
                                          "-7",
                                          "2**53 + 1",
                                          "2**54 + 2",
                                          "2**54 + 6",
                                          "-(2**64 - 1)",
                                          "2**100 + 1",
                                          "2**64 + 2**11",
                                          "2**64 + 2**11 + 1",
                                          "2**70 - 1",
                                          "3**200",
                                          "-7**300",
                                          "2**1023",
                                          "2**1024 - 2**971"};
    double d;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        PyObject *number = stoa_test_eval(numbers[i]);
        OK(stoa_get_double(stoa_test_frozen(numbers[i]), &d));
        assert_true(d == PyLong_AsDouble(number));
        Py_DECREF(number);
    }
    assert_int_equal(stoa_get_double(stoa_test_frozen("2**1024 - 2**970"), &d),
                     STOA_EINVAL); /* rounds up to 2**1024 */
    assert_int_equal(stoa_get_double(stoa_test_frozen("2**1024"), &d), STOA_EINVAL);
    assert_int_equal(stoa_get_double(stoa_test_frozen("-10**4000"), &d), STOA_EINVAL);
}

static void
int_bytes_are_what_to_bytes_gives(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0",      "1",       "127",       "128",    "-128",    "-129",
                                          "255",    "-1",      "-32768",    "32768",  "2**30",   "-2**30",
                                          "2**63",  "-2**63",  "2**64 - 1", "2**240", "-2**239", "-2**240",
                                          "3**500", "-3**500", "2**90 - 1"};
    unsigned char buffer[200];
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const stoa_object *o = stoa_test_frozen(numbers[i]);
        size_t needed = 0;
        OK(stoa_get_int_bytes(o, buffer, sizeof(buffer), &needed));
        PyObject *number = stoa_test_eval(numbers[i]);
        PyObject *all = PyObject_CallMethod(number, "to_bytes", "is", 200, "little"); /* fails for negative ones */
        if (all == NULL) {
            PyErr_Clear();
            assert_int_equal(buffer[199], 0xFF);
        }
        else {
            assert_memory_equal(buffer, PyBytes_AS_STRING(all), 200);
            Py_DECREF(all);
        }
        assert_true(stoa_test_holds(number, "True"));
        char text[200];
        snprintf(text, sizeof(text), "len((x).to_bytes(%zu, 'little', signed=True)) == %zu", needed, needed);
        assert_true(stoa_test_holds(number, text));
        memset(buffer, 0x55, sizeof(buffer));
        OK(stoa_get_int_bytes(o, buffer, needed, NULL));
        PyObject *back = PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "y#s", buffer,
                                             (Py_ssize_t)needed, "little");
        assert_non_null(back);
        snprintf(text, sizeof(text), "(x - (%s)) %% 2**%zu == 0", numbers[i], 8 * needed);
        assert_true(stoa_test_holds(back, text));
        if (needed > 1) {
            assert_int_equal(stoa_get_int_bytes(o, buffer, needed - 1, &needed), STOA_EINVAL);
        }
        Py_DECREF(back);
        Py_DECREF(number);
    }
}

static void
text_and_bytes_are_lent(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *utf8;
        size_t size, characters;
    } table[] = {{"''", "", 0, 0},
                 {"'a'", "a", 1, 1},
                 {"'\\xe9'", "\xc3\xa9", 2, 1},
                 {"'some text'", "some text", 9, 9},
                 {"'a\\0b'", "a\0b", 3, 3},
                 {"'\\u20ac uro'", "\xe2\x82\xac uro", 7, 5},
                 {"'\\U0001f600'", "\xf0\x9f\x98\x80", 4, 1},
                 {"'__len__'", "__len__", 7, 7}};
    const char *utf8;
    const void *bytes;
    size_t size, length;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const stoa_object *o = stoa_test_frozen(table[i].expression);
        OK(stoa_get_text(o, &utf8, &size));
        assert_int_equal(size, table[i].size);
        assert_memory_equal(utf8, table[i].utf8, size + 1);
        OK(stoa_get_length(o, &length));
        assert_int_equal(length, table[i].characters);
    }
    assert_int_equal(stoa_get_text(stoa_test_frozen("'x\\ud800'"), &utf8, &size), STOA_EUTF8);
    OK(stoa_get_bytes(stoa_test_frozen("b'\\0\\xff'"), &bytes, &size));
    assert_int_equal(size, 2);
    assert_memory_equal(bytes, "\0\xff\0", 3);
}

static void
items_of_tuples_ranges_and_slices(void **state)
{
    (void)state;
    const stoa_object *t = stoa_test_frozen("(1000, 'b', None)"), *item, *const * items;
    size_t count;
    int64_t value;
    OK(stoa_tuple_items(t, &items, &count));
    assert_int_equal(count, 3);
    OK(stoa_tuple_item(t, 0, &item));
    assert_ptr_equal(item, items[0]);
    OK(stoa_get_int64(item, &value));
    assert_int_equal(value, 1000);
    assert_int_equal(stoa_tuple_item(t, 3, &item), STOA_ENOTFOUND);
    OK(stoa_tuple_item(stoa_test_frozen("range(3, 900, 7)"), 1, &item));
    OK(stoa_get_int64(item, &value));
    assert_int_equal(value, 900);
    OK(stoa_tuple_item(stoa_test_frozen("slice(None, 5)"), 0, &item));
    assert_int_equal(stoa_object_kind(item), STOA_KIND_NONE);
}

static void
mappings_are_searched_and_walked(void **state)
{
    (void)state;
    const stoa_object *m = stoa_test_frozen(
        "{'a': 1, 'n\\xe4me': 2, '\\u20ac' * 400: 3, 7: 4, 2.5: 5, (1, 'x'): 6, "
        "-2**70: 7, None: 8, '': 9, -3: 10}");
    const stoa_object *value, *key;
    char euros[1200];
    int64_t i64;
    for (int i = 0; i < 400; i++) {
        memcpy(euros + 3 * i, "\xe2\x82\xac", 3);
    }
#define FINDS(call, wanted)              \
    do {                                 \
        OK(call);                        \
        OK(stoa_get_int64(value, &i64)); \
        assert_int_equal(i64, wanted);   \
    } while (0)
    FINDS(stoa_mapping_get_text(m, "a", 1, &value), 1);
    FINDS(stoa_mapping_get_text(m, "n\xc3\xa4me", 5, &value), 2);
    FINDS(stoa_mapping_get_text(m, euros, sizeof(euros), &value), 3);
    FINDS(stoa_mapping_get_text(m, NULL, 0, &value), 9);
    FINDS(stoa_mapping_get_int(m, 7, &value), 4);
    FINDS(stoa_mapping_get_int(m, -3, &value), 10);
    FINDS(stoa_mapping_get(m, stoa_test_frozen("7.0"), &value), 4);
    FINDS(stoa_mapping_get(m, stoa_test_frozen("5/2"), &value), 5);
    FINDS(stoa_mapping_get(m, stoa_test_frozen("(True, 'x')"), &value), 6);
    FINDS(stoa_mapping_get(m, stoa_test_frozen("-2**70"), &value), 7);
    FINDS(stoa_mapping_get(m, stoa_test_frozen("None"), &value), 8);
    value = NULL;
    assert_int_equal(stoa_mapping_get_text(m, "b", 1, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get_int(m, 8, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get_int(m, INT64_MIN, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get(m, stoa_test_frozen("(1, 'y')"), &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get_text(m, "\xff", 1, &value), STOA_EUTF8);
    assert_int_equal(stoa_mapping_get_text(m, NULL, 1, &value), STOA_EINVAL);
    assert_null(value);
#if !STOA_HAS_FROZENDICT
    assert_int_equal(stoa_mapping_get(m, m, &value), STOA_ETYPE);
    assert_int_equal(stoa_mapping_get(m, stoa_test_frozen("(1, {})"), &value), STOA_ETYPE);
#endif
    size_t position = 0, seen = 0;
    while (stoa_mapping_next(m, &position, &key, &value)) {
        OK(stoa_get_int64(value, &i64));
        assert_int_equal(i64, ++seen);
        const stoa_object *found;
        OK(stoa_mapping_get(m, key, &found));
        assert_ptr_equal(found, value);
    }
    assert_int_equal(seen, 10);
    OK(stoa_get_length(m, &seen));
    assert_int_equal(seen, 10);
}

static void
sets_are_searched_and_walked(void **state)
{
    (void)state;
    const stoa_object *s = stoa_test_frozen("set(range(1000)) | {'text', (1, 2), 2.5}"), *member;
    size_t position = 0, seen = 0;
    OK(stoa_set_contains_int(s, 999));
    OK(stoa_set_contains_text(s, "text", 4));
    OK(stoa_set_contains(s, stoa_test_frozen("(1.0, 2)")));
    OK(stoa_set_contains(s, stoa_test_frozen("5/2")));
    assert_int_equal(stoa_set_contains_int(s, 1000), STOA_ENOTFOUND);
    assert_int_equal(stoa_set_contains_text(s, "Text", 4), STOA_ENOTFOUND);
    assert_int_equal(stoa_set_contains(s, stoa_test_frozen("(1, 3)")), STOA_ENOTFOUND);
    while (stoa_set_next(s, &position, &member)) {
        OK(stoa_set_contains(s, member));
        seen++;
    }
    assert_int_equal(seen, 1003);
}

static void
equality_is_pythons(void **state)
{
    (void)state;
    assert_true(stoa_object_equal(stoa_test_frozen("(1, ('a', 2.0))"), stoa_test_frozen("(1.0, ('a', 2))")));
    assert_false(stoa_object_equal(stoa_test_frozen("(1, 'a')"), stoa_test_frozen("(1, b'a')")));
    assert_true(stoa_object_equal(stoa_test_frozen("{'a': [1], 'b': {2}}"),
                                  stoa_test_frozen("{'b': {2.0}, 'a': [True]}")));
    assert_false(stoa_object_equal(stoa_test_frozen("{'a': [1], 'b': {2}}"),
                                   stoa_test_frozen("{'b': {2}, 'a': [3]}")));
    assert_false(stoa_object_equal(stoa_test_frozen("{'a': 1}"), stoa_test_frozen("{'a': 1, 'b': 2}")));
    assert_true(stoa_object_equal(NULL, NULL));
    assert_false(stoa_object_equal(NULL, stoa_test_frozen("1")));
}

static void
other_kinds_are_refused_everywhere(void **state)
{
    (void)state;
    const stoa_object *objects[] = {NULL, stoa_test_frozen("int"), stoa_test_frozen("None")};
    for (size_t i = 0; i < 3; i++) {
        const stoa_object *o = objects[i], *out, *const * items;
        stoa_err wanted = o == NULL ? STOA_EINVAL : STOA_ETYPE;
        bool b;
        int64_t i64;
        uint64_t u64;
        double d, e;
        size_t size, position = 0;
        const char *text;
        const void *bytes;
        assert_int_equal(stoa_get_bool(o, &b), wanted);
        assert_int_equal(stoa_get_int64(o, &i64), wanted);
        assert_int_equal(stoa_get_uint64(o, &u64), wanted);
        assert_int_equal(stoa_get_int_bytes(o, &u64, 8, &size), wanted);
        assert_int_equal(stoa_get_double(o, &d), wanted);
        assert_int_equal(stoa_get_complex(o, &d, &e), wanted);
        assert_int_equal(stoa_get_text(o, &text, &size), wanted);
        assert_int_equal(stoa_get_bytes(o, &bytes, &size), wanted);
        assert_int_equal(stoa_get_length(o, &size), wanted);
        assert_int_equal(stoa_tuple_item(o, 0, &out), wanted);
        assert_int_equal(stoa_tuple_items(o, &items, &size), wanted);
        assert_int_equal(stoa_mapping_get(o, stoa_test_frozen("1"), &out), wanted);
        assert_int_equal(stoa_mapping_get_text(o, "a", 1, &out), wanted);
        assert_int_equal(stoa_mapping_get_int(o, 1, &out), wanted);
        assert_int_equal(stoa_set_contains(o, stoa_test_frozen("1")), wanted);
        assert_int_equal(stoa_set_contains_text(o, "a", 1), wanted);
        assert_int_equal(stoa_set_contains_int(o, 1), wanted);
        assert_false(stoa_mapping_next(o, &position, NULL, NULL));
        assert_false(stoa_set_next(o, &position, NULL));
    }
    assert_int_equal(stoa_get_int64(stoa_test_frozen("1"), NULL), STOA_EINVAL);
    assert_int_equal(stoa_mapping_get(stoa_test_frozen("{}"), NULL, NULL), STOA_EINVAL);
}

static void *
read_without_gil(void *arg)
{
    const stoa_object *m = arg, *value;
    for (int round = 0; round < 200; round++) {
        for (int64_t i = 0; i < 1000; i++) {
            char text[32];
            int64_t i64;
            if (stoa_mapping_get_int(m, i, &value) != STOA_OK || stoa_get_int64(value, &i64) != STOA_OK ||
                i64 != i * i ||
                stoa_mapping_get_text(m, text, (size_t)snprintf(text, sizeof(text), "%d", (int)i), &value) !=
                    STOA_OK) {
                return NULL;
            }
        }
    }
    return arg;
}

static void
threads_read_at_once_without_a_gil(void **state)
{
    (void)state;
    const stoa_object *m = stoa_test_frozen(
        "{i: i * i for i in range(1000)} | {str(i): i for i in range(1000)}");
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_without_gil, (void *)(uintptr_t)m), 0);
    }
    for (int i = 0; i < 3; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, m);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_told),
        cmocka_unit_test(numbers_are_read_exactly),
        cmocka_unit_test(ints_become_doubles_as_python_rounds_them),
        cmocka_unit_test(int_bytes_are_what_to_bytes_gives),
        cmocka_unit_test(text_and_bytes_are_lent),
        cmocka_unit_test(items_of_tuples_ranges_and_slices),
        cmocka_unit_test(mappings_are_searched_and_walked),
        cmocka_unit_test(sets_are_searched_and_walked),
        cmocka_unit_test(equality_is_pythons),
        cmocka_unit_test(other_kinds_are_refused_everywhere),
        cmocka_unit_test(threads_read_at_once_without_a_gil),
    };
    return cmocka_run_group_tests(tests, stoa_test_immortal_setup, stoa_test_python_teardown);
}
