#include "immortal/shared.h"

#include "immortal/image.h"
#include "immortal/lookup.h"

static void
test_mapping(void **state)
{
    (void)state;
    PyObject *mapping = stoa_test_freeze(
        "{'one': 1, 'caf\\xe9': 2, '\\u20ac': 3, 4: 'four', (5, 'x'): None, 6.5: True, b'seven': 7}");
    PyObject *texts = stoa_test_freeze("{'key%d' % i: i for i in range(500)}");
    assert_ptr_equal(stoa__mapping_find(mapping, stoa_test_freeze("'one'")), stoa__canonical_int(1));
    assert_ptr_equal(stoa__mapping_find(mapping, stoa_test_freeze("'caf\\xe9'")), stoa__canonical_int(2));
    assert_ptr_equal(stoa__mapping_find(mapping, stoa_test_freeze("'\\u20ac'")), stoa__canonical_int(3));
    assert_null(stoa__mapping_find(mapping, stoa_test_freeze("'on'")));
    assert_null(stoa__mapping_find(mapping, stoa_test_freeze("''")));
    assert_true(stoa__mapping_find(mapping, stoa__canonical_int(4)) == stoa_test_freeze("'four'"));
    assert_ptr_equal(stoa__mapping_find(mapping, stoa_test_freeze("(5.0, 'x')")), Py_None);
    assert_ptr_equal(stoa__mapping_find(mapping, stoa_test_freeze("6.5")), Py_True);
    assert_ptr_equal(stoa__mapping_find(mapping, stoa_test_freeze("b'seven'")), stoa__canonical_int(7));
    assert_null(stoa__mapping_find(mapping, stoa_test_freeze("b'one'")));
    assert_null(stoa__mapping_find(mapping, mapping));
    for (int i = 0; i < 500; i++) {
        char name[20];
        snprintf(name, sizeof name, "'key%d'", i);
        PyObject *value = stoa__mapping_find(texts, stoa_test_freeze(name));
        assert_non_null(value);
        assert_int_equal(PyLong_AsLong(value), i);
    }
    assert_null(stoa__mapping_find(stoa_test_freeze("{}"), Py_None));
}

static void
test_frozenset(void **state)
{
    (void)state;
    PyObject *set = stoa_test_freeze(
        "frozenset([1, 'two', (3, 4), frozenset([5]), None] + list(range(100, 200)))");
    static const char *const in[] = {"1",    "1.0", "True", "'two'", "(3.0, 4)", "frozenset([5.0])",
                                     "None", "150"};
    static const char *const out[] = {"2", "'one'", "(3, 5)", "frozenset()", "False", "b'two'", "200"};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        assert_true(stoa__frozenset_has(set, stoa_test_freeze(in[i])));
    }
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++) {
        assert_false(stoa__frozenset_has(set, stoa_test_freeze(out[i])));
    }
    assert_false(stoa__frozenset_has(stoa_test_freeze("frozenset()"), Py_None));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_frozenset),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
