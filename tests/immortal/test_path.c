#include "immortal/path.h"

#include "support/python_embed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
index_step(void *arg, size_t i, stoa_step *out)
{
    (void)arg;
    *out = (stoa_step){STOA_STEP_INDEX, i, NULL, NULL};
}

static void
key_step(void *arg, size_t i, stoa_step *out)
{
    (void)i;
    *out = (stoa_step){STOA_STEP_VALUE, 0, arg, NULL};
}

static void
all_kinds_step(void *arg, size_t i, stoa_step *out)
{
    const stoa_step steps[] = {
        {STOA_STEP_INDEX, 3, NULL, NULL},
        {STOA_STEP_KEY, 4, NULL, NULL},
        {STOA_STEP_MEMBER, 5, NULL, NULL},
        {STOA_STEP_ATTRIBUTE, 0, NULL, "start"},
    };
    (void)arg;
    *out = steps[i];
}

static void
assert_path(stoa_step_fn step, void *arg, size_t count, const char *wanted)
{
    stoa_path path = {NULL, 0, 0, false};
    stoa__path_write(&path, step, arg, count);
    assert_string_equal(stoa__path_text(&path), wanted);
    assert_int_equal(path.size, strlen(wanted));
    assert_null(PyErr_Occurred());
    stoa__path_clear(&path);
}

static void
every_kind_of_step_is_written(void **state)
{
    (void)state;
    assert_path(index_step, NULL, 0, "$");
    assert_path(all_kinds_step, NULL, 4, "$[3]<key 4><member 5>.start");
}

static void
keys_are_written_as_python_writes_them(void **state)
{
    (void)state;
    const char *keys[][2] = {
        {"'users'", "$['users']"},   {"\"it's\"", "$[\"it's\"]"},  {"-12", "$[-12]"},
        {"2.5", "$[2.5]"},           {"b'\\0'", "$[b'\\x00']"},    {"None", "$[None]"},
        {"True", "$[True]"},         {"(1, 2)", "$[<tuple key>]"}, {"'\\ud800'", "$['\\ud800']"},
        {"10**5000", "$[<int key>]"}};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(keys); i++) {
        PyObject *key = stoa_test_eval(keys[i][0]);
        assert_path(key_step, key, 1, keys[i][1]);
        Py_DECREF(key);
    }
}

static void
a_pending_exception_stays(void **state)
{
    (void)state;
    stoa_path path = {NULL, 0, 0, false};
    PyObject *key = stoa_test_eval("'k'");
    PyErr_SetString(PyExc_KeyError, "before");
    stoa__path_write(&path, key_step, key, 1);
    assert_true(PyErr_ExceptionMatches(PyExc_KeyError));
    PyErr_Clear();
    stoa__path_clear(&path);
    Py_DECREF(key);
}

static void
a_long_path_is_cut_in_the_middle(void **state)
{
    (void)state;
    stoa_path path = {NULL, 0, 0, false};
    stoa__path_write(&path, index_step, NULL, 1000000);
    const char *text = stoa__path_text(&path);
    assert_int_equal(strncmp(text, "$[0][1][2]", 10), 0);
    assert_non_null(strstr(text, "[23]...(999952 more)...[999976]"));
    assert_string_equal(text + strlen(text) - 8, "[999999]");
    stoa__path_clear(&path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_step_is_written),
        cmocka_unit_test(keys_are_written_as_python_writes_them),
        cmocka_unit_test(a_pending_exception_stays),
        cmocka_unit_test(a_long_path_is_cut_in_the_middle),
    };
    return cmocka_run_group_tests(tests, stoa_test_python_setup, stoa_test_python_teardown);
}
