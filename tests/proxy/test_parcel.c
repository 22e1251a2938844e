/* Parcels: what they hold, what they give back, and that a failed packing leaves nothing behind. */
#include "proxy/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "immortal/exceptions.h"
#include "proxy/by_copy.h"
#include "proxy/cross.h"
#include "proxy/exception.h"
#include "proxy/membership.h"
#include "records.h"

static void
grows_and_keeps_its_bytes(void **state)
{
    (void)state;
    stoa_parcel parcel;
    stoa__parcel_init(&parcel);
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(stoa__parcel_write_op(&parcel, (unsigned char)i, i * 7u), 0);
    }
    assert_int_equal(parcel.size, 90000);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t operand;
        memcpy(&operand, parcel.data + 9u * i + 1, sizeof(operand));
        assert_int_equal(operand, i * 7u);
    }
    stoa__parcel_clear(&parcel);
    assert_int_equal(parcel.size, 0);
}

static void
large_text_is_held_unless_detached(void **state)
{
    (void)state;
    PyObject *text = stoa_test_eval("'x' * 100_000 + str(id(object))");
    Py_ssize_t refs = Py_REFCNT(text);
    stoa_parcel parcel;
    assert_int_equal(stoa__pack(text, "x", 0, &parcel), 0);
    assert_int_equal(parcel.held_count, 1);
    assert_true(parcel.size < 100);
    PyObject *copy = stoa__unpack(&parcel);
    assert_int_equal(PyUnicode_Compare(text, copy), 0);
    assert_ptr_not_equal(text, copy);
    Py_DECREF(copy);
    stoa__parcel_clear(&parcel);
    assert_int_equal(Py_REFCNT(text), refs);
    assert_int_equal(stoa__pack(text, "x", STOA_PACK_DETACHED, &parcel), 0);
    assert_int_equal(parcel.held_count, 0);
    assert_true(parcel.size > 100000);
    assert_int_equal(Py_REFCNT(text), refs);
    stoa__parcel_abandon(&parcel);
    Py_DECREF(text);
}

static void
a_refusal_leaves_nothing(void **state)
{
    (void)state;
    PyObject *value = stoa_test_eval("(lambda t: (t[2].append(t), t)[1])(('x' * 100_000, ('a', [1]), []))");
    PyObject *text = PyTuple_GET_ITEM(value, 0);
    Py_ssize_t refs = Py_REFCNT(text);
    stoa_parcel parcel;
    PyObject *marked = stoa__by_copy(value); /* it contains itself */
    assert_int_equal(stoa__pack(marked, "x", 0, &parcel), -1);
    assert_true(PyErr_ExceptionMatches(stoa__exception(STOA_EXC_NotFreezable)));
    PyErr_Clear();
    Py_DECREF(marked);
    assert_int_equal(parcel.held_count, 0);
    assert_int_equal(Py_REFCNT(text), refs);
    Py_DECREF(value);
}

static void
the_bag_crosses_by_value(void **state)
{
    (void)state;
    PyObject *bag = stoa_test_eval("{'a': 1, 'b': (2, 'c')}");
    stoa_parcel parcel;
    assert_int_equal(stoa__pack(bag, "x", STOA_PACK_TOP, &parcel), 0);
    PyObject *copy = stoa__unpack(&parcel);
    assert_true(stoa_test_holds(copy, "x == {'a': 1, 'b': (2, 'c')} and type(x) is dict"));
    Py_DECREF(copy);
    stoa__parcel_clear(&parcel);
    assert_int_equal(stoa__pack(bag, "x", 0, &parcel), 0); /* by handle: here it comes home */
    assert_int_equal(parcel.handle_count, 1);
    copy = stoa__unpack(&parcel);
    assert_ptr_equal(copy, bag);
    Py_DECREF(copy);
    stoa__parcel_clear(&parcel);
    Py_DECREF(bag);
}

/* What `expression` takes up, and that what arrives is equal. */
static size_t
packed_size(const char *expression)
{
    PyObject *value = stoa_test_eval(expression);
    stoa_parcel parcel;
    assert_int_equal(stoa__pack(value, "x", STOA_PACK_COPY, &parcel), 0);
    PyObject *copy = stoa__unpack(&parcel);
    assert_int_equal(PyObject_RichCompareBool(copy, value, Py_EQ), 1);
    size_t size = parcel.size;
    stoa__parcel_clear(&parcel);
    Py_DECREF(copy);
    Py_DECREF(value);
    return size;
}

static void
numbers_take_as_many_bytes_as_the_widest(void **state)
{
    (void)state;
    assert_in_range(packed_size("[i % 256 - 128 for i in range(100_000)]"), 100000, 102000);
    assert_in_range(packed_size("[i % 65_536 - 32_768 for i in range(100_000)]"), 200000, 202000);
    assert_in_range(packed_size("[i * 21_474 for i in range(100_000)]"), 400000, 402000);
    assert_in_range(packed_size("[i << 40 for i in range(100_000)]"), 800000, 802000);
    assert_in_range(packed_size("[i / 7 for i in range(100_000)]"), 800000, 802000);
    assert_in_range(packed_size("[1 << 100, *range(100), -(1 << 100)]"), 100, 300);
}

/* A new list and its two items: nothing by which it could be recalled. */
static void
what_can_be_met_once_is_not_numbered(void **state)
{
    (void)state;
    stoa_parcel parcel;
    PyObject *once = stoa_test_eval("[[i, str(i)] for i in range(1000)]");
    assert_int_equal(stoa__pack(once, "x", STOA_PACK_COPY, &parcel), 0);
    size_t size = parcel.size;
    stoa__parcel_clear(&parcel);
    PyObject *others = PySequence_Tuple(once); /* somebody else has them, too */
    assert_int_equal(stoa__pack(once, "x", STOA_PACK_COPY, &parcel), 0);
    assert_int_equal(parcel.size, size + 1000);
    stoa__parcel_clear(&parcel);
    Py_DECREF(others);
    Py_DECREF(once);
}

static void
exceptions_are_described(void **state)
{
    (void)state;
    stoa_parcel parcel;
    PyErr_SetString(PyExc_KeyError, "where");
    stoa__exception_pack(&parcel);
    assert_false(PyErr_Occurred() != NULL);
    PyObject *instance = stoa__exception_unpack(&parcel);
    assert_true(stoa_test_holds(instance, "type(x) is KeyError and x.args == ('where',)"));
    assert_true(stoa_test_holds(instance, "'KeyError' in x.__cause__.text"));
    Py_DECREF(instance);
    assert_null(stoa__exception_raise(&parcel));
    assert_true(PyErr_ExceptionMatches(PyExc_KeyError));
    PyErr_Clear();
    stoa__parcel_init(&parcel); /* nothing could be said */
    assert_null(stoa__exception_raise(&parcel));
    assert_true(PyErr_ExceptionMatches(PyExc_MemoryError));
    PyErr_Clear();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_its_bytes),
        cmocka_unit_test(large_text_is_held_unless_detached),
        cmocka_unit_test(a_refusal_leaves_nothing),
        cmocka_unit_test(the_bag_crosses_by_value),
        cmocka_unit_test(numbers_take_as_many_bytes_as_the_widest),
        cmocka_unit_test(what_can_be_met_once_is_not_numbered),
        cmocka_unit_test(exceptions_are_described),
    };
    return cmocka_run_group_tests(tests, stoa_test_records_setup, stoa_test_python_teardown);
}
