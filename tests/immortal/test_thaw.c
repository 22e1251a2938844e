#include "immortal/freeze.h"

#include "heap/process.h"
#include "immortal/canonical.h"
#include "support/python_embed.h"
#include "support/python_immortal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static PyObject *
thawed(const char *expression, bool freeze_first)
{
    PyObject *source = stoa_test_eval(expression);
    if (freeze_first) {
        PyObject *twin = stoa__freeze(source, NULL, STOA_FREEZE_CONVERT | STOA_FREEZE_INTERN);
        assert_non_null(twin);
        Py_SETREF(source, twin);
    }
    PyObject *copy = stoa__thaw(source);
    Py_DECREF(source);
    return copy;
}

static void
containers_become_mutable_at_every_level(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        PyObject *copy = thawed("{'a': (1, [2, {3}], {'b': ()}), (1, 2): frozenset({(4, 5)})}", first == 1);
        assert_non_null(copy);
        assert_true(stoa_test_holds(copy, "x == {'a': [1, [2, {3}], {'b': []}], (1, 2): {(4, 5)}}"));
        assert_true(stoa_test_holds(
            copy, "type(x) is dict and type(x[(1, 2)]) is set and type(x['a'][2]['b']) is list"));
        Py_DECREF(copy);
    }
}

static void
a_refused_source_gives_back_all_it_held(void **state)
{
    (void)state;
    PyObject *bad = stoa_test_eval("object()");
    PyObject *source = Py_BuildValue("[O,[O,{s:O}]]", Py_None, Py_True, "k", bad);
    Py_ssize_t before = Py_REFCNT(bad);
    for (int i = 0; i < 10; i++) {
        assert_null(stoa__thaw(source));
        assert_true(PyErr_ExceptionMatches(PyExc_TypeError));
        PyErr_Clear();
    }
    assert_int_equal(Py_REFCNT(bad), before);
    Py_DECREF(source);
    Py_DECREF(bad);
}

static void
depth_costs_no_c_stack(void **state)
{
    (void)state;
    const int wanted = 1000000; /* 8 bytes of C stack a level would be too many */
    PyObject *value = stoa_test_nested_tuples(wanted);
    PyObject *copy = stoa__thaw(value);
    assert_non_null(copy);
    int levels = 0;
    for (PyObject *o = copy; PyList_Check(o); o = PyList_GET_ITEM(o, 0)) {
        levels++;
    }
    assert_int_equal(levels, wanted);
    Py_DECREF(copy);
    Py_DECREF(value);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_become_mutable_at_every_level),
        cmocka_unit_test(a_refused_source_gives_back_all_it_held),
        cmocka_unit_test(depth_costs_no_c_stack),
    };
    return cmocka_run_group_tests(tests, stoa_test_immortal_setup, stoa_test_python_teardown);
}
