#include "heap_testing.h"

#include <pthread.h>

static stoa_region *
new_region(void)
{
    stoa_region *region;
    assert_int_equal(stoa__region_new("test", 0, &region), STOA_OK);
    return region;
}

static void
key_depends_on_tag_content_and_length(void **state)
{
    (void)state;
    stoa_key a = stoa__key(1, "abc", 3);
    stoa_key same = stoa__key(1, "abcd", 3);
    assert_memory_equal(&a, &same, sizeof a);
    stoa_key other_tag = stoa__key(2, "abc", 3);
    stoa_key other_length = stoa__key(1, "abcd", 4);
    stoa_key empty = stoa__key(1, "", 0);
    assert_memory_not_equal(&a, &other_tag, sizeof a);
    assert_memory_not_equal(&a, &other_length, sizeof a);
    assert_memory_not_equal(&a, &empty, sizeof a);
}

static void
equal_content_is_found_again(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    const toy *objects[1000];
    for (uint64_t i = 0; i < 1000; i++) {
        objects[i] = toy_freeze(region, i, 64);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_ptr_equal(toy_freeze(region, i, 64), objects[i]);
    }
    stoa_region_stats stats = stats_of(region);
    assert_int_equal(stats.objects, 1000);
    assert_int_equal(stats.intern_entries, 1000);
    assert_int_equal(stats.intern_hits, 1000);
    assert_int_equal(stats.intern_misses, 1000);
    assert_true(stats.intern_bytes > 16000);
    stoa__region_unref(region);
}

static bool
never_same(const void *candidate, const void *wanted)
{
    (void)candidate;
    (void)wanted;
    return false;
}

static void
collision_is_not_a_hit(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
    const toy *a = stoa__batch_alloc(&batch, 64);
    const toy *b = stoa__batch_alloc(&batch, 64);
    ((toy *)stoa__rw(a))->values[0] = 1;
    ((toy *)stoa__rw(b))->values[0] = 2;
    stoa_key key = {42};
    stoa__intern_add(&batch, key, a);
    stoa__intern_add(&batch, key, b);
    uint64_t one = 1, two = 2, three = 3;
    assert_ptr_equal(stoa__intern_find(&batch, key, toy_same, &one), a);
    assert_ptr_equal(stoa__intern_find(&batch, key, toy_same, &two), b);
    assert_null(stoa__intern_find(&batch, key, toy_same, &three));
    assert_null(stoa__intern_find(&batch, key, never_same, &one));
    stoa__batch_commit(&batch);
    check_heap();
    stoa__region_unref(region);
}

/* A batch that has made enough for a table of its own, in a new region. */
static stoa_region *
begin_with_table(stoa_batch *batch)
{
    stoa_region *region = new_region();
    assert_int_equal(stoa__batch_begin(batch, region, STOA_BATCH_INTERN), STOA_OK);
    for (uint64_t i = 0; i < 200; i++) {
        toy_new(batch, i, 64);
    }
    return region;
}

static void
entries_that_the_batch_keeps_are_found_while_they_become_many(void **state)
{
    (void)state;
    stoa_batch batch;
    stoa_region *region = begin_with_table(&batch);
    const toy *same_key[3];
    stoa_key key = {42};
    for (uint64_t i = 0; i < 3; i++) {
        same_key[i] = stoa__batch_alloc(&batch, 64);
        ((toy *)stoa__rw(same_key[i]))->values[0] = 1000000 + i;
        stoa__intern_add(&batch, key, same_key[i]);
    }
    for (uint64_t i = 0; i < 5000; i += 100) { /* the arrays grow several times */
        for (uint64_t k = 0; k < 3; k++) {
            uint64_t wanted = 1000000 + k;
            assert_ptr_equal(stoa__intern_find(&batch, key, toy_same, &wanted), same_key[k]);
        }
        for (uint64_t k = i; k < i + 100; k++) {
            toy_new(&batch, 2000000 + k, 64);
        }
        assert_non_null(toy_find(&batch, 2000000 + i));
        assert_non_null(toy_find(&batch, i % 200));
        assert_null(toy_find(&batch, 3000000 + i));
    }
    stoa__batch_commit(&batch);
    assert_int_equal(stats_of(region).intern_entries, 200 + 3 + 5000);
    check_heap();
    stoa__region_unref(region);
}

/* What a batch has made becomes the region's: by being entered, by giving its arrays to a region that has less, or more; and
 * whatever it said that it would make. */
