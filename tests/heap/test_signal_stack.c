#include "heap/signal_stack.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* What a thread saw; checked by the test's own thread. */
typedef struct sight {
    stack_t before, after, again;
    uintptr_t handler_at;
    void *theirs;
} sight;

static _Thread_local uintptr_t handler_at;

static void
note_place(int number)
{
    char here;
    (void)number;
    handler_at = (uintptr_t)&here;
}

static void *
ask_twice(void *arg)
{
    sight *s = arg;
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL); /* sanitizers give their threads one */
    sigaltstack(NULL, &s->before);
    errno = ERANGE;
    stoa__signal_stack();
    if (errno != ERANGE) {
        return NULL;
    }
    sigaltstack(NULL, &s->after);
    stoa__signal_stack();
    sigaltstack(NULL, &s->again);
    raise(SIGUSR2);
    s->handler_at = handler_at;
    return arg;
}

static void
a_thread_gets_one_and_handlers_run_on_it(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = note_place, .sa_flags = SA_ONSTACK}, old;
    sigaction(SIGUSR2, &action, &old);
    sight s;
    pthread_t thread;
    void *ok = NULL;
    assert_int_equal(pthread_create(&thread, NULL, ask_twice, &s), 0);
    pthread_join(thread, &ok);
    sigaction(SIGUSR2, &old, NULL);
    assert_ptr_equal(ok, &s);
    assert_true((s.before.ss_flags & SS_DISABLE) != 0);
    assert_false((s.after.ss_flags & SS_DISABLE) != 0);
    assert_true(s.after.ss_size >= 64 << 10);
    assert_ptr_equal(s.again.ss_sp, s.after.ss_sp);
    uintptr_t low = (uintptr_t)s.after.ss_sp;
    assert_in_range(s.handler_at, low, low + s.after.ss_size);
}

static void *
bring_ones_own(void *arg)
{
    sight *s = arg;
    const stack_t own = {.ss_sp = s->theirs, .ss_size = 1 << 16}, none = {.ss_flags = SS_DISABLE};
    sigaltstack(&own, NULL);
    stoa__signal_stack();
    sigaltstack(NULL, &s->after);
    sigaltstack(&none, NULL);
    return NULL;
}

static void
one_that_is_there_is_kept(void **state)
{
    (void)state;
    sight s = {.theirs = malloc(1 << 16)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, bring_ones_own, &s), 0);
    pthread_join(thread, NULL);
    assert_ptr_equal(s.after.ss_sp, s.theirs);
    free(s.theirs);
}

static void *
disable_and_ask_again(void *arg)
{
    sight *s = arg;
    const stack_t none = {.ss_flags = SS_DISABLE};
    ask_twice(s);
    sigaltstack(&none, NULL);
    stoa__signal_stack();
    sigaltstack(NULL, &s->again);
    return NULL;
}

static size_t
mappings(void)
{
    size_t lines = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    for (int c; (c = getc(f)) != EOF;) {
        lines += c == '\n';
    }
    fclose(f);
    return lines;
}

static void
it_is_freed_with_its_thread(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = note_place, .sa_flags = SA_ONSTACK}, old;
    sigaction(SIGUSR2, &action, &old);
    size_t before = 0;
    for (int i = 0; i < 500; i++) {
        sight s;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, disable_and_ask_again, &s), 0);
        pthread_join(thread, NULL);
        assert_ptr_equal(s.again.ss_sp, s.after.ss_sp); /* ours, used again */
        if (i == 20) {
            before = mappings();
        }
    }
    sigaction(SIGUSR2, &old, NULL);
    assert_true(mappings() < before + 480); /* half of what would be left: each stack is two */
}

static void
the_page_below_ends_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        const stack_t none = {.ss_flags = SS_DISABLE};
        stack_t now;
        signal(SIGSEGV, SIG_DFL);
        sigaltstack(&none, NULL);
        stoa__signal_stack();
        sigaltstack(NULL, &now);
        ((volatile char *)now.ss_sp)[0] = 1;
        ((volatile char *)now.ss_sp)[now.ss_size - 1] = 1;
        ((volatile char *)now.ss_sp)[-1] = 1;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_gets_one_and_handlers_run_on_it),
        cmocka_unit_test(one_that_is_there_is_kept),
        cmocka_unit_test(it_is_freed_with_its_thread),
        cmocka_unit_test(the_page_below_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
