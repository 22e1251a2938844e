#include "heap_testing.h"

#include "heap/search.h"

typedef struct findings {
    size_t count;
    const void *places[64];
    const void *target;
} findings;

static bool
note(const void *place, const void *target, void *arg)
{
    findings *f = arg;
    if (f->count < 64) {
        f->places[f->count] = place;
    }
    f->count++;
    f->target = target;
    return true;
}

static bool
has(const findings *f, const void *place)
{
    for (size_t i = 0; i < f->count && i < 64; i++) {
        if (f->places[i] == place) {
            return true;
        }
    }
    return false;
}

static findings
look(const stoa_region *region, stoa_pieces *skip)
{
    findings f = {0};
    stoa_pieces none = {NULL, 0, 0, false};
    assert_int_equal(stoa__search(region, skip != NULL ? skip : &none, __builtin_frame_address(0), note, &f),
                     STOA_OK);
    stoa__pieces_free(&none);
    return f;
}

/* Addresses are kept here, where the compiler leaves them alone and nothing else is. */
static uintptr_t *kept;

/* Of what is kept, exactly that? */
static bool
has_only(const stoa_region *region, size_t where)
{
    findings f = look(region, NULL);
    bool same = true;
    for (size_t i = 0; i < 512; i++) {
        same = same && has(&f, &kept[i]) == (i == where);
    }
    return same;
}

static void
keep(size_t where, stoa_region *region, size_t size, size_t offset)
{
    kept[where] = (uintptr_t)toy_freeze(region, 1000 + where, size) + offset;
}

static void
every_aligned_address_of_an_object_is_found(void **state)
{
    (void)state;
    stoa_region *region;
    assert_int_equal(stoa__region_new("r", 0, &region), STOA_OK);
    assert_int_equal(look(region, NULL).count, 0); /* it has nothing */
    keep(0, region, 64, 0);
    keep(200, NULL, 64, 0); /* of the default region */
    assert_true(has_only(region, 0));
    kept[0] = 0;
    assert_true(has_only(region, SIZE_MAX));
    stoa__region_unref(region);
    assert_int_equal(stoa__region_new("large", 0, &region), STOA_OK);
    keep(100, region, 3 * MIB, 2 * MIB + 4); /* into the middle of one */
    assert_true(has_only(region, 100));
    kept[100] = kept[200] = 0;
    assert_true(has_only(region, SIZE_MAX));
    stoa__region_unref(region);
}

static void
what_is_skipped_is_not_looked_at(void **state)
{
    (void)state;
    stoa_region *region;
    assert_int_equal(stoa__region_new("r", 0, &region), STOA_OK);
    kept[7] = kept[8] = kept[9] = (uintptr_t)toy_freeze(region, 1, 64);
    stoa_pieces skip = {NULL, 0, 0, false};
    stoa__pieces_add(&skip, (uintptr_t)&kept[8], (uintptr_t)&kept[9]);
    findings f = look(region, &skip);
    assert_true(has(&f, &kept[7]) && !has(&f, &kept[8]) && has(&f, &kept[9]));
    stoa__pieces_free(&skip);
    kept[7] = kept[8] = kept[9] = 0;
    stoa__region_unref(region);
}

static void
our_own_records_are_nobodys(void **state)
{
    (void)state;
    stoa_region *region;
    assert_int_equal(stoa__region_new("r", 0, &region), STOA_OK);
    stoa_batch batch;
    for (uint64_t i = 0; i < 5000; i++) { /* open chunks, entries, freed states of batches, aborted objects */
        assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
        (void)toy_new(&batch, i, 64 + i % 512 * 8);
        i % 7 == 0 ? stoa__batch_abort(&batch) : stoa__batch_commit(&batch);
    }
    (void)toy_freeze(region, 9999, 2 * MIB);
    memset(&batch, 0, sizeof batch);
    findings f = look(region, NULL);
#if defined(__SANITIZE_THREAD__) /* what its malloc has freed cannot be told from what it has not */
    (void)f;
#else
    assert_int_equal(f.count, 0);
#endif
    stoa__region_unref(region);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_aligned_address_of_an_object_is_found),
        cmocka_unit_test(what_is_skipped_is_not_looked_at),
        cmocka_unit_test(our_own_records_are_nobodys),
    };
    if (stoa__process_open() != STOA_OK) {
        return 1;
    }
    kept = stoa__os_alloc(4096, false);
    return kept == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
