/* Interrupting what a host's thread runs, in whichever interpreter that is. */
#include "handle_testing.h"

#include <sched.h>

static const char far_code[] = "running = 0\n"
                               "def value(text): return eval(text)\n"
                               "def forever():\n"
                               "    global running\n"
                               "    running += 1\n"
                               "    while True: pass\n";

typedef struct pair {
    stoa_interp *near, *far;
    const char *code; /* run in `near` */
    stoa_err inner;   /* of what a callback did */
} pair;

static void *
run_near(void *arg)
{
    const pair *p = arg;
    stoa_exception *raised = NULL;
    CHECK(stoa_exec(p->near, p->code, NULL, &raised) == STOA_EPYTHON);
    CHECK(raised != NULL && strcmp(stoa_exception_type(raised), "builtins.KeyboardInterrupt") == 0);
    stoa_exception_free(raised);
    CHECK(stoa_exec(p->near, "for i in range(100000): pass", NULL, NULL) == STOA_OK);
    return NULL;
}

static void
interrupt_near(pair *p)
{
    int64_t before = number(p->far, "running");
    pthread_t thread = start(run_near, p);
    while (number(p->far, "running") == before) {
        sched_yield();
    }
    size_t count = 0;
    OK(stoa_interp_interrupt(p->near, &count));
    assert_int_equal(count, 1);
    join(thread);
    OK(stoa_interp_interrupt(p->near, &count));
    assert_int_equal(count, 0);
    OK(stoa_exec(p->far, "for i in range(100000): pass", NULL, NULL));
}

/* With no GIL held: it goes into another interpreter from C code. */
static stoa_err
call_far(const stoa_callback_call *call)
{
    pair *p = call->data;
    stoa_exception *raised = NULL;
    p->inner = stoa_call(p->far, "__main__:forever", NULL, 0, 0, NULL, &raised);
    bool interrupted = raised != NULL && strcmp(stoa_exception_type(raised), "builtins.KeyboardInterrupt") == 0;
    stoa_exception_free(raised);
    return interrupted ? stoa_callback_raise(call, "builtins.KeyboardInterrupt", "passed on") : p->inner;
}

static void
reaches_another_interpreter(void **state)
{
    (void)state;
    pair p = {.near = make("near"), .far = interp_with("far", far_code)};
    stoa_handle forever = get(p.far, "__main__:forever"), called = 0;
    stoa_data arg = stoa_data_handle(forever);
    OK(stoa_exec(p.near, "def keep(x):\n    global kept\n    kept = x", NULL, NULL));
    OK(stoa_call(p.near, "__main__:keep", &arg, 1, 0, NULL, NULL));
    p.code = "kept()";
    for (int i = 0; i < 5; i++) {
        interrupt_near(&p);
    }
    stoa_callback_options options = {.size = sizeof(options), .name = "call_far", .data = &p};
    OK(stoa_callback_new(call_far, &options, &called));
    arg = stoa_data_handle(called);
    OK(stoa_call(p.near, "__main__:keep", &arg, 1, 0, NULL, NULL));
    for (int i = 0; i < 5; i++) {
        interrupt_near(&p);
        assert_int_equal(p.inner, STOA_EPYTHON);
    }
    OK(stoa_exec(p.near, "del kept", NULL, NULL));
    OK(stoa_handle_release(forever));
    OK(stoa_handle_release(called));
    end(p.near);
    end(p.far);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reaches_another_interpreter),
    };
    return cmocka_run_group_tests(tests, stoa_test_package_setup, stoa_test_runtime_teardown);
}
