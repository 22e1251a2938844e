#include "heap_testing.h"

#include "heap/name_shard.h"
#include "heap/names.h"
#include "heap/retire.h"

#include <pthread.h>
#include <signal.h>

#include "support/process.h"

static stoa_region *
new_region(void)
{
    stoa_region *region;
    assert_int_equal(stoa__region_new("to be retired", 0, &region), STOA_OK);
    return region;
}

static bool
retire(stoa_region *region)
{
    uint64_t mark;
    assert_int_equal(stoa__retire_begin(stoa__region_id(region), "a region", &mark), STOA_OK);
    bool done = stoa__retire_finish(region, mark);
    if (!done) {
        stoa__retire_cancel(region);
    }
    return done;
}

/* Does a read of it fault? In a child, without a core. */
static bool
faults(const void *address)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(*(const volatile char *)address == 77);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

static void
the_default_region_stays(void **state)
{
    (void)state;
    uint64_t mark;
    assert_int_equal(stoa__retire_begin(1, "a region", &mark), STOA_EINVAL);
}

static void
pages_go_and_addresses_never_come_back(void **state)
{
    (void)state;
    size_t charged = atomic_load(&stoa__process->space.chunk_bytes);
    stoa_region *region = new_region();
    uint32_t id = stoa__region_id(region);
    const toy *small = toy_freeze(region, 1, 64), *large = toy_freeze(region, 2, 5 * MIB);
    assert_false(faults(small) || faults(large));
    assert_true(retire(region));
    assert_true(faults(small) && faults(large) && faults((const char *)large + 4 * MIB));
    assert_true(faults(stoa__rw(small)));
    assert_true(stoa__is_retired(small) && stoa__is_retired(large));
    assert_null(stoa__region_by_id(id));
    assert_null(stoa__region_ref_of(small));
    assert_int_equal(atomic_load(&stoa__process->space.chunk_bytes), charged);
    for (uint64_t i = 0; i < 20; i++) {
        region = new_region();
        const toy *other = toy_freeze(region, i, 5 * MIB);
        assert_true((uintptr_t)other > (uintptr_t)large);
        assert_true(toy_is_whole(other, i));
        assert_true(retire(region));
    }
    check_heap();
}

static void
who_holds_it_keeps_it(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    const toy *object = toy_freeze(region, 1, 64);
    stoa__region_ref(region);
    assert_int_equal(stoa__retire_others(region), 1);
    assert_false(retire(region));
    stoa__region_unref(region);
    stoa_value value = {.kind = STOA_VALUE_OBJECT, .object = object};
    assert_int_equal(stoa__name_publish("held", 4, &value), STOA_OK);
    assert_false(retire(region));
    assert_int_equal(stoa__name_unpublish("held", 4), STOA_OK);
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, region, 0), STOA_OK);
    assert_false(retire(region));
    stoa__batch_abort(&batch);
    assert_true(toy_is_whole(object, 1));
    assert_true(retire(region));
}

static void
what_happens_meanwhile_keeps_it(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    const toy *object = toy_freeze(region, 1, 64);
    uint64_t mark, other;
    assert_int_equal(stoa__retire_begin(stoa__region_id(region), "a region", &mark), STOA_OK);
    assert_int_equal(stoa__retire_begin(stoa__region_id(region), "a region", &other),
                     STOA_EGONE);    /* one at a time */
    (void)toy_freeze(region, 2, 64); /* goes on as ever */
    assert_false(stoa__retire_finish(region, mark));
    stoa__retire_cancel(region);
    assert_int_equal(stoa__retire_begin(stoa__region_id(region), "a region", &mark), STOA_OK);
    stoa__region_mark_delivered(object, 7);
    assert_false(stoa__retire_finish(region, mark));
    stoa__retire_cancel(region);
    assert_non_null(toy_freeze(region, 3, 64));
    uint32_t id = stoa__region_id(region);
    assert_true(retire(region));
    assert_int_equal(stoa__retire_begin(id, "a region", &mark),
                     STOA_EGONE); /* who comes later finds nothing, and touches nothing */
}

static void
aborted_objects_go_with_it(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    stoa_batch batch;
    (void)toy_freeze(region, 1, 64);
    assert_int_equal(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN), STOA_OK);
    for (uint64_t i = 0; i < 50000; i++) {
        CHECK(toy_new(&batch, i + 10, 64) != NULL);
    }
    stoa__batch_abort(&batch);
    assert_true(retire(region));
    check_heap();
}

static void
pages_that_the_guard_opened_go_too(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    const toy *object = toy_freeze(region, 1, 64);
    uintptr_t page = (uintptr_t)object & ~(stoa__os_page_size() - 1);
    assert_int_equal(mprotect((void *)page, stoa__os_page_size(), PROT_READ | PROT_WRITE), 0);
    assert_true(retire(region));
    assert_true(faults(object));
}