static void
batches_of_all_sizes_meet_in_one_table(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {3, 8, 9, 60, 700, 100, 50000, 9, 20000, 120000, 1000, 130000};
    static const uint64_t expected[] = {0, 1000000, 5000, 1, 100000};
    for (size_t e = 0; e < sizeof expected / sizeof *expected; e++) {
        stoa_region *region = new_region();
        uint64_t made = 0;
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            stoa_batch batch;
            assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
            batch.expected = expected[e];
            for (uint64_t i = 0; i < sizes[k]; i++) {
                batch.flags ^= i % 3 == 0 ? STOA_BATCH_FRESH
                                          : 0; /* of some the slot has been looked at, of others not */
                assert_non_null(toy_new(&batch, made + i, 24));
            }
            batch.flags &= ~STOA_BATCH_FRESH;
            for (uint64_t i = 0; i < made + sizes[k]; i += 1 + made / 1000) {
                assert_non_null(toy_find(&batch, i));
            }
            made += sizes[k];
            assert_non_null(toy_find(&batch, made - 1));
            assert_null(toy_find(&batch, made));
            stoa__batch_commit(&batch);
            assert_int_equal(stats_of(region).intern_entries, made);
            check_heap();
        }
        assert_true(stats_of(region).intern_bytes < made * 8 * 16);
        stoa__region_unref(region);
    }
}

static bool no_memory;

static void *
calloc_or_not(size_t count, size_t size)
{
    return no_memory ? NULL : calloc(count, size);
}

static void
without_memory_for_entries_objects_are_made_all_the_same(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    stoa_batch batch;
    void *(*before)(size_t, size_t) = stoa__process->memory.calloc;
    stoa__process->memory.calloc = calloc_or_not;
    assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
    toy_new(&batch, 0, 24);
    no_memory = true;
    for (uint64_t i = 1; i < 100; i++) {
        assert_non_null(toy_new(&batch, i, 24));
    }
    no_memory = false;
    assert_non_null(toy_find(&batch, 0));
    stoa__batch_commit(&batch);
    stoa__process->memory.calloc = before;
    stoa_region_stats stats = stats_of(region);
    assert_int_equal(stats.objects, 100);
    assert_in_range(stats.intern_entries, 1, 99);
    check_heap();
    stoa__region_unref(region);
}

static void
a_slot_found_empty_is_taken_once(void **state)
{
    (void)state;
    stoa_batch batch;
    stoa_region *region = begin_with_table(&batch);
    const toy *made[4];
    stoa_key keys[4] = {{42}, {42 | UINT64_C(1) << 40}, {42 | UINT64_C(2) << 40}, {42}}; /* of one slot */
    uint64_t values[4] = {1000, 1001, 1002, 1003};
    for (int i = 0; i < 4; i++) {
        made[i] = stoa__batch_alloc(&batch, 64);
        ((toy *)stoa__rw(made[i]))->values[0] = values[i];
    }
    assert_null(stoa__intern_find(&batch, keys[0], toy_same, &values[0]));
    stoa__intern_add(&batch, keys[1], made[1]); /* before what was looked for */
    stoa__intern_add(&batch, keys[0], made[0]);
    assert_null(stoa__intern_find(&batch, keys[2], toy_same, &values[2]));
    stoa__intern_add(&batch, keys[2], made[2]);
    stoa__intern_add(&batch, keys[2], made[2]); /* twice, for one look-up */
    assert_null(stoa__intern_find(&batch, keys[3], toy_same, &values[3]));
    for (uint64_t i = 3000; i < 6000; i++) { /* the arrays have moved meanwhile */
        toy_new(&batch, i, 64);
    }
    stoa__intern_add(&batch, keys[3], made[3]);
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(stoa__intern_find(&batch, keys[i], toy_same, &values[i]), made[i]);
    }
    for (uint64_t i = 3000; i < 6000; i++) {
        assert_non_null(toy_find(&batch, i));
    }
    stoa__batch_commit(&batch);
    check_heap();
    stoa__region_unref(region);
}

static void
without_the_flag_nothing_is_looked_up_or_entered(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    toy_freeze(region, 1, 64);
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, region, 0), STOA_OK);
    assert_null(toy_find(&batch, 1));
    assert_non_null(toy_new(&batch, 2, 64));
    const void *places[STOA_INTERN_PLACES], *hint;
    stoa_key key = toy_key(1);
    assert_int_equal(stoa__intern_places(&batch, &key, 1, places), 0);
    stoa__intern_hints(&batch, &key, 1, &hint);
    assert_null(hint);
    stoa__batch_commit(&batch);
    assert_int_equal(stats_of(region).intern_entries, 1);
    stoa__region_unref(region);
}

