#include "heap/names.h"

#include "heap/handle.h"
#include "heap/process_struct.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/process.h"

static char things[64]; /* process-wide objects that are not in the heap */

static stoa_value
thing(size_t i)
{
    return (stoa_value){.kind = STOA_VALUE_OBJECT, .object = &things[i]};
}

static stoa_err
publish(const char *name, size_t i)
{
    stoa_value value = thing(i);
    return stoa__name_publish(name, strlen(name), &value);
}

static stoa_err
replace(const char *name, size_t i)
{
    stoa_value value = thing(i);
    return stoa__name_replace(name, strlen(name), &value);
}

static stoa_err
unpublish(const char *name)
{
    return stoa__name_unpublish(name, strlen(name));
}

/* The number of the thing, or minus the code. */
static int
look(const char *name)
{
    stoa_value value;
    stoa_err err = stoa__name_lookup(name, strlen(name), NULL, &value);
    return err == STOA_OK ? (int)((const char *)value.object - things) : -(int)err;
}

static void
publish_replace_unpublish(void **state)
{
    (void)state;
    size_t before = stoa__name_count();
    uint64_t publishes = STOA_COUNTER_READ(&stoa__process->counters, publishes);
    assert_int_equal(look("x"), -STOA_ENOTFOUND);
    assert_non_null(strstr(stoa_error_message(), "'x'"));
    assert_int_equal(publish("x", 1), STOA_OK);
    assert_int_equal(look("x"), 1);
    assert_int_equal(publish("x", 2), STOA_EEXIST);
    assert_non_null(strstr(stoa_error_message(), "'x'"));
    assert_int_equal(look("x"), 1);
    assert_int_equal(replace("x", 2), STOA_OK);
    assert_int_equal(look("x"), 2);
    assert_int_equal(stoa__name_count(), before + 1);
    assert_int_equal(unpublish("x"), STOA_OK);
    assert_int_equal(unpublish("x"), STOA_ENOTFOUND);
    assert_int_equal(look("x"), -STOA_ENOTFOUND);
    assert_int_equal(replace("x", 3), STOA_OK); /* also where there was none */
    assert_int_equal(look("x"), 3);
    assert_int_equal(unpublish("x"), STOA_OK);
    assert_int_equal(stoa__name_count(), before);
    assert_int_equal(STOA_COUNTER_READ(&stoa__process->counters, publishes), publishes + 3);
}

