/* Jobs of home threads with the internal headers: each is run or refused, whatever happens to the thread. */
#include "host/home.h"

#include <dlfcn.h> // RTLD_NEXT
#include <errno.h>
#include <pthread.h>

#include "../proxy/records.h"
#include "heap/lock.h"

/* ---- threads that cannot be started ------------------------------------------------------------------------------ */

static void (*instead_of_starting)(void); /* called once; then that start fails */

int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *arg)
{
    void (*instead)(void) = instead_of_starting;
    if (instead != NULL) {
        instead_of_starting = NULL;
        instead();
        return EAGAIN;
    }
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, body, arg);
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

enum { WAITS, RAN, REFUSED };

typedef struct job {
    stoa_job job;
    _Atomic uint32_t became; /* futex */
} job;

static void
becomes(stoa_job *of, uint32_t what)
{
    job *j = (job *)of;
    atomic_store(&j->became, what);
    stoa__futex_wake(&j->became, INT32_MAX);
}

static void
run(stoa_job *of, stoa_interp_record *record)
{
    (void)record;
    becomes(of, RAN);
}

static void
refuse(stoa_job *of, const char *why)
{
    (void)why;
    becomes(of, REFUSED);
}

static job
new_job(void)
{
    return (job){.job = {.run = run, .refuse = refuse}};
}

static uint32_t
outcome(job *j)
{
    stoa_deadline deadline;
    assert_true(stoa__deadline_in(60.0, &deadline));
    while (atomic_load(&j->became) == WAITS && stoa__futex_wait(&j->became, WAITS, deadline) != STOA_TIMED_OUT) {
    }
    return atomic_load(&j->became);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static job of_the_second;
static stoa_err err_of_the_second;

static void *
submit_second(void *record)
{
    err_of_the_second = stoa__home_submit(record, &of_the_second.job);
    return NULL;
}

static void
submit_second_meanwhile(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, submit_second, stoa__current_record()), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
thread_that_cannot_be_started_takes_nobodys_job(void **state)
{
    (void)state;
    stoa_interp_record *record = stoa__current_record(); /* no home thread until something is submitted */
    job mine = new_job();
    of_the_second = new_job();
    instead_of_starting = submit_second_meanwhile;
    assert_int_equal(stoa__home_submit(record, &mine.job), STOA_EOS);
    assert_int_equal(mine.became, WAITS); /* still the caller's */
    assert_int_equal(err_of_the_second, STOA_OK);
    assert_int_equal(outcome(&of_the_second), RAN);
    assert_int_equal(stoa__home_submit(record, &mine.job), STOA_OK);
    assert_int_equal(outcome(&mine), RAN);
}

/* A close has begun, and the home has stopped for it; only then this thread, which was inside before, submits its job, and stays
 * inside. The GIL is given up: who gets the state takes it again. */
static PyThreadState *
stop_before(stoa_interp_record *record, job *late)
{
    assert_int_equal(stoa__interp_enter(record), STOA_OK);
    assert_true(stoa__interp_start_close(record));
    PyThreadState *main_state = PyEval_SaveThread();
    assert_int_equal(stoa__home_stop(record, STOA_FOREVER), STOA_OK);
    assert_int_equal(stoa__home_submit_held(record, &late->job), STOA_OK);
    return main_state;
}

static void
job_of_who_was_inside_before_a_close_is_refused(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    job late = new_job();
    PyThreadState *main_state = stop_before(record, &late);
    stoa__interp_leave(record);
    assert_true(stoa__interp_seal(record));
    assert_int_equal(stoa__home_end(record, STOA_FOREVER), STOA_OK);
    PyEval_RestoreThread(main_state);
    assert_int_equal(outcome(&late), REFUSED);
    stoa__interp_unref(record);
}

static void
job_of_who_was_inside_before_a_close_that_gives_up_is_run(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    job late = new_job();
    PyThreadState *main_state = stop_before(record, &late);
    assert_int_equal(late.became, WAITS);
    stoa__home_go_on(record);
    stoa__interp_reopen(record);
    assert_int_equal(outcome(&late), RAN);
    stoa__interp_leave(record);
    PyEval_RestoreThread(main_state);
    end(record);
}

/* One stopped when the close began. Something is posted to a thread of it that has not begun it. */
static void
somebody_reminds_again_after_a_close_that_gives_up(void **state)
{
    (void)state;
    stoa_interp_record *record = make();
    stoa_deadline deadline;
    assert_int_equal(stoa__interp_enter(record), STOA_OK);
    record->at_home = 1;
    assert_true(stoa__deadline_in(0.01, &deadline));
    assert_int_equal(stoa__interp_close(record, deadline), STOA_ETIMEDOUT);
    assert_int_equal(record->reminded, 1);
    record->at_home = 0;
    stoa__interp_leave(record);
    end(record);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_that_cannot_be_started_takes_nobodys_job),
        cmocka_unit_test(job_of_who_was_inside_before_a_close_is_refused),
        cmocka_unit_test(job_of_who_was_inside_before_a_close_that_gives_up_is_run),
        cmocka_unit_test(somebody_reminds_again_after_a_close_that_gives_up),
    };
    return cmocka_run_group_tests_name("home", tests, stoa_test_records_setup, stoa_test_python_teardown);
}
