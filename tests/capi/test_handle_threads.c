/* Handles among threads: several use one at once, an owner is closed meanwhile, a thread is the home of an object. */
#include "handle_testing.h"

#include <time.h>

typedef struct stay {
    stoa_interp *interp;
    stoa_err err;
} stay;

/* The home of what it publishes, for as long as the event is not set. */
static void *
stay_home(void *arg)
{
    stay *s = arg;
    s->err = stoa_exec(s->interp,
                       "import threading, stoa\n"
                       "class Shy:\n"
                       "    at = threading.get_ident()\n"
                       "    def here(self): return threading.get_ident() == self.at\n"
                       "    def child(self): return Shy()\n"
                       "    def slow(self):\n"
                       "        while True: self.at\n"
                       "    def leave(self):\n"
                       "        global going\n"
                       "        going = False\n"
                       "going, shy = True, Shy()\n"
                       "stoa.publish('shy', stoa.proxy(shy, thread='home'))\n"
                       "while going: pass\n",
                       NULL, NULL);
    return NULL;
}

static void
a_home_thread_does_it_itself(void **state)
{
    (void)state;
    stay s = {.interp = make("home"), .err = STOA_EOS};
    stoa_handle shy;
    stoa_data out, child;
    pthread_t thread = start(stay_home, &s);
    OK(stoa_handle_lookup("shy", 20, &shy));
    OK(stoa_handle_call(shy, "here", NULL, 0, 0, FOREVER, &out, NULL));
    assert_true(out.as.boolean);
    OK(stoa_handle_call(shy, "here", NULL, 0, 0, 20, &out, NULL));
    assert_true(out.as.boolean);
    OK(stoa_handle_call(shy, "child", NULL, 0, STOA_CALL_HOLD_RESULT, 20, &child, NULL));
    OK(stoa_handle_call(child.as.handle, "here", NULL, 0, 0, FOREVER, &out, NULL));
    assert_true(out.as.boolean); /* it is at home there, too */
    stoa_data_clear(&child);
    assert_int_equal(stoa_handle_call(shy, "slow", NULL, 0, 0, 0.05, NULL, NULL), STOA_ETIMEDOUT);
    OK(stoa_handle_call(shy, "here", NULL, 0, 0, 20, &out, NULL)); /* the loop of the home thread goes on */
    OK(stoa_handle_call(shy, "leave", NULL, 0, 0, FOREVER, NULL, NULL));
    join(thread);
    assert_int_equal(s.err, STOA_OK);
    GONE(stoa_handle_call(shy, "here", NULL, 0, 0, 20, &out, NULL)); /* the thread has ended */
    OK(stoa_unpublish("shy"));
    OK(stoa_handle_release(shy));
    end(s.interp);
}

typedef struct job {
    stoa_handle handles[2];
    int calls;
} job;

static void *
call_both(void *arg)
{
    const job *j = arg;
    for (int i = 0; i < j->calls; i++) {
        stoa_data one = stoa_data_int(1), out;
        stoa_handle mine;
        CHECK(stoa_handle_dup(j->handles[i & 1], &mine) == STOA_OK);
        CHECK(stoa_handle_call(mine, "add", &one, 1, 0, FOREVER, &out, NULL) == STOA_OK);
        CHECK(stoa_handle_release(mine) == STOA_OK);
        CHECK(stoa_handle_release(mine) == STOA_EGONE);
    }
    return NULL;
}

static void
threads_share_handles(void **state)
{
    (void)state;
    enum { THREADS = 4, CALLS = 2000 };
    stoa_interp *interps[2] = {make("one"), make("two")};
    job j = {.calls = CALLS};
    stoa_data zero = stoa_data_int(0), out;
    for (int i = 0; i < 2; i++) {
        OK(stoa_call(interps[i], "__main__:Account", &zero, 1, STOA_CALL_HOLD_RESULT, &out, NULL));
        j.handles[i] = out.as.handle; /* taken over: out is not cleared */
    }
    on_threads(THREADS, call_both, &j);
    for (int i = 0; i < 2; i++) {
        OK(stoa_handle_get_attr(j.handles[i], "total", 0, FOREVER, &out, NULL));
        assert_int_equal(out.as.integer, THREADS * CALLS / 2);
        OK(stoa_handle_release(j.handles[i]));
        assert_int_equal(number(interps[i], "gone.pop()"), THREADS * CALLS / 2);
        end(interps[i]);
    }
}

static void *
call_until_gone(void *arg)
{
    stoa_handle handle = *(stoa_handle *)arg;
    stoa_data one = stoa_data_int(1), out;
    stoa_err err;
    do {
        err = stoa_handle_call(handle, "add", &one, 1, 0, FOREVER, &out, NULL);
    } while (err == STOA_OK);
    CHECK(err == STOA_EGONE);
    return NULL;
}

static void
an_owner_closed_under_the_callers_hands(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        stoa_interp *interp = make("closed meanwhile");
        stoa_data zero = stoa_data_int(0), out;
        OK(stoa_call(interp, "__main__:Account", &zero, 1, STOA_CALL_HOLD_RESULT, &out, NULL));
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            threads[i] = start(call_until_gone, &out.as.handle);
        }
        struct timespec moment = {.tv_nsec = 2000000};
        nanosleep(&moment, NULL);
        OK(stoa_interp_close(interp, FOREVER));
        for (int i = 0; i < 2; i++) {
            join(threads[i]);
        }
        stoa_data_clear(&out);
        stoa_interp_free(interp);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_home_thread_does_it_itself),
        cmocka_unit_test(threads_share_handles),
        cmocka_unit_test(an_owner_closed_under_the_callers_hands),
    };
    return cmocka_run_group_tests(tests, stoa_test_package_setup, stoa_test_runtime_teardown);
}