static void
hostile_names(void **state)
{
    (void)state;
    stoa_value value = thing(1);
    size_t huge = 1 << 20;
    char *name = malloc(huge);
    memset(name, 'n', huge);
    const struct {
        const char *text;
        size_t size;
        stoa_err err;
    } bad[] = {
        {"", 0, STOA_EINVAL},       {NULL, 0, STOA_EINVAL},
        {name, huge, STOA_EINVAL},  {name, STOA_NAME_MAX + 1, STOA_EINVAL},
        {"caf\xe9", 4, STOA_EUTF8}, {"\xed\xa0\x80", 3, STOA_EUTF8},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        stoa_once what;
        assert_int_equal(stoa__name_publish(bad[i].text, bad[i].size, &value), bad[i].err);
        assert_int_equal(stoa__name_replace(bad[i].text, bad[i].size, &value), bad[i].err);
        assert_int_equal(stoa__name_wait(bad[i].text, bad[i].size, NULL, 0, &value), bad[i].err);
        assert_int_equal(stoa__name_once(bad[i].text, bad[i].size, NULL, 1, 0, &what, &value), bad[i].err);
        assert_true(strlen(stoa_error_message()) < 300);
        assert_int_not_equal(stoa__name_lookup(bad[i].text, bad[i].size, NULL, &value), STOA_OK);
        assert_int_not_equal(stoa__name_unpublish(bad[i].text, bad[i].size), STOA_OK);
    }
    value = thing(1);
    assert_int_equal(stoa__name_publish(name, STOA_NAME_MAX, &value), STOA_OK);
    assert_int_equal(stoa__name_lookup(name, STOA_NAME_MAX, NULL, &value), STOA_OK);
    assert_int_equal(stoa__name_lookup(name, STOA_NAME_MAX - 1, NULL, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa__name_unpublish(name, STOA_NAME_MAX), STOA_OK);
    assert_int_equal(stoa__name_publish("a\0b", 3, &value), STOA_OK); /* zeroes are characters like others */
    assert_int_equal(stoa__name_lookup("a\0c", 3, NULL, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa__name_lookup("a", 1, NULL, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa__name_lookup("a\0b", 3, NULL, &value), STOA_OK);
    assert_int_equal(stoa__name_unpublish("a\0b", 3), STOA_OK);
    free(name);
}

static void
values_that_are_none_are_refused(void **state)
{
    (void)state;
    stoa_value none = {.kind = STOA_VALUE_OBJECT}, odd = {.kind = (stoa_value_kind)9, .object = things};
    stoa_value stale = {.kind = STOA_VALUE_HANDLE, .handle = 12345};
    assert_int_equal(stoa__name_publish("v", 1, &none), STOA_EINVAL);
    assert_int_equal(stoa__name_publish("v", 1, &odd), STOA_EINVAL);
    assert_int_equal(stoa__name_publish("v", 1, &stale), STOA_EGONE);
    assert_int_equal(look("v"), -STOA_ENOTFOUND);
}

static void
a_name_holds_a_reference_of_its_handle(void **state)
{
    (void)state;
    stoa_interp_record *owner;
    assert_int_equal(stoa__interp_register(1, 0, "owner", NULL, &owner), STOA_OK);
    stoa_value value = {.kind = STOA_VALUE_HANDLE}, got;
    void *object;
    assert_int_equal(stoa__handle_new(owner, things, &value.handle), STOA_OK);
    assert_int_equal(stoa__name_publish("h", 1, &value), STOA_OK);
    stoa__handle_unref(value.handle);
    assert_int_equal(stoa__name_lookup("h", 1, NULL, &got), STOA_OK); /* with a reference for us */
    assert_int_equal(got.handle, value.handle);
    assert_int_equal(replace("h", 5), STOA_OK);
    assert_int_equal(stoa__handle_take_released(owner, &object, NULL, 1), 0);
    stoa__handle_unref(got.handle);
    assert_int_equal(stoa__handle_take_released(owner, &object, NULL, 1), 1);
    assert_int_equal(stoa__handle_new(owner, things, &value.handle), STOA_OK);
    assert_int_equal(stoa__name_replace("h", 1, &value), STOA_OK);
    stoa__handle_unref(value.handle);
    stoa__interp_gone(owner);
    assert_int_equal(stoa__name_lookup("h", 1, NULL, &got), STOA_EGONE);
    assert_non_null(strstr(stoa_error_message(), "'owner', which owns"));
    assert_int_equal(stoa__name_wait("h", 1, NULL, STOA_FOREVER, &got), STOA_EGONE);
    assert_int_equal(unpublish("h"), STOA_OK);
    assert_int_equal(atomic_load(&owner->refs), 1);
    stoa__interp_unref(owner);
}

typedef struct walk {
    char last[64];
    size_t last_size, count;
    bool ordered;
} walk;

static bool
visit(const char *name, size_t size, const stoa_value *value, void *arg)
{
    walk *w = arg;
    size_t common = size < w->last_size ? size : w->last_size;
    int order = memcmp(w->last, name, common);
    if (order > 0 || (order == 0 && w->last_size >= size) || value->kind != STOA_VALUE_OBJECT) {
        w->ordered = false;
    }
    memcpy(w->last, name, size);
    w->last_size = size;
    unpublish("n-0"); /* no lock is held: the names may be changed */
    return ++w->count != 4000;
}

/* An object of a region whose only holders, after this, are what the test gives it to. */
static stoa_value
value_in_a_new_region(stoa_region **out_region)
{
    stoa_region *region;
    stoa_batch batch;
    assert_int_equal(stoa__region_new("of a name", 0, &region), STOA_OK);
    assert_int_equal(stoa__batch_begin(&batch, region, 0), STOA_OK);
    void *object = stoa__batch_alloc(&batch, 64);
    assert_non_null(object);
    stoa__batch_commit(&batch);
    *out_region = region;
    return (stoa_value){.kind = STOA_VALUE_OBJECT, .object = object};
}

static void
a_name_holds_its_region_and_looking_up_delivers(void **state)
{
    (void)state;
    stoa_region *a, *b;
    stoa_value first = value_in_a_new_region(&a), second = value_in_a_new_region(&b), got;
    stoa_interp_record *reader, *waiter;
    assert_int_equal(stoa__interp_register(1, 0, "reader", NULL, &reader), STOA_OK);
    assert_int_equal(stoa__interp_register(2, 0, "waiter", NULL, &waiter), STOA_OK);
    uint32_t refs = atomic_load(&a->refs);
    assert_int_equal(stoa__name_publish("r", 1, &first), STOA_OK);
    assert_int_equal(atomic_load(&a->refs), refs + 1);
    assert_int_equal(stoa__name_publish("r", 1, &second), STOA_EEXIST);
    assert_int_equal(atomic_load(&b->refs), refs);
    assert_false(stoa__region_is_delivered(a, reader->serial));
    assert_int_equal(stoa__name_lookup("r", 1, reader, &got), STOA_OK);
    assert_ptr_equal(got.object, first.object);
    assert_true(stoa__region_is_delivered(a, reader->serial));
    assert_false(stoa__region_is_delivered(a, waiter->serial));
    assert_int_equal(stoa__name_wait("r", 1, waiter, 0, &got), STOA_OK);
    assert_true(stoa__region_is_delivered(a, waiter->serial));
    assert_int_equal(stoa__name_replace("r", 1, &second), STOA_OK);
    assert_int_equal(atomic_load(&a->refs), refs);
    assert_int_equal(atomic_load(&b->refs), refs + 1);
    stoa_once what;
    assert_int_equal(stoa__name_once("r", 1, waiter, 1, 0, &what, &got), STOA_OK);
    assert_int_equal(what, STOA_ONCE_HAVE);
    assert_true(stoa__region_is_delivered(b, waiter->serial));
    assert_false(stoa__region_is_delivered(b, reader->serial));
    assert_int_equal(stoa__name_lookup("r", 1, NULL, &got), STOA_OK); /* a thread outside: in use for good */
    assert_true(stoa__region_is_delivered(b, reader->serial));
    assert_int_equal(unpublish("r"), STOA_OK);
    assert_int_equal(atomic_load(&b->refs), refs);
    stoa__region_unref(a);
    stoa__region_unref(b);
    stoa__interp_gone(reader), stoa__interp_unref(reader);
    stoa__interp_gone(waiter), stoa__interp_unref(waiter);
}

static void
thousands_of_names_in_order(void **state)
{
    (void)state;
    enum { N = 5000 };
    char name[32];
    size_t before = stoa__name_count();
    for (size_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "n-%zu", i);
        assert_int_equal(publish(name, i % 64), STOA_OK);
    }
    for (size_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "n-%zu", i);
        assert_int_equal(look(name), i % 64);
    }
    assert_int_equal(stoa__name_count(), before + N);
    walk w = {.ordered = true};
    assert_int_equal(stoa__name_each(visit, &w), STOA_OK);
    assert_true(w.ordered);
    assert_int_equal(w.count, 4000); /* then it said stop */
    for (size_t i = 1; i < N; i++) {
        snprintf(name, sizeof name, "n-%zu", i);
        assert_int_equal(unpublish(name), STOA_OK);
    }
    assert_int_equal(stoa__name_count(), before);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------ */

static void *
wait_for(void *name)
{
    stoa_value value;
    stoa_err err = stoa__name_wait(name, strlen(name), NULL, STOA_FOREVER, &value);
    return (void *)(intptr_t)(err == STOA_OK ? (const char *)value.object - things : -(int)err);
}

static void
waiters_get_what_is_published(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for, "later"), 0);
    }
    usleep(20000);
    assert_int_equal(publish("later", 9), STOA_OK);
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_int_equal((intptr_t)result, 9);
    }
    stoa_value value;
    assert_int_equal(stoa__name_wait("later", 5, NULL, 0, &value), STOA_OK);
    assert_int_equal(unpublish("later"), STOA_OK);
    for (unsigned i = 0; i < STOA_NAME_SHARDS; i++) {
        assert_int_equal(atomic_load(&stoa__process->names.shards[i].waiters), 0);
    }
}

