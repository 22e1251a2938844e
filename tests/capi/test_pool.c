/* Pools as an outside host uses them: public headers only, threads that Python has never seen. */
#include "host_testing.h"

#include <Python.h>
#include <stdatomic.h>
#include <time.h>

static stoa_pool *
make(unsigned workers)
{
    stoa_pool_options options;
    stoa_pool *pool;
    stoa_pool_options_init(&options);
    options.workers = workers;
    options.name = "host";
    OK(stoa_pool_new(&options, &pool));
    return pool;
}

static void
shut(stoa_pool *pool)
{
    OK(stoa_pool_shutdown(pool, false, 60));
    stoa_pool_free(pool);
}

static void
calls_by_name(void **state)
{
    (void)state;
    stoa_pool *pool = make(2);
    stoa_task *task;
    stoa_data result = stoa_data_none();
    char text[] = "3fff";
    stoa_data args[] = {stoa_data_text(text, 4), stoa_data_int(16)};
    OK(stoa_pool_call(pool, "builtins:int", args, 2, 0, &task));
    memset(text, '?', sizeof(text)); /* the arguments were copied */
    OK(stoa_task_result(task, 60, &result, NULL));
    assert_int_equal(result.kind, STOA_DATA_INT);
    assert_int_equal(result.as.integer, 0x3fff);
    assert_int_equal(stoa_task_result(task, 0, &result, NULL), STOA_ESTATE);
    assert_true(stoa_task_is_over(task));
    assert_false(stoa_task_cancel(task));
    stoa_task_free(task);

    stoa_exception *exception = NULL;
    OK(stoa_pool_call(pool, "math:sqrt", &args[1], 0, 0, &task));
    assert_int_equal(stoa_task_result(task, 60, &result, &exception), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(exception), "builtins.TypeError");
    stoa_exception_free(exception);
    stoa_task_free(task);
    OK(stoa_pool_call(pool, "builtins:print", NULL, 0, 0, NULL)); /* nobody waits */
    shut(pool);
}

/* The task calls an object that is at home on the thread that waits for the task, and for the end of the pool. */
static void
waiting_thread_runs_its_calls(void **state)
{
    (void)state;
    stoa_pool *pool = make(1);
    stoa_task *task;
    stoa_data result = stoa_data_none();
    static const char text[] = "__import__('stoa').lookup('test.at home')()";
    stoa_data code = stoa_data_text(text, sizeof(text) - 1);
    stoa_interp *main_interp;
    OK(stoa_interp_main(&main_interp));
    OK(stoa_exec(main_interp,
                 "import stoa\n"
                 "kept = lambda: 7\n"
                 "stoa.publish('test.at home', stoa.proxy(kept, thread='home'))\n",
                 NULL, NULL));
    OK(stoa_pool_call(pool, "builtins:eval", &code, 1, 0, &task));
    OK(stoa_task_result(task, 60, &result, NULL));
    assert_int_equal(result.as.integer, 7);
    stoa_task_free(task);
    OK(stoa_pool_call(pool, "builtins:eval", &code, 1, 0, &task));
    OK(stoa_pool_shutdown(pool, false, 60));
    OK(stoa_task_result(task, 0, &result, NULL));
    assert_int_equal(result.as.integer, 7);
    stoa_task_free(task);
    stoa_pool_free(pool);
    OK(stoa_exec(main_interp, "stoa.unpublish('test.at home')", NULL, NULL));
    stoa_interp_free(main_interp);
}

typedef struct sum {
    _Atomic int done;
    _Atomic long total;
} sum;

static stoa_err
add(stoa_interp *interp, void *arg)
{
    sum *s = arg;
    PyObject *number = PyLong_FromLong(7);
    if (number == NULL || stoa_interp_is_closed(interp)) {
        return STOA_ESTATE;
    }
    s->total += PyLong_AsLong(number);
    s->done++;
    Py_DECREF(number);
    return STOA_OK;
}

static stoa_err
fail_in_python(stoa_interp *interp, void *arg)
{
    (void)interp;
    (void)arg;
    PyErr_SetString(PyExc_KeyError, "left set");
    return STOA_OK;
}

static void
callbacks_run_inside(void **state)
{
    (void)state;
    stoa_pool *pool = make(3);
    stoa_task *tasks[200];
    sum s = {0, 0};
    for (int i = 0; i < 200; i++) {
        OK(stoa_pool_run(pool, add, &s, &tasks[i]));
    }
    for (int i = 0; i < 200; i++) {
        OK(stoa_task_result(tasks[i], 60, NULL, NULL));
        stoa_task_free(tasks[i]);
    }
    assert_int_equal(s.done, 200);
    assert_int_equal(s.total, 1400);
    stoa_exception *exception = NULL;
    OK(stoa_pool_run(pool, fail_in_python, NULL, &tasks[0]));
    assert_int_equal(stoa_task_result(tasks[0], 60, NULL, &exception), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(exception), "builtins.KeyError");
    stoa_exception_free(exception);
    stoa_task_free(tasks[0]);
    shut(pool);
}

typedef struct gate {
    _Atomic bool begun, open;
} gate;

static stoa_err
wait_at_gate(stoa_interp *interp, void *arg)
{
    gate *g = arg;
    (void)interp;
    g->begun = true;
    while (!g->open) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return STOA_OK;
}

