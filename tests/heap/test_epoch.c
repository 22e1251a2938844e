#include "heap_testing.h"

#include <pthread.h>

typedef struct thing {
    stoa_deferred deferred;
    int *log;
    int number;
} thing;

static int gone[16];
static int gone_count;

static void
note_gone(stoa_deferred *deferred)
{
    gone[gone_count++] = ((thing *)deferred)->number;
}

static thing
new_thing(int number)
{
    return (thing){.deferred = {.dispose = note_gone}, .number = number};
}

static void
without_open_batches_it_happens_at_once(void **state)
{
    (void)state;
    gone_count = 0;
    thing one = new_thing(1);
    stoa__epoch_defer(&one.deferred);
    assert_int_equal(gone_count, 1);
    assert_true(stoa__epoch_check());
}

static void
it_waits_for_those_open_and_for_no_other(void **state)
{
    (void)state;
    gone_count = 0;
    stoa_epoch_slot first, second, later;
    thing a = new_thing(1), b = new_thing(2);
    stoa__epoch_enter(&first);
    stoa__epoch_defer(&a.deferred);
    stoa__epoch_enter(&second);
    stoa__epoch_defer(&b.deferred);
    stoa__epoch_enter(&later);
    assert_true(stoa__epoch_check());
    assert_int_equal(gone_count, 0);
    stoa__epoch_leave(&first);
    assert_int_equal(gone_count, 1); /* second began after a was withdrawn */
    assert_int_equal(gone[0], 1);
    assert_true(stoa__epoch_check());
    stoa__epoch_leave(&second);
    assert_int_equal(gone_count, 2);
    stoa__epoch_leave(&later);
    assert_int_equal(gone_count, 2);
    assert_true(stoa__epoch_check());
}

static void
leaving_out_of_order_is_fine(void **state)
{
    (void)state;
    gone_count = 0;
    stoa_epoch_slot slots[5];
    thing things[5];
    for (int i = 0; i < 5; i++) {
        stoa__epoch_enter(&slots[i]);
        things[i] = new_thing(i);
        stoa__epoch_defer(&things[i].deferred);
    }
    static const int order[] = {2, 4, 1, 3, 0};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(gone_count, 0);
        stoa__epoch_leave(&slots[order[i]]);
        assert_true(stoa__epoch_check());
    }
    assert_int_equal(gone_count, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(gone[i], i); /* in the order of withdrawal */
    }
}

/* ---- threads: a reader finds the box's content whole as long as its batch is open ---- */

typedef struct box {
    stoa_deferred deferred;
    uint64_t value, again;
} box;

static _Atomic(box *) current;
static _Atomic bool stop;

static void
spoil(stoa_deferred *deferred)
{
    box *old = (box *)deferred;
    old->again = ~old->value; /* plain writes: a reader still here would be a race */
    free(old);
}

static void *
read_boxes(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        stoa_epoch_slot slot;
        stoa__epoch_enter(&slot);
        box *seen = atomic_load_explicit(&current, memory_order_acquire);
        for (int i = 0; i < 10; i++) {
            CHECK(seen->value == seen->again);
        }
        stoa__epoch_leave(&slot);
    }
    return NULL;
}

static void
nothing_goes_under_a_reader(void **state)
{
    (void)state;
    atomic_store(&current, calloc(1, sizeof(box)));
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_boxes, NULL), 0);
    }
    for (uint64_t i = 1; i < 20000; i++) {
        box *fresh = calloc(1, sizeof *fresh);
        fresh->value = fresh->again = i;
        box *old = atomic_exchange_explicit(&current, fresh, memory_order_acq_rel);
        old->deferred.dispose = spoil;
        stoa__epoch_defer(&old->deferred);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(stoa__epoch_check());
    free(atomic_load(&current));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_open_batches_it_happens_at_once),
        cmocka_unit_test(it_waits_for_those_open_and_for_no_other),
        cmocka_unit_test(leaving_out_of_order_is_fine),
        cmocka_unit_test(nothing_goes_under_a_reader),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