static void
open_batch_sees_its_own_entries_and_others_do_not(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    stoa_batch mine, others;
    assert_int_equal(stoa__batch_begin(&mine, region, STOA_BATCH_INTERN), STOA_OK);
    assert_int_equal(stoa__batch_begin(&others, region, STOA_BATCH_INTERN), STOA_OK);
    const toy *object = NULL;
    for (uint64_t i = 0; i < 200000; i++) { /* several chunks, several growths */
        const toy *made = toy_new(&mine, i, 64);
        object = i == 5 ? made : object;
    }
    const void *places[3 * STOA_INTERN_PLACES], *hints[3];
    stoa_key keys[3] = {toy_key(5), toy_key(UINT64_MAX), toy_key(5)};
    assert_int_equal(stoa__intern_places(&mine, keys, 3, places), 3); /* nothing is in the region's table */
    stoa__intern_hints(&mine, keys, 3, hints);
    assert_ptr_equal(hints[0], stoa__rw(object));
    assert_null(hints[1]);
    assert_ptr_equal(hints[2], stoa__rw(object));
    stoa__intern_hints(&others, keys, 3, hints);
    assert_null(hints[0]);
    assert_ptr_equal(toy_find(&mine, 5), object);
    assert_non_null(toy_find(&mine, 199999));
    assert_null(toy_find(&others, 5));
    const toy *second = toy_new(&others, 5, 64); /* both may keep theirs */
    assert_ptr_equal(toy_find(&others, 5), second);
    stoa__batch_commit(&mine);
    assert_non_null(toy_find(&others, 6));
    assert_int_equal(stoa__intern_places(&others, keys, 3, places), 3); /* of its own entry there are few */
    stoa__intern_hints(&others, keys, 3, hints);
    assert_ptr_equal(hints[2], object);
    stoa__batch_commit(&others);
    const toy *winner = toy_freeze(region, 5, 64);
    assert_true(winner == object || winner == second);
    assert_ptr_equal(toy_freeze(region, 5, 64), winner);
    check_heap();
    stoa__region_unref(region);
}

static void
aborted_entries_are_gone(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 100, 4096, 4097, 100000}; /* few, and arrays of several sizes */
    stoa_region *region = new_region();
    for (uint64_t i = 0; i < 3000; i++) {
        toy_freeze(region, 1000000 + i, 64);
    }
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        stoa_batch batch;
        assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
        for (uint64_t i = 0; i < counts[k]; i++) {
            toy_new(&batch, i, 64);
        }
        stoa__batch_abort(&batch);
        assert_int_equal(stats_of(region).intern_entries, 3000);
        assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
        for (uint64_t i = 0; i < counts[k]; i++) {
            assert_null(toy_find(&batch, i));
        }
        for (uint64_t i = 0; i < 3000; i++) {
            assert_non_null(toy_find(&batch, 1000000 + i));
        }
        stoa__batch_abort(&batch);
        check_heap();
    }
    stoa__region_unref(region);
}

static void
endless_aborts_do_not_grow_the_table(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    for (uint64_t i = 0; i < 500; i++) {
        toy_freeze(region, i, 64);
    }
    size_t most = 0;
    for (uint64_t round = 0; round < 2000; round++) {
        stoa_batch batch;
        assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
        for (uint64_t i = 0; i < 50; i++) {
            toy_new(&batch, 1000 + round * 50 + i, 64);
        }
        stoa__batch_abort(&batch);
        size_t bytes = stats_of(region).intern_bytes;
        most = bytes > most ? bytes : most;
    }
    assert_true(most < 300000);
    check_heap();
    stoa__region_unref(region);
}

static void
other_regions_fall_back_to_the_default_one(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    const toy *general = toy_freeze(NULL, 987654321, 64);
    assert_ptr_equal(toy_freeze(region, 987654321, 64), general);
    const toy *special = toy_freeze(region, 987654322, 64);
    assert_int_equal(stoa__region_of(special), stoa__region_id(region));
    assert_ptr_not_equal(toy_freeze(NULL, 987654322, 64), special); /* never the other way */
    stoa__region_unref(region);
}

/* ---- threads ---- */

#define THREADS 4
#define VALUES 30000

static stoa_region *shared;

/* Everybody freezes the same values in another order, in small batches of which some are aborted; what is found must be
 * whole at any time. */
