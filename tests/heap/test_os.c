#include "heap_testing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void
reserved_range_is_aligned_and_unreadable(void **state)
{
    (void)state;
    char *range = stoa__os_reserve(8 * MIB, STOA_HUGE_PAGE);
    assert_non_null(range);
    assert_int_equal((uintptr_t)range % STOA_HUGE_PAGE, 0);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], range, 1), -1); /* EFAULT: nothing there */
    close(fds[0]);
    close(fds[1]);
    stoa__os_release(range, 8 * MIB);
    assert_null(stoa__os_reserve(SIZE_MAX - 4095, STOA_HUGE_PAGE));
}

static void
both_views_show_the_same_bytes(void **state)
{
    (void)state;
    int fd;
    bool scarce;
    assert_int_equal(stoa__os_shared_file(4 * MIB, &fd, &scarce), STOA_OK);
    char *range = stoa__os_reserve(8 * MIB, STOA_HUGE_PAGE);
    assert_int_equal(stoa__os_map_view(fd, 0, range, 4 * MIB, false), STOA_OK);
    assert_int_equal(stoa__os_map_view(fd, 0, range + 4 * MIB, 4 * MIB, true), STOA_OK);
    stoa__os_close(fd);
    volatile char *bytes = range; /* the compiler takes the two views for two places */
    bytes[4 * MIB + 5] = 'x';
    assert_int_equal(bytes[5], 'x');
    assert_true(stoa__os_populate(range + 4 * MIB, 64 << 10));
    assert_int_equal(bytes[5], 'x');
    (void)stoa__os_make_huge(range + 6 * MIB, range + 2 * MIB, 2 * MIB); /* may not be had; must do no harm */
    bytes[7 * MIB] = 'y';
    assert_int_equal(bytes[3 * MIB], 'y');
    stoa__os_drop(range + 4 * MIB, 4 * MIB);
    assert_int_equal(bytes[4 * MIB + 5], 'x');
    stoa__os_punch(range + 4 * MIB, 4096);
    assert_int_equal(bytes[5], 0);
    assert_int_equal(bytes[4 * MIB + 5], 0);
    assert_int_equal(bytes[3 * MIB], 'y');
    stoa__os_release(range, 8 * MIB);
}

static void
make_huge_keeps_what_is_there(void **state)
{
    (void)state;
    size_t size = 2 * STOA_HUGE_PAGE;
    char *all = mmap(NULL, size + STOA_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(all != MAP_FAILED);
    char *start = (char *)(((uintptr_t)all + STOA_HUGE_PAGE - 1) & ~(STOA_HUGE_PAGE - 1));
    memset(start, 0x5a, 100);
    memset(start + STOA_HUGE_PAGE, 0xa5, 100);
    (void)stoa__os_make_huge(start, start, size); /* whether the system gives them is not the point */
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal((unsigned char)start[i], 0x5a);
        assert_int_equal((unsigned char)start[STOA_HUGE_PAGE + i], 0xa5);
    }
    assert_int_equal(start[100], 0);
    munmap(all, size + STOA_HUGE_PAGE);
}

static void
every_way_to_a_shared_file_works(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        int fd = stoa__os_shared_file_way(way);
        if (fd < 0 && way == 1) {
            continue; /* a machine without /dev/shm */
        }
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(ftruncate(fd, 1 << 16), 0);
        char *a = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        char *b = mmap(NULL, 1 << 16, PROT_READ, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(a, MAP_FAILED);
        assert_ptr_not_equal(b, MAP_FAILED);
        a[100] = 'z';
        assert_int_equal(b[100], 'z');
        munmap(a, 1 << 16);
        munmap(b, 1 << 16);
        close(fd);
    }
}

static const void *named_expected;

static bool
accept_expected(const void *memory, size_t size)
{
    return memory == named_expected && size >= 100000;
}

static void
named_memory_is_found_and_private(void **state)
{
    (void)state;
    void *memory;
    assert_int_equal(stoa__os_alloc_named(100000, &memory), STOA_OK);
    named_expected = memory;
    memset(memory, 7, 100000);
    assert_ptr_equal(stoa__os_find_named(accept_expected), memory);
    pid_t pid = fork();
    if (pid == 0) {
        memset(memory, 8, 100000);
        _exit(stoa__os_find_named(accept_expected) == memory ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(*(char *)memory, 7);
    stoa__os_release(memory, stoa__os_whole_pages(100000));
    assert_null(stoa__os_find_named(accept_expected));
}

static void
cleared_memory_is_zero(void **state)
{
    (void)state;
    for (int huge = 0; huge < 2; huge++) {
        char *memory = stoa__os_alloc(4 * MIB, huge != 0);
        assert_non_null(memory);
        memset(memory, 1, 4 * MIB);
        stoa__os_clear(memory + 4096, 8192);
        assert_int_equal(memory[4095], 1);
        assert_int_equal(memory[4096], 0);
        assert_int_equal(memory[4096 + 8191], 0);
        assert_int_equal(memory[4096 + 8192], 1);
        stoa__os_free(memory, 4 * MIB);
    }
}

static void
limits_are_seen(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {1 << 20, 1 << 20};
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(stoa__os_file_size_limit() == 1 << 20 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
process_lock_excludes_other_descriptors(void **state)
{
    (void)state;
    int token = stoa__os_process_lock();
    assert_true(token >= 0);
    stoa__os_process_unlock(token);
    token = stoa__os_process_lock(); /* would hang if unlocking did not let go */
    stoa__os_process_unlock(token);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_range_is_aligned_and_unreadable),
        cmocka_unit_test(both_views_show_the_same_bytes),
        cmocka_unit_test(make_huge_keeps_what_is_there),
        cmocka_unit_test(every_way_to_a_shared_file_works),
        cmocka_unit_test(named_memory_is_found_and_private),
        cmocka_unit_test(cleared_memory_is_zero),
        cmocka_unit_test(limits_are_seen),
        cmocka_unit_test(process_lock_excludes_other_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
