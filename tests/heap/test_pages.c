#include "heap/pages.h"

#include "heap_testing.h"

static char *
new_range(size_t size)
{
    static stoa_space space;
    assert_int_equal(stoa__space_init(&space), STOA_OK);
    char *range = stoa__space_take(&space, size, STOA_HUGE_PAGE);
    assert_non_null(range);
    stoa__alias_delta = space.alias_delta; /* for stoa__rw */
    return range;
}

static void
what_is_there_stays(void **state)
{
    (void)state;
    char *range = new_range(32 * MIB);
    stoa_pages pages;
    stoa__pages_init(&pages);
    for (size_t i = 0; i < 32 * MIB; i += MIB) {
        memset(stoa__rw(range + i), (int)(i / MIB) + 1,
               100); /* the first bytes of what may become a huge page, too */
    }
    for (size_t done = 0; done < 32 * MIB;) {
        size_t got = stoa__pages_prepare(&pages, stoa__rw(range + done), range + done, 256 << 10,
                                         32 * MIB - done, true);
        assert_true(got >= 256 << 10 && got <= 32 * MIB - done);
        assert_int_equal(got % stoa__os_page_size(), 0);
        done += got;
    }
    for (size_t i = 0; i < 32 * MIB; i += MIB) {
        assert_int_equal(range[i], (int)(i / MIB) + 1);
        assert_int_equal(range[i + 99], (int)(i / MIB) + 1);
        assert_int_equal(range[i + 100], 0);
    }
}

/* Zeroed pages handed out by the kernel: writable, and one that is there already stays and is no hindrance. */
static void
small_pages_come_ready_made(void **state)
{
    (void)state;
    for (uint32_t no_filler = 0; no_filler < 2; no_filler++) {
        char *range = new_range(2 * MIB);
        stoa_pages pages;
        stoa__pages_init(&pages);
        atomic_store(&pages.no_filler, no_filler);
        memset(stoa__rw(range + 512 * 1024), 7, 1);
        for (size_t done = 0; done < 2 * MIB; done += 256 << 10) {
            size_t got = stoa__pages_prepare(&pages, stoa__rw(range + done), range + done, 256 << 10,
                                             256 << 10, false);
            assert_int_equal(got, 256 << 10);
            unsigned char present[64];
            assert_int_equal(mincore(stoa__rw(range + done), 256 << 10, present), 0);
            assert_int_equal(present[0] & present[63] & 1, 1);
        }
        for (size_t i = 0; i < 2 * MIB; i += 4096) {
            assert_int_equal(range[i], i == 512 * 1024 ? 7 : 0);
            assert_int_equal(range[i + 4095], 0);
            memset(stoa__rw(range + i), 1, 4096);
            assert_int_equal(range[i + 4095], 1);
        }
        bool by_kernel = atomic_load(&pages.zero_cost[1]) != 0;
        assert_true(by_kernel == (atomic_load(&pages.no_filler) == 0));
        assert_true(no_filler == 0 || !by_kernel);
        assert_true(atomic_load(&pages.zero_cost[0]) != 0);
    }
}

static void
who_is_not_big_gets_what_he_asks_for(void **state)
{
    (void)state;
    char *range = new_range(32 * MIB);
    stoa_pages pages;
    stoa__pages_init(&pages);
    assert_int_equal(stoa__pages_prepare(&pages, stoa__rw(range), range, 64 << 10, 32 * MIB, false), 64 << 10);
    unsigned char present = 1;
    assert_int_equal(mincore(stoa__rw(range + MIB), 4096, &present), 0);
    assert_int_equal(present & 1, 0);
}

static void
the_cheaper_way_is_taken_and_the_other_tried_again(void **state)
{
    (void)state;
    char *range = new_range(256 * MIB);
    stoa_pages pages;
    stoa__pages_init(&pages);
    assert_false(stoa__pages_prefer_huge(&pages)); /* nothing is known: not before the heap has proved large */
    atomic_store(&pages.huge_cost, 1);
    assert_true(stoa__pages_prefer_huge(&pages));
    atomic_store(&pages.small_cost, 1);
    atomic_store(&pages.huge_cost, 1000000);
    atomic_store(&pages.until_probe, 64 * MIB);
    assert_false(stoa__pages_prefer_huge(&pages));
    size_t huge = 0, at_first = 0;
    for (size_t done = 0; done < 90 * MIB;) {
        size_t got = stoa__pages_prepare(&pages, stoa__rw(range + done), range + done, 64 << 10,
                                         256 * MIB - done, true);
        atomic_store(&pages.small_cost, 1); /* whatever it really costs */
        if (got > 64 << 10) {
            huge++;
            at_first = at_first == 0 ? done : at_first;
            assert_int_equal(got, STOA_HUGE_PAGE);
        }
        done += got;
    }
    assert_int_equal(huge, 1);
    assert_true(at_first > 0);
    assert_true(atomic_load(&pages.until_probe) > 100 * MIB); /* dearer by so much: not again soon */
    atomic_store(&pages.no_huge, 1);
    assert_false(stoa__pages_prefer_huge(&pages));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_stays),
        cmocka_unit_test(small_pages_come_ready_made),
        cmocka_unit_test(who_is_not_big_gets_what_he_asks_for),
        cmocka_unit_test(the_cheaper_way_is_taken_and_the_other_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
