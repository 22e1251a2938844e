/* Regions as a host uses them: limits, and retiring them from a thread that holds no GIL. */
#include "host_testing.h"

#include <math.h>

static stoa_region *
new_region(const char *name)
{
    stoa_region *region;
    OK(stoa_region_new(name, 0, &region));
    return region;
}

/* A tuple in the region, published. Its address stays on no stack in use. */
static __attribute__((noinline)) void
publish_rows(stoa_region *region, const char *name)
{
    stoa_builder *builder;
    const stoa_object *rows;
    OK(stoa_builder_new(region, 0, &builder));
    OK(stoa_begin_tuple(builder));
    for (int i = 0; i < 1000; i++) {
        OK(stoa_push_int64(builder, i * 100000));
    }
    OK(stoa_end(builder));
    OK(stoa_builder_finish(builder, &rows));
    OK(stoa_publish(name, rows));
    stoa_builder_free(builder);
}

static void
wrong_arguments_are_refused(void **state)
{
    (void)state;
    stoa_region *region = new_region("arguments");
    assert_int_equal(stoa_region_retire(NULL, 0), STOA_EINVAL);
    assert_int_equal(stoa_region_retire(region, NAN), STOA_EINVAL);
    OK(stoa_region_retire(region, 0));
}

static void
a_region_in_use_says_by_whom(void **state)
{
    (void)state;
    stoa_interp *one;
    stoa_region *region = new_region("of a host");
    OK(stoa_interp_new("reader", false, &one));
    publish_rows(region, "rows of a host");
    assert_int_equal(stoa_region_retire(region, 0), STOA_ESTATE);
    assert_non_null(strstr(stoa_error_message(), "the name 'rows of a host'"));
    OK(stoa_exec(one, "import stoa; rows = stoa.lookup('rows of a host'); assert sum(rows) == 49950000000",
                 NULL, NULL));
    OK(stoa_unpublish("rows of a host"));
    assert_int_equal(stoa_region_retire(region, 0.05), STOA_ESTATE);
    assert_non_null(strstr(stoa_error_message(), "in interpreter 'reader': __main__.rows"));
    OK(stoa_exec(one, "assert rows[999] == 99900000", NULL, NULL)); /* it is as it was */
    stoa_region_free(region);
    end(one);
}

static void
what_the_host_holds_counts(void **state)
{
    (void)state;
    stoa_region *region = new_region("held in C");
    publish_rows(region, "rows held in C");
    const stoa_object **held = malloc(sizeof(*held));
    OK(stoa_lookup("rows held in C", 0, held));
    OK(stoa_unpublish("rows held in C"));
    assert_int_equal(stoa_region_retire(region, 0), STOA_ESTATE);
    assert_non_null(strstr(stoa_error_message(), "tuple of 1000 items"));
    stoa_region_free(region);
    free((void *)held);
}

static void
an_interpreter_that_is_gone_holds_nothing(void **state)
{
    (void)state;
    stoa_interp *one;
    stoa_region *region = new_region("of one who goes");
    OK(stoa_interp_new("goes", false, &one));
    publish_rows(region, "rows of one who goes");
    OK(stoa_exec(one, "import stoa; rows = stoa.lookup('rows of one who goes'); total = sum(rows)", NULL, NULL));
    OK(stoa_unpublish("rows of one who goes"));
    assert_int_equal(stoa_region_retire(region, 0), STOA_ESTATE);
    end(one);
    OK(stoa_region_retire(region, 20));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(a_region_in_use_says_by_whom),
        cmocka_unit_test(what_the_host_holds_counts),
        cmocka_unit_test(an_interpreter_that_is_gone_holds_nothing),
    };
    return cmocka_run_group_tests(tests, stoa_test_runtime_setup, stoa_test_runtime_teardown);
}
