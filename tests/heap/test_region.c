#include "heap_testing.h"

#include <pthread.h>

static void
default_region_is_first_and_stays(void **state)
{
    (void)state;
    stoa_region *region = stoa__region_default();
    assert_int_equal(stoa__region_id(region), 1);
    for (int i = 0; i < 5; i++) {
        stoa__region_unref(region); /* not counted */
    }
    assert_string_equal(stats_of(region).name, "default");
    assert_int_equal(stats_of(region).limit, 0);
    stoa__region_unref(NULL);
}

static void
names_are_cut_and_made_up(void **state)
{
    (void)state;
    stoa_region *region;
    assert_int_equal(stoa__region_new(NULL, 0, &region), STOA_OK);
    char expected[64];
    snprintf(expected, sizeof expected, "region %u", (unsigned)stoa__region_id(region));
    assert_string_equal(stats_of(region).name, expected);
    stoa__region_unref(region);
    char longer[200];
    memset(longer, 'n', sizeof longer);
    longer[199] = '\0';
    assert_int_equal(stoa__region_new(longer, 7, &region), STOA_OK);
    assert_int_equal(strlen(stats_of(region).name), 63);
    assert_int_equal(stats_of(region).limit, 7);
    stoa__region_unref(region);
}

static void
addresses_know_their_region(void **state)
{
    (void)state;
    stoa_region *region;
    int local;
    assert_int_equal(stoa__region_new("a", 0, &region), STOA_OK);
    const toy *mine = toy_freeze(region, 1, 64);
    const toy *general = toy_freeze(NULL, 2, 64);
    const char *large = (const char *)toy_freeze(region, 3, 5 * MIB);
    assert_int_equal(stoa__region_of(mine), stoa__region_id(region));
    assert_int_equal(stoa__region_of(large + 5 * MIB - 1), stoa__region_id(region));
    assert_int_equal(stoa__region_of(general), 1);
    assert_int_equal(stoa__region_of(&local), 0);
    assert_int_equal(stoa__region_of(NULL), 0);
    assert_int_equal(stoa__region_of((void *)(stoa__public_base + stoa__reserved - 1)), 0);
    assert_int_equal(stoa__region_of((void *)(stoa__public_base + stoa__reserved)), 0);
    assert_true(stoa__region_reaches(region, 1));
    assert_true(stoa__region_reaches(region, stoa__region_id(region)));
    assert_false(stoa__region_reaches(stoa__region_default(), stoa__region_id(region)));
    stoa_region *again = stoa__region_ref_of(large);
    assert_ptr_equal(again, region);
    stoa__region_unref(again);
    assert_null(stoa__region_ref_of(general));
    assert_null(stoa__region_ref_of(&local));
    stoa__region_unref(region);
    assert_int_equal(stoa__region_of(mine), stats_of(stoa__region_by_id(stoa__region_of(mine))).id);
}

static size_t visited;

static void
count(stoa_region *region, void *arg)
{
    (void)arg;
    CHECK(stoa__region_by_id(stoa__region_id(region)) == region);
    visited++;
}

static size_t
count_regions(void)
{
    visited = 0;
    stoa__region_each(count, NULL);
    return visited;
}

static void
empty_regions_end_and_used_ones_stay(void **state)
{
    (void)state;
    size_t before = count_regions();
    size_t bytes = atomic_load(&stoa__process->space.chunk_bytes);
    stoa_region *regions[200];
    for (int i = 0; i < 200; i++) {
        assert_int_equal(stoa__region_new("many", 0, &regions[i]), STOA_OK);
        stoa_batch batch;
        assert_int_equal(stoa__batch_begin(&batch, regions[i], STOA_BATCH_INTERN), STOA_OK);
        assert_non_null(toy_new(&batch, 1, 64));
        stoa__region_unref(regions[i]); /* the batch holds it */
        stoa__region_ref(regions[i]);
        if (i % 10 == 0) {
            stoa__batch_commit(&batch);
        }
        else {
            stoa__batch_abort(&batch);
        }
    }
    assert_int_equal(count_regions(), before + 200);
    for (int i = 0; i < 200; i++) {
        stoa__region_unref(regions[i]);
    }
    assert_int_equal(count_regions(), before + 20);
    assert_int_equal(atomic_load(&stoa__process->space.chunk_bytes), bytes + 20 * STOA_GRANULE);
    assert_true(stoa__space_check(&stoa__process->space));
}

