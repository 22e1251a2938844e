/* Calls, attributes and items of an object that a host has a handle of. */
#include "handle_testing.h"

static void
items_and_attributes(void **state)
{
    (void)state;
    stoa_interp *interp = make("items");
    stoa_handle table = get(interp, "__main__:table"), class = get(interp, "__main__:Account");
    stoa_data apple = text("apple"), list = stoa_data_bytes("b", 1), pear = text("pear"), out;
    stoa_data ninety = stoa_data_int(90), two = stoa_data_int(2);
    stoa_exception *raised = NULL;
    OK(stoa_handle_get_item(table, &apple, 0, FOREVER, &out, NULL));
    assert_int_equal(out.as.integer, 120);
    assert_int_equal(stoa_handle_get_item(table, &pear, 0, FOREVER, &out, &raised), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(raised), "builtins.KeyError");
    stoa_exception_free(raised);
    OK(stoa_handle_set_item(table, &pear, &ninety, FOREVER, NULL));
    OK(stoa_handle_set_item(table, &apple, NULL, FOREVER, NULL));
    assert_int_equal(number(interp, "table['pear'] + len(table)"), 93);
    assert_int_equal(stoa_handle_set_item(table, &apple, NULL, FOREVER, NULL), STOA_EPYTHON);
    assert_int_equal(stoa_handle_get_item(table, &list, 0, FOREVER, &out, NULL), STOA_ETYPE);
    assert_non_null(strstr(stoa_error_message(), "STOA_CALL_HOLD_RESULT"));
    OK(stoa_handle_get_item(table, &list, STOA_CALL_HOLD_RESULT, FOREVER, &out, NULL));
    OK(stoa_handle_call(out.as.handle, "append", &two, 1, 0, FOREVER, NULL, NULL));
    stoa_data_clear(&out);
    assert_int_equal(number(interp, "len(table[b'b'])"), 3);
    OK(stoa_handle_get_attr(class, "__name__", 0, FOREVER, &out, NULL));
    assert_string_equal(out.as.text.at, "Account");
    stoa_data_clear(&out);
    OK(stoa_handle_set_attr(class, "limit", &ninety, FOREVER, NULL));
    assert_int_equal(number(interp, "Account.limit"), 90);
    OK(stoa_handle_set_attr(class, "limit", NULL, FOREVER, NULL));
    assert_int_equal(stoa_handle_set_attr(class, "limit", NULL, FOREVER, &raised), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(raised), "builtins.AttributeError");
    stoa_exception_free(raised);
    OK(stoa_handle_release(table));
    OK(stoa_handle_release(class));
    end(interp);
}

