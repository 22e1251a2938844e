#include "stoa/build.h"

#include "heap/fork.h"
#include "heap/process.h"
#include "heap/region.h"
#include "immortal/canonical.h"
#include "support/python_embed.h"
#include "support/python_immortal.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define OK(call) assert_int_equal((call), STOA_OK)

static stoa_builder *
new_builder(stoa_region *region, unsigned flags)
{
    stoa_builder *builder = NULL;
    OK(stoa_builder_new(region, flags, &builder));
    return builder;
}

static int
holds(const stoa_object *object, const char *expression)
{
    return stoa_test_holds((PyObject *)(uintptr_t)object, expression);
}

static void
push_every_kind(stoa_builder *b)
{
    static const unsigned char minus_2_pow_70[] = {0, 0, 0, 0, 0, 0, 0, 0, 0xC0};
    OK(stoa_begin_tuple(b));
    OK(stoa_push_none(b));
    OK(stoa_push_bool(b, true));
    OK(stoa_push_bool(b, false));
    OK(stoa_push_int64(b, 5));
    OK(stoa_push_int64(b, INT64_MIN));
    OK(stoa_push_uint64(b, UINT64_MAX));
    OK(stoa_push_uint64(b, 7));
    OK(stoa_push_int_bytes(b, minus_2_pow_70, sizeof(minus_2_pow_70), true));
    OK(stoa_push_int_bytes(b, minus_2_pow_70, sizeof(minus_2_pow_70), false));
    OK(stoa_push_int_bytes(b, NULL, 0, true));
    OK(stoa_push_double(b, -0.0));
    OK(stoa_push_text(b, "", 0));
    OK(stoa_push_text(b, "x", 1));
    OK(stoa_push_text(b, "some ascii\0text", 15));
    OK(stoa_push_text(b, "na\xc3\xafve", 6));
    OK(stoa_push_text(b, "\xe2\x82\xac\xf0\x9f\x98\x80", 7));
    OK(stoa_push_bytes(b, "\0\xff\0", 3));
    OK(stoa_push_bytes(b, NULL, 0));
    OK(stoa_begin_mapping(b));
    OK(stoa_push_text(b, "k", 1));
    OK(stoa_begin_set(b));
    OK(stoa_push_int64(b, 1));
    OK(stoa_push_int64(b, 1));
    OK(stoa_push_text(b, "member", 6));
    OK(stoa_end(b));
    OK(stoa_end(b));
    OK(stoa_end(b));
}

static void
every_kind_is_what_python_would_make(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags <= STOA_BUILD_NO_INTERN; flags++) {
        stoa_builder *b = new_builder(NULL, flags);
        const stoa_object *o = NULL;
        push_every_kind(b);
        OK(stoa_builder_finish(b, &o));
        assert_true(holds(
            o, "x[:11] == (None, True, False, 5, -2**63, 2**64 - 1, 7, -2**70, 2**72 - 2**70, 0, 0.0)"));
        assert_true(holds(o, "str(x[10]) == '-0.0' and [type(v).__name__ for v in x[:5]] == ['NoneType', "
                             "'bool', 'bool', 'int', 'int']"));
        assert_true(holds(o, "x[11:18] == ('', 'x', 'some ascii\\0text', 'na\\xefve', '\\u20ac\\U0001f600', "
                             "b'\\0\\xff\\0', b'')"));
        assert_true(holds(o, "dict(x[18]) == {'k': frozenset({1, 'member'})}"));
        assert_true(holds(o,
                          "hash(x[:18]) == hash((None, True, False, 5, -2**63, 2**64 - 1, 7, -2**70, 2**72 - "
                          "2**70, 0, 0.0, '', 'x', "
                          "'some ascii\\0text', 'na\\xefve', '\\u20ac\\U0001f600', b'\\0\\xff\\0', b''))"));
        stoa_builder_free(b);
    }
}