static void
region_outlives_what_it_has_withdrawn(void **state)
{
    (void)state;
    size_t before = count_regions();
    stoa_batch reader, batch;
    stoa_region *region;
    assert_int_equal(stoa__batch_begin(&reader, NULL, 0), STOA_OK);
    assert_int_equal(stoa__region_new("short", 0, &region), STOA_OK);
    assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
    for (uint64_t i = 0; i < 10000; i++) {
        toy_new(&batch, i, 64);
    }
    stoa__batch_abort(&batch);
    stoa__region_unref(region);
    assert_int_equal(count_regions(), before + 1); /* its chunk and old slot arrays await the reader */
    stoa__batch_commit(&reader);
    assert_int_equal(count_regions(), before);
    check_heap();
}

static void
deliveries_are_remembered(void **state)
{
    (void)state;
    static const uint32_t serials[] = {1, 2, 31, 32, 255, 256, 65535, 65536, 16777216, UINT32_MAX};
    stoa_region *region;
    assert_int_equal(stoa__region_new("d", 0, &region), STOA_OK);
    const toy *object = toy_freeze(region, 1, 64);
    for (size_t i = 0; i < sizeof serials / sizeof *serials; i++) {
        assert_false(stoa__region_is_delivered(region, serials[i]));
        stoa__region_mark_delivered(object, serials[i]);
        for (size_t k = 0; k < sizeof serials / sizeof *serials; k++) {
            assert_int_equal(stoa__region_is_delivered(region, serials[k]), k <= i);
        }
    }
    assert_false(stoa__region_is_delivered(region, 3));
    assert_false(stoa__region_is_delivered(region, 1u << 31));
    stoa__region_mark_delivered(toy_freeze(NULL, 5, 64), 3);
    stoa__region_mark_delivered(&region, 3);
    assert_false(stoa__region_is_delivered(region, 3));
    assert_true(stoa__region_is_delivered(stoa__region_default(), 3));
    stoa__region_mark_delivered(object, 0); /* to a thread outside */
    assert_true(stoa__region_is_delivered(region, 3));
    stoa__region_unref(region);
}

static stoa_region *shared;
static const toy *shared_object;

static void *
deliver_and_hold(void *arg)
{
    for (uint32_t i = 0; i < 3000; i++) {
        stoa__region_mark_delivered(shared_object, 1 + i * 4 + (uint32_t)(uintptr_t)arg);
        stoa_region *held = stoa__region_ref_of(shared_object);
        CHECK(held == shared);
        stoa__region_unref(held);
        stoa_region *own;
        CHECK(stoa__region_new("own", 0, &own) == STOA_OK);
        stoa__region_unref(own);
    }
    return NULL;
}

static void
threads_deliver_make_and_drop(void **state)
{
    (void)state;
    assert_int_equal(stoa__region_new("shared", 0, &shared), STOA_OK);
    shared_object = toy_freeze(shared, 1, 64);
    size_t before = count_regions();
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, deliver_and_hold, (void *)i), 0);
    }
    while (!stoa__region_is_delivered(shared, 2000)) {
        stoa__region_each(check_region, NULL);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    for (uint32_t serial = 1; serial <= 12000; serial++) {
        assert_true(stoa__region_is_delivered(shared, serial));
    }
    assert_false(stoa__region_is_delivered(shared, 12001));
    assert_int_equal(count_regions(), before);
    stoa__region_unref(shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_region_is_first_and_stays),
        cmocka_unit_test(names_are_cut_and_made_up),
        cmocka_unit_test(addresses_know_their_region),
        cmocka_unit_test(empty_regions_end_and_used_ones_stay),
        cmocka_unit_test(region_outlives_what_it_has_withdrawn),
        cmocka_unit_test(deliveries_are_remembered),
        cmocka_unit_test(threads_deliver_make_and_drop),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
