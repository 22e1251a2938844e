/* stoa__call_owner with the internal headers, also from threads that have no Python: who runs the work, what its caller gets
 * when it is late or refused, and that a circle of waits is found. */
#include "proxy/call.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "heap/error.h"
#include "immortal/exceptions.h"
#include "proxy/wait.h"
#include "records.h"

typedef struct probe {
    stoa_work work;
    const char *code; /* NULL: waits for `whom` */
    stoa_waiter *whom;
    pthread_t ran_on;
    int result; /* of the code: 0, or -1 */
    bool deadlock;
    _Atomic bool ran;
} probe;

static _Atomic int freed;

static bool
never(void *arg)
{
    (void)arg;
    return false;
}

static void
run_probe(stoa_work *work)
{
    probe *p = (probe *)work;
    p->ran_on = pthread_self();
    if (p->code != NULL) {
        PyObject *globals = PyDict_New();
        PyObject *result = PyRun_String(p->code, Py_file_input, globals, globals);
        p->result = result == NULL ? -1 : 0;
        Py_XDECREF(result);
        Py_DECREF(globals);
    }
    else {
        p->result = stoa__wait_until(never, NULL, stoa__now() + INT64_C(20000000000), p->whom, "a flag");
        p->deadlock = PyErr_ExceptionMatches(stoa__exception(STOA_EXC_Deadlock)) != 0;
    }
    PyErr_Clear();
    atomic_store(&p->ran, true);
}

static void
free_probe(stoa_work *work)
{
    freed++;
    free(work);
}

/* Whoever has run the work lets go of it a little after its sender was told. */
static void
expect_freed(int count)
{
    for (int i = 0; i < 60000 && freed < count; i++) {
        usleep(1000);
    }
    assert_int_equal(freed, count);
}

static probe *
new_probe(stoa_interp_record *record, const char *code)
{
    probe *p = calloc(1, sizeof(*p));
    p->code = code;
    return stoa__work_init(&p->work, record, run_probe, free_probe) == STOA_OK ? p : NULL;
}

/* Without a GIL, also on a thread that Python has never seen. */
static void *
call_from_outside(void *arg)
{
    stoa_interp_record *record = arg;
    static const stoa_via ways[] = {STOA_VIA_AUTO, STOA_VIA_ENTER, STOA_VIA_POST};
    for (int i = 0; i < 3; i++) {
        stoa_route *route = stoa__route_new(ways[i], NULL, -1);
        probe *p = new_probe(record, "x = 6 * 7\n");
        if (stoa__call_owner(route, STOA_FOREVER, &p->work) != STOA_OK || p->result != 0 ||
            !pthread_equal(p->ran_on, pthread_self())) {
            return "an idle interpreter was not entered";
        }
        stoa__work_unref(&p->work);
        stoa__route_unref(route);
    }
    probe *p = new_probe(record, "x = 1\n");
    if (stoa__call_owner(NULL, stoa__now() + INT64_C(60000000000), &p->work) != STOA_OK || p->result != 0 ||
        pthread_equal(p->ran_on, pthread_self())) {
        return "a call with a deadline was not served";
    }
    stoa__work_unref(&p->work);
    p = new_probe(record, "while True: pass\n");
    int64_t begin = stoa__now();
    if (stoa__call_owner(NULL, begin + 50000000, &p->work) != STOA_ETIMEDOUT ||
        stoa__now() - begin < 50000000) { /* that it ends at all is the point */
        return "no timeout";
    }
    stoa__work_unref(&p->work);
    for (int i = 0; i < 60000 && stoa__interp_inside(record) > 0; i++) {
        usleep(1000); /* it stops at its next bytecode */
    }
    return stoa__interp_inside(record) > 0 ? "what is late goes on" : NULL;
}

static void
threads_without_python_can_call(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    pthread_t thread;
    void *failed;
    freed = 0;
    PyThreadState *mine = PyEval_SaveThread();
    assert_int_equal(pthread_create(&thread, NULL, call_from_outside, record), 0);
    pthread_join(thread, &failed);
    const char *failed_here = call_from_outside(record);
    PyEval_RestoreThread(mine);
    assert_string_equal(failed == NULL ? "" : (const char *)failed, "");
    assert_string_equal(failed_here == NULL ? "" : failed_here, "");
    end(record); /* waits for what was interrupted */
    expect_freed(10);
}

