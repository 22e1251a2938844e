/* Calls of handles with a time limit. */
#include "handle_testing.h"

#include <time.h>

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until `expression` is `expected`, for some seconds: what is interrupted ends when its thread has its turn. */
static void
becomes(stoa_interp *interp, const char *expression, int64_t expected)
{
    double until = now() + 20;
    int64_t value;
    while ((value = number(interp, expression)) != expected && now() < until) {
        struct timespec moment = {.tv_nsec = 5000000};
        nanosleep(&moment, NULL);
    }
    assert_int_equal(value, expected);
}

static void
what_takes_too_long_is_interrupted(void **state)
{
    (void)state;
    stoa_interp *interp = make("endless");
    OK(stoa_exec(interp,
                 "started = ended = 0\n"
                 "def forever():\n"
                 "    global started, ended\n"
                 "    try:\n"
                 "        started += 1\n" /* which a busy machine may not come to in time */
                 "        while True: pass\n"
                 "    finally: ended += 1\n"
                 "class Odd:\n"
                 "    def __getattr__(self, name): forever()\n"
                 "    def __getitem__(self, key): forever()\n"
                 "odd = Odd()\n",
                 NULL, NULL));
    stoa_handle forever = get(interp, "__main__:forever"), odd = get(interp, "__main__:odd");
    stoa_data out = stoa_data_int(7), key = text("key");
    stoa_exception *raised = NULL;
    double started = now();
    assert_int_equal(stoa_handle_call(forever, NULL, NULL, 0, 0, 0.3, &out, &raised), STOA_ETIMEDOUT);
    assert_non_null(strstr(stoa_error_message(), "endless"));
    assert_int_equal(stoa_handle_get_attr(odd, "x", 0, 0.05, &out, &raised), STOA_ETIMEDOUT);
    assert_int_equal(stoa_handle_get_item(odd, &key, 0, 0.05, &out, &raised), STOA_ETIMEDOUT);
    assert_int_equal(stoa_call_within(interp, "__main__:forever", NULL, 0, 0, 0.05, &out, &raised),
                     STOA_ETIMEDOUT);
    assert_int_equal(stoa_exec_within(interp, "forever()", NULL, 0.05, &raised), STOA_ETIMEDOUT);
    assert_true(now() - started < 5);
    assert_null(raised);
    assert_int_equal(out.as.integer, 7);
    becomes(interp, "started - ended", 0);
    assert_true(number(interp, "started") > 0);
    OK(stoa_exec(interp, "for i in range(100000): pass", NULL, NULL)); /* nothing is left over for others */
    OK(stoa_handle_release(forever));
    OK(stoa_handle_release(odd));
    end(interp);
}

static void
a_blocking_c_call_lets_its_caller_go(void **state)
{
    (void)state;
    stoa_interp *interp = make("blocking");
    OK(stoa_exec(interp,
                 "import time\nbegun = 0\ndef nap():\n    global begun\n    begun = 1\n    time.sleep(1)\n",
                 NULL, NULL));
    stoa_handle nap = get(interp, "__main__:nap");
    double limit = 0.05, started;
    do { /* on a machine so busy that the limit was over before the nap began, nothing is shown: again, with more */
        started = now();
        assert_int_equal(stoa_handle_call(nap, NULL, NULL, 0, 0, limit, NULL, NULL), STOA_ETIMEDOUT);
        assert_true(now() - started < limit + 0.8);
        limit *= 2;
        assert_true(limit < 1);
    } while (number(interp, "begun") == 0);
    OK(stoa_exec(interp, "for i in range(100000): pass", NULL, NULL));
    OK(stoa_handle_release(nap));
    end(interp); /* waits for it */
    assert_true(now() - started > 0.9);
}

static void
within_the_limit_all_is_as_without(void **state)
{
    (void)state;
    stoa_interp *interp = make("limited");
    stoa_handle table, fail = get(interp, "__main__:fail"), released;
    OK(stoa_handle_get(interp, "__main__:table", 20, &table, NULL));
    stoa_data key = text("pear"), value = text("green"), out, self = stoa_data_handle(table);
    stoa_exception *raised = NULL;
    OK(stoa_handle_set_item(table, &key, &value, 20, NULL));
    OK(stoa_handle_get_item(table, &key, 0, 20, &out, NULL));
    assert_string_equal(out.as.text.at, "green");
    stoa_data_clear(&out);
    OK(stoa_handle_call(table, "copy", NULL, 0, STOA_CALL_HOLD_RESULT, 20, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_HANDLE);
    stoa_data_clear(&out);
    OK(stoa_call_within(interp, "__main__:is_table", &self, 1, 0, 20, &out, NULL));
    assert_true(out.as.boolean);
    OK(stoa_exec_within(interp, "x = 5", NULL, 20, NULL));
    assert_int_equal(stoa_handle_call(fail, NULL, &key, 1, 0, 20, &out, &raised), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(raised), "builtins.ValueError");
    assert_string_equal(stoa_exception_message(raised), "pear");
    stoa_exception_free(raised);
    assert_non_null(strstr(stoa_error_message(), "ValueError: pear"));
    assert_int_equal(stoa_handle_call(fail, NULL, &key, 1, 0, 20, NULL, NULL), STOA_EPYTHON);
    assert_int_equal(stoa_handle_get_item(table, &self, 0, 20, &out, NULL), STOA_EPYTHON); /* unhashable */
    assert_int_equal(stoa_handle_get(interp, "__main__:none", 20, &released, NULL), STOA_EPYTHON);
    OK(stoa_handle_dup(table, &released));
    OK(stoa_handle_release(released));
    self = stoa_data_handle(released);
    GONE(stoa_handle_call(table, "get", &self, 1, 0, 20, &out, NULL));
    assert_non_null(strstr(stoa_error_message(), "not held"));
    stoa_data bad = text("\xff");
    assert_int_equal(stoa_handle_call(fail, NULL, &bad, 1, 0, 20, &out, NULL), STOA_EUTF8);
    OK(stoa_handle_release(fail));
    OK(stoa_interp_close(interp, FOREVER));
    GONE(stoa_handle_call(table, "copy", NULL, 0, 0, 20, NULL, NULL));
    OK(stoa_handle_release(table));
    stoa_interp_free(interp);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_takes_too_long_is_interrupted),
        cmocka_unit_test(a_blocking_c_call_lets_its_caller_go),
        cmocka_unit_test(within_the_limit_all_is_as_without),
    };
    return cmocka_run_group_tests(tests, stoa_test_package_setup, stoa_test_runtime_teardown);
}
