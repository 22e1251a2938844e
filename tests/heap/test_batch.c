#include "heap_testing.h"

#include <pthread.h>

static stoa_region *
new_region(size_t limit)
{
    stoa_region *region;
    assert_int_equal(stoa__region_new("test", limit, &region), STOA_OK);
    return region;
}

static void
objects_are_zeroed_apart_and_aligned(void **state)
{
    (void)state;
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, NULL, 0), STOA_OK);
    char *last = NULL;
    size_t last_size = 0;
    for (size_t size = 0; size < 3000; size += 7) {
        char *object = stoa__batch_alloc(&batch, size);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % 8, 0);
        if (last != NULL && object > last) {
            assert_true(object >= last + last_size);
        }
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(object[i], 0);
        }
        memset(stoa__rw(object), 0xEE, size);
        last = object;
        last_size = size != 0 ? size : 1;
    }
    stoa__batch_commit(&batch);
    check_heap();
}

static void
alignment_is_kept(void **state)
{
    (void)state;
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, NULL, 0), STOA_OK);
    for (size_t alignment = 1; alignment <= STOA_GRANULE; alignment *= 2) {
        assert_non_null(stoa__batch_alloc(&batch, 24));
        char *object = stoa__batch_alloc_aligned(&batch, 100, alignment);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % alignment, 0);
        memset(stoa__rw(object), 1, 100);
    }
    assert_null(stoa__batch_alloc_aligned(&batch, 8, 3));
    assert_int_equal(batch.err, STOA_EINVAL);
    assert_null(stoa__batch_alloc_aligned(&batch, 8, 2 * STOA_GRANULE));
    assert_null(stoa__batch_alloc_aligned(&batch, 8, 0));
    stoa__batch_commit(&batch);
    check_heap();
}

static void
absurd_sizes_are_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX,     SIZE_MAX - 6,    SIZE_MAX - 7,
                                   SIZE_MAX / 2, (size_t)1 << 62, (size_t)1 << 50};
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, NULL, 0), STOA_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        batch.err = STOA_OK;
        assert_null(stoa__batch_alloc(&batch, sizes[i]));
        assert_int_equal(batch.err, STOA_ENOMEM);
        assert_true(strncmp(stoa_error_message(), "STOA_ENOMEM: ", 13) == 0);
    }
    assert_non_null(stoa__batch_alloc(&batch, 8)); /* and the batch goes on */
    stoa__batch_abort(&batch);
}

static void
small_batches_share_a_chunk(void **state)
{
    (void)state;
    stoa_region *region = new_region(0);
    const toy *last = toy_freeze(region, 0, 64);
    for (uint64_t i = 1; i < 10000; i++) {
        const toy *object = toy_freeze(region, i, 64);
        assert_ptr_equal(object, (const char *)last + 64);
        last = object;
    }
    assert_int_equal(stats_of(region).chunk_bytes, STOA_GRANULE);
    assert_int_equal(stats_of(region).used_bytes, 640000);
    assert_int_equal(stats_of(region).objects, 10000);
    assert_int_equal(stats_of(region).freezes, 10000);
    stoa__region_unref(region);
}

static void
large_objects_leave_their_rest_to_small_ones(void **state)
{
    (void)state;
    stoa_region *region = new_region(0);
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, region, 0), STOA_OK);
    char *large[20];
    for (int i = 0; i < 20; i++) {
        large[i] = stoa__batch_alloc(&batch, 700000 + (size_t)i * 100000);
        assert_non_null(large[i]);
        assert_int_equal(large[i][0], 0);
        memset(stoa__rw(large[i]), i + 1, 700000 + (size_t)i * 100000);
        for (int k = 0; k < 100; k++) {
            assert_non_null(toy_new(&batch, 5, 512));
        }
    }
    assert_true(stoa__batch_bytes(&batch) >= 20 * 700000 + 2000 * 512);
    stoa__batch_commit(&batch);
    for (int i = 0; i < 20; i++) {
        for (size_t k = 0; k < 700000 + (size_t)i * 100000; k++) {
            if (large[i][k] != i + 1) {
                fail_msg("byte %zu of object %d", k, i);
            }
        }
    }
    stoa_region_stats stats = stats_of(region);
    assert_int_equal(stats.objects, 20 + 2000);
    assert_true(stats.chunk_bytes < stats.used_bytes + 16 * MIB);
    check_heap();
    stoa__region_unref(region);
}

