#include "heap/chunk.h"

#include "heap_testing.h"

static stoa_region *region;
static int identity; /* its address stands for a batch */

static stoa_chunk *
take(size_t size, size_t alignment)
{
    return stoa__chunk_take(region, size, alignment, (uintptr_t)&identity);
}

static void
seal(stoa_chunk *chunk, size_t bytes)
{
    chunk->fill += bytes;
    stoa__chunk_drop_alias(chunk);
    stoa__lock(&region->lock);
    stoa__chunk_seal(chunk);
    stoa__unlock(&region->lock);
}

static void
sealed_chunk_comes_back_with_its_rest(void **state)
{
    (void)state;
    stoa_chunk *chunk = take(100, 8);
    char *start = chunk->start;
    assert_int_equal(atomic_load(&stoa__granule(&stoa__process->space, start)->batch), (uintptr_t)&identity);
    assert_int_equal(chunk->fill, STOA_CHUNK_FIRST); /* no object at its very start */
    seal(chunk, 104);
    assert_int_equal(atomic_load(&stoa__granule(&stoa__process->space, start)->sealed), STOA_CHUNK_FIRST + 104);
    assert_int_equal(atomic_load(&stoa__granule(&stoa__process->space, start)->batch), 0);
    assert_true(stoa__chunk_check_list(region));
    chunk = take(100, 8);
    assert_ptr_equal(chunk->start, start);
    assert_int_equal(chunk->fill, STOA_CHUNK_FIRST + 104);
    assert_int_equal(stoa__chunk_room(chunk, 8), STOA_GRANULE - STOA_CHUNK_FIRST - 104);
    assert_int_equal(stoa__chunk_room(chunk, 4096), STOA_GRANULE - 4096);
    assert_int_equal(stoa__chunk_room(chunk, STOA_GRANULE), 0);
    stoa_chunk *other = take(100, 8); /* one batch at a time */
    assert_ptr_not_equal(other->start, start);
    seal(other, 0);
    seal(chunk, 8);
    assert_true(stoa__chunk_check_list(region));
}

static void
full_chunk_is_left_to_itself(void **state)
{
    (void)state;
    stoa_chunk *chunk = take(STOA_GRANULE - STOA_CHUNK_FIRST, 8);
    size_t before = region->partial_count;
    char *start = chunk->start;
    assert_int_equal(chunk->size, STOA_GRANULE);
    seal(chunk, STOA_GRANULE - STOA_CHUNK_FIRST);
    assert_int_equal(region->partial_count, before);
    assert_int_equal(stoa__region_of(start + STOA_GRANULE - 1), stoa__region_id(region));
    assert_true(stoa__space_check(&stoa__process->space));
}

static void
aborted_tail_is_zero_again(void **state)
{
    (void)state;
    static const size_t sizes[] = {8, 5000, 300000, 700000}; /* zeroed by hand; and in part by giving pages back */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        stoa_chunk *chunk = take(8, 8);
        char *start = chunk->start;
        memset(stoa__rw(start + chunk->fill), 'k', 16);
        size_t sealed = chunk->fill + 16;
        seal(chunk, 16);
        chunk = take(sizes[i], 8);
        if (chunk->start == start) {
            memset(stoa__rw(start + chunk->fill), 'x', sizes[i]);
            chunk->fill += sizes[i];
        }
        stoa__chunk_abort(chunk);
        for (size_t k = sealed; k < STOA_GRANULE; k++) {
            assert_int_equal(start[k], 0);
        }
        assert_int_equal(start[sealed - 1], 'k');
        assert_true(stoa__chunk_check_list(region));
    }
}

static void
aborted_fresh_chunk_goes_back_whole(void **state)
{
    (void)state;
    size_t bytes = stats_of(region).chunk_bytes;
    stoa_chunk *chunk = take(9 * MIB, STOA_GRANULE);
    char *start = chunk->start;
    assert_int_equal(stats_of(region).chunk_bytes,
                     bytes + 10 * MIB); /* the room starts at a granule, and not at the first */
    memset(stoa__rw(start), 'x', 10 * MIB);
    chunk->fill = 10 * MIB;
    stoa__chunk_abort(chunk);
    assert_int_equal(stats_of(region).chunk_bytes, bytes);
    assert_int_equal(stoa__region_of(start), 0);
    assert_int_equal(start[5 * MIB], 0);
    chunk = take(9 * MIB, STOA_GRANULE);
    assert_ptr_equal(chunk->start, start); /* never sealed: the addresses may be used again */
    seal(chunk, 9 * MIB);
}

static void
pages_are_prepared_within_the_room(void **state)
{
    (void)state;
    stoa_chunk *chunk = take(5 * MIB, STOA_GRANULE);
    size_t done = 0;
    while (done < chunk->size) {
        size_t least = chunk->size - done < 100000 ? chunk->size - done : 100000;
        size_t got = stoa__chunk_prepare(chunk, least, 256 << 10);
        assert_true(got >= least && got <= chunk->size - done);
        memset(stoa__rw(chunk->start + done), 1, least);
        done += least;
        chunk->fill = done;
    }
    for (size_t i = 0; i < chunk->size; i++) {
        assert_int_equal(chunk->start[i], 1);
    }
    seal(chunk, 0);
}

static int
setup(void **state)
{
    return open_process(state) != 0 || stoa__region_new("chunks", 0, &region) != STOA_OK;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_chunk_comes_back_with_its_rest),
        cmocka_unit_test(full_chunk_is_left_to_itself),
        cmocka_unit_test(aborted_tail_is_zero_again),
        cmocka_unit_test(aborted_fresh_chunk_goes_back_whole),
        cmocka_unit_test(pages_are_prepared_within_the_room),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
