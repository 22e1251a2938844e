/* Objects of interpreters in the hands of a host: public headers only, threads that Python has never seen. */
#include "stoa.h"
#include "stoa/python.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
#include <cmocka.h>

#define OK(call) assert_int_equal((call), STOA_OK)
#define GONE(call) assert_int_equal((call), STOA_EGONE)
#define FOREVER (-1.0)

/* cmocka's asserts jump, so threads return what went wrong. */
#define CHECK(condition)                                                                               \
    do {                                                                                               \
        if (!(condition)) {                                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, stoa_error_message()); \
            return "failed";                                                                           \
        }                                                                                              \
    } while (0)

static const char code[] = "import weakref\n"
                           "class Account:\n"
                           "    'mutable, and told when it goes'\n"
                           "    def __init__(self, total): self.total = total\n"
                           "    def add(self, amount):\n"
                           "        self.total += amount\n"
                           "        return self.total\n"
                           "    def __del__(self): gone.append(self.total)\n"
                           "gone = []\n"
                           "table = {'apple': 120, b'b': [1, 2], 3: None}\n"
                           "def same(x): return x\n"
                           "def is_table(x): return x is table\n"
                           "def kind(x): return type(x).__name__\n"
                           "def fail(text): raise ValueError(text)\n"
                           "def named(a, *rest, b=0, **more): return repr((a, rest, b, more))\n"
                           "def count(n):\n"
                           "    for i in range(n): yield i\n"
                           "    if n == 3: raise LookupError('three')\n"
                           "def value(text): return eval(text)\n";

static stoa_interp *
make(const char *name)
{
    stoa_interp *interp;
    OK(stoa_interp_new(name, false, &interp));
    OK(stoa_exec(interp, code, NULL, NULL));
    return interp;
}

static void
end(stoa_interp *interp)
{
    OK(stoa_interp_close(interp, FOREVER));
    stoa_interp_free(interp);
}

static stoa_handle
get(stoa_interp *interp, const char *name)
{
    stoa_handle handle = 0;
    OK(stoa_handle_get(interp, name, FOREVER, &handle, NULL));
    assert_true(handle != 0);
    return handle;
}

static stoa_data
text(const char *utf8)
{
    return stoa_data_text(utf8, strlen(utf8));
}

