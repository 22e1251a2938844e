#include "heap/thread_end.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int order[4];
static int calls;

static void
note(void *arg)
{
    order[calls++] = (int)(intptr_t)arg;
}

static void *
register_two(void *unused)
{
    (void)unused;
    stoa__at_thread_end(note, (void *)1);
    stoa__at_thread_end(note, (void *)2);
    assert_int_equal(calls, 0);
    return NULL;
}

static void
hooks_run_at_thread_end_last_first(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, register_two, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(calls, 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
}

static pthread_key_t key;
static int key_saw;

static void
key_end(void *unused)
{
    (void)unused;
    key_saw = calls;
}

static void *
register_both(void *unused)
{
    (void)unused;
    pthread_setspecific(key, &key);
    stoa__at_thread_end(note, (void *)3);
    return NULL;
}

static void
hooks_run_before_destructors_of_keys(void **state)
{
    (void)state;
    calls = 0;
    assert_int_equal(pthread_key_create(&key, key_end), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, register_both, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(key_saw, 1);
    pthread_key_delete(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_run_at_thread_end_last_first),
        cmocka_unit_test(hooks_run_before_destructors_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
