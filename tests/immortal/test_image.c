#include "immortal/shared.h"

#include "immortal/hash.h"
#include "immortal/image.h"

static void
test_ints(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    static const int64_t values[] = {0,    1,    -1,      -5,         -6,        256,      257,
                                     1024, 1025, 1 << 30, -(1 << 30), INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        PyObject *image = stoa__make_int64(&batch, values[i]), *real = PyLong_FromLongLong(values[i]);
        assert_int_equal(PyObject_RichCompareBool(image, real, Py_EQ), 1);
        assert_int_equal(image == real, !stoa__in_heap(image)); /* small ints are the runtime's own */
        PyObject *again = stoa__make_int_bytes(&batch, &values[i], sizeof values[i], true);
        assert_ptr_equal(image, again);
        if (values[i] >= 0) {
            assert_ptr_equal(image, stoa__make_int_bytes(&batch, &values[i], sizeof values[i], false));
        }
        Py_DECREF(real);
    }
    stoa__batch_commit(&batch);
}

/* Every length and sign of two's complement bytes, against int.from_bytes. */
static void
test_int_bytes(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    unsigned char bytes[300] = {0};
    PyObject *type = (PyObject *)&PyLong_Type;
    for (size_t size = 0; size < sizeof bytes; size += size < 40 ? 1 : 37) {
        for (int pattern = 0; pattern < 6; pattern++) {
            for (size_t i = 0; i < size; i++) {
                bytes[i] = pattern == 0   ? 0
                           : pattern == 1 ? 0xFF
                           : pattern == 2 ? (i + 1 == size ? 0x80 : 0)
                           : pattern == 3 ? (i + 1 == size ? 0x7F : 0xFF)
                                          : (unsigned char)(i * 41 + (size_t)pattern * 97);
            }
            for (int is_signed = 0; is_signed < 2; is_signed++) {
                PyObject *args = Py_BuildValue(
                    "(Ns)", PyBytes_FromStringAndSize((char *)bytes, (Py_ssize_t)size), "little");
                PyObject *kwargs = Py_BuildValue("{s:i}", "signed", is_signed),
                         *from = PyObject_GetAttrString(type, "from_bytes");
                PyObject *real = PyObject_Call(from, args, kwargs);
                PyObject *image = stoa__make_int_bytes(&batch, bytes, size, is_signed);
                assert_non_null(real);
                assert_int_equal(PyObject_RichCompareBool(image, real, Py_EQ), 1);
                stoa_test_verify(image);
                Py_DECREF(args);
                Py_DECREF(kwargs);
                Py_DECREF(from);
                Py_DECREF(real);
            }
        }
    }
    stoa__batch_commit(&batch);
}

static void
test_interning_is_exact(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    double other_nan;
    uint64_t bits = UINT64_C(0x7ff8000000000001);
    memcpy(&other_nan, &bits, sizeof bits);
    assert_ptr_equal(stoa__make_float(&batch, 2.5), stoa__make_float(&batch, 2.5));
    assert_ptr_not_equal(stoa__make_float(&batch, 0.0), stoa__make_float(&batch, -0.0));
    assert_ptr_equal(stoa__make_float(&batch, NAN), stoa__make_float(&batch, NAN));
    assert_ptr_not_equal(stoa__make_float(&batch, NAN), stoa__make_float(&batch, other_nan));
    assert_ptr_not_equal((void *)stoa__make_float(&batch, 1e9), (void *)stoa__make_int64(&batch, 1000000000));
    assert_ptr_equal(stoa__make_complex(&batch, 1, 2), stoa__make_complex(&batch, 1, 2));
    assert_ptr_not_equal(stoa__make_complex(&batch, 0.0, 2), stoa__make_complex(&batch, -0.0, 2));
    assert_ptr_equal(stoa__make_bytes(&batch, "some", 4, -1), stoa__make_bytes(&batch, "some", 4, -1));
    assert_ptr_not_equal(stoa__make_bytes(&batch, "some", 4, -1), stoa__make_str_utf8(&batch, "some", 4));
    assert_ptr_not_equal(stoa__make_int64(&batch, 123456), stoa__make_int64(&batch, -123456));
    PyObject *one[] = {stoa__canonical_int(1)}, *true_[] = {Py_True}, *float_[] = {stoa__make_float(&batch, 1)};
    PyObject *a = stoa__make_tuple(&batch, one, 1), *b = stoa__make_tuple(&batch, true_, 1),
             *c = stoa__make_tuple(&batch, float_, 1);
    assert_true(a != b && b != c && a != c);
    assert_ptr_equal(a, stoa__make_tuple(&batch, one, 1));
    assert_ptr_equal(stoa__make_slice(&batch, one[0], Py_None, a),
                     stoa__make_slice(&batch, one[0], Py_None, a));
    PyObject *two = stoa__canonical_int(2);
    assert_ptr_equal(stoa__make_range(&batch, one[0], two, one[0], one[0]),
                     stoa__make_range(&batch, one[0], two, one[0], one[0]));
    stoa__batch_commit(&batch);
    batch = stoa_test_batch(0); /* switched off: each a new one */
    assert_ptr_not_equal(stoa__make_float(&batch, 2.5), stoa__make_float(&batch, 2.5));
    stoa__batch_abort(&batch);
}

