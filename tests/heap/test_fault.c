#include "heap/fault.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

static sigjmp_buf back;
static volatile bool was_write;
static volatile uintptr_t pc, sp;

static void
note(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    was_write = stoa__fault_is_write(context);
    pc = stoa__fault_pc(context);
    sp = stoa__fault_sp(context);
    siglongjmp(back, 1);
}

static __attribute__((noinline)) void
store(volatile int *p)
{
    *p = 1;
}

static __attribute__((noinline)) int
load(const volatile int *p)
{
    return *p;
}

static bool
faults(volatile int *address, bool by_store)
{
    if (sigsetjmp(back, 1) != 0) {
        return true;
    }
    if (by_store) {
        store(address);
    }
    else {
        load(address);
    }
    return false;
}

static void
check(volatile int *address, bool by_store)
{
    char here;
    was_write = !by_store;
    assert_true(faults(address, by_store));
    assert_int_equal(was_write, by_store);
    uintptr_t function = by_store ? (uintptr_t)store : (uintptr_t)load;
    assert_in_range(pc, function, function + 512);
    assert_in_range(sp, (uintptr_t)&here - 65536, (uintptr_t)&here + 65536);
}

static void
reads_and_writes_are_told_apart(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO}, old;
    sigaction(SIGSEGV, &action, &old);
    int *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(page, true);
    check(none, true);
    check(none, false);
    check(none, true);
    sigaction(SIGSEGV, &old, NULL);
    munmap(page, 4096);
    munmap(none, 4096);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_and_writes_are_told_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
