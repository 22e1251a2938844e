/* Entering and leaving from C threads, with the internal headers: which state is used, and what is left afterwards. */
#include "proxy/thread_state.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "heap/error.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/exceptions.h"
#include "proxy/cross.h"
#include "proxy/exception.h"
#include "records.h"
#include "support/check.h"

static void
on_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    void *failed;
    PyThreadState *state = PyEval_SaveThread();
    int created = pthread_create(&thread, NULL, body, arg);
    pthread_join(thread, &failed);
    PyEval_RestoreThread(state);
    assert_int_equal(created, 0);
    assert_null(failed);
}

/* What PyGILState_Ensure would find is restored, whatever it was. */
static void
gilstate_is_restored(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    stoa_entry entry;
    PyThreadState *mine = PyThreadState_Get();
    assert_int_equal(stoa__enter(record, &entry), STOA_OK);
    assert_ptr_equal(PyGILState_GetThisThreadState(), entry.entered);
    assert_ptr_not_equal(entry.entered, mine);
    stoa__leave(&entry);
    assert_ptr_equal(PyThreadState_Get(), mine);
    assert_ptr_equal(PyGILState_GetThisThreadState(), mine);
    PyEval_SaveThread(); /* a host that has given its GIL up */
    assert_int_equal(stoa__enter(record, &entry), STOA_OK);
    assert_null(entry.previous);
    stoa__leave(&entry);
    assert_null(stoa__current_state());
    assert_ptr_equal(PyGILState_GetThisThreadState(), mine);
    PyEval_RestoreThread(mine);
    end(record);
}

/* A thread's own state for its own interpreter is used, also when its GIL was given up, and below other entries. */
static void
own_state_is_used(void **state)
{
    (void)state;
    stoa_interp_record *record = make(), *main_record = stoa__main_record();
    stoa_entry outer, inner;
    PyThreadState *mine = PyThreadState_Get();
    assert_int_equal(stoa__enter(main_record, &outer), STOA_OK);
    assert_ptr_equal(outer.entered, mine);
    stoa__leave(&outer);
    assert_int_equal(stoa__enter(record, &outer), STOA_OK);
    assert_int_equal(stoa__enter(main_record, &inner), STOA_OK);
    assert_ptr_equal(inner.entered, mine);
    assert_true(stoa__thread_is_inside(record));
    uint32_t serials[4];
    assert_int_equal(stoa__thread_inside(serials, 4), 2);
    stoa__leave(&inner);
    stoa__leave(&outer);
    assert_false(stoa__thread_is_inside(record));
    PyEval_SaveThread();
    assert_int_equal(stoa__enter(main_record, &outer), STOA_OK);
    assert_ptr_equal(outer.entered, mine);
    stoa__leave(&outer);
    PyEval_RestoreThread(mine);
    stoa__interp_unref(main_record);
    end(record);
}

static void *
gilstate_of_the_thread_itself(void *arg)
{
    stoa_interp_record *main_record = arg;
    stoa_entry entry;
    PyGILState_STATE gil = PyGILState_Ensure(); /* Python makes a state for this thread */
    PyThreadState *own = PyThreadState_Get();
    PyThreadState *saved = PyEval_SaveThread();
    CHECK(stoa__enter(main_record, &entry) == STOA_OK);
    CHECK(entry.entered == own);
    stoa__leave(&entry);
    CHECK(PyGILState_GetThisThreadState() == own);
    PyEval_RestoreThread(saved);
    PyGILState_Release(gil);
    CHECK(stoa__enter(main_record, &entry) == STOA_OK); /* that one is gone: now one is kept */
    stoa__leave(&entry);
    CHECK(PyGILState_GetThisThreadState() == NULL);
    gil = PyGILState_Ensure(); /* and Python's own comes again beside it */
    CHECK(PyRun_SimpleString("x = 1") == 0);
    PyGILState_Release(gil);
    return NULL;
}

static void
states_made_by_gilstate_are_used(void **state)
{
    (void)state;
    stoa_interp_record *main_record = stoa__main_record();
    on_thread(gilstate_of_the_thread_itself, main_record);
    stoa__interp_unref(main_record);
}

