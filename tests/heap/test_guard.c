#include "heap/guard.h"

#include "heap/process.h"
#include "heap/process_struct.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define OBJECT 64u /* the test's objects lie side by side; the first 8 bytes of each are its count */

static char *old_object; /* made before any fork: below the child's fork_floor */

static bool
is_refcount(const void *address)
{
    return ((uintptr_t)address - stoa__public_base) % OBJECT == 0;
}

static size_t
describe(const void *address, char *buffer, size_t size)
{
    return (size_t)snprintf(buffer, size, "test object, offset %u",
                            (unsigned)(((uintptr_t)address - stoa__public_base) % OBJECT));
}

static void
write_python_stack(int fd)
{
    static const char text[] = "interpreter 'test'\n";
    if (write(fd, text, sizeof text - 1) < 0) {
        _exit(99);
    }
}

static const stoa_guard_describer describer = {is_refcount, describe, write_python_stack};

/* Addresses above fork_floor, with ones in the count and in the content of each object. */
static char *
new_objects(void)
{
    char *p = stoa__space_take(&stoa__process->space, STOA_GRANULE, STOA_GRANULE);
    if (p == NULL) {
        abort();
    }
    for (size_t i = 0; i < STOA_GRANULE; i += 8) {
        *(uint64_t *)stoa__rw(p + i) = 1;
    }
    return p;
}

static void
incref(char *object)
{
    (*(volatile uint64_t *)object)++;
}

static uint64_t
peek(const char *object)
{
    return *(const volatile uint64_t *)object;
}

typedef struct ending {
    int status;
    char text[16384];
} ending;

/* Runs `act` in a child without a core dump; how it ended and what it wrote to standard error. */
static void
in_child(void (*act)(void), ending *out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], 2);
        close(ends[0]);
        signal(SIGSEGV, SIG_DFL); /* whatever the test program or a sanitizer had */
        signal(SIGBUS, SIG_DFL);
        unsetenv("STOA_GUARD");
        alarm(20);
        act();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t n;
    while ((n = read(ends[0], out->text + length, sizeof out->text - 1 - length)) > 0) {
        length += (size_t)n;
    }
    out->text[length] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &out->status, 0), child);
}

static void
assert_exited(void (*act)(void), int code)
{
    ending e;
    in_child(act, &e);
    if (!WIFEXITED(e.status) || WEXITSTATUS(e.status) != code) {
        fail_msg("status %x, said: %s", e.status, e.text);
    }
}

/* Ended by `number`, having said all of the words (NULL at the end), and not `never`. */
static void
assert_died(void (*act)(void), int number, const char *never, ...)
{
    ending e;
    in_child(act, &e);
    if (!WIFSIGNALED(e.status) || WTERMSIG(e.status) != number) {
        fail_msg("status %x, said: %s", e.status, e.text);
    }
    if (never != NULL && strstr(e.text, never) != NULL) {
        fail_msg("said '%s' in: %s", never, e.text);
    }
    va_list words;
    va_start(words, never);
    const char *word;
    while ((word = va_arg(words, const char *)) != NULL) {
        if (strstr(e.text, word) == NULL) {
            fail_msg("no '%s' in: %s", word, e.text);
        }
    }
    va_end(words);
}

static void
install(void)
{
    if (stoa__guard_install(&describer) != STOA_OK) {
        fprintf(stderr, "%s\n", stoa_error_message());
        _exit(50);
    }
}

static void
expect(bool what, int line)
{
    if (!what) {
        fprintf(stderr, "line %d\n", line);
        _exit(51);
    }
}

#define EXPECT(what) expect((what), __LINE__)

/* ---- writes to counts --------------------------------------------------------------------------------------------- */