/* It reads what was there when it was forked, whatever the parent retires; and the other way round. */
static void
children_keep_what_they_have(void **state)
{
    (void)state;
    stoa_region *region = new_region();
    const toy *object = toy_freeze(region, 42, 64), *large = toy_freeze(region, 43, 3 * MIB);
    int go[2], done[2];
    char byte = 0;
    assert_int_equal(pipe(go) | pipe(done), 0);
    pid_t reader = fork();
    if (reader == 0) {
        CHECK(read(go[0], &byte, 1) == 1); /* the parent has retired it */
        CHECK(toy_is_whole(object, 42) && toy_is_whole(large, 43));
        _exit(0);
    }
    pid_t retirer = fork();
    if (retirer == 0) {
        uint64_t mark;
        CHECK(stoa__retire_begin(stoa__region_id(region), "a region", &mark) == STOA_OK &&
              stoa__retire_finish(region, mark));
        CHECK(stoa__is_retired(object));
        stoa_region *own;
        CHECK(stoa__region_new("the child's", 0, &own) == STOA_OK);
        const toy *mine = toy_freeze(own, 5, 64);
        CHECK(toy_is_whole(mine, 5));
        CHECK(stoa__retire_begin(stoa__region_id(own), "a region", &mark) == STOA_OK &&
              stoa__retire_finish(own, mark));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(retirer, &status, 0), retirer);
    assert_int_equal(status, 0);
    assert_true(toy_is_whole(object, 42) && toy_is_whole(large, 43));
    assert_true(retire(region));
    assert_true(faults(object));
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    check_heap();
}

static _Atomic bool stop;

static void *
freeze_away(void *arg)
{
    stoa_batch batch;
    uint64_t i = 0;
    while (!atomic_load(&stop)) {
        stoa_err err = stoa__batch_begin(&batch, arg, STOA_BATCH_INTERN);
        CHECK(err == STOA_OK); /* a try to retire it is noticed by nobody */
        CHECK(toy_new(&batch, i++, 64) != NULL);
        i % 3 == 0 ? stoa__batch_abort(&batch) : stoa__batch_commit(&batch);
    }
    return NULL;
}

static void
tries_disturb_no_freeze(void **state)
{
    (void)state;
    pthread_t threads[3];
    stoa_region *region = new_region();
    atomic_store(&stop, false);
    stoa__region_ref(region); /* so that no try succeeds */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, freeze_away, region), 0);
    }
    for (int i = 0; i < 2000; i++) {
        assert_false(retire(region));
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    stoa__region_unref(region);
    assert_true(retire(region));
    check_heap();
}

/* ---- deserted ---------------------------------------------------------------------------------------------------- */

static bool
is_there(uint32_t id)
{
    return stoa__region_by_id(id) != NULL;
}

static void
ends(stoa_interp_record *record)
{
    uint32_t serial = record->serial;
    end_owner(record);
    stoa__interp_ended(serial);
}

static void
a_region_goes_with_the_last_of_its_receivers(void **state)
{
    (void)state;
    size_t charged = atomic_load(&stoa__process->space.chunk_bytes);
    stoa_interp_record *first = make_owner("first"), *second = make_owner("second"),
                       *other = make_owner("other");
    stoa_region *region = new_region();
    uint32_t id = stoa__region_id(region), serial = second->serial;
    const toy *small = toy_freeze(region, 1, 64), *large = toy_freeze(region, 2, 5 * MIB);
    stoa__region_mark_delivered(small, first->serial);
    stoa__region_mark_delivered(large, second->serial);
    stoa__region_unref(region);
    ends(first);
    ends(other);
    assert_true(is_there(id) && toy_is_whole(small, 1) && toy_is_whole(large, 2));
    end_owner(second); /* for us; the runtime still takes it down, and may read what is in the region */
    assert_true(is_there(id) && toy_is_whole(small, 1) && toy_is_whole(large, 2));
    stoa__interp_ended(serial);
    assert_false(is_there(id));
    assert_true(faults(small) && faults(large) && faults(stoa__rw(small)));
    assert_true(stoa__is_retired(small) && stoa__is_retired(large));
    assert_int_equal(atomic_load(&stoa__process->space.chunk_bytes), charged);
    stoa__interp_ended(serial); /* idempotent */
    stoa__interp_ended(12345678);
    region = new_region();
    assert_true((uintptr_t)toy_freeze(region, 3, 5 * MIB) > (uintptr_t)large);
    assert_true(retire(region));
    check_heap();
}

