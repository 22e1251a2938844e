/* The runtime opened and closed in all the ways a host may: each in a process of its own, since Python comes up once. */
#include "stoa.h"

#include <Python.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Runs `body` in a child; its result is the exit code. */
static void
in_child(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        int code = body();
        fflush(NULL);
        _exit(code);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define CHECK(condition)                                                                               \
    do {                                                                                               \
        if (!(condition)) {                                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, stoa_error_message()); \
            return 1;                                                                                  \
        }                                                                                              \
    } while (0)

static int
use(void)
{
    stoa_interp *interp;
    stoa_data in = stoa_data_int(-4), out;
    CHECK(stoa_interp_new(NULL, false, &interp) == STOA_OK);
    CHECK(stoa_call(interp, "builtins:abs", &in, 1, 0, &out, NULL) == STOA_OK && out.as.integer == 4);
    stoa_interp_free(interp); /* left open: closing the runtime closes it */
    return 0;
}

static int
open_use_close(void)
{
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    CHECK(use() == 0);
    CHECK(stoa_runtime_close() == STOA_OK);
    CHECK(!Py_IsInitialized() && !stoa_runtime_is_open());
    CHECK(stoa_runtime_close() == STOA_ESTATE);
    return 0;
}

static int
open_again(void)
{
    CHECK(open_use_close() == 0);
    return open_use_close();
}

/* What an interpreter keeps of classes is its own: the next Python counts its interpreters from 0 again, on the same thread. */
static int
use_values_of_classes(void)
{
    stoa_interp *main_interp;
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    CHECK(stoa_interp_main(&main_interp) == STOA_OK);
    CHECK(stoa_exec(main_interp,
                    "import stoa, uuid\n" /* _decimal cannot be started again in 3.12 */
                    "x = stoa.freeze([uuid.UUID(int=15), {i: uuid.UUID(int=i) for i in range(100)}])\n"
                    "assert x[0] == uuid.UUID(int=15) and x[1][7].int == 7\n"
                    "stoa.register(uuid.SafeUUID, repr, uuid.SafeUUID)",
                    NULL, NULL) == STOA_OK);
    stoa_interp_free(main_interp);
    CHECK(stoa_runtime_close() == STOA_OK);
    return 0;
}

static int
values_of_classes_again(void)
{
    for (int i = 0; i < 3; i++) {
        CHECK(use_values_of_classes() == 0);
    }
    return 0;
}

static int
python_was_there(void)
{
    Py_InitializeEx(0);
    CHECK(stoa_runtime_open(NULL) == STOA_OK); /* with the GIL held */
    CHECK(use() == 0);
    CHECK(PyGILState_Check());
    CHECK(stoa_runtime_close() == STOA_OK);
    CHECK(Py_IsInitialized());
    CHECK(PyRun_SimpleString("x = 1") == 0);
    return Py_FinalizeEx() == 0 ? 0 : 1;
}

static int
python_was_there_without_gil(void)
{
    Py_InitializeEx(0);
    PyThreadState *state = PyEval_SaveThread();
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    CHECK(use() == 0);
    CHECK(stoa_runtime_close() == STOA_OK);
    PyEval_RestoreThread(state);
    return Py_FinalizeEx() == 0 ? 0 : 1;
}

static int
python_ends_first(void)
{
    Py_InitializeEx(0);
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    CHECK(use() == 0);
    CHECK(Py_FinalizeEx() == 0);
    stoa_interp *interp;
    CHECK(stoa_interp_new(NULL, false, &interp) == STOA_ESTATE);
    CHECK(stoa_interp_main(&interp) == STOA_ESTATE);
    return 0;
}

static int
nothing_is_open(void)
{
    stoa_interp *interp;
    const stoa_object *object;
    stoa_stats stats = {.size = sizeof(stats)};
    CHECK(stoa_interp_new(NULL, false, &interp) == STOA_ESTATE);
    CHECK(stoa_interp_main(&interp) == STOA_ESTATE);
    CHECK(stoa_interp_current(&interp) == STOA_ESTATE);
    CHECK(stoa_interp_find("x", &interp) == STOA_ESTATE);
    CHECK(stoa_lookup("x", 0, &object) == STOA_ESTATE);
    CHECK(stoa_get_stats(&stats) == STOA_ESTATE);
    CHECK(stoa_runtime_close() == STOA_ESTATE);
    return 0;
}