static void *
enter_many(void *arg)
{
    stoa_interp_record **records = arg;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            stoa_entry entry;
            CHECK(stoa__enter(records[i], &entry) == STOA_OK);
            CHECK(PyInterpreterState_GetID(PyInterpreterState_Get()) == records[i]->python_id);
            stoa__leave(&entry);
        }
    }
    return NULL;
}

/* The table grows, and forgets interpreters that are gone. */
static void
many_interpreters(void **state)
{
    (void)state;
    stoa_interp_record *records[20];
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < 20; i++) {
            records[i] = make();
        }
        on_thread(enter_many, records);
        assert_null(enter_many(records)); /* this thread stays, its states go with the interpreters */
        for (int i = 0; i < 20; i++) {
            end(records[i]);
        }
    }
}

static stoa_err
recurse(stoa_interp_record *a, stoa_interp_record *b, int *depth)
{
    stoa_entry entry;
    stoa_err err = stoa__enter(a, &entry);
    if (err == STOA_OK) {
        ++*depth;
        err = recurse(b, a, depth);
        stoa__leave(&entry);
    }
    return err;
}

static void
stack_is_bounded(void **state)
{
    (void)state;
    stoa_interp_record *a = make(), *b = make();
    int depth = 0;
    assert_int_equal(recurse(a, b, &depth), STOA_ESTATE);
    assert_true(depth > 1000);
    assert_null(stoa__enter_failed(STOA_ESTATE));
    assert_true(PyErr_ExceptionMatches(PyExc_RecursionError));
    PyErr_Clear();
    end(a);
    end(b);
}

static void
a_closed_one_is_refused(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    stoa_entry entry;
    assert_int_equal(stoa__interp_close(record, STOA_FOREVER), STOA_OK);
    PyThreadState *mine = PyThreadState_Get();
    assert_int_equal(stoa__enter(record, &entry), STOA_EGONE);
    assert_ptr_equal(PyThreadState_Get(), mine);
    assert_null(stoa__enter_failed(STOA_EGONE));
    assert_true(PyErr_ExceptionMatches(stoa__exception(STOA_EXC_InterpreterGone)));
    PyErr_Clear();
    stoa__interp_unref(record);
}

/* Processor time of this thread: what others do on the machine does not count. */
static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The figure this file is about, beside what CPython's two swaps alone cost; the bound is loose, so that a loaded machine
 * or a debug build does not fail it. */
static void
entering_is_cheap(void **state)
{
    (void)state;
    enum { ROUNDS = 100000 };
    stoa_interp_record *record = make();
    double best = 1e9, best_swap = 1e9;
    stoa_entry entry;
    for (int turn = 0; turn < 7; turn++) {
        double began = now();
        for (int i = 0; i < ROUNDS; i++) {
            (void)stoa__enter(record, &entry);
            stoa__leave(&entry);
        }
        double each = (now() - began) / ROUNDS;
        best = each < best ? each : best;
        PyThreadState *there = entry.entered, *here = PyThreadState_Get();
        began = now();
        for (int i = 0; i < ROUNDS; i++) {
            (void)PyThreadState_Swap(there);
            (void)PyThreadState_Swap(here);
        }
        each = (now() - began) / ROUNDS;
        best_swap = each < best_swap ? each : best_swap;
    }
    print_message("enter and leave: %.0f ns, of which two swaps: %.0f ns\n", best, best_swap);
    assert_true(best < 20 * best_swap + 1000);
    end(record);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gilstate_is_restored),
        cmocka_unit_test(own_state_is_used),
        cmocka_unit_test(states_made_by_gilstate_are_used),
        cmocka_unit_test(many_interpreters),
        cmocka_unit_test(stack_is_bounded),
        cmocka_unit_test(a_closed_one_is_refused),
        cmocka_unit_test(entering_is_cheap),
    };
    return cmocka_run_group_tests(tests, stoa_test_records_setup, stoa_test_python_teardown);
}
