/* As a host does it: threads that Python has never seen make arrays, C and interpreters read them. */
#include "host_testing.h"

enum { THREADS = 4, ITEMS = 1 << 18 };

typedef struct share {
    double *data;
    size_t from, to;
} share;

static void *
fill(void *arg)
{
    share *s = arg;
    for (size_t i = s->from; i < s->to; i++) {
        s->data[i] = (double)i / 2;
    }
    return NULL;
}

static void
array_is_filled_by_threads_and_read_everywhere(void **state)
{
    (void)state;
    size_t shape[2] = {512, ITEMS / 512};
    stoa_array_spec spec = {.size = sizeof(spec), .format = "d", .ndim = 2, .shape = shape};
    stoa_array_maker *maker;
    void *data;
    OK(stoa_array_begin(NULL, &spec, &maker, &data));
    assert_int_equal((uintptr_t)data % 64, 0);
    pthread_t threads[THREADS];
    share shares[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        shares[i] = (share){data, i * ITEMS / THREADS, (i + 1) * ITEMS / THREADS};
        threads[i] = start(fill, &shares[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    const stoa_object *array;
    OK(stoa_array_seal(maker, &array));
    assert_int_equal(stoa_object_kind(array), STOA_KIND_ARRAY);

    stoa_array_info info = {.size = sizeof(info)};
    OK(stoa_get_array(array, &info));
    assert_string_equal(info.format, "d");
    assert_int_equal(info.ndim, 2);
    assert_int_equal(info.count, ITEMS);
    assert_int_equal(info.strides[0], 8 * (ITEMS / 512));
    assert_int_equal(info.strides[1], 8);
    assert_true(info.contiguous);
    const double *values = info.data;
    assert_true(values[12345] == 12345 / 2.0);

    OK(stoa_publish("capi-array", array));
    stoa_interp *interp;
    OK(stoa_interp_new(NULL, false, &interp));
    OK(stoa_exec(interp,
                 "import os, sys\n"
                 "sys.path[:0] = os.environ['PYTHONPATH'].split(':')\n" /* hosts are isolated from it */
                 "import stoa\n"
                 "a = stoa.lookup('capi-array')\n"
                 "assert stoa.lookup('capi-array') is a\n"
                 "m = memoryview(a)\n"
                 "assert (m.shape, m.format, m.readonly) == ((512, 512), 'd', True)\n"
                 "assert m[3, 7] == (3 * 512 + 7) / 2\n",
                 NULL, NULL));
    OK(stoa_interp_close(interp, -1));
    stoa_interp_free(interp);
    OK(stoa_unpublish("capi-array"));
}

static void
shapes_of_all_kinds(void **state)
{
    (void)state;
    size_t shapes[][3] = {{0, 3, 4}, {5, 0, 1}, {2, 3, 4}};
    for (size_t i = 0; i < 3; i++) {
        stoa_array_spec spec = {.size = sizeof(spec), .format = "<i", .ndim = 3, .shape = shapes[i]};
        stoa_array_maker *maker;
        const stoa_object *array;
        void *data;
        OK(stoa_array_begin(NULL, &spec, &maker, &data));
        assert_non_null(data);
        OK(stoa_array_seal(maker, &array));
        stoa_array_info info = {.size = sizeof(info)};
        OK(stoa_get_array(array, &info));
        assert_int_equal(info.count, shapes[i][0] * shapes[i][1] * shapes[i][2]);
        assert_int_equal(info.itemsize, 4);
    }
    stoa_array_spec spec = {.size = sizeof(spec), .format = "T{d:Origin:}", .itemsize = 8};
    stoa_array_maker *maker;
    const stoa_object *array;
    void *data;
    OK(stoa_array_begin(NULL, &spec, &maker, &data)); /* no dimension: one item */
    memset(data, 1, 8);
    OK(stoa_array_seal(maker, &array));
    stoa_array_info info = {.size = sizeof(info)};
    OK(stoa_get_array(array, &info));
    assert_int_equal(info.count, 1);
}

/* Pieces of all sizes, in any order, from two threads: what is not written reads as zeros. */
typedef struct writing {
    stoa_array_maker *maker;
    const char *source;
    size_t from, to, step;
} writing;

static void *
write_pieces(void *arg)
{
    const writing *w = arg;
    for (size_t at = w->from; at < w->to; at += w->step) {
        size_t size = w->to - at < w->step ? w->to - at : w->step;
        OK(stoa_array_write(w->maker, at, w->source + at, size));
    }
    return NULL;
}

static void
pieces_are_written(void **state)
{
    (void)state;
    size_t shape[1] = {(5 << 20) + 77}, steps[] = {1000, 4096, 300000, 589824, 3 << 20};
    char *source = malloc(shape[0]);
    assert_non_null(source);
    for (size_t i = 0; i < shape[0]; i++) {
        source[i] = (char)(i * 31 + i / 4096);
    }
    stoa_array_spec spec = {.size = sizeof(spec), .ndim = 1, .shape = shape};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        stoa_array_maker *maker;
        const stoa_object *array;
        OK(stoa_array_begin(NULL, &spec, &maker, NULL));
        writing halves[2] = {{maker, source, 0, 2500000, steps[i]},
                             {maker, source, 3000000, shape[0], steps[i]}};
        pthread_t thread = start(write_pieces, &halves[0]);
        write_pieces(&halves[1]);
        pthread_join(thread, NULL);
        assert_int_equal(stoa_array_write(maker, shape[0] - 3, source, 4), STOA_EINVAL);
        assert_int_equal(stoa_array_write(maker, 1, source, SIZE_MAX), STOA_EINVAL);
        assert_int_equal(stoa_array_write(maker, SIZE_MAX, source, 1), STOA_EINVAL);
        assert_int_equal(stoa_array_write(maker, 0, NULL, 1), STOA_EINVAL);
        assert_int_equal(stoa_array_write(NULL, 0, source, 1), STOA_EINVAL);
        OK(stoa_array_write(maker, shape[0], NULL, 0));
        OK(stoa_array_seal(maker, &array));
        stoa_array_info info = {.size = sizeof(info)};
        OK(stoa_get_array(array, &info));
        const char *data = info.data;
        assert_memory_equal(data, source, 2500000);
        assert_memory_equal(data + 3000000, source + 3000000, shape[0] - 3000000);
        for (size_t k = 2500000; k < 3000000; k++) {
            assert_int_equal(data[k], 0);
        }
    }
    free(source);
}

static void
discarded_ones_leave_nothing(void **state)
{
    (void)state;
    stoa_region *region;
    OK(stoa_region_new("capi-array", 1 << 20, &region));
    size_t shape[1] = {100000};
    stoa_array_spec spec = {.size = sizeof(spec), .ndim = 1, .shape = shape};
    stoa_array_maker *maker;
    void *data;
    for (int i = 0; i < 50; i++) { /* the limit would be passed otherwise */
        OK(stoa_array_begin(region, &spec, &maker, &data));
        memset(data, 7, shape[0]);
        stoa_array_discard(maker);
    }
    stoa_array_discard(NULL);
    shape[0] = 2 << 20;
    assert_int_equal(stoa_array_begin(region, &spec, &maker, &data), STOA_ENOMEM);
    stoa_region_free(region);
    shape[0] = (size_t)999 << 30; /* the heap has addresses for it; no machine of ours has the memory */
    assert_int_equal(stoa_array_begin(NULL, &spec, &maker, &data), STOA_ENOMEM);
    assert_int_equal(stoa_array_begin(NULL, &spec, &maker, NULL), STOA_ENOMEM);
}

static void
bad_specs_are_refused(void **state)
{
    (void)state;
    stoa_array_maker *maker = NULL;
    void *data = NULL;
    size_t huge[3] = {(size_t)1 << 40, (size_t)1 << 40, 0}, many[65];
    for (size_t i = 0; i < 65; i++) {
        many[i] = 1;
    }
    stoa_array_spec specs[] = {
        {.size = 0},
        {.size = sizeof(stoa_array_spec), .format = "d", .ndim = 1},
        {.size = sizeof(stoa_array_spec), .format = "T{d:x:}"},
        {.size = sizeof(stoa_array_spec), .format = "nonsense"},
        {.size = sizeof(stoa_array_spec), .format = ""},
        {.size = sizeof(stoa_array_spec), .format = "O", .itemsize = 8},
        {.size = sizeof(stoa_array_spec), .format = "<z", .itemsize = 8},
        {.size = sizeof(stoa_array_spec), .format = "Z", .itemsize = 8},
        {.size = sizeof(stoa_array_spec), .format = "\xff\xfe", .itemsize = 8},
        {.size = sizeof(stoa_array_spec), .format = "T{d:x:O:y:}", .itemsize = 16},
        {.size = sizeof(stoa_array_spec), .format = "d", .itemsize = 4},
        {.size = sizeof(stoa_array_spec), .format = "d", .ndim = 3, .shape = huge},
        {.size = sizeof(stoa_array_spec), .format = "d", .ndim = 65, .shape = many},
    };
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        assert_int_equal(stoa_array_begin(NULL, &specs[i], &maker, &data), STOA_EINVAL);
        assert_null(maker);
        assert_non_null(strstr(stoa_error_message(), "STOA_EINVAL"));
    }
    assert_int_equal(stoa_array_begin(NULL, NULL, &maker, &data), STOA_EINVAL);
    assert_int_equal(stoa_array_begin(NULL, &specs[1], NULL, &data), STOA_EINVAL);
    assert_int_equal(stoa_array_seal(NULL, NULL), STOA_EINVAL);
    stoa_array_info info = {.size = sizeof(info)};
    assert_int_equal(stoa_get_array(NULL, &info), STOA_EINVAL);
    assert_int_equal(stoa_get_array(NULL, NULL), STOA_EINVAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(array_is_filled_by_threads_and_read_everywhere),
        cmocka_unit_test(shapes_of_all_kinds),
        cmocka_unit_test(pieces_are_written),
        cmocka_unit_test(discarded_ones_leave_nothing),
        cmocka_unit_test(bad_specs_are_refused),
    };
    return cmocka_run_group_tests(tests, stoa_test_runtime_setup, stoa_test_runtime_teardown);
}
