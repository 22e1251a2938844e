#include "guard_child.h"

static char *old_object; /* made before any fork: below the child's fork_floor */

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

static volatile size_t *volatile nowhere = (volatile size_t *)16; /* a variable: compilers know what constants are */

static size_t
describe_badly(const void *address, char *buffer, size_t size)
{
    (void)address, (void)buffer;
    return size + *nowhere;
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
    SKIP_NESTED_SIGNALS();
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

static int
set_up(void **state)
{
    if (open_process(state) != 0) {
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
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
