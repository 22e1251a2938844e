/* A host in C that leaves Python to Stoa: public headers only. Threads that Python has never seen do the work. */
#include "host_testing.h"
#include "stoa/python.h"

#include <Python.h>

static stoa_interp *
make(const char *name)
{
    stoa_interp *interp;
    OK(stoa_interp_new(name, false, &interp));
    return interp;
}

/* Memory that is no shared object. */
static const void *const no_memory[32];
static const stoa_object *const no_object = (const stoa_object *)no_memory;

/* ---- runtime ----------------------------------------------------------------------------------------------------- */

static void
versions_agree(void **state)
{
    (void)state;
    assert_string_equal(stoa_version(), STOA_VERSION_STRING);
    assert_int_equal(stoa_version_number(), STOA_VERSION);
}

static void
opening_twice_needs_closing_twice(void **state)
{
    (void)state;
    assert_true(stoa_runtime_is_open());
    OK(stoa_runtime_open(NULL));
    OK(stoa_runtime_close());
    assert_true(stoa_runtime_is_open());
}

static void
bad_options_are_told(void **state)
{
    (void)state;
    stoa_runtime_options options;
    stoa_runtime_options_init(&options);
    options.size = 3;
    assert_int_equal(stoa_runtime_open(&options), STOA_EINVAL);
    stoa_runtime_options_init(&options);
    options.argc = 2;
    assert_int_equal(stoa_runtime_open(&options), STOA_EINVAL);
}

static void
host_holds_no_gil(void **state)
{
    (void)state;
    assert_int_equal(PyGILState_Check(), 0);
    stoa_interp *current;
    assert_int_equal(stoa_interp_current(&current), STOA_ESTATE);
}

static void
statistics_count(void **state)
{
    (void)state;
    stoa_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)}, bad = {.size = 1};
    OK(stoa_get_stats(&before));
    stoa_interp *interp = make("counted");
    OK(stoa_exec(interp, "x = 1", NULL, NULL));
    OK(stoa_get_stats(&after));
    assert_int_equal(after.interpreters, before.interpreters + 1);
    assert_int_equal(after.interpreters_made, before.interpreters_made + 1);
    assert_true(after.calls > before.calls);
    assert_int_equal(stoa_get_stats(&bad), STOA_EINVAL);
    end(interp);
}

/* ---- interpreters ------------------------------------------------------------------------------------------------ */

static void
interpreters_have_names(void **state)
{
    (void)state;
    stoa_interp *interp = make("by name"), *found, *main_interp;
    assert_string_equal(stoa_interp_name(interp), "by name");
    assert_true(stoa_interp_id(interp) > 0);
    OK(stoa_interp_find("by name", &found));
    assert_int_equal(stoa_interp_id(found), stoa_interp_id(interp));
    stoa_interp_free(found);
    assert_int_equal(stoa_interp_find("nobody", &found), STOA_ENOTFOUND);
    assert_int_equal(stoa_interp_new("", false, &found), STOA_EINVAL);
    assert_int_equal(stoa_interp_new("\xff", false, &found), STOA_EINVAL); /* no UTF-8 */
    assert_int_equal(stoa_interp_new(NULL, false, NULL), STOA_EINVAL);
    OK(stoa_interp_main(&main_interp));
    assert_string_equal(stoa_interp_name(main_interp), "main");
    assert_int_equal(stoa_interp_close(main_interp, 0), STOA_ESTATE);
    stoa_interp_free(main_interp);
    end(interp);
}

