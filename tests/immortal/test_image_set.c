#include "immortal/shared.h"

#include "immortal/image.h"
#include "immortal/lookup.h"

static void
test_every_size(void **state)
{
    (void)state;
    for (int intern = 0; intern < 2; intern++) {
        PyObject *members[300];
        stoa_batch batch = stoa_test_batch(intern ? STOA_BATCH_INTERN : 0);
        for (int count = 0; count < 300; count += count < 20 ? 1 : 31) {
            PyObject *real = PySet_New(NULL);
            for (int i = 0; i < count; i++) {
                members[i] = i % 3 == 0 ? stoa__make_int64(&batch, i * 1000)
                                        : stoa__make_float(&batch, i / 4.0);
                assert_int_equal(PySet_Add(real, members[i]), 0);
            }
            PyObject *image = stoa__make_frozenset(&batch, members, count);
            stoa_test_verify(image);
            assert_int_equal(PyObject_RichCompareBool(image, real, Py_EQ), 1);
            assert_int_equal(PyObject_RichCompareBool(real, image, Py_EQ), 1);
            PyObject *frozen = PyFrozenSet_New(real);
            assert_int_equal(PyObject_Hash(image), PyObject_Hash(frozen));
            Py_DECREF(real);
            Py_DECREF(frozen);
        }
        stoa__batch_commit(&batch);
    }
}

static void
test_doubles_and_order(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    PyObject *one = stoa__canonical_int(1), *two = stoa__canonical_int(2),
             *float_one = stoa__make_float(&batch, 1.0);
    PyObject *a[] = {one, two}, *b[] = {two, one}, *many[40];
    assert_ptr_equal(stoa__make_frozenset(&batch, a, 2), stoa__make_frozenset(&batch, b, 2));
    for (int i = 0; i < 40; i++) {
        many[i] = i % 3 == 0 ? one : i % 3 == 1 ? float_one : Py_True;
    }
    PyObject *set = stoa__make_frozenset(&batch, many, 40); /* the first of equal ones stays, as in set() */
    stoa_test_verify(set);
    assert_int_equal(PySet_GET_SIZE(set), 1);
    assert_true(stoa__frozenset_has(set, Py_True));
    assert_ptr_equal(((PySetObject *)set)->table[1].key, one);
    stoa__batch_commit(&batch);
}

static void
test_unhashable_member(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    PyObject *mapping = stoa__make_mapping(&batch, NULL, 0);
    PyObject *made = stoa__make_frozenset(&batch, &mapping, 1);
#if STOA_HAS_FROZENDICT
    assert_non_null(made);
#else
    assert_null(made);
    assert_int_equal(batch.err, STOA_ETYPE);
    assert_non_null(strstr(stoa_error_message(), "member number 0"));
#endif
    stoa__batch_abort(&batch);
}

/* hazards W9 and 1a: one weak reference is there already. */
static const char uses[] =
    "import weakref, gc, copy, pickle\n"
    "for s in x:\n"
    "    r = weakref.ref(s)\n    assert r() is s and r is weakref.ref(s) and r is weakref.ref(s, None) and "
    "hash(r) == hash(s)\n"
    "    assert weakref.getweakrefs(s) == [r] and weakref.getweakrefcount(s) == 1 and r in {r} and r == "
    "weakref.ref(s)\n"
    "    repr(r); gc.is_tracked(r); gc.is_tracked(s); del r; assert weakref.ref(s)() is s\n"
    "    hash(s); s | s; s & {1}; s - {1}; s ^ {1}; set(s); frozenset(s); list(s); 1 in s; None in s; s <= "
    "s; s.isdisjoint([1])\n"
    "    copy.copy(s); copy.deepcopy(s); pickle.loads(pickle.dumps(s)); {s: 1}[s]; {s}; {1} | s; "
    "s.union('ab'); repr(s); len(s)\n"
    "    m = set(s); m.update(s); m.add('new'); m -= s; m.clear(); m |= s; s == m; m.intersection_update(s); "
    "s.__sizeof__()\n"
    "    for _ in range(500): q = 5 in s; q = s == m\n"
    "    assert set(s) == set(list(s)) and not gc.is_tracked(s)\n"
    "gc.collect()\n";

static void
test_nothing_is_written(void **state)
{
    (void)state;
    PyObject *shared = stoa_test_freeze(
        "(frozenset(), frozenset([1, 'a']), frozenset(range(5)), frozenset(map(str, range(100))))");
    stoa_test_verify(shared);
    stoa_test_never_writes(shared, uses);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_doubles_and_order),
        cmocka_unit_test(test_unhashable_member),
        cmocka_unit_test(test_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