static void
the_two_ways_mix(void **state)
{
    (void)state;
    stoa_builder *b = new_builder(NULL, 0);
    const stoa_object *keys[2], *values[2], *mapping, *tuple, *set, *all;
    OK(stoa_make_text(b, "one", 3, &keys[0]));
    OK(stoa_make_text(b, "two", 3, &keys[1]));
    OK(stoa_make_int64(b, 1000, &values[0]));
    OK(stoa_make_double(b, 2.5, &values[1]));
    OK(stoa_make_mapping(b, keys, values, 2, &mapping));
    OK(stoa_make_tuple(b, values, 2, &tuple));
    OK(stoa_make_set(b, keys, 2, &set));
    OK(stoa_begin_tuple(b));
    OK(stoa_push_object(b, mapping));
    OK(stoa_push_object(b, tuple));
    OK(stoa_push_object(b, set));
    OK(stoa_push_object(b, (const stoa_object *)Py_None));
    OK(stoa_end(b));
    OK(stoa_builder_finish(b, &all));
    assert_true(holds(all, "dict(x[0]) == {'one': 1000, 'two': 2.5} and x[1:] == ((1000, 2.5), "
                           "frozenset({'one', 'two'}), None)"));
    OK(stoa_make_tuple(b, &all, 1, &tuple)); /* usable again, and with what was finished before */
    OK(stoa_builder_finish(b, NULL));
    assert_true(holds(tuple, "len(x[0]) == 4"));
    stoa_builder_free(b);
}

static void
a_later_equal_key_replaces_the_value(void **state)
{
    (void)state;
    stoa_builder *b = new_builder(NULL, 0);
    const stoa_object *o;
    OK(stoa_begin_mapping(b));
    OK(stoa_push_text(b, "a", 1));
    OK(stoa_push_int64(b, 1));
    OK(stoa_push_int64(b, 1));
    OK(stoa_push_int64(b, 2));
    OK(stoa_push_bool(b, true));
    OK(stoa_push_int64(b, 3));
    OK(stoa_push_text(b, "a", 1));
    OK(stoa_push_int64(b, 4));
    OK(stoa_end(b));
    OK(stoa_builder_finish(b, &o));
    assert_true(holds(o, "list(x.items()) == [('a', 4), (1, 3)] and type(list(x)[1]) is int"));
    stoa_builder_free(b);
}

static void
nan_keys_stay_apart(void **state)
{
    (void)state;
    stoa_builder *b = new_builder(NULL, 0);
    const stoa_object *o;
    OK(stoa_begin_mapping(b));
    for (int i = 0; i < 3; i++) {
        OK(stoa_push_double(b, NAN));
        OK(stoa_push_int64(b, i));
    }
    OK(stoa_end(b));
    OK(stoa_builder_finish(b, &o));
    assert_true(holds(o, "list(x.values()) == [0, 1, 2] and [x[k] for k in x] == [0, 1, 2]"));
    stoa_builder_free(b);
}

static void
bad_utf8_is_refused_and_the_builder_goes_on(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *offset;
    } bad[] = {
        {"abc\x80", 4, "3"},
        {"\xc3", 1, "0"},
        {"a\xc0\x80", 3, "1"},
        {"\xe0\x80\x80", 3, "0"},
        {"ab\xed\xa0\x80", 5, "2"},
        {"\xf4\x90\x80\x80", 4, "0"},
        {"\xf8\x88\x80\x80\x80", 5, "0"},
        {"\xe2\x82", 2, "0"},
        {"0123456789abcdef\xff", 17, "16"},
    };
    stoa_builder *b = new_builder(NULL, 0);
    const stoa_object *o;
    OK(stoa_begin_tuple(b));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t values = 99;
        assert_int_equal(stoa_push_text(b, bad[i].bytes, bad[i].size), STOA_EUTF8);
        assert_non_null(strstr(stoa_error_message(), bad[i].offset));
        stoa_builder_depth(b, NULL, &values);
        assert_int_equal(values, i);
        OK(stoa_push_int64(b, (int64_t)i));
    }
    OK(stoa_end(b));
    OK(stoa_builder_finish(b, &o));
    assert_true(holds(o, "x == tuple(range(9))"));
    stoa_builder_free(b);
}