static void *
intern_same_values(void *arg)
{
    uint64_t step = 2 * (uint64_t)(uintptr_t)arg + 1;
    uint64_t at = step * 7919;
    for (uint64_t done = 0; done < VALUES;) {
        stoa_batch batch;
        CHECK(stoa__batch_begin(&batch, shared, STOA_BATCH_INTERN) == STOA_OK);
        bool abort_it = done % 7 == step % 7;
        for (int i = 0; i < 100; i++, done++, at += step) {
            uint64_t value = at % VALUES;
            const void *places[STOA_INTERN_PLACES], *hint;
            stoa_key key = toy_key(value);
            (void)stoa__intern_places(&batch, &key, 1, places);
            (void)stoa__intern_hints(&batch, &key, 1, &hint);
            const toy *object = toy_find(&batch, value);
            if (object == NULL) {
                object = toy_new(&batch, value, 24 + 8 * (value % 20));
            }
            CHECK(object != NULL);
            CHECK(object->size == 24 + 8 * (value % 20));
            CHECK(toy_is_whole(object, value));
        }
        if (abort_it) {
            stoa__batch_abort(&batch);
        }
        else {
            stoa__batch_commit(&batch);
        }
    }
    return NULL;
}

static void
threads_intern_the_same_values_with_aborts(void **state)
{
    (void)state;
    shared = new_region();
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, intern_same_values, (void *)i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    check_heap();
    stoa_region_stats stats = stats_of(shared);
    assert_int_equal(stats.intern_entries, stats.objects);
    assert_true(stats.objects <= VALUES * THREADS);
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, shared, STOA_BATCH_INTERN), STOA_OK);
    uint64_t found = 0;
    for (uint64_t i = 0; i < VALUES; i++) {
        found += toy_find(&batch, i) != NULL;
    }
    stoa__batch_abort(&batch);
    assert_true(found > VALUES / 2);
    stoa__region_unref(shared);
}

static _Atomic bool stop;

static void *
read_while_it_grows(void *unused)
{
    (void)unused;
    uint64_t seen = 0;
    while (!atomic_load(&stop)) {
        stoa_batch batch;
        CHECK(stoa__batch_begin(&batch, shared, STOA_BATCH_INTERN) == STOA_OK);
        for (uint64_t i = 0; i < 1000; i++) {
            CHECK(toy_find(&batch, i) != NULL); /* sealed before the growth began: never missed */
            uint64_t far = 1000 + (seen++ * 7919) % 150000;
            const toy *object = toy_find(&batch, far);
            CHECK(object == NULL || toy_is_whole(object, far));
        }
        stoa__batch_abort(&batch);
    }
    return NULL;
}

static void
readers_go_on_while_the_table_grows(void **state)
{
    (void)state;
    shared = new_region();
    for (uint64_t i = 0; i < 1000; i++) {
        toy_freeze(shared, i, 64);
    }
    atomic_store(&stop, false);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_while_it_grows, NULL), 0);
    }
    for (uint64_t i = 1000; i < 150000;) {
        stoa_batch batch;
        assert_int_equal(stoa__batch_begin(&batch, shared, STOA_BATCH_INTERN), STOA_OK);
        for (int k = 0; k < 500; k++) {
            assert_non_null(toy_new(&batch, i++, 32));
        }
        stoa__batch_commit(&batch);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    check_heap();
    assert_int_equal(stats_of(shared).intern_entries, 150000);
    stoa__region_unref(shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_depends_on_tag_content_and_length),
        cmocka_unit_test(equal_content_is_found_again),
        cmocka_unit_test(collision_is_not_a_hit),
        cmocka_unit_test(entries_that_the_batch_keeps_are_found_while_they_become_many),
        cmocka_unit_test(batches_of_all_sizes_meet_in_one_table),
        cmocka_unit_test(without_memory_for_entries_objects_are_made_all_the_same),
        cmocka_unit_test(a_slot_found_empty_is_taken_once),
        cmocka_unit_test(without_the_flag_nothing_is_looked_up_or_entered),
        cmocka_unit_test(open_batch_sees_its_own_entries_and_others_do_not),
        cmocka_unit_test(aborted_entries_are_gone),
        cmocka_unit_test(endless_aborts_do_not_grow_the_table),
        cmocka_unit_test(other_regions_fall_back_to_the_default_one),
        cmocka_unit_test(threads_intern_the_same_values_with_aborts),
        cmocka_unit_test(readers_go_on_while_the_table_grows),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