/* The work is late, and its results are nobody's: they are freed, once, and nothing else is hit. */
static void
late_work_is_freed_by_who_runs_it(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    freed = 0;
    for (int i = 0; i < 20; i++) {
        probe *p = new_probe(record, "import time; time.sleep(0.004)\n");
        (void)stoa__call_owner(NULL, stoa__now() + 1000000 + i * 200000, &p->work);
        PyErr_Clear();
        stoa__work_unref(&p->work);
        p = new_probe(record, "assert sum(i for i in range(3000)) == 4498500\n");
        assert_int_equal(stoa__call_owner(NULL, stoa__now() + INT64_C(60000000000), &p->work), STOA_OK);
        assert_int_equal(p->result, 0);
        stoa__work_unref(&p->work);
    }
    end(record);
    expect_freed(40);
}

static void
a_closed_interpreter_refuses(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    stoa__interp_ref(record);
    end(record);
    freed = 0;
    for (int i = 0; i < 3; i++) {
        stoa_route *route = stoa__route_new(i == 1 ? STOA_VIA_POST : STOA_VIA_AUTO,
                                            i == 2 ? stoa__waiter_here() : NULL, -1);
        probe *p = new_probe(record, "pass");
        assert_int_equal(stoa__call_owner(route, STOA_FOREVER, &p->work), STOA_EGONE);
        stoa__work_unref(&p->work);
        p = new_probe(record, "pass");
        assert_int_equal(stoa__call_owner(route, stoa__now() + INT64_C(60000000000), &p->work), STOA_EGONE);
        stoa__work_unref(&p->work);
        stoa__route_unref(route);
    }
    expect_freed(6);
    stoa__interp_unref(record);
}

typedef struct outsider {
    stoa_interp_record *record;
    stoa_waiter *home;
    _Atomic bool over;
    bool good;
    char text[400];
} outsider;

static void *
call_home(void *arg)
{
    outsider *o = arg;
    stoa_route *route = stoa__route_new(STOA_VIA_AUTO, o->home, -1);
    probe *p = new_probe(o->record, NULL);
    p->whom = stoa__waiter_here();
    /* whoever closes the circle is told: the call that waits, or its sender, if it is the later one */
    stoa_err err = stoa__call_owner(route, STOA_FOREVER, &p->work);
    o->good = err == STOA_OK
                  ? p->result == -1 && p->deadlock && !pthread_equal(p->ran_on, pthread_self())
                  : err == STOA_EDEADLOCK && strstr(stoa_error_message(), "a flag of thread") != NULL;
    stoa__work_unref(&p->work);
    stoa__route_unref(route);
    atomic_store(&o->over, true);
    stoa__waiter_wake(o->home);
    return NULL;
}

static bool
is_over(void *arg)
{
    outsider *o = arg;
    return atomic_load(&o->over);
}

/* It waits for this thread to run its call; the call waits for it. */
static void
a_circle_of_calls_and_waits_is_found(void **state)
{
    (void)state;
    outsider o = {.record = stoa__current_record(), .home = stoa__waiter_here()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_home, &o), 0);
    assert_int_equal(stoa__wait_until(is_over, &o, stoa__now() + INT64_C(60000000000), NULL, "a thread"), 0);
    pthread_join(thread, NULL);
    assert_true(o.good);
}

static void *
call_ended_home(void *arg)
{
    outsider *o = arg;
    o->home = stoa__waiter_ref(stoa__waiter_here());
    return NULL;
}

static void
a_home_that_has_ended_refuses(void **state)
{
    (void)state;
    outsider o = {.record = stoa__current_record()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_ended_home, &o), 0);
    pthread_join(thread, NULL);
    stoa_route *route = stoa__route_new(STOA_VIA_AUTO, o.home, -1);
    probe *p = new_probe(o.record, "pass");
    assert_int_equal(stoa__call_owner(route, STOA_FOREVER, &p->work), STOA_EGONE);
    assert_non_null(strstr(stoa_error_message(), "has ended"));
    stoa__work_unref(&p->work);
    stoa__route_unref(route);
    stoa__waiter_unref(o.home);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_without_python_can_call),
        cmocka_unit_test(late_work_is_freed_by_who_runs_it),
        cmocka_unit_test(a_closed_interpreter_refuses),
        cmocka_unit_test(a_circle_of_calls_and_waits_is_found),
        cmocka_unit_test(a_home_that_has_ended_refuses),
    };
    return cmocka_run_group_tests(tests, stoa_test_records_setup, stoa_test_python_teardown);
}
