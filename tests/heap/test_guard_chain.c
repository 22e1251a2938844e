#include "guard_child.h"

static volatile int *volatile elsewhere = (volatile int *)0x1230; /* a variable: compilers know what constants are */

static sigjmp_buf back;
static _Atomic int calls;
static void *_Atomic seen_address;
static _Atomic int seen_mask_ok;

static void
note_info(int number, siginfo_t *info, void *context)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    seen_mask_ok = number == SIGSEGV && context != NULL && sigismember(&mask, SIGUSR1) &&
                   sigismember(&mask, SIGSEGV);
    seen_address = info->si_addr;
    calls++;
    siglongjmp(back, 1);
}

static void
note_plain(int number)
{
    calls += number == SIGSEGV;
    siglongjmp(back, 1);
}

static void
fault_elsewhere(void)
{
    if (sigsetjmp(back, 1) == 0) {
        *elsewhere = 1;
    }
}

static void
have_a_handler_with_info(void)
{
    struct sigaction theirs = {.sa_sigaction = note_info, .sa_flags = SA_SIGINFO};
    sigaddset(&theirs.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &theirs, NULL);
    install();
    for (int i = 1; i <= 5000; i++) { /* left by siglongjmp each time */
        fault_elsewhere();
        EXPECT(calls == i);
        EXPECT(seen_address == (void *)elsewhere);
        EXPECT(seen_mask_ok);
    }
    incref(new_objects());
    EXPECT(stoa__guard_tolerated() == 1);
    EXPECT(calls == 5000);
}

static void
have_a_plain_handler(void)
{
    signal(SIGSEGV, note_plain);
    install();
    fault_elsewhere();
    fault_elsewhere();
    EXPECT(calls == 2);
}

static void
have_a_handler_for_once(void)
{
    struct sigaction theirs = {.sa_handler = note_plain, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGSEGV, &theirs, NULL);
    install();
    fault_elsewhere();
    EXPECT(calls == 1);
    fprintf(stderr, "once\n");
    fault_elsewhere();
}

static void
handlers_from_before_get_faults_elsewhere(void **state)
{
    (void)state;
    assert_exited(have_a_handler_with_info, 0);
    assert_exited(have_a_plain_handler, 0);
    assert_died(have_a_handler_for_once, SIGSEGV, "stoa", "once", NULL);
}

static void
have_no_handler(void)
{
    install();
    *elsewhere = 1;
}

static void
have_no_handler_and_raise(void)
{
    install();
    raise(SIGSEGV);
}

static void
bus_error_elsewhere(void)
{
    install();
    FILE *f = tmpfile();
    char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0); /* beyond the end of the file */
    (void)peek(p);
}

static void
ignore_and_fault(void)
{
    signal(SIGSEGV, SIG_IGN);
    install();
    raise(SIGSEGV);
    kill(getpid(), SIGSEGV);
    fprintf(stderr, "ignored\n");
    *elsewhere = 1;
}

