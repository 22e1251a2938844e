#include "immortal/shared.h"

#include "immortal/image.h"
#include "immortal/lookup.h"

/* Keys of both tables: all str, or mixed. */
static PyObject *
make_key(stoa_batch *batch, int i, bool str_keys)
{
    char name[24];
    int size = snprintf(name, sizeof name, "key%d", i);
    return str_keys || i % 4 == 0 ? stoa__make_str_utf8(batch, name, (size_t)size)
                                  : stoa__make_int64(batch, i * 12345);
}

static PyObject *pairs[2 * 70000];

static void
check_size(int count, bool str_keys, unsigned flags)
{
    stoa_batch batch = stoa_test_batch(flags);
    PyObject *real = PyDict_New();
    for (int i = 0; i < count; i++) {
        pairs[2 * i] = make_key(&batch, i, str_keys);
        pairs[2 * i + 1] = stoa__make_int64(&batch, i);
        assert_int_equal(PyDict_SetItem(real, pairs[2 * i], pairs[2 * i + 1]), 0);
    }
    PyObject *image = stoa__make_mapping(&batch, pairs, count);
    assert_non_null(image);
    if (flags & STOA_BATCH_INTERN) {
        assert_ptr_equal(image, stoa__make_mapping(&batch, pairs, count));
    }
    stoa__batch_commit(&batch);
    stoa_test_verify(image);
    assert_int_equal(PyMapping_Size(image), count);
    PyObject *copy = PyDict_New();
    assert_int_equal(PyDict_Update(copy, image), 0);
    assert_int_equal(PyObject_RichCompareBool(copy, real, Py_EQ), 1);
    PyObject *keys = PyMapping_Keys(image), *real_keys = PyMapping_Keys(real); /* in order */
    assert_int_equal(PyObject_RichCompareBool(keys, real_keys, Py_EQ), 1);
    Py_DECREF(keys);
    Py_DECREF(real_keys);
    Py_DECREF(copy);
    Py_DECREF(real);
}

static void
test_every_size(void **state)
{
    (void)state;
    for (int count = 0; count < 200; count += count < 24 ? 1 : 29) {
        check_size(count, true, 0);
        check_size(count, false, 0);
        check_size(count, true, STOA_BATCH_INTERN);
    }
    check_size(1000, true, 0); /* indices of two bytes */
    check_size(1000, false, 0);
    check_size(30000, true, 0);
    check_size(70000, false, 0); /* of four */
}

static void
test_equal_keys(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    PyObject *one = stoa__canonical_int(1), *float_one = stoa__make_float(&batch, 1.0);
    PyObject *a = stoa__make_str_utf8(&batch, "same text", 9);
    stoa_batch other = stoa_test_batch(0);
    PyObject *b = stoa__make_str_utf8(&other, "same text", 9);
    PyObject *mixed[] = {one, Py_None, a, Py_None, float_one, Py_True, b, Py_False};
    PyObject *texts[] = {a, Py_None, b, Py_True};
    PyObject *image = stoa__make_mapping(&batch, mixed, 4), *text = stoa__make_mapping(&batch, texts, 2);
    stoa__batch_commit(&other);
    stoa__batch_commit(&batch);
    assert_ptr_not_equal(a, b);
    stoa_test_verify(image);
    stoa_test_verify(text);
    assert_true(stoa_test_holds(
        image,
        "len(x) == 2 and list(x.items()) == [(1, True), ('same text', False)] and type(list(x)[0]) is int"));
    assert_true(stoa_test_holds(text, "dict(x) == {'same text': True}"));
    assert_ptr_equal(stoa__mapping_find(image, Py_True), Py_True);
    assert_ptr_equal(stoa__mapping_find(image, stoa_test_freeze("'same text'")), Py_False);
    assert_null(stoa__mapping_find(image, stoa_test_freeze("'same texT'")));
    assert_null(stoa__mapping_find(image, Py_None));
}