static void
wrong_order_is_an_error_and_changes_nothing(void **state)
{
    (void)state;
    stoa_builder *b = new_builder(NULL, 0);
    const stoa_object *o = NULL;
    size_t open, values;
    assert_int_equal(stoa_end(b), STOA_ESTATE);
    assert_int_equal(stoa_builder_finish(b, &o), STOA_ESTATE); /* nothing pushed */
    OK(stoa_begin_mapping(b));
    OK(stoa_push_text(b, "key", 3));
    assert_int_equal(stoa_end(b), STOA_ESTATE); /* a key without a value */
    assert_int_equal(stoa_builder_finish(b, &o), STOA_ESTATE);
    stoa_builder_depth(b, &open, &values);
    assert_int_equal(open, 1);
    assert_int_equal(values, 1);
    OK(stoa_push_int64(b, 1));
    OK(stoa_end(b));
    OK(stoa_push_int64(b, 2));
    assert_int_equal(stoa_builder_finish(b, &o), STOA_ESTATE); /* two values */
    assert_null(o);
    stoa_builder_abort(b);
    OK(stoa_push_int64(b, 3));
    OK(stoa_builder_finish(b, &o));
    assert_true(holds(o, "x == 3"));
    stoa_builder_free(b);
    stoa_builder_free(NULL);
    stoa_builder_abort(NULL);
}

static void
unhashable_keys_are_refused(void **state)
{
    (void)state;
    stoa_builder *b = new_builder(NULL, 0);
    const stoa_object *mapping, *tuple, *o;
    OK(stoa_begin_mapping(b));
    OK(stoa_push_int64(b, 1));
    OK(stoa_begin_tuple(b));
    OK(stoa_end(b));
    OK(stoa_end(b));
    OK(stoa_builder_finish(b, &mapping));
    bool hashable = PyObject_Hash((PyObject *)(uintptr_t)mapping) != -1; /* frozendict is */
    PyErr_Clear();
    OK(stoa_make_tuple(b, &mapping, 1, &tuple));
    stoa_err wanted = hashable ? STOA_OK : STOA_ETYPE;
    assert_int_equal(stoa_make_set(b, &tuple, 1, &o), wanted);
    assert_int_equal(stoa_make_mapping(b, &mapping, &mapping, 1, &o), wanted);
    OK(stoa_begin_set(b));
    OK(stoa_push_object(b, tuple));
    assert_int_equal(stoa_end(b), wanted);
    stoa_builder_free(b);
}

static void
unusable_children_are_refused(void **state)
{
    (void)state;
    stoa_region *one, *two;
    OK(stoa__region_new("one", 0, &one));
    OK(stoa__region_new("two", 0, &two));
    stoa_builder *b = new_builder(one, 0), *other = new_builder(two, 0), *same = new_builder(one, 0);
    PyObject *private = stoa_test_eval("['private']");
    const stoa_object *foreign, *open, *out = NULL, *null = NULL, *local = (const stoa_object *)private;
    OK(stoa_make_text(other, "of another region", 17, &foreign));
    OK(stoa_make_text(same, "not finished yet", 16, &open));
    assert_int_equal(stoa_push_object(b, foreign), STOA_EINVAL);
    assert_non_null(strstr(stoa_error_message(), "region"));
    assert_int_equal(stoa_push_object(b, open), STOA_EINVAL);
    assert_non_null(strstr(stoa_error_message(), "not finished"));
    assert_int_equal(stoa_push_object(b, local), STOA_EINVAL);
    assert_non_null(strstr(stoa_error_message(), "not shared"));
    assert_int_equal(stoa_push_object(b, NULL), STOA_EINVAL);
    assert_int_equal(stoa_make_tuple(b, &null, 1, &out), STOA_EINVAL);
    assert_int_equal(stoa_make_tuple(b, NULL, 1, &out), STOA_EINVAL);
    assert_int_equal(stoa_make_mapping(b, &open, &foreign, 1, &out), STOA_EINVAL);
    assert_int_equal(stoa_make_set(b, &foreign, 1, &out), STOA_EINVAL);
    assert_int_equal(stoa_make_text(b, NULL, 3, &out), STOA_EINVAL);
    assert_int_equal(stoa_make_bytes(b, NULL, 3, &out), STOA_EINVAL);
    assert_int_equal(stoa_make_int64(b, 3, NULL), STOA_EINVAL);
    assert_int_equal(stoa_make_int64(NULL, 3, &out), STOA_EINVAL);
    assert_int_equal(stoa_builder_new(NULL, 2, &same), STOA_EINVAL);
    assert_null(out);
    OK(stoa_push_text(same, "x", 1));
    OK(stoa_builder_finish(same, NULL));
    OK(stoa_push_object(b, open)); /* now it is */
    OK(stoa_builder_finish(b, &out));
    Py_DECREF(private);
    stoa_builder_free(b);
    stoa_builder_free(other);
    stoa_builder_free(same);
    stoa__region_unref(one);
    stoa__region_unref(two);
}

