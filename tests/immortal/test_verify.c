#include "immortal/shared.h"

#include "immortal/image.h"

static void
test_counts(void **state)
{
    (void)state;
    PyObject *graph = stoa_test_freeze("{'key one': ['item', 'item', 1.5, ('item',)], 'key two': {'inner "
                                       "key': b'bytes'}, 3000: frozenset([1])}");
    assert_true(stoa_test_verify(graph) >= 11);
    assert_int_equal(stoa_test_verify(Py_None), 0);
}

/* Damages 8 bytes of an object of an open batch, expects verify to say so, and repairs them. */
static void
damage(PyObject *root, const void *object, long offset, uint64_t value)
{
    uint64_t *word = stoa__rw((const char *)object + offset), was = *word;
    *word = value;
    size_t count;
    stoa_err err = stoa__verify(root, &count);
    *word = was;
    if (err != STOA_ESTATE) {
        char text[200];
        stoa__describe((const char *)object + offset, text, sizeof text);
        fail_msg("damage is not noticed: %s", text);
    }
    assert_int_equal(stoa__verify(root, &count), STOA_OK);
}

static void
test_damage_is_found(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    PyObject *text = stoa__make_str_utf8(&batch, "text of verify", 14),
             *wide = stoa__make_str_utf8(&batch, "caf\xc3\xa9 \xe2\x82\xac", 9);
    PyObject *number = stoa__make_int64(&batch, 1 << 29), *bytes = stoa__make_bytes(&batch, "verify", 6, -1);
    PyObject *items[] = {text, wide, number, bytes}, *tuple = stoa__make_tuple(&batch, items, 4);
    PyObject *set = stoa__make_frozenset(&batch, items, 4), *big_set = NULL,
             *mapping = stoa__make_mapping(&batch, items, 2);
    PyObject *many[20];
    for (int i = 0; i < 20; i++) {
        many[i] = stoa__make_int64(&batch, 1000000 + i);
    }
    big_set = stoa__make_frozenset(&batch, many, 20);
    PyObject *general = stoa__make_mapping(&batch, many, 10);
    PyObject *all[] = {tuple, set, big_set, mapping, general}, *root = stoa__make_tuple(&batch, all, 5);
    stoa_test_verify(root);
    damage(root, text, 0, 1);                                       /* reference count */
    damage(root, text, 24, 12345);                                  /* hash */
    damage(root, text, 32, 0);                                      /* state */
    damage(root, text, 16, 13);                                     /* length */
    damage(root, wide, 48, 0);                                      /* no UTF-8 */
    damage(root, number, 16, 0);                                    /* tag of an int */
    damage(root, bytes, 24, 1);                                     /* hash */
    damage(root, tuple, -16, 1);                                    /* gc head */
    damage(root, tuple, (long)offsetof(PyTupleObject, ob_item), 0); /* an item */
    damage(root, tuple, (long)offsetof(PyTupleObject, ob_item), (uint64_t)(uintptr_t)&batch); /* a stranger */
    damage(root, set, 56, 1);                                                                 /* finger */
    damage(root, set, 48, 1);                                                                 /* hash */
    damage(root, set, 192, 0);               /* weak reference */
    damage(root, big_set, 64 + 16 + 24, 77); /* callback of the weak reference inside */
    const PyDictObject *dict = stoa__mapping_dict(mapping), *other = stoa__mapping_dict(general);
    damage(root, dict, 16, 3);                                      /* used */
    damage(root, dict, 24, 1);                                      /* version tag or watchers */
    damage(root, dict->ma_keys, 0, 2);                              /* owners of the keys */
    damage(root, dict->ma_keys, 32, UINT64_MAX);                    /* indices */
    damage(root, stoa__keys_entries(stoa__dict_keys(other)), 0, 5); /* hash of an entry */
#if STOA_TUPLE_HAS_HASH
    damage(root, tuple, 24, 5);
#endif
    stoa__batch_abort(&batch);
}

static void
test_deep(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(0);
    PyObject *tuple = stoa__make_int64(&batch, 123456);
    for (int i = 0; i < 300000; i++) {
        tuple = stoa__make_tuple(&batch, &tuple, 1);
    }
    stoa__batch_commit(&batch);
    assert_int_equal(stoa_test_verify(tuple), 300001);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
