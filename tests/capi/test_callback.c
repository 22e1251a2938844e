/* C functions that Python code of several interpreters calls: public headers only. */
#include "host_testing.h"

#include "stoa/python.h"

#include <sys/wait.h>
#include <unistd.h>

static stoa_interp *
make(const char *name)
{
    return interp_with(name, "def call(f, *a): return f(*a)\n"
                             "def raised(f, *a):\n"
                             "    try: f(*a)\n"
                             "    except BaseException as e: return f'{type(e).__name__}: {e}'\n"
                             "kept = []\n");
}

static _Atomic int finalised;

static void
count_end(void *data)
{
    (void)data;
    finalised++;
}

static stoa_handle
callback(stoa_callback_function function, void *data)
{
    stoa_handle handle = 0;
    stoa_callback_options options = {
        .size = sizeof(options), .name = "tested", .data = data, .finalise = count_end};
    finalised = 0;
    OK(stoa_callback_new(function, &options, &handle));
    assert_true(handle != 0);
    return handle;
}

static void
release(stoa_handle handle)
{
    assert_int_equal(finalised, 0);
    OK(stoa_handle_release(handle));
    assert_int_equal(finalised, 1);
    assert_int_equal(stoa_handle_release(handle), STOA_EGONE);
    assert_int_equal(finalised, 1);
}

static stoa_data
text(const char *utf8)
{
    return stoa_data_text(utf8, strlen(utf8));
}