static void
nothing(int number)
{
    (void)number;
}

static void
waits_end_by_time_and_by_signal(void **state)
{
    (void)state;
    stoa_value value;
    stoa_deadline d;
    const double seconds[] = {0, -1, 1e-9, 0.03};
    for (size_t i = 0; i < 4; i++) {
        assert_true(stoa__deadline_in(seconds[i], &d));
        assert_int_equal(stoa__name_wait("no", 2, NULL, d, &value), STOA_ETIMEDOUT);
        assert_non_null(strstr(stoa_error_message(), "'no'"));
        assert_true(stoa__now() >= d);
    }
    const double huge[] = {1e9, 1e300, INFINITY};
    struct sigaction action = {.sa_handler = nothing}, old;
    sigaction(SIGALRM, &action, &old);
    for (size_t i = 0; i < 3; i++) {
        assert_true(stoa__deadline_in(huge[i], &d));
        ualarm(30000, 30000); /* again and again: the first may come before the wait */
        assert_int_equal(stoa__name_wait("no", 2, NULL, d, &value), STOA_EINTERRUPTED);
        ualarm(0, 0);
    }
    sigaction(SIGALRM, &old, NULL);
}

/* ---- many threads ------------------------------------------------------------------------------------------------- */

static _Atomic int published[8], wrong;