static void
exceptions_and_bad_arguments(void **state)
{
    (void)state;
    stoa_interp *interp = make("bad");
    stoa_handle fail = get(interp, "__main__:fail"), handle;
    stoa_data in = text("no such row"), bad = text("\xff"), wrong = {.kind = (stoa_data_kind)99}, out;
    stoa_data nowhere = stoa_data_text(NULL, 5);
    stoa_exception *raised = NULL;
    assert_int_equal(stoa_handle_call(fail, NULL, &in, 1, 0, FOREVER, &out, &raised), STOA_EPYTHON);
    assert_string_equal(stoa_exception_message(raised), "no such row");
    assert_non_null(strstr(stoa_exception_traceback(raised), "in fail"));
    stoa_exception_free(raised);
    assert_int_equal(stoa_handle_call(fail, "no_such", &in, 1, 0, FOREVER, &out, NULL), STOA_EPYTHON);
    assert_int_equal(stoa_handle_call(fail, NULL, &bad, 1, 0, FOREVER, &out, NULL), STOA_EUTF8);
    assert_non_null(strstr(stoa_error_message(), "args[0]"));
    assert_int_equal(stoa_handle_call(fail, "\xff", &in, 1, 0, FOREVER, &out, NULL), STOA_EPYTHON);
    assert_int_equal(stoa_handle_call(fail, NULL, &wrong, 1, 0, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_call(fail, NULL, &nowhere, 1, 0, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_call(fail, NULL, NULL, 1, 0, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_call(fail, NULL, &in, 1, 3, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_call(fail, NULL, &in, 1, 8, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_call(fail, NULL, &in, 1, 0, 0.0 / 0.0, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_get_attr(fail, NULL, 0, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_get_attr(fail, "x", 0, FOREVER, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_set_attr(fail, NULL, &in, FOREVER, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_set_attr(fail, "x", &wrong, FOREVER, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_get_item(fail, NULL, 0, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_set_item(fail, NULL, &in, FOREVER, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_dup(fail, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_owner(fail, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_same(fail, fail, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_publish(NULL, fail), STOA_EINVAL);
    assert_int_equal(stoa_handle_publish("", fail), STOA_EINVAL);
    assert_int_equal(stoa_handle_lookup(NULL, 0, &handle), STOA_EINVAL);
    assert_int_equal(stoa_handle_lookup("x", 0, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_get(NULL, "x:y", FOREVER, &handle, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_get(interp, NULL, FOREVER, &handle, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_get(interp, "x:y", FOREVER, NULL, NULL), STOA_EINVAL);
    const char *const no_names[] = {"", ":x", "x:", ":"};
    for (size_t i = 0; i < sizeof(no_names) / sizeof(no_names[0]); i++) {
        assert_int_equal(stoa_handle_get(interp, no_names[i], FOREVER, &handle, NULL), STOA_EINVAL);
    }
    OK(stoa_handle_release(fail));
    end(interp);
}

static void
many_arguments(void **state)
{
    (void)state;
    stoa_interp *interp = make("many");
    OK(stoa_exec(interp, "def total(*a): return sum(a)", NULL, NULL));
    stoa_handle total = get(interp, "__main__:total");
    stoa_data args[100], out;
    for (int i = 0; i < 100; i++) {
        args[i] = stoa_data_int(i);
    }
    const size_t counts[] = {0, 1, 8, 9, 100};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        OK(stoa_handle_call(total, NULL, args, counts[i], 0, FOREVER, &out, NULL));
        assert_int_equal(out.as.integer, counts[i] * (counts[i] - (counts[i] > 0)) / 2);
    }
    OK(stoa_handle_release(total));
    end(interp);
}

static void
keywords_are_given_by_name(void **state)
{
    (void)state;
    stoa_interp *interp = make("named");
    stoa_handle f = get(interp, "__main__:named");
    const char *names[] = {"b", "c\xc3\xa4"}, *bad[] = {"b", "\xff"}, *none[] = {"b", NULL};
    stoa_data args[] = {stoa_data_int(1), stoa_data_int(2), stoa_data_int(3), stoa_data_int(4)}, out;
    for (int limited = 0; limited < 2; limited++) {
        double timeout = limited ? 30 : FOREVER;
        OK(stoa_handle_call_named(f, NULL, args, 4, names, 2, 0, timeout, &out, NULL));
        assert_string_equal(out.as.text.at, "(1, (2,), 3, {'c\xc3\xa4': 4})");
        stoa_data_clear(&out);
        OK(stoa_handle_call_named(f, "__call__", args, 2, names, 1, 0, timeout, &out, NULL));
        assert_string_equal(out.as.text.at, "(1, (), 2, {})");
        stoa_data_clear(&out);
    }
    OK(stoa_handle_call_named(f, NULL, args, 1, NULL, 0, 0, FOREVER, NULL, NULL));
    assert_int_equal(stoa_handle_call_named(f, NULL, args, 1, names, 2, 0, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_call_named(f, NULL, args, 4, none, 2, 0, FOREVER, &out, NULL), STOA_EINVAL);
    assert_int_equal(stoa_handle_call_named(f, NULL, args, 4, bad, 2, 0, FOREVER, &out, NULL), STOA_EUTF8);
    assert_int_equal(stoa_handle_call_named(f, NULL, args, 4, NULL, 2, 0, FOREVER, &out, NULL), STOA_EINVAL);
    stoa_exception *exception = NULL;
    assert_int_equal(stoa_handle_call_named(f, "nothing", args, 4, names, 2, 0, FOREVER, &out, &exception),
                     STOA_EPYTHON);
    assert_non_null(strstr(stoa_exception_type(exception), "AttributeError"));
    stoa_exception_free(exception);
    OK(stoa_handle_release(f));
    GONE(stoa_handle_call_named(f, NULL, args, 4, names, 2, 0, FOREVER, &out, NULL));
    end(interp);
}

static void
length_and_items_in_order(void **state)
{
    (void)state;
    stoa_interp *interp = make("items");
    stoa_handle table = get(interp, "__main__:table"), count = get(interp, "__main__:count"), iterator;
    size_t length = 0;
    OK(stoa_handle_len(table, FOREVER, &length, NULL));
    assert_int_equal(length, 3);
    OK(stoa_handle_len(table, 30, &length, NULL));
    assert_int_equal(stoa_handle_len(count, FOREVER, &length, NULL), STOA_EPYTHON);
    assert_int_equal(stoa_handle_len(table, FOREVER, NULL, NULL), STOA_EINVAL);
    stoa_data item, n[] = {stoa_data_int(4)}, made;
    bool more = true;
    assert_int_equal(stoa_handle_next(table, 0, FOREVER, &item, &more, NULL), STOA_EPYTHON);
    assert_int_equal(stoa_handle_iterate(count, FOREVER, &iterator, NULL), STOA_EPYTHON);
    for (int64_t size = 4; size >= 3; size--) { /* the second raises at its end */
        n[0] = stoa_data_int(size);
        OK(stoa_handle_call(count, NULL, n, 1, STOA_CALL_HOLD_RESULT, FOREVER, &made, NULL));
        OK(stoa_handle_iterate(made.as.handle, FOREVER, &iterator, NULL));
        for (int64_t i = 0; i < size; i++) {
            OK(stoa_handle_next(iterator, 0, i % 2 ? 30 : FOREVER, &item, &more, NULL));
            assert_true(more && item.kind == STOA_DATA_INT && item.as.integer == i);
        }
        stoa_err err = stoa_handle_next(iterator, 0, 30, &item, &more, NULL);
        assert_int_equal(err, size == 3 ? STOA_EPYTHON : STOA_OK);
        assert_true(size == 3 || (!more && item.kind == STOA_DATA_NONE));
        OK(stoa_handle_release(iterator));
        stoa_data_clear(&made);
    }
    OK(stoa_handle_iterate(table, FOREVER, &iterator, NULL));
    OK(stoa_handle_release(iterator)); /* in the midst of it */
    GONE(stoa_handle_next(iterator, 0, FOREVER, &item, &more, NULL));
    OK(stoa_handle_release(table));
    OK(stoa_handle_release(count));
    end(interp);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_and_attributes),
        cmocka_unit_test(exceptions_and_bad_arguments),
        cmocka_unit_test(many_arguments),
        cmocka_unit_test(keywords_are_given_by_name),
        cmocka_unit_test(length_and_items_in_order),
    };
    return cmocka_run_group_tests(tests, stoa_test_package_setup, stoa_test_runtime_teardown);
}