/* f(callback, argument) in the interpreter; the result as text. */
static void
expect(stoa_interp *interp, const char *f, stoa_handle handle, const stoa_data *argument, const char *expected)
{
    stoa_data args[2] = {stoa_data_handle(handle)}, out;
    if (argument != NULL) {
        args[1] = *argument;
    }
    OK(stoa_call(interp, f, args, argument == NULL ? 1 : 2, 0, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_TEXT);
    assert_string_equal(out.as.text.at, expected);
    stoa_data_clear(&out);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Says what it got, and that no GIL is held. */
static stoa_err
describe(const stoa_callback_call *call)
{
    char out[200] = "";
    size_t size = 0;
    stoa_interp *current;
    if (stoa_interp_current(&current) == STOA_OK) {
        return stoa_callback_raise(call, "builtins.AssertionError", "a GIL is held");
    }
    for (size_t i = 0; i < call->count; i++) {
        const stoa_data *d = &call->args[i];
        size += (size_t)snprintf(out + size, sizeof(out) - size, "%d", d->kind);
        if (d->kind == STOA_DATA_TEXT || d->kind == STOA_DATA_BYTES) {
            size += (size_t)snprintf(out + size, sizeof(out) - size, "=%s", d->as.text.at);
        }
        if (d->kind == STOA_DATA_INT) {
            size += (size_t)snprintf(out + size, sizeof(out) - size, "=%lld", (long long)d->as.integer);
        }
        size += (size_t)snprintf(out + size, sizeof(out) - size, " ");
    }
    return stoa_callback_return(call, stoa_data_text(out, size)); /* of this frame: it is copied */
}

static void
values_arrive_and_return(void **state)
{
    (void)state;
    stoa_interp *interp = make("values");
    stoa_handle handle = callback(describe, NULL);
    OK(stoa_exec(
        interp, "def all(f): return f(None, True, -5, 2.5, 'h\\u00e9', b'b', [], 2**70, '\\ud800', (1, 2), int)",
        NULL, NULL));
    expect(interp, "__main__:all", handle, NULL, "0 1 2=-5 3 4=h\xc3\xa9 5=b 7 7 7 7 6 ");
    OK(stoa_exec(interp,
                 "def look(f): return f'{f!r} {f.__name__} {callable(f)} {type(f).__module__}'\n"
                 "def many(f): return f(*range(12))\n"
                 "def words(f): return f(1, x=2)\n",
                 NULL, NULL));
    expect(interp, "__main__:look", handle, NULL, "<stoa.Callback 'tested'> tested True stoa");
    expect(interp, "__main__:many", handle, NULL, "2=0 2=1 2=2 2=3 2=4 2=5 2=6 2=7 2=8 2=9 2=10 2=11 ");
    stoa_data args[2] = {text("words")}, out;
    stoa_exception *raised;
    args[0] = stoa_data_handle(handle);
    assert_int_equal(stoa_call(interp, "__main__:words", args, 1, 0, &out, &raised), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(raised), "builtins.TypeError");
    stoa_exception_free(raised);
    release(handle);
    end(interp);
}

static stoa_err
give_back(const stoa_callback_call *call)
{
    if (call->count == 0) {
        return STOA_OK;
    }
    stoa_err err = stoa_callback_return(call, stoa_data_int(1)); /* the last one counts */
    return err != STOA_OK ? err : stoa_callback_return(call, call->args[0]);
}

static void
handles_go_through(void **state)
{
    (void)state;
    stoa_interp *interp = make("through");
    stoa_handle handle = callback(give_back, NULL);
    OK(stoa_exec(
        interp,
        "def check(f):\n"
        "    x = []\n"
        "    assert f(x) is x and f(f) is f and f() is None\n"
        "    assert f(2.5) == 2.5 and f('x\\0y') == 'x\\0y' and f(b'') == b'' and f(2**100) == 2**100\n"
        "    return 'good'\n",
        NULL, NULL));
    expect(interp, "__main__:check", handle, NULL, "good");
    release(handle);
    end(interp);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static stoa_err
fail_as_told(const stoa_callback_call *call)
{
    static stoa_interp *nowhere;
    stoa_handle other;
    switch (call->args[0].as.integer) {
    case 0:
        return stoa_callback_raise(call, "builtins.KeyError", "row %d", 7);
    case 1:
        return stoa_callback_raise(call, "json.decoder:JSONDecodeError", "odd constructor");
    case 2:
        return stoa_callback_raise(call, "no_such_module.Problem", "told by name");
    case 3:
        return STOA_ENOMEM;
    case 4:
        return stoa_handle_get(nowhere, "x", FOREVER, &other, NULL); /* an error of Stoa's, passed on */
    case 5:
        return STOA_EPYTHON; /* with nothing said */
    case 6:
        return stoa_exec(call->interp, "raise LookupError('from inside')", NULL, NULL);
    case 7:
        return (stoa_err)12345;
    case 8:
        return stoa_callback_return(call, stoa_data_text("\xff", 1)) == STOA_OK ? STOA_OK : STOA_EOS;
    case 9:
        return stoa_callback_return(call, stoa_data_handle(77));
    case 10:
        return stoa_callback_raise(call, NULL, NULL);
    default:
        return stoa_callback_raise(call, "builtins.KeyboardInterrupt", "stop");
    }
}

static void
errors_are_exceptions(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "KeyError: 'row 7'",
        NULL, /* whatever class it can be */
        "RemoteError: no_such_module.Problem: told by name",
        "MemoryError: out of memory, or a heap or region limit was hit",
        "ValueError: interp, name or out_handle is NULL",
        "SystemError: a callback returned STOA_EPYTHON and said no exception",
        "LookupError: from inside",
        NULL,
        "ValueError: the callback's result is no UTF-8",
        "InterpreterGone: handle 77.0 is not held: it was released, or never was one",
        "RuntimeError: ",
        "KeyboardInterrupt: stop",
    };
    stoa_interp *interp = make("errors");
    stoa_handle handle = callback(fail_as_told, NULL);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        stoa_data args[2] = {stoa_data_handle(handle), stoa_data_int((int64_t)i)}, out;
        OK(stoa_call(interp, "__main__:raised", args, 2, 0, &out, NULL));
        assert_int_equal(out.kind, STOA_DATA_TEXT);
        if (expected[i] != NULL) {
            assert_string_equal(out.as.text.at, expected[i]);
        }
        stoa_data_clear(&out);
    }
    release(handle);
    end(interp);
}

static void
bad_arguments_are_told(void **state)
{
    (void)state;
    stoa_handle handle;
    stoa_callback_options options = {.size = sizeof(options), .finalise = count_end};
    finalised = 0;
    assert_int_equal(stoa_callback_new(NULL, &options, &handle), STOA_EINVAL);
    assert_int_equal(stoa_callback_new(describe, &options, NULL), STOA_EINVAL);
    options.size = 3;
    assert_int_equal(stoa_callback_new(describe, &options, &handle), STOA_EINVAL);
    options.size = sizeof(options);
    options.flags = 8;
    assert_int_equal(stoa_callback_new(describe, &options, &handle), STOA_EINVAL);
    options.flags = 0;
    options.name = "\xff";
    assert_int_equal(stoa_callback_new(describe, &options, &handle), STOA_EUTF8);
    assert_int_equal(finalised, 0);
    assert_int_equal(stoa_callback_return(NULL, stoa_data_none()), STOA_EINVAL);
    char name[200];
    memset(name, 'n', sizeof(name));
    name[62] = '\xc3'; /* a character across the 63rd byte */
    name[63] = '\xa9';
    name[199] = '\0';
    options.name = name;
    OK(stoa_callback_new(describe, &options, &handle));
    OK(stoa_handle_release(handle));
    assert_int_equal(finalised, 1);
    OK(stoa_callback_new(describe, NULL, &handle));
    OK(stoa_handle_release(handle));
}

/* ---- lives ------------------------------------------------------------------------------------------------------- */

static stoa_err
add_up(const stoa_callback_call *call)
{
    *(_Atomic int64_t *)call->data += call->args[0].as.integer;
    return STOA_OK;
}

static void
one_callable_each_interpreter(void **state)
{
    (void)state;
    static _Atomic int64_t sum;
    stoa_interp *one = make("one"), *two = make("two");
    stoa_handle handle = callback(add_up, (void *)&sum);
    stoa_data self = stoa_data_handle(handle), out;
    OK(stoa_handle_publish("add up", handle));
    OK(stoa_exec(
        one,
        "import stoa\nf = stoa.lookup('add up')\nassert f is stoa.lookup('add up')\nf(1)\nkept.append(f)\n"
        "class Box: pass\nb = Box(); b.f = f; b.self = b", /* a cycle that is never collected */
        NULL, NULL));
    OK(stoa_exec(two, "import stoa\nf = stoa.lookup('add up')\nf(20)\nassert not stoa.is_proxy(f)", NULL, NULL));
    OK(stoa_call(one, "__main__:call", (stoa_data[]){self, stoa_data_int(300)}, 2, 0, NULL, NULL));
    assert_int_equal(sum, 321);
    /* what is called by handle from C belongs to no interpreter */
    assert_int_equal(stoa_handle_owner(handle, &(stoa_interp *){NULL}), STOA_ETYPE);
    stoa_data four = stoa_data_int(4000);
    OK(stoa_handle_call(handle, NULL, &four, 1, 0, FOREVER, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_NONE);
    assert_int_equal(sum, 4321);
    OK(stoa_unpublish("add up"));
    OK(stoa_handle_release(handle));
    assert_int_equal(finalised, 0);
    OK(stoa_exec(two, "f(1)\ndel f", NULL, NULL));
    assert_int_equal(sum, 4322);
    assert_int_equal(finalised, 0);
    end(one); /* with the callable in a list and in a cycle */
    assert_int_equal(finalised, 1);
    end(two);
    assert_int_equal(finalised, 1);
}

static void
a_child_ends_its_own(void **state)
{
    (void)state;
    stoa_interp *interp = make("forked");
    stoa_handle handle = callback(give_back, NULL);
    stoa_data self = stoa_data_handle(handle);
    OK(stoa_call(interp, "__main__:call", &self, 1, 0, NULL, NULL));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        bool good = stoa_call(interp, "__main__:call", &self, 1, 0, NULL, NULL) == STOA_EGONE &&
                    stoa_handle_release(handle) == STOA_OK && stoa_handle_release(handle) == STOA_EGONE;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    release(handle);
    end(interp);
}

/* ---- calls that come back ---------------------------------------------------------------------------------------- */

typedef struct ring {
    stoa_interp *other;
    stoa_handle self;
    int deepest;
} ring;

/* Calls Python code of the other interpreter, which calls this again. */
static stoa_err
go_round(const stoa_callback_call *call)
{
    ring *r = call->data;
    int64_t depth = call->args[0].as.integer;
    stoa_data args[2] = {stoa_data_handle(r->self), stoa_data_int(depth - 1)}, out;
    if (depth == 0) {
        return stoa_callback_return(call, stoa_data_int(1));
    }
    stoa_interp *next = depth & 1 ? r->other : call->interp;
    stoa_err err = stoa_call(next, "__main__:call", args, 2, 0, &out, NULL);
    return err != STOA_OK ? err : stoa_callback_return(call, stoa_data_int(out.as.integer + 1));
}

static void
callbacks_call_back(void **state)
{
    (void)state;
    stoa_interp *one = make("one"), *two = make("two");
    ring r = {.other = two};
    stoa_handle handle = callback(go_round, &r);
    r.self = handle;
    stoa_data args[2] = {stoa_data_handle(handle), stoa_data_int(30)}, out;
    OK(stoa_call(one, "__main__:call", args, 2, 0, &out, NULL));
    assert_int_equal(out.as.integer, 31);
    args[1] = stoa_data_int(100000); /* ends in an exception, never in a broken stack */
    stoa_exception *raised;
    assert_int_equal(stoa_call(one, "__main__:call", args, 2, 0, &out, &raised), STOA_EPYTHON);
    assert_true(strcmp(stoa_exception_type(raised), "builtins.RecursionError") == 0 ||
                strcmp(stoa_exception_type(raised), "builtins.RuntimeError") == 0 ||
                strcmp(stoa_exception_type(raised), "builtins.MemoryError") == 0);
    stoa_exception_free(raised);
    args[1] = stoa_data_int(5);
    OK(stoa_call(one, "__main__:call", args, 2, 0, &out, NULL));
    release(handle);
    end(one);
    end(two);
}

static stoa_err
use_python(const stoa_callback_call *call)
{
    stoa_interp *current;
    if (stoa_interp_current(&current) != STOA_OK || current != call->interp) {
        return STOA_ESTATE;
    }
    stoa_interp_free(current);
    PyObject *list = Py_BuildValue("[ii]", 3, 4);
    if (call->count > 0) {
        Py_DECREF(list);
        PyErr_SetString(PyExc_OverflowError, "said in Python's way");
        return STOA_OK;
    }
    stoa_handle handle = stoa_handle_from_python(list);
    Py_DECREF(list);
    stoa_err err = stoa_callback_return(call, stoa_data_handle(handle));
    (void)stoa_handle_release(handle);
    return err;
}

static void
a_function_may_keep_the_gil(void **state)
{
    (void)state;
    stoa_interp *interp = make("gil");
    stoa_callback_options options = {.size = sizeof(options), .flags = STOA_CALLBACK_WITH_GIL};
    stoa_handle handle;
    OK(stoa_callback_new(use_python, &options, &handle));
    OK(stoa_exec(interp, "def show(f): return repr(f())", NULL, NULL));
    expect(interp, "__main__:show", handle, NULL, "[3, 4]");
    stoa_data one = stoa_data_int(1);
    expect(interp, "__main__:raised", handle, &one, "OverflowError: said in Python's way");
    OK(stoa_handle_release(handle));
    end(interp);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

typedef struct caller {
    stoa_interp *interp;
    stoa_handle handle;
} caller;

static void *
call_often(void *arg)
{
    const caller *c = arg;
    for (int i = 0; i < 500; i++) {
        stoa_data args[2] = {stoa_data_handle(c->handle), stoa_data_int(1)};
        CHECK(stoa_call(c->interp, "__main__:call", args, 2, 0, NULL, NULL) == STOA_OK);
    }
    return NULL;
}

static void
threads_call_at_once(void **state)
{
    (void)state;
    static _Atomic int64_t sum;
    stoa_interp *interps[2] = {make("one"), make("two")};
    stoa_handle handle = callback(add_up, (void *)&sum);
    caller callers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        callers[i] = (caller){interps[i & 1], handle};
        threads[i] = start(call_often, &callers[i]);
    }
    for (int i = 0; i < 4; i++) {
        join(threads[i]);
    }
    assert_int_equal(sum, 2000);
    release(handle);
    end(interps[0]);
    end(interps[1]);
}

int
main(void)
{
    stoa_handle handle;
    if (stoa_callback_new(describe, NULL, &handle) != STOA_ESTATE) {
        return 1; /* before there is a runtime */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_arrive_and_return),      cmocka_unit_test(handles_go_through),
        cmocka_unit_test(errors_are_exceptions),         cmocka_unit_test(bad_arguments_are_told),
        cmocka_unit_test(one_callable_each_interpreter), cmocka_unit_test(a_child_ends_its_own),
        cmocka_unit_test(callbacks_call_back),           cmocka_unit_test(a_function_may_keep_the_gil),
        cmocka_unit_test(threads_call_at_once),
    };
    return cmocka_run_group_tests(tests, stoa_test_package_setup, stoa_test_runtime_teardown);
}
