#include "immortal/shared.h"

#include "immortal/hash.h"
#include "immortal/image.h"

/* Values of every type, also those whose hash has a case of its own. */
static const char *const values[] = {
    "None",
    "True",
    "False",
    "...",
    "NotImplemented",
    "int",
    "ValueError",
    "0",
    "1",
    "-1",
    "-2",
    "257",
    "2**30",
    "2**30-1",
    "2**61-1",
    "-(2**61-1)",
    "2**61",
    "2**61-2",
    "-2**64",
    "3**500",
    "-7**301",
    "0.0",
    "-0.0",
    "1.5",
    "-1.0",
    "1e300",
    "5e-324",
    "2.0**61",
    "1/3",
    "float('inf')",
    "-float('inf')",
    "float('nan')",
    "-2.2250738585072014e-308",
    "123456789.75",
    "1j",
    "0j",
    "-1+0j",
    "complex(1e300, -2.5)",
    "complex(float('inf'), 1)",
    "complex(-1000003, 1)",
    "''",
    "'a'",
    "'ab'",
    "'abcdefg'",
    "'abcdefgh'",
    "'abcdefghi'",
    "'x' * 15",
    "'x' * 16",
    "'x' * 1000",
    "'caf\\xe9'",
    "'\\xff'",
    "'\\u20ac'",
    "'\\U0001f30d!'",
    "'\\ud800'",
    "b''",
    "b'a'",
    "b'ab'",
    "b'abcdefghijk'",
    "bytes(range(256))",
    "()",
    "(1,)",
    "(1, 2, 3)",
    "((), ((),), 'a', (1.5, None))",
    "(-1, -2)",
    "frozenset()",
    "frozenset([1])",
    "frozenset(range(4))",
    "frozenset(range(5))",
    "frozenset('abc')",
    "frozenset([frozenset([1]), frozenset()])",
    "frozenset(range(1000))",
    "frozenset([(1, 'a'), 2.5])",
    "range(0)",
    "range(5, 5)",
    "range(7, 8, 9)",
    "range(1, 10, 3)",
    "range(10**30)",
    "range(0, -10**20, -7)",
    "range(5, 0)",
    "slice(None)",
    "slice(1, 2, 3)",
    "slice((1, 2), 'a')",
    "slice(slice(1), None)",
};

static void
test_same_as_python(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        PyObject *frozen = stoa_test_freeze(values[i]);
        Py_hash_t ours = 0;
        assert_int_equal(stoa__hash_of(frozen, &ours), STOA_OK);
        if (ours != PyObject_Hash(frozen)) {
            fail_msg("hash of %s: %zd, not %zd", values[i], ours, PyObject_Hash(frozen));
        }
    }
}

static void
test_text_of_every_length(void **state)
{
    (void)state;
    char text[200] = {0};
    for (int length = 0; length < 200; length++) {
        for (int i = 0; i < length; i++) {
            text[i] = (char)('0' + (i * 7 + length) % 70);
        }
        PyObject *bytes = PyBytes_FromStringAndSize(text, length);
        assert_int_equal(stoa__hash_bytes(text, (size_t)length), PyObject_Hash(bytes));
        Py_DECREF(bytes);
    }
}

static void
test_algorithm_is_the_builds_own(void **state)
{
    (void)state;
    bool inline_one = stoa__runtime.siphash13;
    Py_hash_t with = stoa__hash_bytes("some text of more than 16 bytes", 31);
    stoa__runtime.siphash13 = false; /* by the function that the build exports */
    Py_hash_t without = stoa__hash_bytes("some text of more than 16 bytes", 31);
    stoa__runtime.siphash13 = inline_one;
    assert_int_equal(with, without);
    assert_string_equal(PyHash_GetFuncDef()->name, inline_one ? "siphash13" : PyHash_GetFuncDef()->name);
}

static void
test_mapping(void **state)
{
    (void)state;
    PyObject *frozen = stoa_test_freeze("{'a': 1, 2: (3, 'x'), (4, 5): None}");
    Py_hash_t hash = 0;
#if STOA_HAS_FROZENDICT
    assert_int_equal(stoa__hash_of(frozen, &hash), STOA_OK);
    assert_int_equal(hash, PyObject_Hash(frozen));
    frozen = stoa_test_freeze("{'a': {'b': {}}}");
    assert_int_equal(stoa__hash_of(frozen, &hash), STOA_OK);
    assert_int_equal(hash, PyObject_Hash(frozen));
#else
    assert_int_equal(stoa__hash_of(frozen, &hash), STOA_ETYPE);
    assert_false(stoa__shared_hash(frozen, &hash));
    assert_non_null(strstr(stoa_error_message(), "not hashable"));
    assert_int_equal(stoa__hash_of(stoa_test_freeze("(1, ({'a': 1},))"), &hash), STOA_ETYPE);
#endif
}

static void
test_dates(void **state)
{
    (void)state;
#if STOA_NATIVE_DATES
    static const char *const dates[] = {
        "datetime.date(2024, 2, 29)",
        "datetime.datetime(1, 1, 1)",
        "datetime.datetime(2020, 5, 6, 7, 8, 9, 10, fold=1)",
        "datetime.datetime(2020, 5, 6, tzinfo=datetime.timezone.utc)",
        "datetime.time(1, 2, 3, 4)",
        "datetime.time(1, tzinfo=datetime.timezone.utc, fold=1)",
        "datetime.timedelta(-5, 3, 1)",
        "datetime.timezone.utc",
    };
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        char expression[200];
        snprintf(expression, sizeof expression, "[%s for datetime in [__import__('datetime')]][0]", dates[i]);
        PyObject *frozen = stoa_test_freeze(expression);
        Py_hash_t hash = 0;
        assert_int_equal(stoa__hash_of(frozen, &hash), STOA_OK);
        assert_int_equal(hash, PyObject_Hash(frozen));
    }
#endif
}

/* A million levels: no recursion, and not a million passes either. */
static void
test_deep(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    PyObject *tuple = stoa__make_int64(&batch, 1), *slice = Py_None;
    uint64_t acc = 0;
    Py_hash_t hash = 1;
    for (int i = 0; i < 1000000; i++) {
        tuple = stoa__make_tuple(&batch, &tuple, 1);
        acc = stoa__hash_mix(STOA_TUPLE_SEED, hash);
        hash = stoa__hash_tuple_end(acc, 1);
    }
    for (int i = 0; i < 100000; i++) {
        slice = stoa__make_slice(&batch, slice, Py_None, Py_None);
    }
    stoa__batch_commit(&batch);
    Py_hash_t deep = 0;
    assert_int_equal(stoa__hash_of(tuple, &deep), STOA_OK);
    assert_int_equal(deep, hash);
    assert_int_equal(stoa__hash_of(slice, &deep), STOA_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_python),
        cmocka_unit_test(test_text_of_every_length),
        cmocka_unit_test(test_algorithm_is_the_builds_own),
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
