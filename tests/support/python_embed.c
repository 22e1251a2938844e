#include "support/python_embed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int
stoa_test_python_setup(void **state)
{
    (void)state;
    Py_InitializeEx(0);
    return 0;
}

int
stoa_test_python_teardown(void **state)
{
    (void)state;
    return Py_FinalizeEx();
}

PyObject *
stoa_test_nested_tuples(int levels)
{
    PyObject *value = Py_NewRef(Py_None);
    for (int i = 0; i < levels; i++) {
        PyObject *outer = PyTuple_New(1);
        assert_non_null(outer);
        PyTuple_SET_ITEM(outer, 0, value);
        value = outer;
    }
    return value;
}

static PyObject *
evaluate(const char *expression, PyObject *globals)
{
    PyObject *value = PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) < 0
                          ? NULL
                          : PyRun_String(expression, Py_eval_input, globals, globals);
    Py_DECREF(globals);
    if (value == NULL) {
        PyErr_Print();
        fail_msg("%s", expression);
    }
    return value;
}

PyObject *
stoa_test_eval(const char *expression)
{
    return evaluate(expression, PyDict_New());
}

int
stoa_test_holds(PyObject *x, const char *expression)
{
    PyObject *globals = PyDict_New();
    PyDict_SetItemString(globals, "x", x);
    PyObject *value = evaluate(expression, globals);
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    return truth;
}
