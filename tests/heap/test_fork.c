#include "heap_testing.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define OLD 1000

static const toy *old[OLD];
static stoa_region *side;

static void
old_objects_are_readable(void)
{
    for (uint64_t i = 0; i < OLD; i++) {
        CHECK(toy_is_whole(old[i], i));
        CHECK(toy_freeze(NULL, i, 64) == old[i]); /* and known by content */
    }
}

static void
freeze_many(stoa_region *region, uint64_t from, size_t size)
{
    stoa_batch batch;
    CHECK(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN) == STOA_OK);
    for (uint64_t i = 0; i < 20000; i++) {
        const toy *object = toy_new(&batch, from + i, size);
        CHECK(object != NULL);
    }
    stoa__batch_commit(&batch);
    CHECK(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN) == STOA_OK);
    for (uint64_t i = 0; i < 20000; i++) {
        const toy *object = toy_find(&batch, from + i);
        CHECK(object != NULL && toy_is_whole(object, from + i));
    }
    stoa__batch_abort(&batch);
}

static void
use_the_heap(void)
{
    old_objects_are_readable();
    freeze_many(NULL, 1000000, 64);
    freeze_many(side, 3000000, 200);
    stoa_region *fresh;
    CHECK(stoa__region_new("of the child", 10 * MIB, &fresh) == STOA_OK);
    freeze_many(fresh, 5000000, 64);
    stoa__region_unref(fresh);
    old_objects_are_readable();
    check_heap();
}

static void
use_the_heap_and_fork_again(void)
{
    CHECK(stoa__fork_generation() == 1);
    use_the_heap();
    const toy *mine = toy_freeze(NULL, 2000000, 64);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(stoa__fork_generation() == 2);
        CHECK(toy_freeze(NULL, 2000000, 64) == mine && toy_is_whole(mine, 2000000));
        freeze_many(NULL, 7000000, 64);
        use_the_heap();
        _exit(0);
    }
    freeze_many(NULL, 8000000, 64);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(toy_is_whole(mine, 2000000));
    check_heap();
}

static void
child_and_grandchild_read_and_freeze(void **state)
{
    (void)state;
    assert_int_equal(in_child(use_the_heap_and_fork_again), 0);
    old_objects_are_readable();
    check_heap();
}

