/* What the tests of the C API share: the headers of a host, the checks, interpreters and threads. */
#ifndef STOA_TESTS_HOST_TESTING_H
#define STOA_TESTS_HOST_TESTING_H

#include "stoa.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/check.h"
#include "support/python_runtime.h"

#define FOREVER (-1.0)

#define OK(call)                                             \
    do {                                                     \
        stoa_err ok_err = (call);                            \
        if (ok_err != STOA_OK) {                             \
            fail_msg("%s: %s", #call, stoa_error_message()); \
        }                                                    \
    } while (0)
#define GONE(call) assert_int_equal((call), STOA_EGONE)

/* An interpreter that has run `code`. */
static inline stoa_interp *
interp_with(const char *name, const char *code)
{
    stoa_interp *interp;
    OK(stoa_interp_new(name, false, &interp));
    OK(stoa_exec(interp, code, NULL, NULL));
    return interp;
}

static inline void
end(stoa_interp *interp)
{
    OK(stoa_interp_close(interp, FOREVER));
    stoa_interp_free(interp);
}

static inline pthread_t
start(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
    return thread;
}

/* Waits for a thread, whose checks all held. */
static inline void
join(pthread_t thread)
{
    void *failed;
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

/* Runs `body` on so many threads at once. */
static inline void
on_threads(int count, void *(*body)(void *), void *arg)
{
    pthread_t threads[8];
    assert_in_range(count, 1, 8);
    for (int i = 0; i < count; i++) {
        threads[i] = start(body, arg);
    }
    for (int i = 0; i < count; i++) {
        join(threads[i]);
    }
}

#endif