static void
test_aborted_objects_are_not_found_again(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    PyObject *lost = stoa__make_str_utf8(&batch, "never committed", 15);
    assert_non_null(lost);
    stoa__batch_abort(&batch);
    batch = stoa_test_batch(STOA_BATCH_INTERN);
    PyObject *kept = stoa__make_str_utf8(&batch, "never committed", 15);
    stoa__batch_commit(&batch);
    stoa_test_verify(kept);
}

/* Heap bytes are no more than what sys.getsizeof says of the same object, rounded to 8: no padding, no hidden fields. */
static void
test_sizes(void **state)
{
    (void)state;
    static const char *const values[] = {"12345678",       "2**100",    "1.5",       "2j",
                                         "b'abc'",         "'abc'",     "(1, 2, 3)", "range(5, 900, 2)",
                                         "slice(1, 2, 3)", "'x' * 1000"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char expression[100];
        snprintf(expression, sizeof expression, "__import__('sys').getsizeof(%s)", values[i]);
        PyObject *size = stoa_test_eval(expression), *source = stoa_test_eval(values[i]);
        stoa_region_stats was, now;
        stoa__region_get_stats(stoa__region_default(), &was);
        assert_non_null(stoa__freeze(source, stoa__region_default(), 0));
        stoa__region_get_stats(stoa__region_default(), &now);
        size_t children = strcmp(values[i], "range(5, 900, 2)") == 0
                              ? 2 * 32
                              : 0; /* its bounds and its length are objects */
        if (now.used_bytes - was.used_bytes > ((PyLong_AsSize_t(size) + 7) & ~(size_t)7) + children) {
            fail_msg("%s takes %zu bytes", values[i], now.used_bytes - was.used_bytes);
        }
        Py_DECREF(size);
        Py_DECREF(source);
    }
}

/* Uses that made CPython write before the fields were filled in (hazards W7, W8, W14-W16, W18, W19, W23, W24). */
static const char uses[] =
    "import gc, sys, copy, pickle, marshal, weakref, io, json\n"
    "t, b, f, i, c, r, s, big = x\n"
    "for o in x:\n"
    "    hash(o); repr(o); o == o; {o: 1}; {o}; bool(o); copy.copy(o); copy.deepcopy(o); sys.getsizeof(o); "
    "sys.getrefcount(o)\n"
    "    pickle.loads(pickle.dumps(o)); gc.is_tracked(o); gc.get_referents(o); isinstance(o, str); "
    "o.__class__; [o] * 1000\n"
    "    assert not gc.is_tracked(o)\n"
    "for o in (t, b, f, i, c, big): marshal.loads(marshal.dumps(o))\n"
    "hash((t, t)); t + (1,); t[0]; t[:1]; list(t); t.index(t[1]); t * 2; len(t); a, *rest = t; [*t]\n"
    "b + b'x'; b[0]; b.hex(); bytearray(b); memoryview(b)[1:]; b.decode('latin-1'); io.BytesIO(b).read(); "
    "{b: b}[b]; b.replace(b'a', b'b')\n"
    "f + 1; f * f; round(f); i + 1; i << 100; -i; i.to_bytes(8, 'little'); big % 7; big ** 2; str(big); "
    "float(i); c * c; abs(c)\n"
    "list(r); r[1]; r.index(r[0]); r[1:]; len(r); reversed(r); s.indices(10); 'abcdef'[s]; (1, 2, 3)[s]\n"
    "z = t\nz += (5,)\nz = b\nz += b'q'\n"
    "gc.collect(); gc.freeze(); gc.unfreeze(); gc.get_objects()\n"
    "l = [x, t]\nl.append(l)\ndel l\ngc.collect()\n"
    "def g(v=t, *, w=b): return v, w\n"
    "g(*t[:1]); g(**{'w': f})\n"
    "for _ in range(2000):\n"
    "    q = i + i; q = f * f; q = t[1]; u, *v = t; q = i < big; q = b[1]; q = t == x\n"
    "try: weakref.ref(t)\nexcept TypeError: pass\n";

static void
test_nothing_is_written(void **state)
{
    (void)state;
    PyObject *shared = stoa_test_freeze(
        "((1, 'two', 3.0), b'some bytes', 2.5, 123456, 1+2j, range(300, 900, 7), slice(1, 300, 2), 3**200)");
    stoa_test_verify(shared);
    stoa_test_never_writes(shared, uses);
}

static void
test_extremes_are_refused(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    assert_null(stoa__make_tuple(&batch, NULL, PY_SSIZE_T_MAX));
    assert_int_equal(batch.err, STOA_ENOMEM);
    assert_null(stoa__make_tuple(&batch, NULL, -1));
    assert_null(stoa__make_bytes(&batch, "", SIZE_MAX, -1));
    assert_null(stoa__make_int_digits(&batch, false, (const digit[]){1}, SIZE_MAX / 8));
    stoa__batch_abort(&batch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ints),
        cmocka_unit_test(test_int_bytes),
        cmocka_unit_test(test_interning_is_exact),
        cmocka_unit_test(test_aborted_objects_are_not_found_again),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_nothing_is_written),
        cmocka_unit_test(test_extremes_are_refused),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