static int64_t
number(stoa_interp *interp, const char *expression)
{
    stoa_data in = text(expression), out;
    OK(stoa_call(interp, "__main__:value", &in, 1, 0, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_INT);
    return out.as.integer;
}

/* ---- getting and giving up --------------------------------------------------------------------------------------- */

static void
objects_are_held_and_called(void **state)
{
    (void)state;
    stoa_interp *interp = make("held"), *owner;
    stoa_handle class = get(interp, "__main__:Account");
    stoa_data start = stoa_data_int(100), out;
    OK(stoa_handle_call(class, NULL, &start, 1, STOA_CALL_HOLD_RESULT, FOREVER, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_HANDLE);
    stoa_handle account = out.as.handle;
    OK(stoa_handle_dup(account, &account)); /* beside the one in `out` */
    stoa_data_clear(&out);
    for (int i = 1; i <= 3; i++) {
        stoa_data amount = stoa_data_int(i);
        OK(stoa_handle_call(account, "add", &amount, 1, 0, FOREVER, &out, NULL));
    }
    assert_int_equal(out.as.integer, 106);
    OK(stoa_handle_call(account, "add", &start, 1, 0, FOREVER, NULL, NULL)); /* the result is not wanted */
    OK(stoa_handle_owner(account, &owner));
    assert_ptr_equal(owner, interp);
    stoa_interp_free(owner);
    assert_int_equal(number(interp, "len(gone)"), 0);
    OK(stoa_handle_release(account));
    assert_int_equal(number(interp, "gone.pop()"), 206); /* let go by whoever came inside next */
    OK(stoa_handle_release(class));
    end(interp);
}

static void
modules_and_what_is_in_them(void **state)
{
    (void)state;
    stoa_interp *interp = make("modules");
    stoa_handle json = get(interp, "json"), decoder = get(interp, "json.decoder"),
                path = get(interp, "os.path:join");
    stoa_data in = text("[1, 2]"), out;
    OK(stoa_handle_call(json, "loads", &in, 1, STOA_CALL_FREEZE_RESULT, FOREVER, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_SHARED);
    OK(stoa_handle_get_attr(decoder, "__name__", 0, FOREVER, &out, NULL));
    assert_string_equal(out.as.text.at, "json.decoder");
    stoa_data_clear(&out);
    stoa_data parts[] = {text("a"), text("b")};
    OK(stoa_handle_call(path, NULL, parts, 2, 0, FOREVER, &out, NULL));
    assert_string_equal(out.as.text.at, "a/b");
    stoa_data_clear(&out);
    stoa_handle none = 7;
    stoa_exception *raised = NULL;
    assert_int_equal(stoa_handle_get(interp, "no_such_module", FOREVER, &none, &raised), STOA_EPYTHON);
    assert_string_equal(stoa_exception_type(raised), "builtins.ModuleNotFoundError");
    stoa_exception_free(raised);
    assert_int_equal(stoa_handle_get(interp, "json:no_such", FOREVER, &none, NULL), STOA_EPYTHON);
    assert_int_equal(none, 7);
    OK(stoa_handle_release(json));
    OK(stoa_handle_release(decoder));
    OK(stoa_handle_release(path));
    end(interp);
}

static void
a_released_number_is_an_error_for_ever(void **state)
{
    (void)state;
    stoa_interp *interp = make("released"), *owner;
    stoa_handle one = get(interp, "__main__:table"), two = get(interp, "__main__:table"), three;
    stoa_data out, key = text("apple"), self = stoa_data_handle(one);
    bool same;
    assert_true(one != two);
    OK(stoa_handle_release(one));
    GONE(stoa_handle_release(one));
    GONE(stoa_handle_call(one, "clear", NULL, 0, 0, FOREVER, NULL, NULL));
    GONE(stoa_handle_get_attr(one, "keys", 0, FOREVER, &out, NULL));
    GONE(stoa_handle_set_attr(one, "x", &key, FOREVER, NULL));
    GONE(stoa_handle_get_item(one, &key, 0, FOREVER, &out, NULL));
    GONE(stoa_handle_set_item(one, &key, NULL, FOREVER, NULL));
    GONE(stoa_handle_dup(one, &three));
    GONE(stoa_handle_owner(one, &owner));
    GONE(stoa_handle_same(one, two, &same));
    GONE(stoa_handle_same(two, one, &same));
    GONE(stoa_handle_publish("released", one));
    GONE(stoa_call(interp, "__main__:same", &self, 1, 0, &out, NULL)); /* as an argument */
    GONE(stoa_handle_set_item(two, &key, &self, FOREVER, NULL));
    assert_non_null(strstr(stoa_error_message(), "not held"));
    OK(stoa_handle_get_item(two, &key, 0, FOREVER, &out, NULL)); /* the other one is as it was */
    assert_int_equal(out.as.integer, 120);
    OK(stoa_handle_release(two));
    OK(stoa_handle_release(0));
    GONE(stoa_handle_call(0, NULL, NULL, 0, 0, FOREVER, NULL, NULL));
    GONE(stoa_handle_release(UINT64_MAX));
    end(interp);
}

static void
a_closed_owner_is_told(void **state)
{
    (void)state;
    stoa_interp *interp = make("closing"), *other = make("other"), *owner;
    stoa_handle table = get(interp, "__main__:table"), kept;
    stoa_data out, self = stoa_data_handle(table);
    OK(stoa_handle_publish("closing's table", table));
    OK(stoa_interp_close(interp, FOREVER));
    GONE(stoa_handle_call(table, "clear", NULL, 0, 0, FOREVER, NULL, NULL));
    assert_non_null(strstr(stoa_error_message(), "interpreter 'closing' is closed"));
    GONE(stoa_handle_dup(table, &kept));
    GONE(stoa_call(other, "__main__:same", &self, 1, STOA_CALL_HOLD_RESULT, &out, NULL));
    GONE(stoa_handle_lookup("closing's table", 0, &kept));
    GONE(stoa_handle_get(interp, "__main__:table", FOREVER, &kept, NULL));
    OK(stoa_handle_owner(table, &owner));
    assert_ptr_equal(owner, interp);
    assert_true(stoa_interp_is_closed(owner));
    stoa_interp_free(owner);
    OK(stoa_handle_release(table));
    GONE(stoa_handle_release(table));
    OK(stoa_unpublish("closing's table"));
    stoa_interp_free(interp);
    end(other);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

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
handles_are_arguments_of_every_interpreter(void **state)
{
    (void)state;
    stoa_interp *one = make("one"), *two = make("two");
    stoa_handle table = get(one, "__main__:table");
    stoa_data in = stoa_data_handle(table), out;
    bool same = false;
    OK(stoa_call(one, "__main__:is_table", &in, 1, 0, &out, NULL));
    assert_true(out.as.boolean); /* at home it is the object */
    OK(stoa_call(two, "__main__:kind", &in, 1, 0, &out, NULL));
    assert_string_equal(out.as.text.at, "Proxy");
    stoa_data_clear(&out);
    OK(stoa_call(two, "builtins:len", &in, 1, 0, &out, NULL));
    assert_int_equal(out.as.integer, 3);
    OK(stoa_call(two, "__main__:same", &in, 1, STOA_CALL_HOLD_RESULT, &out, NULL)); /* a proxy comes back */
    OK(stoa_handle_same(table, out.as.handle, &same));
    assert_true(same);
    stoa_interp *owner;
    OK(stoa_handle_owner(out.as.handle, &owner));
    assert_ptr_equal(owner, one);
    stoa_interp_free(owner);
    stoa_data_clear(&out);
    OK(stoa_handle_release(table));
    end(one);
    end(two);
}

static void
names_stand_for_handles(void **state)
{
    (void)state;
    stoa_interp *one = make("one"), *two = make("two");
    stoa_handle table = get(one, "__main__:table"), found;
    const stoa_object *object;
    bool same = false;
    OK(stoa_handle_publish("the table", table));
    assert_int_equal(stoa_handle_publish("the table", table), STOA_EEXIST);
    OK(stoa_handle_release(table));
    OK(stoa_exec(two,
                 "import stoa\nassert stoa.lookup('the table')['apple'] == 120\n"
                 "stoa.publish('shared', (1, 2))\nstoa.publish('mine', stoa.proxy(table))",
                 NULL, NULL));
    OK(stoa_handle_lookup("the table", 0, &table));
    OK(stoa_handle_lookup("mine", 0, &found));
    OK(stoa_handle_same(table, found, &same));
    assert_false(same);
    assert_int_equal(stoa_handle_lookup("shared", 0, &table), STOA_ETYPE);
    assert_int_equal(stoa_lookup("mine", 0, &object), STOA_ETYPE);
    assert_int_equal(stoa_handle_lookup("nothing", 0.01, &table), STOA_ETIMEDOUT);
    assert_int_equal(stoa_handle_lookup("nothing", 0, &table), STOA_ENOTFOUND);
    OK(stoa_handle_release(table));
    OK(stoa_handle_release(found));
    OK(stoa_unpublish("the table"));
    OK(stoa_unpublish("mine"));
    OK(stoa_unpublish("shared"));
    assert_int_equal(number(one, "len(table)"), 3);
    end(one);
    end(two);
}

static void
between_handles_and_pyobjects(void **state)
{
    (void)state;
    stoa_interp *one = make("one"), *two = make("two");
    stoa_scope scope;
    OK(stoa_interp_enter(one, &scope));
    PyObject *list = PyList_New(0);
    stoa_handle handle = stoa_handle_from_python(list);
    assert_true(handle != 0);
    PyObject *back = stoa_handle_to_python(handle);
    assert_ptr_equal(back, list);
    Py_DECREF(back);
    Py_DECREF(list);
    assert_true(stoa_handle_from_python(NULL) == 0);
    assert_true(PyErr_ExceptionMatches(PyExc_SystemError));
    PyErr_Clear();
    assert_null(stoa_handle_to_python(12345));
    assert_true(PyErr_ExceptionMatches(PyExc_RuntimeError)); /* InterpreterGone */
    PyErr_Clear();
    stoa_interp_leave(&scope);
    OK(stoa_interp_enter(two, &scope));
    PyObject *proxy = stoa_handle_to_python(handle);
    assert_non_null(proxy);
    PyObject *none = PyObject_CallMethod(proxy, "append", "i", 5);
    Py_XDECREF(none);
    stoa_data out;
    OK(stoa_handle_call(handle, "pop", NULL, 0, 0, FOREVER, &out, NULL)); /* while inside another one */
    assert_int_equal(out.as.integer, 5);
    stoa_handle again = stoa_handle_from_python(proxy);
    Py_DECREF(proxy);
    stoa_interp_leave(&scope);
    bool same;
    OK(stoa_handle_same(handle, again, &same));
    assert_true(same);
    OK(stoa_handle_release(handle));
    OK(stoa_handle_release(again));
    end(one);
    end(two);
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

/* ---- time limits ------------------------------------------------------------------------------------------------- */

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

typedef struct stay {
    stoa_interp *interp;
    stoa_err err;
} stay;

/* The home of what it publishes, for as long as the event is not set. */
static void *
stay_home(void *arg)
{
    stay *s = arg;
    s->err = stoa_exec(s->interp,
                       "import threading, stoa\n"
                       "class Shy:\n"
                       "    at = threading.get_ident()\n"
                       "    def here(self): return threading.get_ident() == self.at\n"
                       "    def child(self): return Shy()\n"
                       "    def slow(self):\n"
                       "        while True: self.at\n"
                       "    def leave(self):\n"
                       "        global going\n"
                       "        going = False\n"
                       "going, shy = True, Shy()\n"
                       "stoa.publish('shy', stoa.proxy(shy, thread='home'))\n"
                       "while going: pass\n",
                       NULL, NULL);
    return NULL;
}

static void
a_home_thread_does_it_itself(void **state)
{
    (void)state;
    stay s = {.interp = make("home"), .err = STOA_EOS};
    pthread_t thread;
    stoa_handle shy;
    stoa_data out, child;
    assert_int_equal(pthread_create(&thread, NULL, stay_home, &s), 0);
    OK(stoa_handle_lookup("shy", 20, &shy));
    OK(stoa_handle_call(shy, "here", NULL, 0, 0, FOREVER, &out, NULL));
    assert_true(out.as.boolean);
    OK(stoa_handle_call(shy, "here", NULL, 0, 0, 20, &out, NULL));
    assert_true(out.as.boolean);
    OK(stoa_handle_call(shy, "child", NULL, 0, STOA_CALL_HOLD_RESULT, 20, &child, NULL));
    OK(stoa_handle_call(child.as.handle, "here", NULL, 0, 0, FOREVER, &out, NULL));
    assert_true(out.as.boolean); /* it is at home there, too */
    stoa_data_clear(&child);
    assert_int_equal(stoa_handle_call(shy, "slow", NULL, 0, 0, 0.05, NULL, NULL), STOA_ETIMEDOUT);
    OK(stoa_handle_call(shy, "here", NULL, 0, 0, 20, &out, NULL)); /* the loop of the home thread goes on */
    OK(stoa_handle_call(shy, "leave", NULL, 0, 0, FOREVER, NULL, NULL));
    pthread_join(thread, NULL);
    assert_int_equal(s.err, STOA_OK);
    GONE(stoa_handle_call(shy, "here", NULL, 0, 0, 20, &out, NULL)); /* the thread has ended */
    OK(stoa_unpublish("shy"));
    OK(stoa_handle_release(shy));
    end(s.interp);
}

/* ---- threads, fork ----------------------------------------------------------------------------------------------- */

typedef struct job {
    stoa_handle handles[2];
    int calls;
} job;

static void *
call_both(void *arg)
{
    const job *j = arg;
    for (int i = 0; i < j->calls; i++) {
        stoa_data one = stoa_data_int(1), out;
        stoa_handle mine;
        CHECK(stoa_handle_dup(j->handles[i & 1], &mine) == STOA_OK);
        CHECK(stoa_handle_call(mine, "add", &one, 1, 0, FOREVER, &out, NULL) == STOA_OK);
        CHECK(stoa_handle_release(mine) == STOA_OK);
        CHECK(stoa_handle_release(mine) == STOA_EGONE);
    }
    return NULL;
}

static void
threads_share_handles(void **state)
{
    (void)state;
    enum { THREADS = 4, CALLS = 2000 };
    stoa_interp *interps[2] = {make("one"), make("two")};
    job j = {.calls = CALLS};
    stoa_data zero = stoa_data_int(0), out;
    for (int i = 0; i < 2; i++) {
        OK(stoa_call(interps[i], "__main__:Account", &zero, 1, STOA_CALL_HOLD_RESULT, &out, NULL));
        j.handles[i] = out.as.handle; /* taken over: out is not cleared */
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_both, &j), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    for (int i = 0; i < 2; i++) {
        OK(stoa_handle_get_attr(j.handles[i], "total", 0, FOREVER, &out, NULL));
        assert_int_equal(out.as.integer, THREADS * CALLS / 2);
        OK(stoa_handle_release(j.handles[i]));
        assert_int_equal(number(interps[i], "gone.pop()"), THREADS * CALLS / 2);
        end(interps[i]);
    }
}

static void *
call_until_gone(void *arg)
{
    stoa_handle handle = *(stoa_handle *)arg;
    stoa_data one = stoa_data_int(1), out;
    stoa_err err;
    do {
        err = stoa_handle_call(handle, "add", &one, 1, 0, FOREVER, &out, NULL);
    } while (err == STOA_OK);
    CHECK(err == STOA_EGONE);
    return NULL;
}

static void
an_owner_closed_under_the_callers_hands(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        stoa_interp *interp = make("closed meanwhile");
        stoa_data zero = stoa_data_int(0), out;
        OK(stoa_call(interp, "__main__:Account", &zero, 1, STOA_CALL_HOLD_RESULT, &out, NULL));
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, call_until_gone, &out.as.handle), 0);
        }
        struct timespec moment = {.tv_nsec = 2000000};
        nanosleep(&moment, NULL);
        OK(stoa_interp_close(interp, FOREVER));
        for (int i = 0; i < 2; i++) {
            void *failed;
            pthread_join(threads[i], &failed);
            assert_null(failed);
        }
        stoa_data_clear(&out);
        stoa_interp_free(interp);
    }
}

static void
a_forked_child_gets_a_clear_error(void **state)
{
    (void)state;
    stoa_interp *interp = make("in the parent");
    stoa_handle table = get(interp, "__main__:table");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        stoa_data out;
        bool good = stoa_handle_call(table, "__len__", NULL, 0, 0, FOREVER, &out, NULL) == STOA_EGONE &&
                    strstr(stoa_error_message(), "in the parent") != NULL &&
                    stoa_handle_release(table) == STOA_OK && stoa_handle_release(table) == STOA_EGONE;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    stoa_data out;
    OK(stoa_handle_call(table, "__len__", NULL, 0, 0, FOREVER, &out, NULL)); /* the parent notices nothing */
    assert_int_equal(out.as.integer, 3);
    OK(stoa_handle_release(table));
    end(interp);
}

static int
open_runtime(void **state)
{
    (void)state;
    stoa_runtime_options options;
    stoa_runtime_options_init(&options);
    options.isolated = false; /* PYTHONPATH leads to the package */
    return stoa_runtime_open(&options);
}

static int
close_runtime(void **state)
{
    (void)state;
    return stoa_runtime_close();
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
    stoa_data out;
    if (stoa_handle_call(UINT64_C(1) << 32 | 1, NULL, NULL, 0, 0, FOREVER, &out, NULL) != STOA_EGONE ||
        stoa_handle_lookup("x", 0, &out.as.handle) != STOA_ESTATE) {
        return 1; /* before there is a runtime */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_held_and_called),
        cmocka_unit_test(modules_and_what_is_in_them),
        cmocka_unit_test(a_released_number_is_an_error_for_ever),
        cmocka_unit_test(a_closed_owner_is_told),
        cmocka_unit_test(items_and_attributes),
        cmocka_unit_test(handles_are_arguments_of_every_interpreter),
        cmocka_unit_test(names_stand_for_handles),
        cmocka_unit_test(between_handles_and_pyobjects),
        cmocka_unit_test(exceptions_and_bad_arguments),
        cmocka_unit_test(many_arguments),
        cmocka_unit_test(what_takes_too_long_is_interrupted),
        cmocka_unit_test(a_blocking_c_call_lets_its_caller_go),
        cmocka_unit_test(within_the_limit_all_is_as_without),
        cmocka_unit_test(keywords_are_given_by_name),
        cmocka_unit_test(length_and_items_in_order),
        cmocka_unit_test(a_home_thread_does_it_itself),
        cmocka_unit_test(threads_share_handles),
        cmocka_unit_test(an_owner_closed_under_the_callers_hands),
        cmocka_unit_test(a_forked_child_gets_a_clear_error),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