static void
write_counts(void)
{
    install();
    EXPECT(stoa__guard_get_mode() == STOA_GUARD_TOLERATE);
    char *p = new_objects();
    errno = ERANGE;
    incref(p);
    EXPECT(errno == ERANGE);
    EXPECT(peek(p) == 2);
    EXPECT(*(uint64_t *)stoa__rw(p) == 2); /* one page, two views */
    *(uint64_t *)stoa__rw(p + 8) = 7;
    EXPECT(peek(p + 8) == 7);
    EXPECT(stoa__guard_tolerated() == 1);
    incref(p + OBJECT); /* the page is open */
    EXPECT(stoa__guard_tolerated() == 1);
    incref(p + STOA_GRANULE / 2);
    EXPECT(stoa__guard_tolerated() == 2);
    EXPECT(peek(p + STOA_GRANULE / 2) == 2);
}

static void
writes_to_counts_go_through_with_one_warning(void **state)
{
    (void)state;
    ending e;
    in_child(write_counts, &e);
    if (e.status != 0) {
        fail_msg("status %x, said: %s", e.status, e.text);
    }
    const char *first = strstr(e.text, "stoa: warning");
    assert_non_null(first);
    assert_null(strstr(first + 1, "stoa: warning"));
    assert_non_null(strstr(e.text, "test object, offset 0"));
    assert_non_null(strstr(e.text, "STOA_GUARD=strict"));
}

static void
write_count_below_the_floor(void)
{
    install();
    if (stoa__process->space.fork_floor <= (uintptr_t)old_object) { /* no fork handlers in this program */
        stoa__process->space.fork_floor = (uintptr_t)old_object + STOA_GRANULE;
    }
    uint64_t before = peek(old_object + 8);
    incref(old_object);
    EXPECT(peek(old_object) == 2);
    EXPECT(peek(old_object + 8) == before);
    EXPECT(stoa__guard_tolerated() == 1);
}

static void
a_childs_writes_to_old_counts_stay_its_own(void **state)
{
    (void)state;
    *(uint64_t *)stoa__rw(old_object) = 1;
    *(uint64_t *)stoa__rw(old_object + 8) = 77;
    assert_exited(write_count_below_the_floor, 0);
    assert_int_equal(peek(old_object), 1);
}

static char *crowd_objects;