static void *
visit_twice(void *arg)
{
    stoa_interp *interp = arg;
    stoa_scope scope, inner;
    CHECK(stoa_interp_enter(interp, &scope) == STOA_OK);
    PyThreadState *first = PyThreadState_Get();
    CHECK(PyRun_SimpleString("import threading; local = threading.local(); local.x = 5") == 0);
    PyGILState_STATE gil = PyGILState_Ensure();
    CHECK(PyThreadState_Get() == first); /* PyGILState_Ensure gives this interpreter */
    PyGILState_Release(gil);
    CHECK(stoa_interp_enter(interp, &inner) == STOA_OK);
    CHECK(PyThreadState_Get() == first);
    stoa_interp_leave(&inner);
    stoa_interp_leave(&scope);
    CHECK(PyGILState_GetThisThreadState() == NULL); /* nothing is remembered of it */
    CHECK(stoa_interp_enter(interp, &scope) == STOA_OK);
    CHECK(PyThreadState_Get() == first);
    CHECK(PyRun_SimpleString("assert local.x == 5") == 0);
    stoa_interp_leave(&scope);
    return NULL;
}

static void
threads_keep_their_state(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    on_threads(1, visit_twice, interp);
    on_threads(1, visit_twice, interp);
    stoa_stats stats = {.size = sizeof(stats)};
    OK(stoa_get_stats(&stats));
    end(interp);
}

typedef struct pair {
    stoa_interp *a, *b;
} pair;

static void *
visit_nested(void *arg)
{
    pair *p = arg;
    stoa_scope in_a, in_b, again;
    CHECK(stoa_interp_enter(p->a, &in_a) == STOA_OK);
    PyThreadState *first = PyThreadState_Get();
    CHECK(stoa_interp_enter(p->b, &in_b) == STOA_OK);
    CHECK(PyThreadState_Get() != first);
    CHECK(stoa_interp_enter(p->a, &again) == STOA_OK);
    CHECK(PyThreadState_Get() == first);
    CHECK(stoa_interp_close(p->a, 0) == STOA_EDEADLOCK);
    CHECK(stoa_interp_close(p->b, 0) == STOA_EDEADLOCK);
    stoa_interp_leave(&again);
    stoa_interp_leave(&in_b);
    CHECK(PyThreadState_Get() == first);
    stoa_interp_leave(&in_a);
    return NULL;
}

static void
visits_nest(void **state)
{
    (void)state;
    pair p = {make("a"), make("b")};
    on_threads(1, visit_nested, &p);
    end(p.a);
    end(p.b);
}

static void
closed_is_an_error(void **state)
{
    (void)state;
    stoa_interp *interp = make("gone");
    size_t interrupted = 7;
    OK(stoa_interp_interrupt(interp, &interrupted)); /* idle */
    assert_int_equal(interrupted, 0);
    OK(stoa_interp_close(interp, -1));
    OK(stoa_interp_close(interp, -1));
    stoa_scope scope;
    assert_int_equal(stoa_interp_enter(interp, &scope), STOA_EGONE);
    assert_non_null(strstr(stoa_error_message(), "gone"));
    assert_int_equal(stoa_exec(interp, "x", NULL, NULL), STOA_EGONE);
    interrupted = 7;
    OK(stoa_interp_interrupt(interp, &interrupted)); /* nothing runs in it */
    assert_int_equal(interrupted, 0);
    assert_int_equal(stoa_interp_interrupt(NULL, NULL), STOA_EINVAL);
    assert_true(stoa_interp_is_closed(interp));
    stoa_interp_free(interp);
}

static int messages;

static void
count_message(stoa_severity severity, const char *text, void *arg)
{
    assert_int_equal(severity, STOA_WARNING);
    assert_non_null(strstr(text, "ValueError"));
    ++*(int *)arg;
}

static void
an_exception_left_behind_is_told(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    stoa_scope scope;
    stoa_set_message_hook(count_message, &messages);
    OK(stoa_interp_enter(interp, &scope));
    PyErr_SetString(PyExc_ValueError, "left");
    stoa_interp_leave(&scope);
    stoa_set_message_hook(NULL, NULL);
    assert_int_equal(messages, 1);
    end(interp);
}

static int begun[2], over[2]; /* pipes */

static void *
block_inside(void *arg)
{
    char code[100];
    snprintf(code, sizeof code, "import os; os.write(%d, b'x'); os.read(%d, 1)", begun[1], over[0]);
    stoa_err err = stoa_exec(arg, code, NULL, NULL);
    CHECK(err == STOA_OK);
    return NULL;
}

