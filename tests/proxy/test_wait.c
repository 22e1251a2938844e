/* stoa__wait_until with the internal headers: what ends a wait, and what a thread does meanwhile. */
#include "proxy/wait.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "heap/error.h"
#include "immortal/exceptions.h"
#include "records.h"

typedef struct flag {
    _Atomic int up;
    stoa_waiter *waiter; /* const while threads run */
    void (*act)(struct flag *);
} flag;

static bool
is_up(void *arg)
{
    flag *f = arg;
    return atomic_load(&f->up) != 0;
}

static void *
act_later(void *arg)
{
    flag *f = arg;
    usleep(30000);
    f->act(f);
    return NULL;
}

static pthread_t
later(flag *f, void (*act)(flag *))
{
    pthread_t thread;
    f->act = act;
    f->waiter = stoa__waiter_here();
    assert_int_equal(pthread_create(&thread, NULL, act_later, f), 0);
    return thread;
}

static void
raise_flag(flag *f)
{
    atomic_store(&f->up, 1);
    stoa__waiter_wake(f->waiter);
}

static int
raised(PyObject *class)
{
    int matches = PyErr_ExceptionMatches(class);
    PyErr_Clear();
    return matches;
}

static void
ready_ends_it(void **state)
{
    (void)state;
    flag f = {1, NULL, NULL};
    assert_int_equal(stoa__wait_until(is_up, &f, 0, NULL, "a flag"), 0);
    atomic_store(&f.up, 0);
    pthread_t thread = later(&f, raise_flag);
    assert_int_equal(stoa__wait_until(is_up, &f, STOA_FOREVER, NULL, "a flag"), 0);
    pthread_join(thread, NULL);
}

static void
the_deadline_ends_it(void **state)
{
    (void)state;
    flag f = {0, NULL, NULL};
    int64_t begin = stoa__now();
    assert_int_equal(stoa__wait_until(is_up, &f, begin + 20000000, NULL, "a flag"), 1);
    assert_true(stoa__now() - begin >= 20000000);
}

static void
a_circle_of_one_is_a_deadlock(void **state)
{
    (void)state;
    flag f = {0, NULL, NULL};
    assert_int_equal(stoa__wait_until(is_up, &f, STOA_FOREVER, stoa__waiter_here(), "a flag"), -1);
    assert_true(raised(stoa__exception(STOA_EXC_Deadlock)));
}

static void
send_signal(flag *f)
{
    (void)f;
    kill(getpid(), SIGINT);
}

/* Also inside another interpreter, where CPython would not look for signals. */
static void
a_signal_ends_it(void **state)
{
    (void)state;
    flag f = {0, NULL, NULL};
    stoa_interp_record *record = make();
    stoa_entry entry;
    for (int inside = 0; inside < 2; inside++) {
        if (inside) {
            assert_int_equal(stoa__enter(record, &entry), STOA_OK);
        }
        pthread_t thread = later(&f, send_signal);
        assert_int_equal(stoa__wait_until(is_up, &f, STOA_FOREVER, NULL, "a flag"), -1);
        assert_true(raised(PyExc_KeyboardInterrupt));
        pthread_join(thread, NULL);
    }
    stoa__leave(&entry);
    end(record);
}

static unsigned long this_thread;

static void
interrupt(flag *f)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyThreadState_SetAsyncExc(this_thread, PyExc_SystemExit);
    stoa__waiter_interrupt(f->waiter);
    PyGILState_Release(gil);
}

/* What was to be raised at the next bytecode is raised here, and not once more there. */
static void
interrupt_ends_it(void **state)
{
    (void)state;
    flag f = {0, NULL, NULL};
    this_thread = PyThreadState_Get()->thread_id;
    pthread_t thread = later(&f, interrupt);
    assert_int_equal(stoa__wait_until(is_up, &f, STOA_FOREVER, NULL, "a flag"), -1);
    assert_true(raised(PyExc_SystemExit));
    Py_BEGIN_ALLOW_THREADS
        pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    assert_true(stoa_test_holds(Py_None, "sum(i for i in range(100)) == 4950"));
}

typedef struct home_call {
    stoa_posted call;
    flag *flag;
    pthread_t ran_on;
} home_call;

static void
run_home(stoa_posted *call)
{
    home_call *h = (home_call *)call;
    assert_true(stoa__current_record() != NULL);
    h->ran_on = pthread_self();
}

static void
keep_home(stoa_posted *call)
{
    (void)call; /* on the poster's stack, who waits */
}

static void
post_home(flag *f)
{
    home_call h = {.flag = f};
    bool summon;
    stoa_waiter *self = stoa__waiter_here();
    stoa__call_init(&h.call, self, run_home, keep_home);
    assert_int_equal(stoa__mailbox_post(&f->waiter->home, &h.call, &summon), STOA_OK);
    assert_true(summon);
    stoa__waiter_wake(f->waiter);
    while (!stoa__call_over(&h.call)) {
        uint32_t seen = stoa__waiter_look(self);
        if (!stoa__call_over(&h.call)) {
            (void)stoa__waiter_sleep(self, seen, STOA_FOREVER);
        }
    }
    while (atomic_load(&h.call.refs) > 1) {
        usleep(100);
    }
    stoa__waiter_unref(self);
    assert_false(pthread_equal(h.ran_on, pthread_self()));
    raise_flag(f);
}

static void
calls_for_this_thread_are_run_meanwhile(void **state)
{
    (void)state;
    flag f = {0, NULL, NULL};
    pthread_t thread = later(&f, post_home);
    assert_int_equal(stoa__wait_until(is_up, &f, STOA_FOREVER, NULL, "a flag"), 0);
    pthread_join(thread, NULL);
}

static stoa_interp_record *closing;

static void
start_close(flag *f)
{
    (void)f;
    (void)stoa__interp_start_close(closing);
}

static void
closing_the_interpreter_ends_it(void **state)
{
    (void)state;
    flag f = {0, NULL, NULL};
    stoa_entry entry;
    closing = make();
    assert_int_equal(stoa__enter(closing, &entry), STOA_OK);
    pthread_t thread = later(&f, start_close);
    assert_int_equal(stoa__wait_until(is_up, &f, STOA_FOREVER, NULL, "a flag"), -1);
    assert_true(raised(stoa__exception(STOA_EXC_InterpreterGone)));
    pthread_join(thread, NULL);
    stoa__leave(&entry);
    stoa__interp_reopen(closing);
    end(closing);
}

static int
setup(void **state)
{
    if (stoa_test_records_setup(state) != 0) {
        return -1;
    }
    Py_DECREF(stoa_test_eval("__import__('signal').signal(2, __import__('signal').default_int_handler)"));
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_ends_it),
        cmocka_unit_test(the_deadline_ends_it),
        cmocka_unit_test(a_circle_of_one_is_a_deadlock),
        cmocka_unit_test(a_signal_ends_it),
        cmocka_unit_test(interrupt_ends_it),
        cmocka_unit_test(calls_for_this_thread_are_run_meanwhile),
        cmocka_unit_test(closing_the_interpreter_ends_it),
    };
    return cmocka_run_group_tests(tests, setup, stoa_test_python_teardown);
}
