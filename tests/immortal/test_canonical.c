#include "immortal/shared.h"

#include "immortal/canonical_table.h"
#include "immortal/cpython/probe.h"
#include "immortal/exceptions.h"
#include "immortal/image.h"

/* Expressions whose values must be the same object in every interpreter, and canonical. */
static const char *const process_wide[] = {
    "None",
    "True",
    "False",
    "...",
    "NotImplemented",
    "0",
    "-5",
    "256",
    "''",
    "'a'",
    "'\\xff'",
    "'\\x00'",
    "b''",
    "b'a'",
    "b'\\xff'",
    "()",
    "int",
    "str",
    "dict",
    "type",
    "object",
    "tuple",
    "frozenset",
    "ValueError",
    "OSError",
    "BaseException",
    "range",
    "type(lambda: 0)",
    "type(None)",
    "type(...)",
    "'__init__'",
    "'__len__'",
    "'__getattr__'",
    "'__eq__'",
    "'__class_getitem__'",
    "'__name__'",
    "type(type.__dict__)",
    "BaseExceptionGroup",
    "memoryview",
    "property",
};
#define COUNT (sizeof process_wide / sizeof process_wide[0])
static PyObject *in_main[COUNT];

static void
look(void *objects)
{
    for (size_t i = 0; i < COUNT; i++) {
        ((PyObject **)objects)[i] = stoa_test_eval(process_wide[i]);
    }
}

static void
test_process_wide(void **state)
{
    (void)state;
    PyObject *in_other[COUNT];
    look(in_main);
    stoa_test_in_interpreter(look, in_other);
    for (size_t i = 0; i < COUNT; i++) {
        if (in_main[i] != in_other[i] || !stoa__is_canonical(in_main[i]) || !stoa__is_shared(in_main[i])) {
            fail_msg("%s: %p and %p", process_wide[i], (void *)in_main[i], (void *)in_other[i]);
        }
        assert_false(stoa__in_heap(in_main[i]));
        PyObject *frozen = stoa_test_freeze(process_wide[i]); /* itself; 3.12 has two of some one-letter names */
        assert_true(frozen == in_main[i] || (PyUnicode_Check(frozen) && PyUnicode_GET_LENGTH(frozen) == 1));
        assert_false(stoa__in_heap(frozen));
    }
}

static void
test_not_process_wide(void **state)
{
    (void)state;
    static const char *const own[] = {"10**9",
                                      "'some text'",
                                      "b'ab'",
                                      "(1,)",
                                      "[]",
                                      "{}",
                                      "object()",
                                      "type('C', (), {})",
                                      "__import__('sys')",
                                      "print",
                                      "frozenset()",
                                      "1.5",
                                      "__import__('collections').deque",
                                      "__import__('types').SimpleNamespace()",
                                      "type('S', (str,), {})('a')",
                                      "type('I', (int,), {})(1)",
                                      "-6",
                                      "5000"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        PyObject *object = stoa_test_eval(own[i]);
        if (stoa__is_canonical(object)) {
            fail_msg("%s", own[i]);
        }
        Py_DECREF(object);
    }
}

/* Type slots are updated by the pointer of the name: every name that has a slot must be the runtime's (hazards section 2). */
static void
test_all_slot_names(void **state)
{
    (void)state;
    PyObject *names = stoa_test_eval("sorted({n for t in (int, str, list, dict, set, type, object, float, "
                                     "bytearray, memoryview, type(lambda: 0), BaseException, "
                                     "type((i for i in ())), type(type.__dict__), property) for n in vars(t) "
                                     "if n[:2] == '__' == n[-2:] and "
                                     "type(vars(t)[n]).__name__ == 'wrapper_descriptor'} | {'__new__', "
                                     "'__del__', '__getattr__', '__call__', '__await__', '__aiter__', "
                                     "'__anext__', '__matmul__', '__rmatmul__', '__imatmul__', '__set__', "
                                     "'__delete__', '__get__', '__buffer__', '__release_buffer__'})");
    assert_true(PyList_GET_SIZE(names) > 60);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(PyList_GET_ITEM(names, i), &size);
        PyObject *ours = stoa__canonical_ascii(text, (size_t)size),
                 *interned = PyUnicode_InternFromString(text);
        if (ours == NULL || ours != interned) {
            fail_msg("%s is not canonical", text);
        }
        Py_DECREF(interned);
    }
    Py_DECREF(names);
    assert_true(stoa__canonical.string_count > 500);
    assert_null(stoa__canonical_ascii("no such name", 12));
}

