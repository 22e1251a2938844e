#include "heap/handle.h"

#include "heap/process_struct.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/process.h"

static void *
object(size_t i)
{
    return (void *)(0x1000 + 16 * i);
}

static void
a_handle_names_owner_and_object(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o"), *got;
    void *thing;
    stoa_handle h = 0, h2 = 0;
    assert_int_equal(stoa__handle_new(owner, object(1), &h), STOA_OK);
    assert_int_equal(stoa__handle_new(owner, object(1), &h2), STOA_OK);
    assert_true(h != 0 && h != h2);
    assert_int_equal(stoa__handle_get(h, &got, &thing), STOA_OK);
    assert_ptr_equal(got, owner);
    assert_ptr_equal(thing, object(1));
    stoa__handle_unref(h);
    stoa__handle_unref(h2);
    end_owner(owner);
}

static void
the_last_reference_queues_the_release_with_the_owner(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o"), *other = make_owner("p"), *got;
    void *thing;
    stoa_handle h;
    assert_int_equal(stoa__handle_new(owner, object(7), &h), STOA_OK);
    assert_int_equal(stoa__handle_ref(h), STOA_OK);
    stoa__handle_unref(h);
    assert_int_equal(stoa__handle_take_released(owner, &thing, NULL, 1), 0);
    assert_int_equal(stoa__handle_get(h, &got, &thing), STOA_OK);
    stoa__handle_unref(h);
    assert_int_equal(stoa__handle_get(h, &got, &thing), STOA_EGONE);
    assert_int_equal(stoa__handle_ref(h), STOA_EGONE);
    stoa__handle_unref(h); /* stale: nothing */
    assert_int_equal(stoa__handle_take_released(other, &thing, NULL, 1), 0);
    assert_int_equal(stoa__handle_take_released(owner, &thing, NULL, 1), 1);
    assert_ptr_equal(thing, object(7));
    assert_int_equal(stoa__handle_take_released(owner, &thing, NULL, 1), 0);
    end_owner(owner);
    end_owner(other);
}

static void
releases_are_taken_in_portions_each_once(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o");
    enum { N = 1000 };
    bool seen[N] = {false};
    for (size_t i = 0; i < N; i++) {
        stoa_handle h;
        assert_int_equal(stoa__handle_new(owner, object(i), &h), STOA_OK);
        stoa__handle_unref(h);
    }
    void *things[7];
    size_t total = 0, n;
    assert_int_equal(stoa__handle_take_released(owner, things, NULL, 0), 0);
    while ((n = stoa__handle_take_released(owner, things, NULL, 7)) != 0) {
        for (size_t i = 0; i < n; i++) {
            size_t which = ((size_t)things[i] - 0x1000) / 16;
            assert_true(which < N && !seen[which]);
            seen[which] = true;
        }
        total += n;
    }
    assert_int_equal(total, N);
    end_owner(owner);
}

static void
stale_and_made_up_handles_are_errors(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o"), *got;
    void *thing;
    stoa_handle h, again;
    assert_int_equal(stoa__handle_new(owner, object(1), &h), STOA_OK);
    stoa__handle_unref(h);
    assert_int_equal(stoa__handle_take_released(owner, &thing, NULL, 1), 1);
    assert_int_equal(stoa__handle_new(owner, object(2), &again), STOA_OK);
    assert_int_equal((uint32_t)again, (uint32_t)h); /* the same slot */
    assert_true(again != h);
    assert_int_equal(stoa__handle_get(h, &got, &thing), STOA_EGONE);
    assert_int_equal(stoa__handle_ref(h), STOA_EGONE);
    stoa__handle_unref(h);
    assert_int_equal(stoa__handle_get(again, &got, &thing), STOA_OK);
    assert_ptr_equal(thing, object(2));
    const stoa_handle made_up[] = {0,
                                   1,
                                   (uint32_t)again,
                                   again + ((uint64_t)1 << 32),
                                   UINT64_MAX,
                                   0xFFFFFFFF,
                                   1ull << 32,
                                   (1ull << 32) | 0xFFFFFFFF,
                                   (7ull << 32) | 0x80000000,
                                   (1ull << 32) | 12345678};
    for (size_t i = 0; i < sizeof made_up / sizeof *made_up; i++) {
        assert_int_equal(stoa__handle_get(made_up[i], &got, &thing), STOA_EGONE);
        assert_int_equal(stoa__handle_ref(made_up[i]), STOA_EGONE);
        stoa__handle_unref(made_up[i]);
    }
    stoa__handle_unref(again);
    end_owner(owner);
}

