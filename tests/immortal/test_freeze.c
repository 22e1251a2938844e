#include "immortal/freeze.h"

#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/exceptions.h"
#include "support/python_embed.h"
#include "support/python_immortal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CONVERT STOA_FREEZE_CONVERT
#define INTERN STOA_FREEZE_INTERN

static PyObject *
frozen(const char *expression, stoa_region *region, unsigned flags)
{
    PyObject *source = stoa_test_eval(expression);
    PyObject *twin = stoa__freeze(source, region, flags);
    Py_DECREF(source);
    return twin;
}

static void
every_flag_gives_an_equal_twin(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        PyObject *twin = frozen("(1, 'text', (2.5, b'bytes'), frozenset({3, 10**30}), None)", NULL, flags);
        assert_non_null(twin);
        assert_true(stoa__in_heap(twin));
        assert_true(stoa_test_holds(twin, "x == (1, 'text', (2.5, b'bytes'), frozenset({3, 10**30}), None)"));
    }
    assert_non_null(frozen("[1, {'a': {2}}]", NULL, CONVERT));
    assert_null(frozen("(1, {'a': {2}})", NULL, INTERN));
    assert_true(PyErr_ExceptionMatches(stoa__exception(STOA_EXC_NotFreezable)));
    PyErr_Clear();
}

static void
freezing_the_frozen_returns_it(void **state)
{
    (void)state;
    PyObject *twin = frozen("[1000, {'a': 'b' * 50}]", NULL, CONVERT | INTERN);
    stoa_region_stats before, after;
    stoa__region_get_stats(stoa__region_default(), &before);
    assert_ptr_equal(stoa__freeze(twin, NULL, CONVERT | INTERN), twin);
    assert_ptr_equal(stoa__freeze(twin, NULL, 0), twin);
    stoa__region_get_stats(stoa__region_default(), &after);
    assert_int_equal(before.freezes, after.freezes);
}

static void
the_dict_behind_a_shared_proxy_is_no_frozen_value(void **state)
{
    (void)state;
    PyObject *twin = frozen("{'a': 1000}", NULL, CONVERT | INTERN);
    if (!Py_IS_TYPE(twin, &PyDictProxy_Type)) {
        return; /* from 3.15 on there is none behind it */
    }
    PyObject *leak = stoa_test_eval(
        "type('Leak', (), {'__eq__': lambda self, other: setattr(self, 'd', other)})()");
    PyObject *answer = PyObject_RichCompare(twin, leak, Py_EQ);
    Py_XDECREF(answer);
    PyObject *dict = PyObject_GetAttrString(leak, "d");
    assert_non_null(dict);
    assert_true(PyDict_CheckExact(dict) && stoa__in_heap(dict));
    PyObject *again = stoa__freeze(dict, NULL, CONVERT | INTERN);
    assert_ptr_equal(again, twin);
    assert_null(stoa__freeze(dict, NULL, INTERN));
    PyErr_Clear();
    Py_DECREF(dict);
    Py_DECREF(leak);
}

/* Freezes into a region with a limit, which must fail, and looks whether bytes and objects are as before. */
static void
assert_leaves_nothing(const char *expression, size_t limit, unsigned flags, PyObject *error)
{
    stoa_region *region = NULL;
    stoa_region_stats before, after;
    assert_int_equal(stoa__region_new("limited", limit, &region), STOA_OK);
    assert_non_null(frozen("[1.25, 'kept text']", region, CONVERT | INTERN));
    stoa__region_get_stats(region, &before);
    assert_null(frozen(expression, region, flags));
    assert_true(PyErr_ExceptionMatches(error));
    PyErr_Clear();
    stoa__region_get_stats(region, &after);
    assert_int_equal(after.used_bytes, before.used_bytes);
    assert_int_equal(after.objects, before.objects);
    assert_int_equal(after.intern_entries, before.intern_entries);
    stoa__region_unref(region);
}

static void
a_failed_freeze_leaves_nothing(void **state)
{
    (void)state;
    PyObject *refused = stoa__exception(STOA_EXC_NotFreezable);
    for (unsigned flags = CONVERT; flags <= (CONVERT | INTERN); flags += INTERN) {
        assert_leaves_nothing("[[str(i), i * 1.5] for i in range(10**5)] + [object()]", 0, flags, refused);
        assert_leaves_nothing("[[str(i), i * 1.5] for i in range(10**5)]", 2000000, flags, PyExc_MemoryError);
        assert_leaves_nothing("{i: str(i) for i in range(10**5)}", 2000000, flags, PyExc_MemoryError);
        assert_leaves_nothing("['x' * 10**7]", 2000000, flags, PyExc_MemoryError);
        assert_leaves_nothing("(lambda a: a.append(a) or a)([[str(i)] for i in range(1000)])", 0, flags,
                              refused);
    }
}

static void
containers_of_every_size_cross_the_first_stacks(void **state)
{
    (void)state;
    for (int n = 0; n < 300; n += 7) { /* the slots inside the walk's own struct run out between */
        char text[160];
        snprintf(text, sizeof(text), "[list(range(%d)), {i: str(i) for i in range(%d)}, set(range(%d))]", n,
                 n, n);
        PyObject *twin = frozen(text, NULL, CONVERT);
        assert_non_null(twin);
        snprintf(text, sizeof(text),
                 "list(x[0]) == list(range(%d)) and dict(x[1]) == {i: str(i) for i in range(%d)}", n, n);
        assert_true(stoa_test_holds(twin, text));
    }
}

static void
depth_costs_no_c_stack(void **state)
{
    (void)state;
    const int wanted = 1000000; /* 8 bytes of C stack a level would be too many */
    PyObject *value = stoa_test_nested_tuples(wanted);
    stoa_region *region = NULL;
    assert_int_equal(stoa__region_new("deep", 0, &region), STOA_OK);
    PyObject *twin = stoa__freeze(value, region, 0);
    assert_non_null(twin);
    int levels = 0;
    for (PyObject *o = twin; PyTuple_Check(o); o = PyTuple_GET_ITEM(o, 0)) {
        levels++;
    }
    assert_int_equal(levels, wanted);
    Py_DECREF(value);
    stoa__region_unref(region);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flag_gives_an_equal_twin),
        cmocka_unit_test(freezing_the_frozen_returns_it),
        cmocka_unit_test(the_dict_behind_a_shared_proxy_is_no_frozen_value),
        cmocka_unit_test(a_failed_freeze_leaves_nothing),
        cmocka_unit_test(containers_of_every_size_cross_the_first_stacks),
        cmocka_unit_test(depth_costs_no_c_stack),
    };
    return cmocka_run_group_tests(tests, stoa_test_immortal_setup, stoa_test_python_teardown);
}
