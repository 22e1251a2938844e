/* Objects of interpreters in the hands of a host: how they are got, named, passed on and given up. Public headers only,
 * threads that Python has never seen. */
#include "handle_testing.h"

#include "stoa/python.h"

#include <sys/wait.h>
#include <unistd.h>

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
a_forked_child_gets_a_clear_error(void **state)
{
    (void)state;
    stoa_interp *interp = make("in the parent");
    stoa_handle table = get(interp, "__main__:table");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
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
        cmocka_unit_test(handles_are_arguments_of_every_interpreter),
        cmocka_unit_test(names_stand_for_handles),
        cmocka_unit_test(between_handles_and_pyobjects),
        cmocka_unit_test(a_forked_child_gets_a_clear_error),
    };
    return cmocka_run_group_tests(tests, stoa_test_package_setup, stoa_test_runtime_teardown);
}