static void
test_unhashable_key(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    PyObject *inner = stoa__make_mapping(&batch, NULL, 0), *key = stoa__make_tuple(&batch, &inner, 1);
    PyObject *pair[] = {Py_None, Py_None, key, Py_None};
    PyObject *made = stoa__make_mapping(&batch, pair, 2);
#if STOA_HAS_FROZENDICT
    stoa_test_verify(made);
#else
    assert_null(made);
    assert_int_equal(batch.err, STOA_ETYPE);
    assert_non_null(strstr(stoa_error_message(), "key number 1"));
#endif
    assert_null(stoa__make_mapping(&batch, pair, PY_SSIZE_T_MAX));
    assert_int_equal(batch.err, STOA_ENOMEM);
    stoa__batch_abort(&batch);
}

/* dict(m) copies the keys at their nominal size, beyond the end of a block that was cut short. Fill chunks with small
 * mappings and copy every one of them, those at the end of a granule too. */
static void
test_copies_stay_in_mapped_memory(void **state)
{
    (void)state;
    enum { COUNT = 40000 };
    static PyObject *made[COUNT];
    stoa_batch batch = stoa_test_batch(0);
    PyObject *keys[60];
    for (int i = 0; i < 60; i++) {
        keys[i] = make_key(&batch, i, true);
    }
    for (int i = 0; i < COUNT; i++) {
        int count = i % 50 == 0 ? 43 : 1 + i % 6; /* 43 of 85 entries: half of it is cut off */
        for (int k = 0; k < count; k++) {
            pairs[2 * k] = keys[k];
            pairs[2 * k + 1] = stoa__canonical_int(k);
        }
        made[i] = stoa__make_mapping(&batch, pairs, count);
        assert_non_null(made[i]);
    }
    stoa__batch_commit(&batch);
    for (int i = 0; i < COUNT; i++) {
        const PyDictObject *dict = stoa__mapping_dict(made[i]);
#if STOA_HAS_FROZENDICT
        PyObject *copy = PyObject_CallOneArg((PyObject *)&PyDict_Type, made[i]);
#else
        PyObject *copy = PyDict_Copy((PyObject *)(uintptr_t)dict);
#endif
        assert_non_null(copy);
        assert_int_equal(PyDict_GET_SIZE(copy), dict->ma_used);
        if (i % 97 == 0) { /* and the copy is a dict like any other */
            for (int k = 0; k < 60; k++) {
                assert_int_equal(PyDict_SetItem(copy, keys[59 - k], Py_None), 0);
            }
            assert_int_equal(PyDict_GET_SIZE(copy), 60);
        }
        Py_DECREF(copy);
    }
}

/* Bytes against those of the source dict, which has a gc head and no proxy. */
static void
test_sizes(void **state)
{
    (void)state;
    stoa_region_stats was, now;
    for (int count = 0; count < 40; count++) {
        char expression[100];
        snprintf(expression, sizeof expression,
                 "__import__('sys').getsizeof({str(i): None for i in range(%d)})", count);
        PyObject *size = stoa_test_eval(expression);
        stoa_batch batch = stoa_test_batch(0);
        for (int i = 0; i < count; i++) {
            pairs[2 * i] = make_key(&batch, i, true);
            pairs[2 * i + 1] = Py_None;
        }
        stoa__batch_commit(&batch);
        stoa__region_get_stats(stoa__region_default(), &was);
        batch = stoa_test_batch(0);
        stoa__make_mapping(&batch, pairs, count);
        stoa__batch_commit(&batch);
        stoa__region_get_stats(stoa__region_default(), &now);
        size_t more = STOA_HAS_FROZENDICT ? sizeof(Py_hash_t) : sizeof(stoa_proxy) + sizeof(uintptr_t);
        size_t room = count == 0 ? 40 : 0; /* an empty dict has no keys of its own */
        if (now.used_bytes - was.used_bytes > PyLong_AsSize_t(size) + more + room) {
            fail_msg("%d pairs: %zu bytes, and the dict %zu", count, now.used_bytes - was.used_bytes,
                     PyLong_AsSize_t(size));
        }
        Py_DECREF(size);
    }
}

