/* An embedded Python with the layers up to `immortal` open, for cmocka groups. */
#ifndef STOA_TESTS_PYTHON_EMBED_H
#define STOA_TESTS_PYTHON_EMBED_H

#include <Python.h>

/* Group set-up and tear-down. The main thread holds the GIL in between. */
int stoa_test_python_setup(void **state);
int stoa_test_python_teardown(void **state);

/* None inside of so many tuples of one item each, made and taken apart without recursion. New reference. */
PyObject *stoa_test_nested_tuples(int levels);

/* The value of a Python expression; fails the test when it raises. New reference. */
PyObject *stoa_test_eval(const char *expression);

/* Is the Python expression true, `x` being the object? Fails the test when it raises. */
int stoa_test_holds(PyObject *x, const char *expression);

#endif