static void
abort_leaves_nothing(void **state)
{
    (void)state;
    stoa_region *region = new_region(0);
    assert_non_null(toy_freeze(region, 1, 64));
    stoa_region_stats before = stats_of(region);
    size_t heap_before = atomic_load(&stoa__process->space.chunk_bytes);
    for (int round = 0; round < 20; round++) {
        stoa_batch batch;
        assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
        for (uint64_t i = 0; i < (round % 2 != 0 ? 100 : 50000); i++) {
            assert_non_null(toy_new(&batch, 1000 + i, 64)); /* toy_new checks that the bytes are zero again */
        }
        if (round % 3 == 0) {
            assert_non_null(stoa__batch_alloc(&batch, 3 * MIB));
        }
        stoa__batch_abort(&batch);
        stoa_region_stats after = stats_of(region);
        assert_int_equal(after.used_bytes, before.used_bytes);
        assert_int_equal(after.chunk_bytes, before.chunk_bytes);
        assert_int_equal(after.objects, before.objects);
        assert_int_equal(after.intern_entries, before.intern_entries);
        assert_int_equal(after.freezes, before.freezes);
        assert_int_equal(after.aborts, before.aborts + 1 + (uint64_t)round);
        assert_int_equal(atomic_load(&stoa__process->space.chunk_bytes), heap_before);
        assert_int_equal(atomic_load(&region->charged), 0);
        check_heap();
    }
    const toy *next = toy_freeze(region, 2, 64); /* the tail is used again */
    assert_int_equal(stats_of(region).chunk_bytes, before.chunk_bytes);
    assert_true(toy_is_whole(next, 2));
    stoa__region_unref(region);
}

static void
aborted_memory_rests_while_older_batches_are_open(void **state)
{
    (void)state;
    stoa_region *region = new_region(0);
    const toy *first = toy_freeze(region, 1, 64);
    stoa_batch reader, batch;
    assert_int_equal(stoa__batch_begin(&reader, NULL, STOA_BATCH_INTERN), STOA_OK);
    assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
    const toy *aborted = toy_new(&batch, 2, 64);
    stoa__batch_abort(&batch);
    assert_true(toy_is_whole(aborted, 2)); /* the reader may be comparing with it */
    const toy *other = toy_freeze(region, 3, 64);
    assert_true(other < first || other >= first + STOA_GRANULE / sizeof *first);
    assert_true(toy_is_whole(aborted, 2));
    stoa__batch_abort(&reader);
    assert_int_equal(aborted->size, 0);
    check_heap();
    stoa__region_unref(region);
}

static void
region_limit_is_exact_for_one(void **state)
{
    (void)state;
    for (size_t limit = 64 * 1000; limit <= 64 * 1000000; limit *= 1000) {
        stoa_region *region = new_region(limit);
        stoa_batch batch;
        assert_int_equal(stoa__batch_begin(&batch, region, 0), STOA_OK);
        for (size_t i = 0; i < limit / 64; i++) {
            assert_non_null(stoa__batch_alloc(&batch, 64));
        }
        assert_null(stoa__batch_alloc(&batch, 8));
        assert_int_equal(batch.err, STOA_ENOMEM);
        assert_non_null(strstr(stoa_error_message(), "region 'test' is full"));
        stoa__batch_abort(&batch);
        assert_int_equal(stoa__batch_begin(&batch, region, 0), STOA_OK);
        assert_non_null(stoa__batch_alloc(&batch, limit)); /* all that was given back can be had in one piece */
        stoa__batch_commit(&batch);
        assert_int_equal(stats_of(region).used_bytes, limit);
        assert_int_equal(atomic_load(&region->charged), limit);
        assert_null(toy_freeze(region, 1, 64));
        assert_int_equal(stats_of(region).used_bytes, limit);
        check_heap();
        stoa__region_unref(region);
    }
}