/* hazards W11 and W22, and the places where a dict's keys get a version, a watcher or a second owner. */
static const char uses[] =
    "import gc, copy, json, collections, types, sys\n"
    "for m in x:\n"
    "    k = next(iter(m)); m[k]; m.get(k); m.get('missing'); k in m; len(m); list(m); list(reversed(m)); "
    "list(m.items()); list(m.values())\n"
    "    d = m.copy(); d = dict(d); d = dict(m); d['new'] = 1; del d[k]; d.popitem(); d.update(m); {**m}; m "
    "| {1: 2}; {1: 2} | m; m == dict(m)\n"
    "    m == m; m != {}; m.keys() & {k}; m.keys() | {1}; m.items() == dict(m).items(); repr(m); str(m); "
    "bool(m); sys.getsizeof(m)\n"
    "    collections.ChainMap(m)[k]; collections.OrderedDict(m); collections.Counter(dict.fromkeys(m, 1)); "
    "dict(m.items()); sorted(map(str, m))\n"
    "    copy.copy(d); json.dumps({str(a): str(b) for a, b in m.items()}); gc.is_tracked(m); "
    "gc.get_referents(m)\n"
    "    match m:\n        case {'a': 1}: pass\n        case _: pass\n"
    "    try: hash(m)\n    except TypeError: pass\n"
    "    for _ in range(3000):\n        q = m[k]; q = k in m; q = m.get(k); q = len(m)\n"
    "    for _ in range(200):\n        for a, b in m.items(): pass\n        q = [*m]; q = {**m}; q = "
    "dict(m)\n"
    "def f(**kw): return kw\n"
    "for _ in range(200): f(**x[0])\n"
    "class C: pass\n"
    "c = C(); c.__dict__.update(x[0]); vars(c).update(x[0]); C2 = type('C2', (), dict(x[0])); C2.a; c.a\n"
    "for _ in range(3000): q = c.a; q = C2.a\n"
    "types.SimpleNamespace(**x[0]); 'x {a}'.format_map(x[0]); '%(a)s' % x[0]; eval('a', {}, x[0])\n"
    "code = compile('def g(n):\\n  t = 0\\n  for i in range(n): t += a; len(str(i))\\n  return t\\nr = "
    "g(5000)', 's', 'exec')\n"
    "exec(code, dict(x[0]))\n"
    "gc.collect(); gc.freeze(); gc.unfreeze()\n";

/* 3.15: a frozendict may be the globals or the builtins of code, where look-ups are specialised on the keys' version. */
static const char globals_uses[] =
    "import gc\n"
    "b = x[3]\n"
    "code = compile('[a for i in range(5000)]', 's', 'eval')\n"
    "loop = compile('[a + int(str(a)) for i in range(5000)]', 's', 'eval')\n"
    "for _ in range(50):\n"
    "    eval(code, b)\n    eval(loop, b)\n"
    "f = type(lambda: 0)((lambda: [a for i in range(5000)]).__code__, {'__builtins__': b['__builtins__'], "
    "'a': 5})\n"
    "for _ in range(50): f()\n"
    "try: g = type(lambda: 0)((lambda: [a for i in range(5000)]).__code__, b)\n"
    "except TypeError: g = f\n"
    "for _ in range(50): g()\n";

static void
test_nothing_is_written(void **state)
{
    (void)state;
    PyObject *shared = stoa_test_freeze(
        "({'a': 1, 'b': 'two'}, {1: 2, 'a': (3,)}, {str(i): i for i in range(300)}, {'a': 1, '__builtins__': "
        "{'range': range, 'int': int, 'str': str}})");
    stoa_test_verify(shared);
    stoa_test_never_writes(shared, uses);
#if STOA_HAS_FROZENDICT
    stoa_test_never_writes(shared, globals_uses);
#else
    (void)globals_uses;
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size),     cmocka_unit_test(test_equal_keys),
        cmocka_unit_test(test_unhashable_key), cmocka_unit_test(test_copies_stay_in_mapped_memory),
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