static void *
fight_for_names(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < 4000; i++) {
        char name[8];
        unsigned which = (unsigned)rand_r(&seed) % 8;
        snprintf(name, sizeof name, "f%u", which);
        switch (rand_r(&seed) % 3) {
        case 0:
            if (publish(name, which) == STOA_OK) {
                atomic_fetch_add(&published[which], 1);
            }
            break;
        case 1:
            if (unpublish(name) == STOA_OK) {
                atomic_fetch_sub(&published[which], 1);
            }
            break;
        default: {
            int seen = look(name);
            if (seen != (int)which && seen != -STOA_ENOTFOUND) {
                atomic_fetch_add(&wrong, 1);
            }
        }
        }
    }
    return NULL;
}

static void
threads_publish_and_unpublish_the_same_names(void **state)
{
    (void)state;
    size_t before = stoa__name_count();
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fight_for_names, (void *)(i + 1)), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&wrong), 0);
    size_t left = 0;
    for (unsigned i = 0; i < 8; i++) { /* as many publishes as unpublishes, or one more */
        char name[8];
        snprintf(name, sizeof name, "f%u", i);
        int balance = atomic_load(&published[i]);
        assert_in_range(balance, 0, 1);
        assert_int_equal(look(name), balance == 1 ? (int)i : -STOA_ENOTFOUND);
        left += (size_t)balance;
        unpublish(name);
    }
    assert_int_equal(stoa__name_count(), before);
    assert_in_range(left, 0, 8);
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

static _Atomic int go_on;

static void *
keep_busy(void *unused)
{
    (void)unused;
    while (atomic_load(&go_on)) {
        replace("busy", 1);
        look("busy");
    }
    return NULL;
}

static void
a_forked_child_uses_names_at_once(void **state)
{
    (void)state;
    atomic_store(&go_on, 1);
    assert_int_equal(publish("kept", 3), STOA_OK);
    pthread_t busy, waiter;
    assert_int_equal(pthread_create(&busy, NULL, keep_busy, NULL), 0);
    assert_int_equal(pthread_create(&waiter, NULL, wait_for, "forked"), 0);
    for (int i = 0; i < 20; i++) {
        usleep(500);
        pid_t child = fork();
        if (child == 0) {
            alarm(100);
            bool ok = look("kept") == 3 && publish("mine", 4) == STOA_OK && look("mine") == 4 &&
                      replace("busy", 2) == STOA_OK && unpublish("kept") == STOA_OK;
            _exit(ok ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    atomic_store(&go_on, 0);
    pthread_join(busy, NULL);
    assert_int_equal(look("kept"), 3);
    assert_int_equal(look("mine"), -STOA_ENOTFOUND);
    assert_int_equal(publish("forked", 1), STOA_OK);
    pthread_join(waiter, NULL);
    unpublish("forked"), unpublish("kept"), unpublish("busy");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publish_replace_unpublish),
        cmocka_unit_test(hostile_names),
        cmocka_unit_test(values_that_are_none_are_refused),
        cmocka_unit_test(a_name_holds_a_reference_of_its_handle),
        cmocka_unit_test(a_name_holds_its_region_and_looking_up_delivers),
        cmocka_unit_test(thousands_of_names_in_order),
        cmocka_unit_test(waiters_get_what_is_published),
        cmocka_unit_test(waits_end_by_time_and_by_signal),
        cmocka_unit_test(threads_publish_and_unpublish_the_same_names),
        cmocka_unit_test(a_forked_child_uses_names_at_once),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