static void
an_owner_that_is_gone_makes_its_handles_stale(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("shop"), *got;
    void *thing;
    stoa_handle live, queued, h;
    assert_int_equal(stoa__handle_new(owner, object(1), &live), STOA_OK);
    assert_int_equal(stoa__handle_new(owner, object(2), &queued), STOA_OK);
    stoa__handle_unref(queued);
    stoa__interp_gone(owner);
    assert_int_equal(stoa__handle_get(live, &got, &thing), STOA_EGONE);
    assert_int_equal(stoa__handle_ref(live), STOA_EGONE);
    assert_int_equal(stoa__handle_take_released(owner, &thing, NULL, 1), 0);
    assert_int_equal(stoa__handle_new(owner, object(3), &h), STOA_EGONE);
    assert_non_null(strstr(stoa_error_message(), "'shop'"));
    stoa__handle_owner_gone(owner);
    assert_int_equal(atomic_load(&owner->refs), 2); /* the test's, and that of the live handle's slot */
    stoa__handle_unref(live);
    assert_int_equal(atomic_load(&owner->refs), 1);
    stoa__interp_unref(owner);
}

static size_t
resident(void)
{
    size_t total = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", &total, &pages), 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
a_million_handles_leave_memory_flat(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o");
    void *things[64];
    uint32_t fresh = 0;
    size_t before = 0;
    for (int i = 0; i < 1000000; i++) {
        stoa_handle h;
        assert_int_equal(stoa__handle_new(owner, object(1), &h), STOA_OK);
        stoa__handle_unref(h);
        if (i % 64 == 63) {
            while (stoa__handle_take_released(owner, things, NULL, 64) != 0) {
            }
        }
        if (i == 10000) {
            fresh = stoa__process->handles.fresh;
            before = resident();
        }
    }
    assert_int_equal(stoa__process->handles.fresh, fresh);
    size_t after = resident();
    assert_true(after <= before || after - before < 1 << 20);
    assert_int_equal(atomic_load(&owner->refs), 2);
    end_owner(owner);
}

static void
many_live_handles_stay_apart(void **state)
{
    (void)state;
    enum { N = 100000 };
    stoa_interp_record *owner = make_owner("o"), *got;
    stoa_handle *h = malloc(N * sizeof *h);
    void *thing;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(stoa__handle_new(owner, object(i), &h[i]), STOA_OK);
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(stoa__handle_get(h[i], &got, &thing), STOA_OK);
        assert_ptr_equal(thing, object(i));
    }
    for (size_t i = 0; i < N; i++) {
        stoa__handle_unref(h[i]);
    }
    free(h);
    end_owner(owner);
}

static void
a_slot_whose_generations_are_used_up_is_left_alone(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o"), *got;
    void *thing;
    stoa_handle h;
    assert_int_equal(stoa__handle_new(owner, object(1), &h), STOA_OK);
    uint32_t index = (uint32_t)h; /* below 1024: in the first segment, for what this test makes */
    assert_true(index < 1024);
    stoa_handle_slot *slot = atomic_load(&stoa__process->handles.segments[0]) + index;
    atomic_store(&slot->word, (uint64_t)UINT32_MAX << 32 | 1); /* as if 2^32 - 2 had been before */
    stoa_handle last = (uint64_t)UINT32_MAX << 32 | index;
    assert_int_equal(stoa__handle_get(last, &got, &thing), STOA_OK);
    stoa__handle_unref(last);
    assert_int_equal(stoa__handle_take_released(owner, &thing, NULL, 1), 1);
    assert_int_equal(stoa__handle_get(last, &got, &thing), STOA_EGONE);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(stoa__handle_new(owner, object(1), &h), STOA_OK);
        assert_true((uint32_t)h != index);
    }
    end_owner(owner);
}

static void
too_many_references_are_refused(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("o");
    stoa_handle h;
    assert_int_equal(stoa__handle_new(owner, object(1), &h), STOA_OK);
    uint32_t offset = (uint32_t)h;
    unsigned segment = 0;
    if (offset >= 1024) {
        unsigned top = 31u - (unsigned)__builtin_clz(offset);
        segment = top - 9;
        offset -= 1u << top;
    }
    stoa_handle_slot *slot = atomic_load(&stoa__process->handles.segments[segment]) + offset;
    uint64_t word = atomic_load(&slot->word);
    atomic_store(&slot->word, word | 0xFFFFFFF0u);
    assert_int_equal(stoa__handle_ref(h), STOA_ENOMEM);
    atomic_store(&slot->word, word);
    stoa__handle_unref(h);
    end_owner(owner);
}