static void
who_holds_a_deserted_region_keeps_it(void **state)
{
    (void)state;
    stoa_interp_record *receiver = make_owner("receiver");
    stoa_region *region = new_region();
    uint32_t id = stoa__region_id(region);
    const toy *object = toy_freeze(region, 1, 64);
    stoa_value value = {.kind = STOA_VALUE_OBJECT, .object = object}, found;
    assert_int_equal(stoa__name_publish("held", 4, &value), STOA_OK);
    assert_int_equal(stoa__name_lookup("held", 4, receiver, &found), STOA_OK);
    ends(receiver);
    stoa__region_unref(region);
    assert_true(is_there(id) && toy_is_whole(object, 1));
    receiver = make_owner("another"); /* comes by the name */
    assert_int_equal(stoa__name_lookup("held", 4, receiver, &found), STOA_OK);
    assert_int_equal(stoa__name_unpublish("held", 4), STOA_OK);
    assert_true(is_there(id) && toy_is_whole(object, 1));
    ends(receiver);
    assert_false(is_there(id));
    assert_true(faults(object));
    /* the last holder ends it as well */
    receiver = make_owner("receiver");
    region = new_region();
    id = stoa__region_id(region);
    object = toy_freeze(region, 2, 64);
    stoa__region_mark_delivered(object, receiver->serial);
    ends(receiver);
    assert_true(is_there(id) && toy_is_whole(object, 2));
    stoa__region_unref(region);
    assert_false(is_there(id));
    assert_true(faults(object));
    check_heap();
}

static void
receivers_that_are_not_known_keep_it(void **state)
{
    (void)state;
    stoa_interp_record *receiver = make_owner("receiver");
    stoa_region *outside = new_region(), *nobody = new_region();
    const toy *object = toy_freeze(outside, 1, 64), *other = toy_freeze(nobody, 2, 64);
    stoa__region_mark_delivered(object, receiver->serial);
    stoa__region_mark_delivered(object, 0); /* a thread outside all interpreters */
    stoa__region_unref(outside);
    stoa__region_unref(nobody); /* whoever froze it has told nothing */
    ends(receiver);
    assert_true(toy_is_whole(object, 1) && toy_is_whole(other, 2));
    assert_false(stoa__is_retired(object) || stoa__is_retired(other));
}

static void
a_child_keeps_what_its_parent_gives_back(void **state)
{
    (void)state;
    stoa_interp_record *receiver = make_owner("receiver");
    stoa_region *region = new_region();
    const toy *object = toy_freeze(region, 42, 3 * MIB);
    stoa__region_mark_delivered(object, receiver->serial);
    stoa__region_unref(region);
    int go[2];
    char byte = 0;
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(read(go[0], &byte, 1) == 1);
        CHECK(toy_is_whole(
            object, 42)); /* its interpreters are not here, but the thread that forked may have an address */
        _exit(0);
    }
    ends(receiver);
    assert_true(faults(object));
    assert_int_equal(write(go[1], "x", 1), 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    check_heap();
}

/* One interpreter after the other: looks the name up, reads, ends. */
static void *
come_and_go(void *arg)
{
    for (int i = 0; i < 300; i++) {
        stoa_interp_record *record;
        CHECK(stoa__interp_register((int64_t)(uintptr_t)arg + i, 7, NULL, NULL, &record) == STOA_OK);
        stoa_value value;
        if (stoa__name_lookup("comes", 5, record, &value) == STOA_OK) {
            CHECK(toy_is_whole(value.object, 7));
        }
        uint32_t serial = record->serial;
        stoa__interp_gone(record);
        stoa__interp_unref(record);
        stoa__interp_ended(serial);
    }
    return NULL;
}

static void
regions_come_and_go_with_interpreters(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)((i + 1) * 1000000)), 0);
    }
    for (int i = 0; i < 300; i++) {
        stoa_interp_record *maker = make_owner("maker");
        stoa_region *region = new_region();
        const toy *object = toy_freeze(region, 7, 64);
        stoa__region_mark_delivered(object, maker->serial);
        stoa_value value = {.kind = STOA_VALUE_OBJECT, .object = object};
        assert_int_equal(stoa__name_replace("comes", 5, &value), STOA_OK);
        stoa__region_unref(region);
        assert_true(toy_is_whole(object, 7));
        ends(maker);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    uint32_t last = atomic_load(&stoa__process->regions.last_id), left = 0;
    for (uint32_t id = last - 298; id <= last; id++) {
        left += is_there(id);
    }
    assert_int_equal(left, 1); /* the one that has the name */
    assert_int_equal(stoa__name_unpublish("comes", 5), STOA_OK);
    assert_false(is_there(last));
    check_heap();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_region_stays),
        cmocka_unit_test(pages_go_and_addresses_never_come_back),
        cmocka_unit_test(who_holds_it_keeps_it),
        cmocka_unit_test(what_happens_meanwhile_keeps_it),
        cmocka_unit_test(aborted_objects_go_with_it),
        cmocka_unit_test(pages_that_the_guard_opened_go_too),
        cmocka_unit_test(children_keep_what_they_have),
        cmocka_unit_test(tries_disturb_no_freeze),
        cmocka_unit_test(a_region_goes_with_the_last_of_its_receivers),
        cmocka_unit_test(who_holds_a_deserted_region_keeps_it),
        cmocka_unit_test(receivers_that_are_not_known_keep_it),
        cmocka_unit_test(a_child_keeps_what_its_parent_gives_back),
        cmocka_unit_test(regions_come_and_go_with_interpreters),
    };
    if (stoa__process_open() != STOA_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