static void
test_tables(void **state)
{
    (void)state;
    int64_t high = STOA_LAST_SMALL_INT;
    assert_int_equal(stoa__canonical.int_low, -5);
    assert_int_equal(stoa__canonical.int_high, high);
    for (int64_t i = -5; i <= high; i++) {
        assert_int_equal(PyLong_AsLong(stoa__canonical_int(i)), i);
        assert_true(stoa__is_canonical(stoa__canonical_int(i)));
    }
    assert_null(stoa__canonical_int(-6));
    assert_null(stoa__canonical_int(high + 1));
    assert_null(stoa__canonical_int(INT64_MIN));
    assert_null(stoa__canonical_char(256));
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i;
        assert_int_equal(PyUnicode_READ_CHAR(stoa__canonical_char(i), 0), i);
        assert_int_equal((unsigned char)PyBytes_AS_STRING(stoa__canonical_bytes(&byte, 1))[0], i);
        assert_int_not_equal(((PyASCIIObject *)stoa__canonical_char(i))->hash, -1); /* tables of keys rely on it */
    }
    assert_null(stoa__canonical_bytes("ab", 2));
    assert_int_equal(PyTuple_GET_SIZE(stoa__canonical_empty_tuple()), 0);
}

static void
init_again(void *unused)
{
    (void)unused;
    assert_int_equal(stoa__canonical_init(), 0);
}

static void
test_probes_leave_nothing(void **state)
{
    (void)state;
    stoa_region_stats was, now;
    stoa__region_get_stats(stoa__region_default(), &was);
    assert_int_equal(stoa__probe(), 0);
    stoa_test_in_interpreter(init_again, NULL);
    stoa__region_get_stats(stoa__region_default(), &now);
    assert_int_equal(now.used_bytes, was.used_bytes);
    assert_int_equal(now.objects, was.objects);
}

/* A fact that does not hold is an exception that names it. */
static void
test_a_false_fact_is_found(void **state)
{
    (void)state;
    stoa__runtime.secret[0] ^= 1;
    bool siphash = stoa__runtime.siphash13;
    int result = stoa__probe();
    stoa__runtime.secret[0] ^= 1;
    if (!siphash) {
        return; /* the hash does not go by our copy of the secret */
    }
    assert_int_equal(result, -1);
    PyObject *error = PyErr_GetRaisedException(), *text = PyObject_Str(error);
    assert_ptr_equal(Py_TYPE(error), stoa__exception(STOA_EXC_UnsupportedPython));
    assert_non_null(strstr(PyUnicode_AsUTF8(text), "hash"));
    Py_DECREF(text);
    Py_DECREF(error);
    vectorcallfunc call = stoa__runtime.ref_vectorcall;
    stoa__runtime.ref_vectorcall = NULL;
    assert_int_equal(stoa__probe(), -1);
    PyErr_Clear();
    stoa__runtime.ref_vectorcall = call;
    assert_int_equal(stoa__probe(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_wide),         cmocka_unit_test(test_not_process_wide),
        cmocka_unit_test(test_all_slot_names),       cmocka_unit_test(test_tables),
        cmocka_unit_test(test_probes_leave_nothing), cmocka_unit_test(test_a_false_fact_is_found),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
