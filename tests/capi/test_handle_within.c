/* Calls of handles with a time limit. */
#include "handle_testing.h"

#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

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
    double until = now() + 60;
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
    assert_int_equal(stoa_handle_call(forever, NULL, NULL, 0, 0, 0.3, &out, &raised), STOA_ETIMEDOUT);
    assert_non_null(strstr(stoa_error_message(), "endless"));
    assert_int_equal(stoa_handle_get_attr(odd, "x", 0, 0.05, &out, &raised), STOA_ETIMEDOUT);
    assert_int_equal(stoa_handle_get_item(odd, &key, 0, 0.05, &out, &raised), STOA_ETIMEDOUT);
    assert_int_equal(stoa_call_within(interp, "__main__:forever", NULL, 0, 0, 0.05, &out, &raised),
                     STOA_ETIMEDOUT);
    assert_int_equal(stoa_exec_within(interp, "forever()", NULL, 0.05, &raised), STOA_ETIMEDOUT);
    assert_null(raised); /* that we are here at all shows it: by itself none of them ends */
    assert_int_equal(out.as.integer, 7);
    becomes(interp, "started - ended", 0);
    assert_true(number(interp, "started") > 0);
    OK(stoa_exec(interp, "for i in range(100000): pass", NULL, NULL)); /* nothing is left over for others */
    OK(stoa_handle_release(forever));
    OK(stoa_handle_release(odd));
    end(interp);
}

typedef struct sleeper {
    stoa_interp *interp;
    int wake; /* what ends the call that blocks */
} sleeper;

/* Ends the call when the interpreter is being closed, which waits for it. */
static void *
wake_when_closing(void *arg)
{
    const sleeper *s = arg;
    while (stoa_exec(s->interp, "pass", NULL, NULL) == STOA_OK) {
        sched_yield();
    }
    CHECK(write(s->wake, "x", 1) == 1);
    return NULL;
}

static void
a_blocking_c_call_lets_its_caller_go(void **state)
{
    (void)state;
    int wake[2], over[2];
    char code[400], byte;
    assert_int_equal(pipe(wake) | pipe2(over, O_NONBLOCK), 0);
    sleeper s = {make("blocking"), wake[1]};
    snprintf(code, sizeof code,
             "import os\nbegun = ended = 0\ndef block():\n    global begun, ended\n    begun += 1\n"
             "    try: os.read(%d, 1)\n"
             "    finally:\n" /* it has been interrupted meanwhile */
             "        ended += 1\n        os.write(%d, b'x')\n",
             wake[0], over[1]);
    OK(stoa_exec(s.interp, code, NULL, NULL));
    stoa_handle block = get(s.interp, "__main__:block");
    double limit = 0.05;
    do { /* on a machine so busy that the limit was over before the call began, nothing is shown: again, with more */
        assert_int_equal(stoa_handle_call(block, NULL, NULL, 0, 0, limit, NULL, NULL), STOA_ETIMEDOUT);
        limit *= 2;
    } while (number(s.interp, "begun") == 0);
    assert_int_equal(number(s.interp, "begun"), 1);
    assert_int_equal(number(s.interp, "ended"), 0); /* it blocks, and we are here */
    OK(stoa_exec(s.interp, "for i in range(100000): pass", NULL, NULL));
    OK(stoa_handle_release(block));
    pthread_t thread = start(wake_when_closing, &s);
    OK(stoa_interp_close(s.interp, FOREVER));
    assert_int_equal(read(over[0], &byte, 1), 1); /* closing has waited for it */
    join(thread);
    stoa_interp_free(s.interp);
    close(wake[0]), close(wake[1]), close(over[0]), close(over[1]);
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