static void
abort_leaves_the_region_as_it_was(void **state)
{
    (void)state;
    stoa_region *region;
    stoa_region_stats before, after;
    OK(stoa__region_new("abort", 0, &region));
    stoa_builder *b = new_builder(region, 0);
    OK(stoa_push_text(b, "kept", 4));
    OK(stoa_builder_finish(b, NULL));
    stoa__region_get_stats(region, &before);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20000; i++) {
            char text[32];
            OK(stoa_push_text(b, text, (size_t)snprintf(text, sizeof(text), "text %d", i)));
        }
        assert_true(stoa_builder_bytes(b) > 20000 * 40);
        if (round == 1) {
            OK(stoa_begin_tuple(b));
        }
        stoa_builder_abort(b);
        assert_int_equal(stoa_builder_bytes(b), 0);
        stoa__region_get_stats(region, &after);
        assert_int_equal(after.used_bytes, before.used_bytes);
        assert_int_equal(after.objects, before.objects);
        assert_int_equal(after.intern_entries, before.intern_entries);
    }
    stoa_builder_free(b);
    stoa__region_unref(region);
}

static void
a_limit_is_an_error_and_the_builder_can_be_used_again(void **state)
{
    (void)state;
    stoa_region *region;
    stoa_region_stats stats;
    OK(stoa__region_new("limited", 2000000, &region));
    stoa_builder *b = new_builder(region, STOA_BUILD_NO_INTERN);
    stoa_err err = STOA_OK;
    OK(stoa_begin_tuple(b));
    for (int i = 0; i < 1000000 && err == STOA_OK; i++) {
        err = stoa_push_int64(b, i + 1000000);
    }
    assert_int_equal(err, STOA_ENOMEM);
    assert_non_null(strstr(stoa_error_message(), "limit"));
    stoa_builder_abort(b);
    stoa__region_get_stats(region, &stats);
    assert_int_equal(stats.used_bytes, 0);
    const stoa_object *o;
    OK(stoa_push_text(b, "fits", 4));
    OK(stoa_builder_finish(b, &o));
    stoa_builder_free(b);
    stoa__region_unref(region);
}

static void
nesting_has_no_limit(void **state)
{
    (void)state;
    const size_t levels = 1000000;
    stoa_region *region;
    OK(stoa__region_new("deep", 0, &region));
    stoa_builder *b = new_builder(region, STOA_BUILD_NO_INTERN);
    const stoa_object *o, *inner;
    for (size_t i = 0; i < levels; i++) {
        OK(stoa_begin_tuple(b));
    }
    OK(stoa_push_text(b, "bottom", 6));
    for (size_t i = 0; i < levels; i++) {
        OK(stoa_end(b));
    }
    OK(stoa_builder_finish(b, &o));
    for (size_t i = 0; i < levels; i++) {
        OK(stoa_tuple_item(o, 0, &inner));
        o = inner;
    }
    assert_int_equal(stoa_object_kind(o), STOA_KIND_TEXT);
    stoa_builder_free(b);
    stoa__region_unref(region);
}

