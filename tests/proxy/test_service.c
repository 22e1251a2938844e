/* Service threads with the internal headers: every call that is given to them is run. */
#include "proxy/service.h"

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#include "heap/waiter.h"
#include "support/process.h"

static void
run(stoa_posted *call)
{
    (void)call;
}

static void
keep(stoa_posted *call)
{
    (void)call; /* it lies on the stack of a test */
}

static void
look_again(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static bool
comes_to_an_end(stoa_posted *call)
{
    stoa_deadline deadline;
    assert_true(stoa__deadline_in(60.0, &deadline));
    for (;;) {
        uint32_t seen = stoa__waiter_look(call->sender);
        if (stoa__call_over(call) || stoa__now() >= deadline) {
            return stoa__call_over(call);
        }
        (void)stoa__waiter_sleep(call->sender, seen, deadline);
    }
}

static int
threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    while (readdir(tasks) != NULL) {
        count++;
    }
    (void)closedir(tasks);
    return count;
}

static void *
serve(void *call)
{
    return (void *)(uintptr_t)stoa__serve(call);
}

static void *
nothing(void *unused)
{
    return unused;
}

/* The thread has been idle for long enough just when somebody comes who has seen it. */
static void
call_that_comes_as_the_idle_thread_ends_is_run(void **state)
{
    (void)state;
    stoa_posted first, second;
    pthread_t thread;
    void *err;
    stoa__call_init(&first, stoa__waiter_here(), run, keep);
    stoa__call_init(&second, stoa__waiter_here(), run, keep);
    assert_int_equal(pthread_create(&thread, NULL, nothing, NULL),
                     0); /* with the first, ThreadSanitizer starts one of its own */
    assert_int_equal(pthread_join(thread, NULL), 0);
    int before = threads();
    assert_int_equal(stoa__serve(&first), STOA_OK);
    assert_true(comes_to_an_end(&first));

    stoa_mailbox *mailbox = first.mailbox;
    stoa__lock(&mailbox->lock);
    assert_int_equal(pthread_create(&thread, NULL, serve, &second), 0); /* gets as far as that lock */
    while (threads() > before + 1) {                                    /* until the idle one has ended */
        look_again();
    }
    stoa__unlock(&mailbox->lock);
    assert_int_equal(pthread_join(thread, &err), 0);
    assert_ptr_equal(err, STOA_OK);
    assert_true(comes_to_an_end(&second));
    stoa__call_unref(&first);
    stoa__call_unref(&second);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_that_comes_as_the_idle_thread_ends_is_run),
    };
    return cmocka_run_group_tests_name("service", tests, open_process, NULL);
}