static void *
incref_all(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < STOA_GRANULE; i += 4096) {
        __atomic_fetch_add((uint64_t *)(crowd_objects + i), 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void
write_counts_from_many_threads(void)
{
    install();
    crowd_objects = new_objects();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        EXPECT(pthread_create(&threads[i], NULL, incref_all, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < STOA_GRANULE; i += 4096) {
        EXPECT(peek(crowd_objects + i) == 5);
    }
    uint64_t opened = stoa__guard_tolerated();
    EXPECT(opened >= 200 && opened <= 4 * STOA_GRANULE / 4096);
}

static void
many_threads_write_counts(void **state)
{
    (void)state;
    assert_exited(write_counts_from_many_threads, 0);
}

static void
write_very_many_counts(void)
{
    install();
    enum { GRANULES = 6 };
    for (int g = 0; g < GRANULES; g++) {
        char *p = new_objects();
        for (size_t i = 0; i < STOA_GRANULE; i += 4096) {
            incref(p + i);
            EXPECT(peek(p + i) == 2);
        }
    }
    EXPECT(stoa__guard_tolerated() < 256 + GRANULES * 16 + 1); /* ever more at a time */
}

static void
who_writes_many_counts_gets_more_at_a_time(void **state)
{
    (void)state;
    assert_exited(write_very_many_counts, 0);
}

static void
write_count_when_strict(void)
{
    setenv("STOA_GUARD", "strict", 1);
    install();
    EXPECT(stoa__guard_get_mode() == STOA_GUARD_STRICT);
    incref(new_objects());
}

static void
strict_ends_at_a_write_to_a_count(void **state)
{
    (void)state;
    assert_died(write_count_when_strict, SIGSEGV, "warning", "stoa: fatal", "STOA_GUARD is strict",
                "test object, offset 0", "interpreter 'test'", NULL);
}

static void
write_count_when_off(void)
{
    setenv("STOA_GUARD", "off", 1);
    install();
    incref(new_objects());
}

static void
switch_on_and_write_content(void)
{
    setenv("STOA_GUARD", "off", 1);
    install();
    EXPECT(stoa__guard_set_mode(STOA_GUARD_STRICT) == STOA_OK);
    incref(new_objects() + 8);
}

static void
switch_off_and_write_content(void)
{
    install();
    EXPECT(stoa__guard_set_mode(STOA_GUARD_OFF) == STOA_OK);
    incref(new_objects() + 8);
}

static void
off_leaves_faults_alone(void **state)
{
    (void)state;
    assert_died(write_count_when_off, SIGSEGV, "stoa", NULL);
    assert_died(switch_off_and_write_content, SIGSEGV, "stoa", NULL);
    assert_died(switch_on_and_write_content, SIGSEGV, NULL, "stoa: fatal", NULL);
}

static void
ask_for_an_unknown_mode(void)
{
    setenv("STOA_GUARD", "maybe", 1);
    EXPECT(stoa__guard_install(&describer) == STOA_EINVAL);
    EXPECT(strstr(stoa_error_message(), "'maybe'") != NULL);
}

static void
an_unknown_mode_is_an_error(void **state)
{
    (void)state;
    assert_exited(ask_for_an_unknown_mode, 0);
}

/* ---- other faults inside the range -------------------------------------------------------------------------------- */

static void
write_content(void)
{
    install();
    char *p = new_objects();
    incref(p); /* another page; this one keeps its guard */
    incref(p + STOA_GRANULE / 2 + 24);
}

static void
a_write_to_content_ends_with_a_report(void **state)
{
    (void)state;
    assert_died(write_content, SIGSEGV, NULL, "stoa: fatal: write to a shared object",
                "test object, offset 24", "native stack", "test_guard", "interpreter 'test'", NULL);
}

static void *
write_content_there(void *object)
{
    incref((char *)object + 8);
    return NULL;
}

static void
write_content_on_a_bare_thread(void)
{
    install();
    pthread_t thread;
    pthread_create(&thread, NULL, write_content_there, new_objects());
    pthread_join(thread, NULL);
}

static void
a_thread_without_a_signal_stack_reports_too(void **state)
{
    (void)state;
    assert_died(write_content_on_a_bare_thread, SIGSEGV, NULL, "stoa: fatal: write to a shared object", NULL);
}

static void
read_a_retired_page(void)
{
    install();
    char *p = new_objects();
    mprotect(p, 4096, PROT_NONE); /* as a retired region's pages are */
    (void)peek(p);
}

static void
read_beyond_everything(void)
{
    install();
    (void)peek((char *)stoa__public_base + stoa__reserved - 4096);
}

static void
reading_what_is_not_there_is_told(void **state)
{
    (void)state;
    assert_died(read_a_retired_page, SIGSEGV, NULL, "stoa: fatal: read of an address of the shared heap",
                "retired", "test object, offset 0", NULL);
    ending e;
    in_child(read_beyond_everything, &e);
    if (WIFSIGNALED(e.status)) { /* else the system has zeroes there */
        assert_true(WTERMSIG(e.status) == SIGSEGV || WTERMSIG(e.status) == SIGBUS);
        assert_non_null(strstr(e.text, "stoa: fatal: "));
        assert_non_null(strstr(e.text, "shared heap"));
    }
}

static size_t
describe_badly(const void *address, char *buffer, size_t size)
{
    (void)address, (void)buffer;
    return size + *(volatile size_t *)16;
}

static void
write_content_with_a_bad_describer(void)
{
    const stoa_guard_describer bad = {is_refcount, describe_badly, NULL};
    EXPECT(stoa__guard_install(&bad) == STOA_OK);
    incref(new_objects() + 8);
}

static void
a_fault_in_the_report_ends_it(void **state)
{
    (void)state;
    assert_died(write_content_with_a_bad_describer, SIGSEGV, NULL, "stoa: fatal: write to a shared object",
                "second fault", "0x10", NULL);
}

static bool
knows_nothing(const void *address)
{
    (void)address;
    return false;
}

static size_t
says_nothing(const void *address, char *buffer, size_t size)
{
    (void)address, (void)buffer, (void)size;
    return 0;
}

static void
ask_several_describers(void)
{
    const stoa_guard_describer other = {knows_nothing, says_nothing, NULL};
    for (int i = 0; i < 100; i++) { /* the same ones count once */
        EXPECT(stoa__guard_install(&other) == STOA_OK);
        install();
        EXPECT(stoa__guard_install(NULL) == STOA_OK);
    }
    char *p = new_objects();
    incref(p);
    incref(p + STOA_GRANULE / 2 + 16);
}

static void
several_describers_are_asked(void **state)
{
    (void)state;
    assert_died(ask_several_describers, SIGSEGV, NULL, "stoa: warning", "test object, offset 16",
                "interpreter 'test'", NULL);
}

/* ---- faults elsewhere --------------------------------------------------------------------------------------------- */

#define ELSEWHERE ((volatile int *)0x1230)

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
        *ELSEWHERE = 1;
    }
}

static void
have_a_handler_with_info(void)
{
    struct sigaction theirs = {.sa_sigaction = note_info, .sa_flags = SA_SIGINFO};
    sigaddset(&theirs.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &theirs, NULL);
    install();
    for (int i = 1; i <= 3; i++) { /* left by siglongjmp each time */
        fault_elsewhere();
        EXPECT(calls == i);
        EXPECT(seen_address == (void *)ELSEWHERE);
        EXPECT(seen_mask_ok);
    }
    incref(new_objects());
    EXPECT(stoa__guard_tolerated() == 1);
    EXPECT(calls == 3);
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
    *ELSEWHERE = 1;
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
    *ELSEWHERE = 1;
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
    *ELSEWHERE = 1;
}

static void
theirs_after_ours(void)
{
    install();
    enable_theirs();
    install(); /* as each import does: steps in front */
    incref(new_objects());
    EXPECT(stoa__guard_tolerated() == 1);
    *ELSEWHERE = 1;
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
    *ELSEWHERE = 1;
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
    assert_died(theirs_before_ours, SIGSEGV, "fatal", "stoa: warning", "theirs says", NULL);
    assert_died(theirs_after_ours, SIGSEGV, "fatal", "stoa: warning", "theirs says", NULL);
    assert_died(theirs_twice, SIGSEGV, "fatal", "stoa: warning", "theirs says", NULL);
    assert_died(theirs_after_ours_and_a_write_to_content, SIGSEGV, "warning", "stoa: fatal", NULL);
}

static int
open_process(void **state)
{
    (void)state;
    if (stoa__process_open() != STOA_OK) {
        return -1;
    }
    old_object = new_objects();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_to_counts_go_through_with_one_warning),
        cmocka_unit_test(a_childs_writes_to_old_counts_stay_its_own),
        cmocka_unit_test(many_threads_write_counts),
        cmocka_unit_test(who_writes_many_counts_gets_more_at_a_time),
        cmocka_unit_test(strict_ends_at_a_write_to_a_count),
        cmocka_unit_test(off_leaves_faults_alone),
        cmocka_unit_test(an_unknown_mode_is_an_error),
        cmocka_unit_test(a_write_to_content_ends_with_a_report),
        cmocka_unit_test(a_thread_without_a_signal_stack_reports_too),
        cmocka_unit_test(reading_what_is_not_there_is_told),
        cmocka_unit_test(a_fault_in_the_report_ends_it),
        cmocka_unit_test(several_describers_are_asked),
        cmocka_unit_test(handlers_from_before_get_faults_elsewhere),
        cmocka_unit_test(without_a_handler_faults_end_the_process_as_before),
        cmocka_unit_test(stack_overflow_ends_the_process_as_before),
        cmocka_unit_test(handlers_in_the_manner_of_faulthandler),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