static void
a_forked_child_cannot_go_on_but_can_begin_anew(void **state)
{
    (void)state;
    stoa_builder *b = new_builder(NULL, 0);
    const stoa_object *o;
    OK(stoa_begin_tuple(b));
    OK(stoa_push_text(b, "before the fork", 15));
    pid_t pid = fork();
    if (pid == 0) {
        int wrong = stoa_push_text(b, "after", 5) != STOA_EFORKED || stoa_end(b) != STOA_EFORKED;
        stoa_builder_abort(b);
        wrong |= stoa_push_text(b, "made by the child", 17) != STOA_OK || stoa_builder_finish(b, &o) != STOA_OK;
        _exit(wrong);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    OK(stoa_end(b));
    OK(stoa_builder_finish(b, &o));
    assert_true(holds(o, "x == ('before the fork',)"));
    stoa_builder_free(b);
}

/* ---- threads without a GIL --------------------------------------------------------------------------------------- */

typedef struct job {
    int number;
    unsigned flags;
    const stoa_object *made;
} job;

static void *
build_records(void *arg)
{
    job *j = arg;
    stoa_builder *b;
    char text[64];
    if (stoa_builder_new(NULL, j->flags, &b) != STOA_OK) {
        return NULL;
    }
    stoa_err err = stoa_begin_tuple(b);
    for (int i = 0; i < 5000 && err == STOA_OK; i++) {
        err = stoa_begin_mapping(b);
        err = err ? err : stoa_push_text(b, "id", 2);
        err = err ? err : stoa_push_int64(b, i * 1000);
        err = err ? err : stoa_push_text(b, "text", 4);
        err = err ? err
                  : stoa_push_text(b, text,
                                   (size_t)snprintf(text, sizeof(text),
                                                    "r\xc3\xa9"
                                                    "cord %d",
                                                    i));
        err = err ? err : stoa_push_text(b, "own", 3);
        err = err ? err
                  : stoa_push_text(b, text, (size_t)snprintf(text, sizeof(text), "%d of %d", i, j->number));
        err = err ? err : stoa_end(b);
    }
    err = err ? err : stoa_end(b);
    const stoa_object *made;
    if (err == STOA_OK && stoa_builder_finish(b, &made) == STOA_OK) {
        j->made = made;
    }
    stoa_builder_free(b);
    return NULL;
}

static void
threads_build_at_once_while_python_runs(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    for (unsigned flags = 0; flags <= STOA_BUILD_NO_INTERN; flags++) {
        pthread_t threads[THREADS];
        job jobs[THREADS];
        for (int i = 0; i < THREADS; i++) {
            jobs[i] = (job){i, flags, NULL};
            assert_int_equal(pthread_create(&threads[i], NULL, build_records, &jobs[i]), 0);
        }
        Py_DECREF(stoa_test_eval("sum(i * i for i in range(10**5))")); /* this thread keeps the GIL all the time */
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_non_null(jobs[i].made);
            char text[200];
            snprintf(
                text, sizeof(text),
                "[dict(d) for d in x] == [{'id': i * 1000, 'text': f'r\\xe9cord {i}', 'own': f'{i} of %d'} "
                "for i in range(5000)]",
                i);
            assert_true(holds(jobs[i].made, text));
        }
    }
}

static int
setup(void **state)
{
    stoa_builder *b = NULL;
    if (stoa_builder_new(NULL, 0, &b) != STOA_ESTATE) { /* no Python has been prepared yet */
        return -1;
    }
    return stoa_test_immortal_setup(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_what_python_would_make),
        cmocka_unit_test(the_two_ways_mix),
        cmocka_unit_test(a_later_equal_key_replaces_the_value),
        cmocka_unit_test(nan_keys_stay_apart),
        cmocka_unit_test(bad_utf8_is_refused_and_the_builder_goes_on),
        cmocka_unit_test(wrong_order_is_an_error_and_changes_nothing),
        cmocka_unit_test(unhashable_keys_are_refused),
        cmocka_unit_test(unusable_children_are_refused),
        cmocka_unit_test(abort_leaves_the_region_as_it_was),
        cmocka_unit_test(a_limit_is_an_error_and_the_builder_can_be_used_again),
        cmocka_unit_test(nesting_has_no_limit),
        cmocka_unit_test(a_forked_child_cannot_go_on_but_can_begin_anew),
        cmocka_unit_test(threads_build_at_once_while_python_runs),
    };
    return cmocka_run_group_tests(tests, setup, stoa_test_python_teardown);
}