static int
options_reach_python(void)
{
    const char *argv[] = {"prog", "--flag"}, *paths[] = {"/first/of/all"};
    stoa_runtime_options options;
    stoa_runtime_options_init(&options);
    options.argc = 2;
    options.argv = argv;
    options.path_count = 1;
    options.paths = paths;
    CHECK(stoa_runtime_open(&options) == STOA_OK);
    stoa_interp *interp;
    CHECK(stoa_interp_main(&interp) == STOA_OK);
    CHECK(stoa_exec(interp,
                    "import sys\nassert sys.argv == ['prog', '--flag'], sys.argv\n"
                    "assert sys.path[0] == '/first/of/all'\nassert sys.flags.isolated == 1",
                    NULL, NULL) == STOA_OK);
    stoa_interp_free(interp);
    CHECK(stoa_interp_new("further", false, &interp) == STOA_OK); /* finds what the main one finds */
    CHECK(stoa_exec(interp, "import sys\nassert sys.path[0] == '/first/of/all', sys.path", NULL, NULL) ==
          STOA_OK);
    stoa_interp_free(interp);
    CHECK(stoa_runtime_close() == STOA_OK);
    return 0;
}

static int
a_home_that_is_none(void)
{
    stoa_runtime_options options;
    stoa_runtime_options_init(&options);
    options.home = "/no/such/folder";
    fclose(stderr); /* Python prints its search path */
    CHECK(stoa_runtime_open(&options) == STOA_EPYTHON);
    CHECK(!stoa_runtime_is_open());
    return 0;
}

static void *
stay(void *arg)
{
    stoa_exec(arg, "import time, threading\nthreading.current_thread()", NULL, NULL);
    pause();
    return NULL;
}

static int
threads_outlive_the_runtime(void)
{
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    stoa_interp *interp;
    CHECK(stoa_interp_new(NULL, false, &interp) == STOA_OK);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, stay, interp) == 0);
    }
    struct timespec moment = {.tv_nsec = 200000000};
    nanosleep(&moment, NULL);
    CHECK(stoa_runtime_close() == STOA_OK);
    CHECK(stoa_exec(interp, "x", NULL, NULL) == STOA_EGONE);
    return 0;
}

static void *
close_here(void *arg)
{
    *(stoa_err *)arg = stoa_runtime_close();
    return NULL;
}

static int
closed_by_another_thread(void)
{
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    stoa_err err = STOA_OK;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, close_here, &err) == 0);
    pthread_join(thread, NULL);
    CHECK(err == STOA_ESTATE);
    CHECK(stoa_runtime_close() == STOA_OK);
    return 0;
}

static _Atomic int finalised;

static void
count_end(void *data)
{
    (void)data;
    finalised++;
}

static stoa_err
answer(const stoa_callback_call *call)
{
    return stoa_callback_return(call, stoa_data_int(42));
}

/* What a host still holds when the runtime goes is an error to use, and may be given up. */
static int
handles_outlive_the_runtime(void)
{
    stoa_interp *interp, *main_interp;
    stoa_handle theirs, mains, callback, published;
    stoa_callback_options options = {.size = sizeof(options), .finalise = count_end};
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    CHECK(stoa_interp_new(NULL, false, &interp) == STOA_OK && stoa_interp_main(&main_interp) == STOA_OK);
    CHECK(stoa_exec(interp, "x, kept = [], []", NULL, NULL) == STOA_OK);
    CHECK(stoa_handle_get(interp, "__main__:x", -1, &theirs, NULL) == STOA_OK);
    CHECK(stoa_handle_get(main_interp, "sys:path", -1, &mains, NULL) == STOA_OK);
    CHECK(stoa_callback_new(answer, &options, &callback) == STOA_OK);
    CHECK(stoa_callback_new(answer, &options, &published) == STOA_OK);
    CHECK(stoa_handle_publish("answer", published) == STOA_OK);
    CHECK(stoa_handle_release(published) == STOA_OK);
    stoa_data self = stoa_data_handle(callback), out;
    CHECK(stoa_handle_call(theirs, "append", &self, 1, 0, -1, NULL, NULL) == STOA_OK);
    CHECK(stoa_runtime_close() == STOA_OK);
    CHECK(finalised == 0);
    CHECK(stoa_handle_call(theirs, "clear", NULL, 0, 0, -1, NULL, NULL) == STOA_EGONE);
    CHECK(stoa_handle_call(mains, "copy", NULL, 0, 0, -1, NULL, NULL) == STOA_EGONE);
    CHECK(stoa_handle_call(mains, "copy", NULL, 0, 0, 1, NULL, NULL) == STOA_EGONE);
    CHECK(stoa_handle_call(callback, NULL, NULL, 0, 0, -1, &out, NULL) == STOA_ESTATE);
    CHECK(stoa_handle_release(theirs) == STOA_OK && stoa_handle_release(mains) == STOA_OK);
    CHECK(stoa_runtime_open(NULL) == STOA_OK); /* another Python: the callbacks are the host's, and go on */
    CHECK(stoa_handle_call(callback, NULL, NULL, 0, 0, -1, &out, NULL) == STOA_OK && out.as.integer == 42);
    CHECK(stoa_handle_lookup("answer", 0, &published) == STOA_OK);
    CHECK(stoa_handle_call(published, NULL, NULL, 0, 0, -1, &out, NULL) == STOA_OK && out.as.integer == 42);
    CHECK(stoa_runtime_close() == STOA_OK);
    CHECK(stoa_handle_release(callback) == STOA_OK && finalised == 1);
    CHECK(stoa_handle_release(published) == STOA_OK && finalised == 1); /* the name still holds it */
    CHECK(stoa_unpublish("answer") == STOA_OK && finalised == 2);
    stoa_interp_free(interp);
    stoa_interp_free(main_interp);
    return 0;
}

