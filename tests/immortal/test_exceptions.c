#include "immortal/shared.h"

#include "heap/error.h"
#include "immortal/exceptions.h"

static const struct {
    stoa_exc which;
    const char *name;
    PyObject **base;
} classes[] = {
    {STOA_EXC_Error, "stoa.Error", &PyExc_Exception},
    {STOA_EXC_NotFreezable, "stoa.NotFreezable", &PyExc_TypeError},
    {STOA_EXC_NameTaken, "stoa.NameTaken", &PyExc_ValueError},
    {STOA_EXC_InterpreterGone, "stoa.InterpreterGone", &PyExc_RuntimeError},
    {STOA_EXC_ReleasedProxy, "stoa.ReleasedProxy", &PyExc_ReferenceError},
    {STOA_EXC_RemoteError, "stoa.RemoteError", &PyExc_Exception},
    {STOA_EXC_Deadlock, "stoa.Deadlock", &PyExc_RuntimeError},
    {STOA_EXC_Timeout, "stoa.Timeout", &PyExc_TimeoutError},
    {STOA_EXC_UnsupportedPython, "stoa.UnsupportedPython", &PyExc_ImportError},
    {STOA_EXC_ShutDown, "stoa.ShutDown", &PyExc_Exception},
    {STOA_EXC_BrokenLock, "stoa.BrokenLock", &PyExc_RuntimeError},
};

static void
check_classes(void *unused)
{
    (void)unused;
    PyObject *error = stoa__exception(STOA_EXC_Error);
    assert_int_equal(sizeof classes / sizeof classes[0], STOA_EXC_COUNT);
    for (size_t i = 0; i < STOA_EXC_COUNT; i++) {
        PyObject *made = stoa__exception(classes[i].which);
        assert_non_null(made);
        assert_ptr_equal(made, stoa__exception(classes[i].which));
        assert_int_equal(PyObject_IsSubclass(made, error), 1);
        assert_int_equal(PyObject_IsSubclass(made, *classes[i].base), 1);
        PyObject *text = PyObject_Repr(made);
        assert_non_null(strstr(PyUnicode_AsUTF8(text), classes[i].name));
        Py_DECREF(text);
    }
    PyObject *holder = stoa_test_eval("getattr(__import__('queue'), 'ShutDown', Exception)");
    assert_int_equal(PyObject_IsSubclass(stoa__exception(STOA_EXC_ShutDown), holder), 1);
    Py_DECREF(holder);
}

static void
own_class(void *out)
{
    *(PyObject **)out = stoa__exception(STOA_EXC_NameTaken);
}

static void
test_one_set_an_interpreter(void **state)
{
    (void)state;
    PyObject *other = NULL;
    check_classes(NULL);
    stoa_test_in_interpreter(check_classes, NULL);
    stoa_test_in_interpreter(own_class, &other);
    assert_ptr_not_equal(other, stoa__exception(STOA_EXC_NameTaken));
}

/* The raised exception's type and text; both checked, then gone. */
static void
expect(PyObject *type, const char *part)
{
    PyObject *error = PyErr_GetRaisedException();
    assert_non_null(error);
    PyObject *text = PyObject_Str(error);
    if (Py_TYPE(error) != (PyTypeObject *)type || strstr(PyUnicode_AsUTF8(text), part) == NULL) {
        fail_msg("%s: %s", Py_TYPE(error)->tp_name, PyUnicode_AsUTF8(text));
    }
    Py_DECREF(text);
    Py_DECREF(error);
}

static void
test_raise(void **state)
{
    (void)state;
    assert_null(stoa__raise(stoa__fail(STOA_ENOMEM, "region 'r' is full")));
    expect(PyExc_MemoryError, "region 'r' is full");
    assert_null(stoa__raise(stoa__fail(STOA_EEXIST, "caf\xc3\xa9 is taken")));
    expect(stoa__exception(STOA_EXC_NameTaken), "caf\xc3\xa9 is taken");
    stoa__raise(stoa__fail(STOA_EGONE, "it is closed"));
    expect(stoa__exception(STOA_EXC_InterpreterGone), "it is closed");
    stoa__raise(stoa__fail(STOA_ETIMEDOUT, "after 1 s"));
    expect(stoa__exception(STOA_EXC_Timeout), "after 1 s");
    stoa__raise(stoa__fail(STOA_EDEADLOCK, "a ring"));
    expect(stoa__exception(STOA_EXC_Deadlock), "a ring");
    stoa__raise(stoa__fail(STOA_EVERSION, "another copy"));
    expect(stoa__exception(STOA_EXC_UnsupportedPython), "another copy");
    stoa__raise(stoa__fail(STOA_ENOTFOUND, "no such name"));
    expect(PyExc_KeyError, "no such name");
    stoa__raise(stoa__fail(STOA_EUTF8, "bad byte \xff here"));
    expect(PyExc_ValueError, "bad byte");
    stoa__raise(stoa__fail(STOA_EOS, "refused"));
    expect(PyExc_OSError, "refused");
    stoa__raise(STOA_ETYPE); /* the message is of another failure: the general text */
    expect(PyExc_TypeError, stoa_err_text(STOA_ETYPE));
    PyErr_SetString(PyExc_LookupError, "Python's own");
    stoa__raise(STOA_EPYTHON);
    expect(PyExc_LookupError, "Python's own");
    stoa__raise(STOA_EPYTHON); /* none is set: still an exception */
    expect(stoa__exception(STOA_EXC_Error), "");
}

static void
test_not_freezable(void **state)
{
    (void)state;
    assert_null(stoa__raise_not_freezable("$['users'][3].name", "socket", "cannot be shared; close it"));
    PyObject *error = PyErr_GetRaisedException();
    assert_ptr_equal(Py_TYPE(error), stoa__exception(STOA_EXC_NotFreezable));
    assert_true(stoa_test_holds(
        error, "x.path == \"$['users'][3].name\" and x.type_name == 'socket' and 'close it' in str(x)"));
    assert_true(stoa_test_holds(error, "isinstance(x, TypeError)"));
    Py_DECREF(error);
    stoa__raise_unsupported("the moon is not full");
    expect(stoa__exception(STOA_EXC_UnsupportedPython), "the moon is not full");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_set_an_interpreter),
        cmocka_unit_test(test_raise),
        cmocka_unit_test(test_not_freezable),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