/* Both freeze in turns into what would be the same addresses if they shared pages. */
static void
neither_sees_what_the_other_freezes(void **state)
{
    (void)state;
    const toy *tail = toy_freeze(side, 1, 64);
    int to_child[2], to_parent[2];
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    char byte = 0;
    pid_t pid = fork();
    if (pid == 0) {
        freeze_many(side, 10000000, 64);
        CHECK(write(to_parent[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1);
        CHECK(toy_is_whole(tail, 1));
        stoa_batch batch;
        CHECK(stoa__batch_begin(&batch, side, STOA_BATCH_INTERN) == STOA_OK);
        for (uint64_t i = 0; i < 20000; i++) {
            CHECK(toy_is_whole(toy_find(&batch, 10000000 + i), 10000000 + i));
            CHECK(toy_find(&batch, 500000 + i) == NULL);
        }
        stoa__batch_commit(&batch);
        _exit(0);
    }
    close(to_parent[1]); /* so that a child that dies is noticed */
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    freeze_many(side, 500000, 64);
    stoa_batch batch;
    assert_int_equal(stoa__batch_begin(&batch, side, STOA_BATCH_INTERN), STOA_OK);
    assert_null(toy_find(&batch, 10000000));
    stoa__batch_abort(&batch);
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    check_heap();
}

static stoa_batch open_batch;
static const toy *open_object;

static void
go_on_with_parents_batch(void)
{
    CHECK(stoa__batch_alloc(&open_batch, 64) == NULL);
    CHECK(open_batch.err == STOA_EFORKED && strncmp(stoa_error_message(), "STOA_EFORKED: ", 14) == 0);
    CHECK(stoa__batch_alloc(&open_batch, MIB) == NULL && open_batch.err == STOA_EFORKED);
    CHECK(toy_is_whole(open_object, 9999));
    ((toy *)stoa__rw(open_object))->values[0] = 5; /* nobody's */
    CHECK(open_object->values[0] == 9999);
    open_batch.err = STOA_OK;
    stoa__batch_commit(&open_batch);
    CHECK(open_batch.err == STOA_EFORKED);
    stoa_batch batch;
    CHECK(stoa__batch_begin(&batch, side, STOA_BATCH_INTERN) == STOA_OK);
    CHECK(toy_find(&batch, 9999) == NULL);
    CHECK(!stoa__batch_sees(&batch, open_object));
    stoa__batch_commit(&batch);
    use_the_heap();
}

static void
abort_parents_batch(void)
{
    stoa__batch_abort(&open_batch);
    use_the_heap();
}

static void
batch_of_before_the_fork_ends_in_the_child(void **state)
{
    (void)state;
    assert_int_equal(stoa__batch_begin(&open_batch, side, STOA_BATCH_INTERN), STOA_OK);
    open_object = toy_new(&open_batch, 9999, 64);
    assert_int_equal(in_child(go_on_with_parents_batch), 0);
    assert_int_equal(in_child(abort_parents_batch), 0);
    assert_int_equal(open_object->values[0], 9999);
    assert_non_null(toy_new(&open_batch, 10000, 64)); /* the parent's goes on */
    stoa__batch_commit(&open_batch);
    assert_ptr_equal(toy_freeze(side, 9999, 64), open_object);
    check_heap();
}

static void
write_below_the_floor(void)
{
    signal(SIGSEGV, SIG_DFL);
    *(volatile uint64_t *)stoa__rw(old[0]) = 1;
}

static void
child_cannot_write_the_parents_pages(void **state)
{
    (void)state;
    assert_int_equal(in_child(write_below_the_floor), 1000 + SIGSEGV);
    assert_true(toy_is_whole(old[0], 0));
}

static void
abort_what_the_parent_had_aborted(void)
{
    /* the parent's chunk that waits for its grace period must be neither zeroed nor reused here */
    use_the_heap();
    stoa_batch batch;
    CHECK(stoa__batch_begin(&batch, side, 0) == STOA_OK);
    CHECK(stoa__batch_alloc(&batch, 5 * MIB) != NULL);
    stoa__batch_abort(&batch); /* punches; in our own pages */
}

static void
child_gives_no_page_of_the_parents_back(void **state)
{
    (void)state;
    stoa_batch reader, batch;
    assert_int_equal(stoa__batch_begin(&reader, NULL, STOA_BATCH_INTERN), STOA_OK);
    assert_int_equal(stoa__batch_begin(&batch, side, STOA_BATCH_INTERN), STOA_OK);
    const toy *waiting = toy_new(&batch, 4242, 64);
    const toy *large = toy_new(&batch, 4243, 3 * MIB);
    stoa__batch_abort(&batch);
    assert_int_equal(in_child(abort_what_the_parent_had_aborted), 0);
    assert_true(toy_is_whole(waiting, 4242));
    assert_true(toy_is_whole(large, 4243));
    stoa__batch_abort(&reader);
    old_objects_are_readable();
    check_heap();
}

/* ---- other threads at work ---- */

static _Atomic bool stop;
static _Atomic uint64_t rounds;

static void *
work(void *arg)
{
    uint64_t from = ((uint64_t)(uintptr_t)arg + 1) << 40;
    while (!atomic_load(&stop)) {
        stoa_batch batch;
        CHECK(stoa__batch_begin(&batch, from >> 40 == 1 ? NULL : side, STOA_BATCH_INTERN) == STOA_OK);
        const toy *made[200];
        for (uint64_t i = 0; i < 200; i++) {
            made[i] = toy_new(&batch, from + i, 64 + 8 * (i % 50));
            CHECK(made[i] != NULL);
        }
        if (from % 3 == 0) {
            stoa__batch_abort(&batch);
        }
        else {
            stoa__batch_commit(&batch);
            for (uint64_t i = 0; i < 200; i++) {
                CHECK(toy_is_whole(made[i], from + i));
            }
        }
        from += 200;
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static void
fork_while_others_freeze(void **state)
{
    (void)state;
    atomic_store(&stop, false);
    pthread_t threads[3];
    for (uintptr_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    }
    for (int i = 0; i < 8; i++) {
        uint64_t now = atomic_load(&rounds);
        while (atomic_load(&rounds) == now) {
            usleep(100);
        }
        assert_int_equal(in_child(use_the_heap), 0); /* a lock held by a thread that is not there would hang it */
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    old_objects_are_readable();
    check_heap();
}

static int
setup(void **state)
{
    if (open_process(state) != 0 || stoa__region_new("side", 0, &side) != STOA_OK) {
        return -1;
    }
    for (uint64_t i = 0; i < OLD; i++) {
        old[i] = toy_freeze(NULL, i, 64);
    }
    toy_freeze(side, 0xABCDEF, 64);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_and_grandchild_read_and_freeze),
        cmocka_unit_test(neither_sees_what_the_other_freezes),
        cmocka_unit_test(batch_of_before_the_fork_ends_in_the_child),
        cmocka_unit_test(child_cannot_write_the_parents_pages),
        cmocka_unit_test(child_gives_no_page_of_the_parents_back),
        cmocka_unit_test(fork_while_others_freeze),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