static _Atomic int begun, may_end;

static stoa_err
wait_for_the_end(const stoa_callback_call *call)
{
    begun = 1;
    while (!may_end) {
        (void)sched_yield();
    }
    return stoa_callback_return(call, stoa_data_none());
}

/* A thread of Python's that is in a callback when Python ends never comes back to Python: the finaliser is called all
 * the same. */
static int
callbacks_under_way_are_finalised(void)
{
    stoa_interp *main_interp;
    stoa_handle callback;
    stoa_callback_options options = {.size = sizeof(options), .finalise = count_end};
    CHECK(stoa_runtime_open(NULL) == STOA_OK);
    CHECK(stoa_interp_main(&main_interp) == STOA_OK);
    CHECK(stoa_callback_new(wait_for_the_end, &options, &callback) == STOA_OK);
    stoa_data self = stoa_data_handle(callback);
    CHECK(stoa_exec(main_interp,
                    "import threading\ndef begin(f): threading.Thread(target=f, daemon=True).start()", NULL,
                    NULL) == STOA_OK);
    CHECK(stoa_call(main_interp, "__main__:begin", &self, 1, 0, NULL, NULL) == STOA_OK);
    while (!begun) {
        (void)sched_yield();
    }
    CHECK(stoa_handle_release(callback) == STOA_OK);
    CHECK(stoa_runtime_close() == STOA_OK);
    CHECK(finalised == 0);
    may_end = 1;
    while (finalised == 0) {
        (void)sched_yield();
    }
    stoa_interp_free(main_interp);
    return 0;
}

#define CASE(name)                        \
    static void test_##name(void **state) \
    {                                     \
        (void)state;                      \
        in_child(name);                   \
    }
CASE(open_use_close)
CASE(open_again)
CASE(values_of_classes_again)
CASE(python_was_there)
CASE(python_was_there_without_gil)
CASE(python_ends_first)
CASE(nothing_is_open)
CASE(options_reach_python)
CASE(a_home_that_is_none)
CASE(threads_outlive_the_runtime)
CASE(closed_by_another_thread)
CASE(handles_outlive_the_runtime)
CASE(callbacks_under_way_are_finalised)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_use_close),
        cmocka_unit_test(test_open_again),
        cmocka_unit_test(test_values_of_classes_again),
        cmocka_unit_test(test_python_was_there),
        cmocka_unit_test(test_python_was_there_without_gil),
        cmocka_unit_test(test_python_ends_first),
        cmocka_unit_test(test_nothing_is_open),
        cmocka_unit_test(test_options_reach_python),
        cmocka_unit_test(test_a_home_that_is_none),
        cmocka_unit_test(test_threads_outlive_the_runtime),
        cmocka_unit_test(test_closed_by_another_thread),
        cmocka_unit_test(test_handles_outlive_the_runtime),
        cmocka_unit_test(test_callbacks_under_way_are_finalised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
