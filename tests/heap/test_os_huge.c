/* Asking for huge pages late: what lies in the memory already stays as it is. */
#include "heap/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

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

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(make_huge_keeps_what_is_there)};
    return cmocka_run_group_tests_name("os_huge", tests, NULL, NULL);
}
