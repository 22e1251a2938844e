/* For the tests in this folder: an embedded Python with the heap open, frozen objects, and writes counted. */
#ifndef STOA_TESTS_IMMORTAL_SHARED_H
#define STOA_TESTS_IMMORTAL_SHARED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/describe.h"
#include "immortal/freeze.h"
#include "immortal/verify.h"
#include "support/python_embed.h"
#include "support/recorder.h"

/* Group set-up (tear-down: stoa_test_python_teardown): Python, the process struct, the canonical table and the probes. */
static inline int
stoa_test_shared_setup(void **state)
{
    if (stoa_test_python_setup(state) != 0) {
        return -1;
    }
    if (stoa__process_open() != STOA_OK) {
        print_error("%s\n", stoa_error_message());
        return -1;
    }
    if (stoa__canonical_init() < 0) {
        PyErr_Print();
        return -1;
    }
    return 0;
}

/* The frozen twin of a Python expression's value (converting, interning). Fails the test when it cannot be had. */
static inline PyObject *
stoa_test_freeze(const char *expression)
{
    PyObject *source = stoa_test_eval(expression);
    PyObject *frozen = stoa__freeze(source, stoa__region_default(), STOA_FREEZE_INTERN | STOA_FREEZE_CONVERT);
    Py_DECREF(source);
    if (frozen == NULL) {
        PyErr_Print();
        fail_msg("cannot freeze %s", expression);
    }
    return frozen;
}

/* Opens a batch in the default region; STOA_BATCH_INTERN or 0. */
static inline stoa_batch
stoa_test_batch(unsigned flags)
{
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, NULL, flags), STOA_OK);
    return batch;
}

/* Checks every invariant of the frozen graph (immortal/verify.h); returns the number of its objects in the heap. */
static inline size_t
stoa_test_verify(PyObject *object)
{
    size_t count = 0;
    if (stoa__verify(object, &count) != STOA_OK) {
        fail_msg("%s", stoa_error_message());
    }
    return count;
}

/* Runs source with `x` bound, in the interpreter that the caller is in, and returns how many writes into the heap were
 * tried (the first few are printed). Fails the test when the source raises. */
static inline size_t
stoa_test_writes(PyObject *x, const char *source)
{
    PyObject *globals = PyDict_New();
    assert_non_null(globals);
    assert_int_equal(PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()), 0);
    assert_int_equal(PyDict_SetItemString(globals, "x", x), 0);
    assert_int_equal(recorder_start(stoa__public_base, stoa__reserved), 0);
    PyObject *value = PyRun_String(source, Py_file_input, globals, globals);
    bool raised = value == NULL, intact;
    if (raised) {
        PyErr_Print();
    }
    Py_XDECREF(value);
    Py_DECREF(globals);
    size_t writes = recorder_stop(&intact);
    for (size_t i = 0; i < writes && i < 3; i++) {
        char text[300];
        stoa__describe((const void *)recorder_get(i)->address, text, sizeof text);
        print_error("write to %s\n", text);
    }
    assert_true(intact);
    if (raised) {
        fail_msg("%s", source);
    }
    return writes;
}

/* Calls fn in a new interpreter with a GIL of its own. */
static inline void
stoa_test_in_interpreter(void (*fn)(void *context), void *context)
{
    PyThreadState *here = PyThreadState_Get(), *there = NULL;
    PyInterpreterConfig config = {
        .check_multi_interp_extensions = 1, .gil = PyInterpreterConfig_OWN_GIL, .allow_threads = 1};
    PyStatus status = Py_NewInterpreterFromConfig(&there, &config);
    assert_false(PyStatus_Exception(status));
    assert_non_null(there);
    fn(context);
    Py_EndInterpreter(there);
    PyThreadState_Swap(here);
}

typedef struct stoa_test_use {
    PyObject *x;
    const char *source;
} stoa_test_use;

static inline void
stoa_test_check_use(void *context)
{
    const stoa_test_use *use = context;
    assert_int_equal(stoa_test_writes(use->x, use->source), 0);
}

/* Fails the test when source, run with `x` bound here and in another interpreter, tries a write into the heap. */
static inline void
stoa_test_never_writes(PyObject *x, const char *source)
{
    stoa_test_use use = {x, source};
    stoa_test_check_use(&use);
    stoa_test_in_interpreter(stoa_test_check_use, &use);
}

#endif