/* Threads make, share, drop and misuse handles while the owner takes releases: each object is released once. */
enum { WORKERS = 3, ROUNDS = 20000 };

typedef struct crowd {
    stoa_interp_record *owner;
    _Atomic uint64_t board[8]; /* handles left for others to look at, live or not */
    _Atomic int running;
    _Atomic int wrong;
    _Atomic size_t made, released;
} crowd;

static void *
work_with_handles(void *arg)
{
    crowd *c = arg;
    unsigned seed = (unsigned)(uintptr_t)pthread_self();
    for (int i = 0; i < ROUNDS; i++) {
        stoa_handle h;
        if (stoa__handle_new(c->owner, object(3), &h) != STOA_OK) {
            atomic_fetch_add(&c->wrong, 1);
            break;
        }
        atomic_fetch_add(&c->made, 1);
        atomic_store(&c->board[rand_r(&seed) % 8], h);
        stoa_handle seen = atomic_load(&c->board[rand_r(&seed) % 8]);
        stoa_interp_record *owner;
        void *thing;
        if (stoa__handle_ref(seen) == STOA_OK) {
            if (stoa__handle_get(seen, &owner, &thing) != STOA_OK || owner != c->owner || thing != object(3)) {
                atomic_fetch_add(&c->wrong, 1);
            }
            stoa__handle_unref(seen);
        }
        else if (stoa__handle_get(seen, &owner, &thing) == STOA_OK) { /* stale for good */
            atomic_fetch_add(&c->wrong, 1);
        }
        stoa__handle_unref(h);
    }
    atomic_fetch_sub(&c->running, 1);
    return NULL;
}

static void
threads_share_handles(void **state)
{
    (void)state;
    crowd c = {.owner = make_owner("crowd"), .running = WORKERS};
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work_with_handles, &c), 0);
    }
    void *things[16];
    size_t released = 0, n;
    while (atomic_load(&c.running) > 0) {
        n = stoa__handle_take_released(c.owner, things, NULL, 16);
        for (size_t i = 0; i < n; i++) {
            assert_ptr_equal(things[i], object(3));
        }
        released += n;
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    while ((n = stoa__handle_take_released(c.owner, things, NULL, 16)) != 0) {
        released += n;
    }
    assert_int_equal(atomic_load(&c.wrong), 0);
    assert_int_equal(released, atomic_load(&c.made));
    assert_int_equal(atomic_load(&c.owner->refs), 2);
    end_owner(c.owner);
}

static void *
make_until_gone(void *arg)
{
    crowd *c = arg;
    stoa_handle h;
    while (stoa__handle_new(c->owner, object(4), &h) == STOA_OK) {
        stoa_interp_record *owner;
        void *thing;
        if (stoa__handle_get(h, &owner, &thing) == STOA_OK && thing != object(4)) {
            atomic_fetch_add(&c->wrong, 1);
        }
        stoa__handle_unref(h);
    }
    return NULL;
}

static void
an_owner_goes_while_threads_use_its_handles(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        crowd c = {.owner = make_owner("doomed")};
        pthread_t threads[WORKERS];
        for (int i = 0; i < WORKERS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, make_until_gone, &c), 0);
        }
        usleep(300);
        stoa__interp_gone(c.owner);
        for (int i = 0; i < WORKERS; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(atomic_load(&c.wrong), 0);
        assert_int_equal(atomic_load(&c.owner->refs), 1); /* no slot holds it */
        stoa__interp_unref(c.owner);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_names_owner_and_object),
        cmocka_unit_test(the_last_reference_queues_the_release_with_the_owner),
        cmocka_unit_test(a_slot_whose_generations_are_used_up_is_left_alone),
        cmocka_unit_test(releases_are_taken_in_portions_each_once),
        cmocka_unit_test(stale_and_made_up_handles_are_errors),
        cmocka_unit_test(an_owner_that_is_gone_makes_its_handles_stale),
        cmocka_unit_test(a_million_handles_leave_memory_flat),
        cmocka_unit_test(many_live_handles_stay_apart),
        cmocka_unit_test(too_many_references_are_refused),
        cmocka_unit_test(threads_share_handles),
        cmocka_unit_test(an_owner_goes_while_threads_use_its_handles),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