static void
without_a_handler_faults_end_the_process_as_before(void **state)
{
    (void)state;
    assert_died(have_no_handler, SIGSEGV, "stoa", NULL);
    assert_died(have_no_handler_and_raise, SIGSEGV, "stoa", NULL);
    assert_died(bus_error_elsewhere, SIGBUS, "stoa", NULL);
    assert_died(ignore_and_fault, SIGSEGV, "stoa", "ignored", NULL);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int
recurse(volatile char *above)
{
    volatile char room[4096];
    room[0] = above[0];
    return recurse(room) + room[0];
}
#pragma GCC diagnostic pop

static void
overflow(void)
{
    install();
    char start = 1;
    recurse(&start);
}

static void *
overflow_there(void *with_stack)
{
    if (with_stack != NULL) {
        stoa__guard_thread();
    }
    char start = 1;
    recurse(&start);
    return NULL;
}

static void
overflow_a_thread(void)
{
    install();
    pthread_t thread;
    pthread_create(&thread, NULL, overflow_there, &calls);
    pthread_join(thread, NULL);
}

static void
overflow_a_bare_thread(void)
{
    install();
    pthread_t thread;
    pthread_create(&thread, NULL, overflow_there, NULL);
    pthread_join(thread, NULL);
}

static void
stack_overflow_ends_the_process_as_before(void **state)
{
    (void)state;
    assert_died(overflow, SIGSEGV, "stoa: ", NULL);
    assert_died(overflow_a_thread, SIGSEGV, "stoa: ", NULL);
    assert_died(overflow_a_bare_thread, SIGSEGV, "stoa: ", NULL);
}

/* A handler in the manner of faulthandler: says so, puts back what was there before it, raises again. */
static struct sigaction before_theirs;

static void
say_and_raise(int number)
{
    static const char text[] = "theirs says\n";
    if (write(2, text, sizeof text - 1) < 0) {
        _exit(98);
    }
    sigaction(number, &before_theirs, NULL);
    raise(number);
}

static void
enable_theirs(void)
{
    struct sigaction theirs = {.sa_handler = say_and_raise, .sa_flags = SA_NODEFER | SA_ONSTACK};
    sigaction(SIGSEGV, &theirs, &before_theirs);
}

static void
theirs_before_ours(void)
{
    enable_theirs();
    install();
    incref(new_objects());
    EXPECT(stoa__guard_tolerated() == 1);
    *elsewhere = 1;
}

static void
theirs_after_ours(void)
{
    install();
    enable_theirs();
    install(); /* as each import does: steps in front */
    incref(new_objects());
    EXPECT(stoa__guard_tolerated() == 1);
    *elsewhere = 1;
}

static void
theirs_found_by_a_refresh(void)
{
    install();
    int64_t begin = stoa__now();
    stoa__guard_refresh(); /* looks; then not for a tenth of a second */
    enable_theirs();
    stoa__guard_refresh();
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    bool soon = stoa__now() - begin <
                90000000; /* else this process had no processor for so long, and it may look again */
    EXPECT(now.sa_handler == say_and_raise || !soon);
    usleep(150000);
    stoa__guard_refresh();
    incref(new_objects());
    EXPECT(stoa__guard_tolerated() == 1);
    *elsewhere = 1;
}

static void
refresh_when_off(void)
{
    setenv("STOA_GUARD", "off", 1);
    install();
    enable_theirs();
    stoa__guard_refresh();
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    EXPECT(now.sa_handler == say_and_raise);
}

static _Atomic int turned_off;

/* faulthandler.disable() puts back what was before it, but a handler in front of it calls it still. */
static void
say_unless_turned_off(int number)
{
    if (!turned_off) {
        say_and_raise(number);
    }
}

static void
theirs_turned_off(void)
{
    install();
    struct sigaction theirs = {.sa_handler = say_unless_turned_off, .sa_flags = SA_NODEFER | SA_ONSTACK};
    sigaction(SIGSEGV, &theirs, &before_theirs);
    install();
    turned_off = 1;
    sigaction(SIGSEGV, &before_theirs, NULL);
    *elsewhere = 1;
}

static char *repaired;

static void
repair(int number)
{
    (void)number;
    calls++;
    mprotect(repaired, 4096, PROT_READ | PROT_WRITE);
}

static void
fault_and_be_repaired_often(void)
{
    signal(SIGSEGV, repair);
    install();
    repaired = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 1; i <= 5000; i++) {
        mprotect(repaired, 4096, PROT_READ);
        incref(repaired);
        EXPECT(calls == i);
    }
    EXPECT(peek(repaired) == 5000);
}

static void
a_handler_that_does_nothing_is_passed_over(void **state)
{
    (void)state;
    assert_died(theirs_turned_off, SIGSEGV, "theirs says", NULL);
    assert_exited(fault_and_be_repaired_often, 0);
}

static void
theirs_twice(void)
{
    enable_theirs();
    install();
    struct sigaction dropped = before_theirs;
    sigaction(SIGSEGV, &dropped, NULL); /* disabled: what was before it, without us */
    install();
    enable_theirs();
    install();
    incref(new_objects());
    EXPECT(stoa__guard_tolerated() == 1);
    *elsewhere = 1;
}

static void
theirs_after_ours_and_a_write_to_content(void)
{
    install();
    enable_theirs();
    install();
    incref(new_objects() + 8);
}

static void
handlers_in_the_manner_of_faulthandler(void **state)
{
    (void)state;
    SKIP_NESTED_SIGNALS();
    assert_died(theirs_before_ours, SIGSEGV, "fatal", "stoa: warning", "theirs says", NULL);
    assert_died(theirs_after_ours, SIGSEGV, "fatal", "stoa: warning", "theirs says", NULL);
    assert_exited(refresh_when_off, 0);
    assert_died(theirs_found_by_a_refresh, SIGSEGV, "fatal", "stoa: warning", "theirs says", NULL);
    assert_died(theirs_twice, SIGSEGV, "fatal", "stoa: warning", "theirs says", NULL);
    assert_died(theirs_after_ours_and_a_write_to_content, SIGSEGV, "warning", "stoa: fatal", NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_from_before_get_faults_elsewhere),
        cmocka_unit_test(without_a_handler_faults_end_the_process_as_before),
        cmocka_unit_test(stack_overflow_ends_the_process_as_before),
        cmocka_unit_test(a_handler_that_does_nothing_is_passed_over),
        cmocka_unit_test(handlers_in_the_manner_of_faulthandler),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