/* Closing has begun when calls are refused. */
static void *
let_go_when_closing(void *arg)
{
    while (stoa_exec(arg, "pass", NULL, NULL) == STOA_OK) {
        sched_yield();
    }
    CHECK(write(over[1], "x", 1) == 1);
    return NULL;
}

static void
closing_waits_or_gives_up(void **state)
{
    (void)state;
    char byte;
    assert_int_equal(pipe(begun) | pipe(over), 0);
    stoa_interp *interp = make("busy");
    pthread_t thread = start(block_inside, interp);
    assert_int_equal(read(begun[0], &byte, 1), 1);
    stoa_stats stats = {.size = sizeof(stats)};
    OK(stoa_get_stats(&stats));
    assert_int_equal(stoa_interp_close(interp, 0.02), STOA_ETIMEDOUT);
    assert_false(stoa_interp_is_closed(interp));
    pthread_t other = start(let_go_when_closing, interp);
    OK(stoa_interp_close(interp, 60));
    join(thread);
    join(other);
    stoa_interp_free(interp);
    close(begun[0]), close(begun[1]), close(over[0]), close(over[1]);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void
values_go_in_and_out(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    OK(stoa_exec(interp, "def same(x): return x\ndef pick(*args): return args[-1]", NULL, NULL));
    stoa_data in[] = {stoa_data_none(),
                      stoa_data_bool(true),
                      stoa_data_int(INT64_MIN),
                      stoa_data_float(-0.5),
                      stoa_data_text("gr\xc3\xbc\xc3\x9f\0x", 8),
                      stoa_data_bytes("\0\xff", 2)};
    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        stoa_data out;
        OK(stoa_call(interp, "__main__:same", &in[i], 1, 0, &out, NULL));
        assert_int_equal(out.kind, in[i].kind);
        if (in[i].kind == STOA_DATA_TEXT || in[i].kind == STOA_DATA_BYTES) {
            assert_int_equal(out.as.text.size, in[i].as.text.size);
            assert_memory_equal(out.as.text.at, in[i].as.text.at,
                                out.as.text.size + 1 - (in[i].kind == STOA_DATA_BYTES));
        }
        else if (in[i].kind != STOA_DATA_NONE && in[i].kind != STOA_DATA_BOOL) {
            assert_int_equal(out.as.integer, in[i].as.integer); /* the bits of the float, too */
        }
        stoa_data_clear(&out);
        assert_int_equal(out.kind, STOA_DATA_NONE);
    }
    stoa_data last;
    OK(stoa_call(interp, "__main__:pick", in, 6, 0, &last, NULL));
    assert_int_equal(last.kind, STOA_DATA_BYTES);
    stoa_data_clear(&last);
    OK(stoa_call(interp, "os.path:join", (stoa_data[]){stoa_data_text("a", 1), stoa_data_text("b", 1)}, 2, 0,
                 &last, NULL));
    assert_string_equal(last.as.text.at, "a/b");
    stoa_data_clear(&last);
    OK(stoa_call(interp, "__main__:pick", in, 1, 0, NULL, NULL));
    end(interp);
}