static void
cancelling_and_timeouts(void **state)
{
    (void)state;
    stoa_pool *pool = make(1);
    stoa_task *busy, *waiting, *swept;
    gate g = {false, false};
    sum s = {0, 0};
    OK(stoa_pool_run(pool, wait_at_gate, &g, &busy));
    while (!g.begun) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    OK(stoa_pool_run(pool, add, &s, &waiting));
    OK(stoa_pool_run(pool, add, &s, &swept));
    assert_int_equal(stoa_task_wait(busy, 0.01), STOA_ETIMEDOUT);
    assert_int_equal(stoa_task_wait(busy, 0.0 / 0.0), STOA_EINVAL);
    assert_false(stoa_task_cancel(busy));
    assert_true(stoa_task_cancel(waiting));
    assert_int_equal(stoa_task_result(waiting, 0, NULL, NULL), STOA_ECANCELLED);
    assert_int_equal(stoa_pool_shutdown(pool, true, 0), STOA_ETIMEDOUT);
    assert_int_equal(stoa_task_result(swept, 0, NULL, NULL), STOA_ECANCELLED);
    assert_int_equal(stoa_pool_run(pool, add, &s, NULL), STOA_EGONE);
    g.open = true;
    OK(stoa_task_result(busy, 60, NULL, NULL));
    OK(stoa_pool_shutdown(pool, false, 60));
    assert_int_equal(s.done, 0);
    stoa_task_free(busy);
    stoa_task_free(waiting);
    stoa_task_free(swept);
    stoa_pool_free(pool);
}

static stoa_err
wait_for_own(stoa_interp *interp, void *arg)
{
    stoa_pool *pool = arg;
    stoa_task *task;
    stoa_data argument = stoa_data_int(-5), result;
    (void)interp;
    stoa_err err = stoa_pool_call(pool, "builtins:abs", &argument, 1, 0, &task);
    if (err == STOA_OK) {
        err = stoa_task_result(task, 60, &result, NULL);
        stoa_task_free(task);
    }
    if (err == STOA_OK && stoa_pool_shutdown(pool, false, -1) != STOA_EDEADLOCK) {
        return STOA_ESTATE;
    }
    return err == STOA_OK && result.as.integer != 5 ? STOA_ETYPE : err;
}

static void
task_that_waits_for_its_own_pool(void **state)
{
    (void)state;
    stoa_pool *pool = make(1);
    stoa_task *task;
    OK(stoa_pool_run(pool, wait_for_own, pool, &task));
    OK(stoa_task_result(task, 60, NULL, NULL));
    stoa_task_free(task);
    shut(pool);
}

static void
initializers(void **state)
{
    (void)state;
    stoa_pool_options options;
    stoa_pool *pool;
    stoa_task *task;
    stoa_data result, seed = stoa_data_int(42), bits = stoa_data_int(16);
    stoa_pool_options_init(&options);
    options.workers = 1;
    options.initializer = "random:seed";
    options.args = &seed;
    options.arg_count = 1;
    OK(stoa_pool_new(&options, &pool));
    OK(stoa_pool_call(pool, "random:getrandbits", &bits, 1, 0, &task));
    OK(stoa_task_result(task, 60, &result, NULL));
    assert_int_equal(result.as.integer, 41905); /* what Python gives after random.seed(42) */
    stoa_task_free(task);
    shut(pool);

    options.initializer = "math:no_such_function";
    options.arg_count = 0;
    OK(stoa_pool_new(&options, &pool));
    stoa_err err = stoa_pool_call(pool, "builtins:abs", &bits, 1, 0, &task);
    if (err == STOA_OK) {
        err = stoa_task_result(task, 60, NULL, NULL);
        stoa_task_free(task);
    }
    assert_int_equal(err, STOA_ESTATE);
    assert_int_equal(stoa_pool_call(pool, "builtins:abs", &bits, 1, 0, NULL), STOA_ESTATE);
    shut(pool);
}

static void
wrong_arguments(void **state)
{
    (void)state;
    stoa_pool *pool = make(1);
    stoa_pool_options options = {0};
    stoa_pool *none;
    stoa_task *task;
    assert_int_equal(stoa_pool_new(&options, &none), STOA_EINVAL);
    assert_int_equal(stoa_pool_new(NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_pool_call(pool, "no colon", NULL, 0, 0, &task), STOA_EINVAL);
    assert_int_equal(stoa_pool_call(pool, "a:b", NULL, 1, 0, &task), STOA_EINVAL);
    assert_int_equal(stoa_pool_call(NULL, "a:b", NULL, 0, 0, &task), STOA_EINVAL);
    assert_int_equal(stoa_pool_run(pool, NULL, NULL, &task), STOA_EINVAL);
    assert_int_equal(stoa_task_wait(NULL, 0), STOA_EINVAL);
    stoa_task_free(NULL);
    stoa_pool_free(NULL);
    shut(pool);
}

static int
open_runtime(void **state)
{
    (void)state;
    return stoa_runtime_open(NULL);
}

static int
close_runtime(void **state)
{
    (void)state;
    stoa_pool *left = make(1); /* what is left open is closed */
    OK(stoa_pool_call(left, "builtins:len", &(stoa_data){.kind = STOA_DATA_TEXT}, 1, 0, NULL));
    int result = stoa_runtime_close();
    stoa_pool_free(left);
    return result;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_by_name),
        cmocka_unit_test(waiting_thread_runs_its_calls),
        cmocka_unit_test(callbacks_run_inside),
        cmocka_unit_test(cancelling_and_timeouts),
        cmocka_unit_test(task_that_waits_for_its_own_pool),
        cmocka_unit_test(initializers),
        cmocka_unit_test(wrong_arguments),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
