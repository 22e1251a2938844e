#include <pthread.h>
#include <unistd.h>

#include "immortal/shared.h"

#include "immortal/cpython/stack.h"
#include "immortal/image.h"

static const char *
describe(const void *object, long offset)
{
    static char text[300];
    size_t length = stoa__describe((const char *)object + offset, text, sizeof text);
    assert_int_equal(length, strlen(text));
    return text;
}

static void
expect(const void *object, long offset, const char *start, const char *part)
{
    const char *text = describe(object, offset);
    if (strncmp(text, start, strlen(start)) != 0 || strstr(text, part) == NULL) {
        fail_msg("'%s' is not '%s…%s'", text, start, part);
    }
}

static void
test_fields(void **state)
{
    (void)state;
    PyObject *str = stoa_test_freeze("'some shared text'"), *set = stoa_test_freeze("frozenset(range(5))");
    PyObject *tuple = stoa_test_freeze("(1, 'x', 2.5, None)"),
             *bytes = stoa_test_freeze("b'bytes \\x00 here'");
    PyObject *mapping = stoa_test_freeze("{'k%d' % i: i for i in range(20)}"),
             *number = stoa_test_freeze("-12345");
    PyObject *big = stoa_test_freeze("b'large' * 400000"), *wide = stoa_test_freeze("'caf\\xe9 of the heap'");
    expect(str, 0, "str 'some shared text' at 0x", "reference count");
    expect(str, 24, "str 'some shared text' at 0x", "hash");
    expect(str, 32, "str", "interning");
    expect(str, 41, "str", "offset 41");
    expect(wide, 60, "str 'caf? of", "offset 60");
    expect(set, 192, "frozenset of 5 items", "without callback");
    expect(set, 210, "frozenset of 5 items", "table");
    expect(set, 24 + 64 + 16 + 16, "weakref", "");
    expect(set, -8, "frozenset", "garbage collector");
    expect(tuple, 40, "tuple of 4 items", "item");
    expect(tuple, -16, "tuple", "garbage collector");
    expect(bytes, 40, "b", "content");
    expect(number, 24, "int -12345", "value");
    expect(stoa__mapping_dict(mapping), 24, STOA_HAS_FROZENDICT ? "frozendict" : "dict inside a mapping", "");
    expect(stoa__dict_keys(stoa__mapping_dict(mapping)), 12,
           STOA_HAS_FROZENDICT ? "frozendict of 20" : "mappingproxy of 20", "table");
    expect(big, 1500000, "bytes b'largelarge", "content");
    expect(state, 0, "not in the shared heap", "0x");
    assert_ptr_equal(stoa__describe_object((char *)str + 50), str);
    assert_null(stoa__describe_object(Py_None));
    char tiny[4];
    assert_int_equal(stoa__describe(str, tiny, sizeof tiny), 3);
    assert_string_equal(tiny, "str");
    assert_int_equal(stoa__describe(str, tiny, 0), 0);
}

static void
test_refcount_fields(void **state)
{
    (void)state;
    PyObject *tuple = stoa_test_freeze("('a tuple', 4.5, 'of three')");
    assert_true(stoa__describe_is_refcount(tuple));
    assert_true(stoa__describe_is_refcount(PyTuple_GET_ITEM(tuple, 0)));
    assert_true(stoa__describe_is_refcount(PyTuple_GET_ITEM(tuple, 1)));
    assert_false(stoa__describe_is_refcount((char *)tuple + 4));
    assert_false(stoa__describe_is_refcount((char *)tuple + 8));
    assert_false(stoa__describe_is_refcount((char *)tuple + 24));
    assert_false(stoa__describe_is_refcount((char *)tuple - 16));
    assert_false(stoa__describe_is_refcount(Py_None));
    assert_ptr_equal(stoa__describer.is_refcount, stoa__describe_is_refcount);
}

static PyObject *
write_stack(PyObject *self, PyObject *fd)
{
    (void)self;
    stoa__write_python_stack((int)PyLong_AsLong(fd));
    Py_RETURN_NONE;
}

static void *
write_stack_outside(void *fd)
{
    stoa__write_python_stack(*(int *)fd);
    return NULL;
}

static void
check_stack(void *unused)
{
    static PyMethodDef method = {"write_stack", write_stack, METH_O, NULL};
    (void)unused;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    PyObject *function = PyCFunction_New(&method, NULL), *globals = PyDict_New();
    PyObject *fd = PyLong_FromLong(ends[1]);
    PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins());
    PyDict_SetItemString(globals, "write_stack", function);
    PyDict_SetItemString(globals, "fd", fd);
    PyObject *value = PyRun_String("def inner():\n    write_stack(fd)\nclass Outer:\n    def outer(self):\n  "
                                   "      inner()\nOuter().outer()\n",
                                   Py_file_input, globals, globals);
    assert_non_null(value);
    char text[4096];
    ssize_t size = read(ends[0], text, sizeof text - 1);
    assert_true(size > 0);
    text[size] = '\0';
    assert_non_null(strstr(text, "interpreter "));
    const char *inner = strstr(text, "inner"), *outer = strstr(text, "outer");
    assert_true(inner != NULL && outer != NULL && inner < outer);
    assert_non_null(strstr(text, "line 2"));
    assert_non_null(strstr(text, "line 5"));
    close(ends[0]);
    close(ends[1]);
    Py_DECREF(value);
    Py_DECREF(fd);
    Py_DECREF(globals);
    Py_DECREF(function);
}

static void
test_python_stack(void **state)
{
    (void)state;
    check_stack(NULL);
    stoa_test_in_interpreter(check_stack, NULL);
    int ends[2];
    char text[200] = "";
    assert_int_equal(pipe(ends), 0);
    PyThreadState *thread = PyEval_SaveThread(); /* given up: told all the same */
    stoa__write_python_stack(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "interpreter 0"));
    memset(text, 0, sizeof text);
    pthread_t foreign; /* in no interpreter: said, no crash */
    assert_int_equal(pthread_create(&foreign, NULL, write_stack_outside, &ends[1]), 0);
    assert_int_equal(pthread_join(foreign, NULL), 0);
    PyEval_RestoreThread(thread);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "no interpreter"));
    close(ends[0]);
    close(ends[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refcount_fields),
        cmocka_unit_test(test_python_stack),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