static void
results_that_are_no_c_value(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    stoa_data out = stoa_data_int(7);
    OK(stoa_exec(interp,
                 "def big(): return 2 ** 70\ndef pair(): return [1, 'two']\ndef odd(): return '\\ud800'\n"
                 "def thing(): return object()",
                 NULL, NULL));
    assert_int_equal(stoa_call(interp, "__main__:big", NULL, 0, 0, &out, NULL), STOA_ETYPE);
    assert_int_equal(stoa_call(interp, "__main__:pair", NULL, 0, 0, &out, NULL), STOA_ETYPE);
    assert_non_null(strstr(stoa_error_message(), "list"));
    assert_int_equal(stoa_call(interp, "__main__:odd", NULL, 0, 0, &out, NULL), STOA_EUTF8);
    assert_int_equal(stoa_call(interp, "__main__:thing", NULL, 0, STOA_CALL_FREEZE_RESULT, &out, NULL),
                     STOA_ENOTFREEZABLE);
    assert_int_equal(out.as.integer, 7); /* untouched so far */
    OK(stoa_call(interp, "__main__:pair", NULL, 0, STOA_CALL_FREEZE_RESULT, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_SHARED);
    const stoa_object *item;
    const char *text;
    OK(stoa_tuple_item(out.as.shared, 1, &item));
    OK(stoa_get_text(item, &text, NULL));
    assert_string_equal(text, "two");
    OK(stoa_call(interp, "__main__:odd", NULL, 0, STOA_CALL_FREEZE_RESULT, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_SHARED);
    OK(stoa_call(interp, "__main__:odd", NULL, 0, STOA_CALL_HOLD_RESULT, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_HANDLE);
    stoa_data length;
    OK(stoa_call(interp, "builtins:len", &out, 1, 0, &length, NULL));
    assert_int_equal(length.as.integer, 1);
    stoa_data_clear(&out);
    end(interp);
}

/* As by Interpreter.call: there is no caller's frame, so they are told of __main__. */
static void
builtins_that_look_at_their_caller_see_main(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    stoa_data out = stoa_data_none(), in = stoa_data_text("seven * 6", 9);
    OK(stoa_exec(interp, "seven = 7", NULL, NULL));
    OK(stoa_call(interp, "builtins:eval", &in, 1, 0, &out, NULL));
    assert_int_equal(out.as.integer, 42);
    in = stoa_data_text("seven = 8", 9);
    OK(stoa_call(interp, "builtins:exec", &in, 1, 0, NULL, NULL));
    in = stoa_data_text("seven", 5);
    OK(stoa_call(interp, "builtins:eval", &in, 1, 0, &out, NULL));
    assert_int_equal(out.as.integer, 8);
    OK(stoa_call(interp, "builtins:globals", NULL, 0, STOA_CALL_HOLD_RESULT, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_HANDLE);
    stoa_data_clear(&out);
    end(interp);
}

static void
bad_arguments_are_told(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    stoa_data bad_kind = stoa_data_none(), not_shared = stoa_data_shared(no_object);
    stoa_data bad_text = stoa_data_text("\xff", 1), no_text = stoa_data_text(NULL, 3),
              null_shared = stoa_data_shared(NULL);
    bad_kind.kind = (stoa_data_kind)99;
    assert_int_equal(stoa_call(interp, "builtins:repr", &bad_kind, 1, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, "builtins:repr", &not_shared, 1, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, "builtins:repr", &null_shared, 1, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, "builtins:repr", &no_text, 1, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, "builtins:repr", &bad_text, 1, 0, NULL, NULL), STOA_EUTF8);
    assert_int_equal(stoa_call(interp, "builtins:repr", NULL, 1, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, "builtins:repr", NULL, 0, 4, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, "builtins", NULL, 0, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, ":f", NULL, 0, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(interp, NULL, NULL, 0, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_call(NULL, "a:b", NULL, 0, 0, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_exec(interp, NULL, NULL, NULL), STOA_EINVAL);
    end(interp);
}

static void
exceptions_are_an_outcome(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    stoa_exception *exception = NULL;
    assert_int_equal(
        stoa_exec(interp, "def f():\n    raise ValueError('b\\xe4d')\nf()", "the_label", &exception),
        STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(exception), "builtins.ValueError");
    assert_string_equal(stoa_exception_message(exception), "b\xc3\xa4"
                                                           "d");
    assert_non_null(strstr(stoa_exception_traceback(exception), "\"the_label\", line 2, in f"));
    assert_non_null(strstr(stoa_error_message(), "ValueError"));
    stoa_exception_free(exception);
    assert_int_equal(stoa_exec(interp, "a b", NULL, &exception), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(exception), "builtins.SyntaxError");
    stoa_exception_free(exception);
    assert_int_equal(stoa_exec(interp, "raise SystemExit(3)", NULL, &exception), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(exception), "builtins.SystemExit");
    stoa_exception_free(exception);
    assert_int_equal(stoa_exec(interp, "\xff", NULL, &exception), STOA_EPYTHON);
    stoa_exception_free(exception);
    assert_int_equal(stoa_call(interp, "no_such_module:f", NULL, 0, 0, NULL, &exception), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(exception), "builtins.ModuleNotFoundError");
    stoa_exception_free(exception);
    assert_int_equal(stoa_call(interp, "math:nothing", NULL, 0, 0, NULL, NULL), STOA_EPYTHON);
    stoa_exception_free(NULL);
    end(interp);
}

static const stoa_object *
build_text(const char *text)
{
    stoa_builder *builder;
    const stoa_object *object;
    OK(stoa_builder_new(NULL, 0, &builder));
    OK(stoa_push_text(builder, text, strlen(text)));
    OK(stoa_builder_finish(builder, &object));
    stoa_builder_free(builder);
    return object;
}

static void
shared_objects_go_by_pointer(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    const stoa_object *text = build_text("built without an interpreter");
    stoa_data argument = stoa_data_shared(text), out;
    OK(stoa_exec(interp, "def keep(x):\n    global kept\n    kept = x\n    return (x,)[0:1]", NULL, NULL));
    OK(stoa_call(interp, "__main__:keep", &argument, 1, STOA_CALL_FREEZE_RESULT, &out, NULL));
    const stoa_object *item;
    OK(stoa_tuple_item(out.as.shared, 0, &item));
    assert_ptr_equal(item, text);
    end(interp);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool
count_names(const char *name, size_t size, const stoa_object *object, void *arg)
{
    assert_int_equal(strlen(name), size);
    assert_non_null(object);
    ++*(int *)arg;
    return true;
}

/* Calls that need an interpreter, on a thread that is in none: told, and nobody is harmed. */
static void
python_calls_outside_of_interpreters_are_told(void **state)
{
    (void)state;
    stoa_interp *interp = make(NULL);
    stoa_scope scope;
    OK(stoa_interp_enter(interp, &scope));
    PyObject *list = Py_BuildValue("[s]", "in a list");
    stoa_interp_leave(&scope);
    assert_null(stoa_freeze(list, NULL, 0));
    assert_non_null(
        strstr(stoa_error_message(), "STOA_ESTATE: stoa_freeze: this thread is in no interpreter"));
    assert_null(stoa_share(list, NULL, 0));
    assert_null(stoa_thaw(list));
    assert_null(stoa_object_to_python((const stoa_object *)list));
    assert_null(stoa_object_from_python(list));
    assert_false(stoa_is_shared(list));
    assert_int_equal(stoa_handle_from_python(list), 0);
    assert_null(stoa_handle_to_python(1));
    assert_non_null(strstr(stoa_error_message(), "STOA_ESTATE: stoa_handle_to_python: this thread"));
    OK(stoa_interp_enter(interp, &scope));
    Py_DECREF(list);
    stoa_interp_leave(&scope);
    end(interp);
}

static void
names_are_those_of_python(void **state)
{
    (void)state;
    const stoa_object *text = build_text("a published text"), *other = build_text("another"), *found;
    OK(stoa_publish("c.name", text));
    assert_int_equal(stoa_publish("c.name", other), STOA_EEXIST);
    OK(stoa_lookup("c.name", 0, &found));
    assert_ptr_equal(found, text);
    stoa_interp *interp = make(NULL);
    stoa_exception *exception = NULL;
    if (stoa_exec(interp, "import stoa", NULL, &exception) == STOA_OK) { /* where the package is on the path */
        OK(stoa_exec(interp, "assert stoa.lookup('c.name') == 'a published text'\nstoa.publish('p.name', [1])",
                     NULL, NULL));
        OK(stoa_lookup("p.name", 0, &found));
        OK(stoa_unpublish("p.name"));
    }
    else {
        stoa_exception_free(exception);
    }
    OK(stoa_replace("c.name", other));
    OK(stoa_lookup("c.name", 0, &found));
    assert_ptr_equal(found, other);
    int count = 0;
    OK(stoa_names_each(count_names, &count));
    assert_int_equal(count, 1);
    OK(stoa_unpublish("c.name"));
    assert_int_equal(stoa_unpublish("c.name"), STOA_ENOTFOUND);
    assert_int_equal(stoa_lookup("c.name", 0, &found), STOA_ENOTFOUND);
    assert_int_equal(stoa_lookup("c.name", 0.01, &found), STOA_ETIMEDOUT);
    assert_int_equal(stoa_publish("", text), STOA_EINVAL);
    assert_int_equal(stoa_publish("\xff", text), STOA_EUTF8);
    assert_int_equal(stoa_publish("x", no_object), STOA_EINVAL);
    assert_int_equal(stoa_publish("x", NULL), STOA_EINVAL);
    end(interp);
}

static void *
publish_late(void *arg)
{
    struct timespec moment = {.tv_nsec = 50000000};
    nanosleep(&moment, NULL);
    CHECK(stoa_publish("late", arg) == STOA_OK);
    return NULL;
}

static void
lookup_waits(void **state)
{
    (void)state;
    const stoa_object *text = build_text("late text"), *found = NULL;
    pthread_t thread = start(publish_late, (void *)(uintptr_t)text);
    OK(stoa_lookup("late", 60, &found));
    assert_ptr_equal(found, text);
    join(thread);
    OK(stoa_unpublish("late"));
}

/* ---- many threads ------------------------------------------------------------------------------------------------ */

static void *
call_both(void *arg)
{
    pair *p = arg;
    for (int i = 0; i < 50; i++) {
        stoa_data in = stoa_data_int(i), out;
        CHECK(stoa_call(i % 2 ? p->a : p->b, "builtins:abs", &in, 1, 0, &out, NULL) == STOA_OK);
        CHECK(out.as.integer == i);
    }
    return NULL;
}

static void
threads_come_and_go(void **state)
{
    (void)state;
    pair p = {make("a"), make("b")};
    stoa_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    OK(stoa_get_stats(&before));
    for (int round = 0; round < 100; round++) {
        on_threads(4, call_both, &p);
    }
    OK(stoa_get_stats(&after));
    assert_int_equal(after.thread_states_made - before.thread_states_made, 800);
    assert_int_equal(after.thread_states_ended - before.thread_states_ended, 800);
    end(p.a);
    end(p.b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_agree),
        cmocka_unit_test(opening_twice_needs_closing_twice),
        cmocka_unit_test(bad_options_are_told),
        cmocka_unit_test(host_holds_no_gil),
        cmocka_unit_test(statistics_count),
        cmocka_unit_test(interpreters_have_names),
        cmocka_unit_test(threads_keep_their_state),
        cmocka_unit_test(visits_nest),
        cmocka_unit_test(closed_is_an_error),
        cmocka_unit_test(an_exception_left_behind_is_told),
        cmocka_unit_test(closing_waits_or_gives_up),
        cmocka_unit_test(values_go_in_and_out),
        cmocka_unit_test(results_that_are_no_c_value),
        cmocka_unit_test(builtins_that_look_at_their_caller_see_main),
        cmocka_unit_test(bad_arguments_are_told),
        cmocka_unit_test(exceptions_are_an_outcome),
        cmocka_unit_test(shared_objects_go_by_pointer),
        cmocka_unit_test(python_calls_outside_of_interpreters_are_told),
        cmocka_unit_test(names_are_those_of_python),
        cmocka_unit_test(lookup_waits),
        cmocka_unit_test(threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, stoa_test_package_setup, stoa_test_runtime_teardown);
}