static void
unused_quota_goes_back_at_commit(void **state)
{
    (void)state;
    stoa_region *region = new_region(1000000);
    for (uint64_t i = 0; i < 1000000 / 64; i++) {
        assert_non_null(toy_freeze(region, i, 64));
    }
    assert_null(toy_freeze(region, 1u << 30, 64));
    assert_int_equal(stats_of(region).used_bytes, 1000000 / 64 * 64);
    stoa__region_unref(region);
}

static void
retired_region_takes_no_batch(void **state)
{
    (void)state;
    stoa_region *region = new_region(0);
    atomic_store(&region->retired, STOA_REGION_RETIRED);
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, region, 0), STOA_EGONE);
    stoa__region_unref(region);
}

static void
batch_sees_sealed_and_own(void **state)
{
    (void)state;
    stoa_batch mine, others;
    const toy *sealed = toy_freeze(NULL, 123456, 64);
    assert_int_equal(stoa__batch_begin(&mine, NULL, 0), STOA_OK);
    assert_int_equal(stoa__batch_begin(&others, NULL, 0), STOA_OK);
    const toy *own = toy_new(&mine, 1, 64);
    const toy *foreign = toy_new(&others, 1, 64);
    int local;
    assert_true(stoa__batch_sees(&mine, sealed));
    assert_true(stoa__batch_sees(&mine, own));
    assert_false(stoa__batch_sees(&mine, foreign));
    assert_false(stoa__batch_sees(&mine, &local));
    assert_false(stoa__batch_sees(&mine, (const char *)stoa__public_base + stoa__reserved - 8));
    stoa__batch_commit(&others);
    assert_true(stoa__batch_sees(&mine, foreign));
    stoa__batch_abort(&mine);
}

/* ---- threads ---- */

#define THREADS 4

static stoa_region *shared_region;

static void *
commit_and_abort(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    for (int round = 0; round < 60; round++) {
        stoa_batch batch;
        CHECK(stoa__batch_begin(&batch, shared_region, STOA_BATCH_INTERN) == STOA_OK);
        const toy *made[300];
        for (uint64_t i = 0; i < 300; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            size_t size = 16 + (seed >> 40) % (i % 100 == 0 ? 400000 : 500);
            made[i] = toy_new(&batch, seed, size & ~(size_t)7);
            CHECK(made[i] != NULL);
        }
        for (uint64_t i = 0; i < 300; i++) {
            CHECK(toy_is_whole(made[i], made[i]->values[0]));
        }
        if (round % 3 != 0) {
            stoa__batch_commit(&batch);
            for (uint64_t i = 0; i < 300; i++) {
                CHECK(toy_is_whole(made[i], made[i]->values[0]));
            }
        }
        else {
            stoa__batch_abort(&batch);
        }
    }
    return NULL;
}

static void
threads_commit_and_abort_in_one_region(void **state)
{
    (void)state;
    shared_region = new_region(0);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, commit_and_abort, (void *)(i + 1)), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    stoa_region_stats stats = stats_of(shared_region);
    assert_int_equal(stats.freezes, THREADS * 40);
    assert_int_equal(stats.aborts, THREADS * 20);
    assert_int_equal(stats.objects, THREADS * 40 * 300);
    assert_int_equal(stats.intern_entries, THREADS * 40 * 300);
    check_heap();
    stoa__region_unref(shared_region);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_apart_and_aligned),
        cmocka_unit_test(alignment_is_kept),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(small_batches_share_a_chunk),
        cmocka_unit_test(large_objects_leave_their_rest_to_small_ones),
        cmocka_unit_test(abort_leaves_nothing),
        cmocka_unit_test(aborted_memory_rests_while_older_batches_are_open),
        cmocka_unit_test(region_limit_is_exact_for_one),
        cmocka_unit_test(unused_quota_goes_back_at_commit),
        cmocka_unit_test(retired_region_takes_no_batch),
        cmocka_unit_test(batch_sees_sealed_and_own),
        cmocka_unit_test(threads_commit_and_abort_in_one_region),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
