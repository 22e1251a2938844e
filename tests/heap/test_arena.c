#include "heap/arena.h"

#include "heap_testing.h"

static void
chunks_are_granules_and_never_overlap(void **state)
{
    (void)state;
    unsigned arena;
    assert_int_equal(stoa__arena_new(&arena), STOA_OK);
    struct {
        char *start;
        size_t size;
    } chunks[200];
    for (int i = 0; i < 200; i++) {
        size_t size = (size_t)(1 + i % 17) * STOA_GRANULE;
        size_t alignment = i % 3 == 0 ? STOA_HUGE_PAGE : STOA_GRANULE;
        char *start = stoa__arena_alloc(arena, size, alignment);
        assert_non_null(start);
        assert_int_equal((uintptr_t)start % alignment, 0);
        assert_true(stoa__in_heap(start) && stoa__in_heap(start + size - 1));
        for (int k = 0; k < i; k++) {
            assert_true(start + size <= chunks[k].start || chunks[k].start + chunks[k].size <= start);
        }
        chunks[i].start = start;
        chunks[i].size = size;
        /* jemalloc never touches our pages: writing and reading through the two views is all that happens here */
        *(char *)stoa__rw(start) = (char)i;
        *(char *)stoa__rw(start + size - 1) = (char)i;
    }
    for (int i = 0; i < 200; i++) {
        assert_int_equal(*chunks[i].start, (char)i);
        assert_int_equal(chunks[i].start[chunks[i].size - 1], (char)i);
    }
    stoa__arena_destroy(arena);
}

static void
what_was_freed_is_used_again_before_new_addresses(void **state)
{
    (void)state;
    unsigned arena;
    assert_int_equal(stoa__arena_new(&arena), STOA_OK);
    char *first = stoa__arena_alloc(arena, 4 * STOA_GRANULE, STOA_GRANULE);
    uintptr_t frontier = stoa__process->space.frontier;
    for (int i = 0; i < 1000; i++) {
        stoa__arena_free(arena, first, 4 * STOA_GRANULE);
        first = stoa__arena_alloc(arena, 4 * STOA_GRANULE, STOA_GRANULE);
        assert_non_null(first);
    }
    assert_int_equal(stoa__process->space.frontier, frontier);
    stoa__arena_destroy(arena);
}

static void
destroyed_arenas_give_pages_back_and_no_address_again(void **state)
{
    (void)state;
    unsigned arena;
    assert_int_equal(stoa__arena_new(&arena), STOA_OK);
    char *start = stoa__arena_alloc(arena, 8 * STOA_GRANULE, STOA_GRANULE);
    memset(stoa__rw(start), 1, 8 * STOA_GRANULE);
    uintptr_t frontier = stoa__process->space.frontier;
    stoa__arena_destroy(arena);
    assert_int_equal(*start, 0);
    assert_int_equal(stoa__arena_new(&arena), STOA_OK);
    for (int i = 0; i < 20; i++) {
        assert_true((uintptr_t)stoa__arena_alloc(arena, STOA_GRANULE, STOA_GRANULE) >= frontier);
    }
    stoa__arena_destroy(arena);
}

static void
small_chunks_waste_no_addresses(void **state)
{
    (void)state;
    unsigned arena;
    assert_int_equal(stoa__arena_new(&arena), STOA_OK);
    uintptr_t before = stoa__process->space.frontier;
    for (int i = 0; i < 64; i++) {
        assert_non_null(stoa__arena_alloc(arena, STOA_GRANULE, STOA_GRANULE));
    }
    assert_true(stoa__process->space.frontier - before <= 128 * STOA_GRANULE);
    stoa__arena_destroy(arena);
}

static void
more_than_the_range_is_refused(void **state)
{
    (void)state;
    unsigned arena;
    assert_int_equal(stoa__arena_new(&arena), STOA_OK);
    assert_null(stoa__arena_alloc(arena, stoa__reserved * 2, STOA_GRANULE));
    assert_null(stoa__arena_alloc(arena, (size_t)PTRDIFF_MAX & ~(STOA_GRANULE - 1), STOA_GRANULE));
    assert_non_null(stoa__arena_alloc(arena, STOA_GRANULE, STOA_GRANULE));
    stoa__arena_destroy(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_granules_and_never_overlap),
        cmocka_unit_test(what_was_freed_is_used_again_before_new_addresses),
        cmocka_unit_test(destroyed_arenas_give_pages_back_and_no_address_again),
        cmocka_unit_test(small_chunks_waste_no_addresses),
        cmocka_unit_test(more_than_the_range_is_refused),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
