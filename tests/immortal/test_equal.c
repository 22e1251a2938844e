#include "immortal/shared.h"

#include "immortal/equal.h"
#include "immortal/image.h"

static const char *const values[] = {
    "None",
    "True",
    "False",
    "...",
    "0",
    "1",
    "-1",
    "2",
    "2**53",
    "2**53 + 1",
    "2**64",
    "-2**64",
    "2**200",
    "2**200 + 1",
    "10**22",
    "0.0",
    "-0.0",
    "1.0",
    "-1.0",
    "2.5",
    "2.0**53",
    "2.0**64",
    "-2.0**64",
    "2.0**200",
    "1e22",
    "5e-324",
    "1e308",
    "float('inf')",
    "float('-inf')",
    "float('nan')",
    "0j",
    "1+0j",
    "1j",
    "complex(2**53, 0)",
    "complex(2.5, 0)",
    "'a'",
    "'ab'",
    "'abc'",
    "'caf\\xe9'",
    "'\\u20acb'",
    "'\\U0001f30d'",
    "b'a'",
    "b'ab'",
    "b'abc'",
    "()",
    "(1,)",
    "(1.0,)",
    "(True,)",
    "(2,)",
    "(1, 2)",
    "((1,), 'ab')",
    "((1.0,), 'ab')",
    "((1,), 'ac')",
    "frozenset()",
    "frozenset([1])",
    "frozenset([1.0])",
    "frozenset([1, 2])",
    "frozenset(range(50))",
    "frozenset(map(float, range(50)))",
    "frozenset(range(1, 51))",
    "frozenset([(1,), 'ab'])",
    "frozenset([(1.0,), 'ab'])",
    "frozenset([frozenset([1]), 2])",
    "frozenset([frozenset([1.0]), 2])",
    "range(0)",
    "range(5, 5)",
    "range(1, 2)",
    "range(1, 2, 7)",
    "range(0, 10, 3)",
    "range(0, 12, 3)",
    "range(0, 11, 3)",
    "slice(1)",
    "slice(1.0)",
    "slice(1, 2)",
    "slice((1,), 2)",
    "slice((1.0,), 2)",
    "int",
    "str",
    "{}",
    "{1: 2}",
    "{1.0: 2.0}",
    "{1: 2, 'a': (3,)}",
    "{'a': (3.0,), 1: 2}",
    "{'a': {'b': 1}}",
    "{'a': {'b': 1.0}}",
    "{'a': {'b': 2}}",
};
#define COUNT (sizeof values / sizeof values[0])

static void
test_every_pair_as_python(void **state)
{
    (void)state;
    PyObject *frozen[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        frozen[i] = stoa_test_freeze(values[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < COUNT; j++) {
            int python = PyObject_RichCompareBool(frozen[i], frozen[j], Py_EQ); /* identical or equal */
            assert_int_not_equal(python, -1);
            if (stoa__shared_equal(frozen[i], frozen[j]) != (python == 1)) {
                fail_msg("%s == %s is %d in Python", values[i], values[j], python);
            }
        }
    }
}

static void
test_nan_equals_itself_only(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    PyObject *a = stoa__make_float(&batch, NAN), *b = stoa__make_float(&batch, NAN);
    PyObject *in_a = stoa__make_tuple(&batch, &a, 1), *in_b = stoa__make_tuple(&batch, &b, 1);
    PyObject *same = stoa__make_tuple(&batch, &a, 1);
    stoa__batch_commit(&batch);
    assert_ptr_not_equal(a, b);
    assert_true(stoa__shared_equal(a, a));
    assert_false(stoa__shared_equal(a, b));
    assert_false(stoa__shared_equal(in_a, in_b));
    assert_true(stoa__shared_equal(in_a, same));
}

static void
test_deep(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0); /* no interning: two chains of a million tuples, and of sets */
    PyObject *a = stoa__make_float(&batch, 1.0), *b = stoa__make_int64(&batch, 1),
             *c = stoa__make_int64(&batch, 2);
    PyObject *p = a, *q = b;
    for (int i = 0; i < 1000000; i++) {
        a = stoa__make_tuple(&batch, &a, 1);
        b = stoa__make_tuple(&batch, &b, 1);
        c = stoa__make_tuple(&batch, &c, 1);
    }
    for (int i = 0; i < 20000; i++) {
        p = stoa__make_frozenset(&batch, &p, 1);
        q = stoa__make_frozenset(&batch, &q, 1);
    }
    stoa__batch_commit(&batch);
    assert_true(stoa__shared_equal(a, b));
    assert_false(stoa__shared_equal(a, c));
    assert_true(stoa__shared_equal(p, q));
}

static void
test_dates(void **state)
{
    (void)state;
#if STOA_NATIVE_DATES
    static const char *const dates[] = {
        "date(2024, 2, 29)",
        "date(2024, 3, 1)",
        "datetime(2024, 2, 29)",
        "datetime(2024, 2, 29, fold=1)",
        "datetime(2024, 2, 29, tzinfo=timezone.utc)",
        "datetime(2024, 2, 29, 1, tzinfo=timezone.utc)",
        "time(1)",
        "time(1, fold=1)",
        "time(1, tzinfo=timezone.utc)",
        "timedelta(1)",
        "timedelta(0, 86400)",
        "timedelta(0, 1)",
        "timezone.utc",
    };
    PyObject *frozen[sizeof dates / sizeof dates[0]];
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        char expression[200];
        snprintf(expression, sizeof expression, "eval(\"%s\", vars(__import__('datetime')).copy())", dates[i]);
        frozen[i] = stoa_test_freeze(expression);
    }
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        for (size_t j = 0; j < sizeof dates / sizeof dates[0]; j++) {
            if (stoa__shared_equal(frozen[i], frozen[j]) !=
                (PyObject_RichCompareBool(frozen[i], frozen[j], Py_EQ) == 1)) {
                fail_msg("%s == %s", dates[i], dates[j]);
            }
        }
    }
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair_as_python),
        cmocka_unit_test(test_nan_equals_itself_only),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
