/* As a host does it: threads that Python has never seen load data, interpreters use it. */
#include "host_testing.h"

#include "stoa/python.h"

enum { THREADS = 3, ROWS = 2000 };

static stoa_err
push_row(stoa_builder *b, int part, int row)
{
    char text[64];
    stoa_err err = stoa_begin_tuple(b);
    err = err ? err : stoa_push_int64(b, row * 1000);
    err = err ? err
              : stoa_push_text(b, text, (size_t)snprintf(text, sizeof(text), "part %d row %d", part, row));
    err = err ? err : stoa_push_double(b, row / 8.0);
    return err ? err : stoa_end(b);
}

static void *
load_part(void *arg)
{
    int part = *(int *)arg;
    char name[32];
    stoa_builder *b = NULL;
    const stoa_object *table;
    stoa_err err = stoa_builder_new(NULL, 0, &b);
    err = err ? err : stoa_begin_mapping(b);
    for (int row = 0; row < ROWS && err == STOA_OK; row++) {
        err = stoa_push_int64(b, row);
        err = err ? err : push_row(b, part, row);
    }
    err = err ? err : stoa_end(b);
    err = err ? err : stoa_builder_finish(b, &table);
    snprintf(name, sizeof(name), "part-%d", part);
    err = err ? err : stoa_publish(name, table);
    stoa_builder_free(b);
    return err == STOA_OK ? arg : NULL;
}

static void
threads_load_and_interpreters_use(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int parts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        parts[i] = i;
        threads[i] = start(load_part, &parts[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, &parts[i]);
    }
    for (int i = 0; i < 2; i++) {
        stoa_interp *interp;
        OK(stoa_interp_new(NULL, false, &interp));
        OK(stoa_exec(
            interp,
            "import os, sys\n"
            "sys.path[:0] = os.environ['PYTHONPATH'].split(':')\n" /* hosts are isolated from it */
            "import stoa\n"
            "for part in range(3):\n"
            "    table = stoa.lookup(f'part-{part}')\n"
            "    assert stoa.is_shared(table) and len(table) == 2000\n"
            "    assert all(table[i] == (i * 1000, f'part {part} row {i}', i / 8) for i in range(2000))\n",
            NULL, NULL));
        OK(stoa_interp_close(interp, -1));
        stoa_interp_free(interp);
    }
    const stoa_object *table, *row, *item;
    const char *text;
    OK(stoa_lookup("part-1", 0, &table));
    OK(stoa_mapping_get_int(table, 1234, &row));
    OK(stoa_tuple_item(row, 1, &item));
    OK(stoa_get_text(item, &text, NULL));
    assert_string_equal(text, "part 1 row 1234");
}

static void
regions_tell_what_they_hold(void **state)
{
    (void)state;
    stoa_region *region;
    stoa_region_info info = {.size = sizeof(info)};
    stoa_builder *b;
    OK(stoa_region_new("job 7", 5000000, &region));
    OK(stoa_builder_new(region, STOA_BUILD_NO_INTERN, &b));
    OK(stoa_push_bytes(b, "0123456789", 10));
    OK(stoa_builder_finish(b, NULL));
    OK(stoa_region_get_info(region, &info));
    assert_string_equal(info.name, "job 7");
    assert_int_equal(info.limit, 5000000);
    assert_int_equal(info.objects, 1);
    assert_int_equal(info.freezes, 1);
    assert_true(info.used_bytes >= 43 && info.used_bytes < 100);
    info.size = 3;
    assert_int_equal(stoa_region_get_info(region, &info), STOA_EINVAL);
    info.size = sizeof(info);
    OK(stoa_region_get_info(NULL, &info));
    assert_int_equal(info.id, 1);
    char name[65];
    memset(name, 'x', 64);
    name[64] = '\0';
    stoa_region *other = NULL;
    assert_int_equal(stoa_region_new(name, 0, &other), STOA_EINVAL);
    assert_int_equal(stoa_region_new("x", 0, NULL), STOA_EINVAL);
    stoa_builder_free(b);
    stoa_region_free(region);
    stoa_region_free(NULL);
}

static void
python_objects_are_frozen_and_seen_from_both_sides(void **state)
{
    (void)state;
    stoa_interp *interp;
    stoa_scope scope;
    OK(stoa_interp_new(NULL, false, &interp));
    OK(stoa_interp_enter(interp, &scope));
    PyObject *source = Py_BuildValue("{s:[i,d],s:s}", "numbers", 1000, 2.5, "text", "value");
    assert_non_null(source);
    assert_false(stoa_is_shared(source));
    assert_null(stoa_object_from_python(source));
    assert_null(stoa_share(source, NULL, 0));
    PyErr_Clear();
    assert_null(stoa_freeze(source, NULL, 0x80));
    PyErr_Clear();
    PyObject *twin = stoa_freeze(source, NULL, STOA_NO_INTERN);
    assert_non_null(twin);
    PyObject *copy = stoa_thaw(twin);
    assert_int_equal(PyObject_RichCompareBool(copy, source, Py_EQ), 1);
    Py_DECREF(copy);
    Py_DECREF(source);
    const stoa_object *object = stoa_object_from_python(twin), *numbers;
    assert_ptr_equal(object, twin);
    PyObject *again = stoa_object_to_python(object);
    assert_ptr_equal(again, twin);
    stoa_interp_leave(&scope);
    OK(stoa_interp_close(interp, -1));
    stoa_interp_free(interp);
    OK(stoa_mapping_get_text(object, "numbers", 7, &numbers)); /* the interpreter is gone, its twin is not */
    assert_int_equal(stoa_object_kind(numbers), STOA_KIND_TUPLE);
}

static int
setup(void **state)
{
    (void)state;
    stoa_builder *b;
    if (stoa_builder_new(NULL, 0, &b) != STOA_ESTATE) {
        return -1;
    }
    return stoa_test_runtime_setup(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_load_and_interpreters_use),
        cmocka_unit_test(regions_tell_what_they_hold),
        cmocka_unit_test(python_objects_are_frozen_and_seen_from_both_sides),
    };
    return cmocka_run_group_tests(tests, setup, stoa_test_runtime_teardown);
}
