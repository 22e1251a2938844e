#include "immortal/shared.h"

#include "immortal/image.h"

#if STOA_NATIVE_DATES

static PyObject *
date(const char *expression)
{
    char text[200];
    snprintf(text, sizeof text, "eval(\"%s\", vars(__import__('datetime')).copy())", expression);
    return stoa_test_eval(text);
}

static const char *const dates[] = {
    "date(1, 1, 1)",
    "date(9999, 12, 31)",
    "time()",
    "time(23, 59, 59, 999999)",
    "time(1, fold=1)",
    "time(2, tzinfo=timezone.utc)",
    "datetime(2024, 2, 29, 12, 30, 1, 5)",
    "datetime(2024, 2, 29, fold=1)",
    "datetime(2024, 2, 29, tzinfo=timezone.utc)",
    "datetime(2024, 2, 29, tzinfo=timezone.utc, fold=1)",
    "timedelta()",
    "timedelta(-1, 5, 7)",
    "timedelta.max",
};

static void
test_like_real_ones(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        PyObject *real = date(dates[i]), *image = stoa__make_datetime_like(&batch, real);
        assert_non_null(image);
        assert_ptr_equal(image, stoa__make_datetime_like(&batch, real));
        stoa_test_verify(image);
        assert_int_equal(PyObject_RichCompareBool(image, real, Py_EQ), 1);
        assert_int_equal(PyObject_Hash(image), PyObject_Hash(real));
        PyObject *text = PyObject_Repr(image), *real_text = PyObject_Repr(real);
        assert_string_equal(PyUnicode_AsUTF8(text), PyUnicode_AsUTF8(real_text)); /* all fields, fold too */
        Py_DECREF(text);
        Py_DECREF(real_text);
        Py_DECREF(real);
    }
    stoa__batch_commit(&batch);
}

static void
test_refused(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    PyObject *other = date("datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2)))");
    assert_null(stoa__make_datetime_like(&batch, other));
    assert_int_equal(batch.err, STOA_ETYPE);
    assert_non_null(strstr(stoa_error_message(), "astimezone"));
    assert_null(stoa__make_datetime_like(&batch, Py_None));
    stoa__batch_abort(&batch);
    Py_DECREF(other);
}

/* hazards W10 and section 5: also in an interpreter that has never imported datetime itself. */
static const char uses[] = "import gc\n"
                           "for d in x:\n"
                           "    hash(d); repr(d); str(d); d == d; d != x[0]; {d: 1}[d]; gc.is_tracked(d); "
                           "d.__class__; type(d).__name__\n"
                           "x[0].year; x[0].isoformat(); x[0].weekday(); x[0].toordinal(); "
                           "x[1].replace(hour=3); x[1].timestamp(); x[1].date(); x[1].time()\n"
                           "x[2].total_seconds(); x[2] * 2; x[1] + x[2]; x[1] - x[1]; x[3].isoformat(); "
                           "x[3].tzinfo.utcoffset(None); x[4].astimezone()\n"
                           "import datetime, pickle, copy\n"
                           "for d in x:\n"
                           "    assert type(d).__module__ == 'datetime' and isinstance(d, (datetime.date, "
                           "datetime.time, datetime.timedelta))\n"
                           "    assert pickle.loads(pickle.dumps(d)) == d == copy.deepcopy(d)\n";

static void
check_uses(void *shared)
{
    if (stoa__canonical_init() < 0) { /* as `import stoa` does in each interpreter */
        PyErr_Print();
        fail();
    }
    assert_int_equal(stoa_test_writes(shared, uses), 0);
}

static void
test_nothing_is_written(void **state)
{
    (void)state;
    PyObject *shared = stoa_test_freeze(
        "eval(\"(date(2020, 1, 2), datetime(2020, 1, 2, 3), timedelta(3), time(4, tzinfo=timezone.utc),"
        " datetime(2020, 1, 1, tzinfo=timezone.utc))\", vars(__import__('datetime')).copy())");
    stoa_test_verify(shared);
    stoa_test_in_interpreter(check_uses, shared);
    check_uses(shared);
}

#else

static void
test_refused(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    PyObject *date = stoa_test_eval("__import__('datetime').date(2020, 1, 1)");
    assert_null(stoa__make_datetime_like(&batch, date));
    assert_int_equal(batch.err, STOA_ETYPE);
    assert_non_null(strstr(stoa_error_message(), "3.13"));
    stoa__batch_abort(&batch);
    Py_DECREF(date);
}

#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
#if STOA_NATIVE_DATES
        cmocka_unit_test(test_like_real_ones),
        cmocka_unit_test(test_nothing_is_written),
#endif
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
