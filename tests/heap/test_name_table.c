#include "heap/name_table.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/process.h"

static stoa_name_table tables[4]; /* one a test, never freed: as in the process */
static stoa_name_table *now;

static stoa_name_key
key_of(const char *text, uint64_t hash)
{
    return (stoa_name_key){text, strlen(text), hash};
}

static stoa_held_value
value_of(uint64_t number)
{
    stoa_held_value held = {.value = {.kind = STOA_VALUE_HANDLE, .domain = (uint32_t)number, .handle = number}};
    return held;
}

static bool
add(const char *text, uint64_t hash, uint64_t number)
{
    stoa_name_key key = key_of(text, hash);
    stoa_held_value held = value_of(number);
    stoa__lock(&now->lock);
    bool ok = stoa__name_table_add(now, &key, &held);
    stoa__unlock(&now->lock);
    return ok;
}

static void
take_out(const char *text, uint64_t hash)
{
    stoa_name_key key = key_of(text, hash);
    stoa__lock(&now->lock);
    stoa__name_table_remove(now, &key);
    stoa__unlock(&now->lock);
}

static uint64_t /* 0: not there */
look(const char *text, uint64_t hash)
{
    stoa_name_key key = key_of(text, hash);
    stoa_held_value held;
    if (!stoa__name_table_find(now, &key, &held)) {
        return 0;
    }
    assert_int_equal(held.value.kind, STOA_VALUE_HANDLE);
    assert_int_equal(held.value.domain, (uint32_t)held.value.handle);
    return held.value.handle;
}

/* A plain array does the same, with hashes that collide a lot and wrap round the end. */
static void
does_what_a_plain_list_does(void **state)
{
    (void)state;
    now = &tables[0];
    stoa__name_table_init(now);
    enum { N = 300 };
    uint64_t model[N] = {0};
    size_t count = 0;
    unsigned seed = 12345;
    for (int step = 1; step <= 60000; step++) {
        unsigned i = (unsigned)rand_r(&seed) % N;
        char text[60];
        snprintf(text, sizeof text, "%u-%s", i, i % 3 ? "x" : "a name that takes more than one word");
        uint64_t hash = i % 5 == 0 ? 15 : (i % 7) * 1000; /* few places, and the last one */
        assert_int_equal(look(text, hash), model[i]);
        if (model[i] == 0) {
            assert_true(add(text, hash, (uint64_t)step));
            model[i] = (uint64_t)step;
            count++;
        }
        else if (step % 3 == 0) {
            stoa_name_key key = key_of(text, hash);
            stoa_held_value held = value_of((uint64_t)step);
            stoa__lock(&now->lock);
            stoa__name_table_set(now, &key, &held);
            stoa__unlock(&now->lock);
            model[i] = (uint64_t)step;
        }
        else {
            take_out(text, hash);
            model[i] = 0;
            count--;
        }
        assert_int_equal(now->count, count);
    }
}

static void
names_of_all_lengths(void **state)
{
    (void)state;
    now = &tables[1];
    stoa__name_table_init(now);
    static char text[STOA_NAME_MAX + 1];
    for (size_t size = 1; size <= STOA_NAME_MAX; size += size < 300 ? 1 : 331) {
        memset(text, 'a', size);
        text[size] = 0;
        assert_true(add(text, size, size));
        assert_int_equal(look(text, size), size);
        text[size - 1] = 'b'; /* the last byte counts */
        assert_int_equal(look(text, size), 0);
    }
    memset(text, 'c', STOA_NAME_MAX);
    assert_true(add(text, 1, 1));
    assert_int_equal(look(text, 1), 1);
    stoa_name_key zero = {"a\0b", 3, 9}, shorter = {"a\0", 2, 9};
    stoa_held_value held = value_of(5);
    stoa__lock(&now->lock);
    assert_true(stoa__name_table_add(now, &zero, &held));
    stoa__unlock(&now->lock);
    assert_true(stoa__name_table_find(now, &zero, &held));
    assert_false(stoa__name_table_find(now, &shorter, &held));
}

static bool
sum_up(const char *text, size_t size, const stoa_value *value, void *arg)
{
    assert_int_equal(size, 1);
    assert_int_equal(text[0], 'a' + (char)value->handle);
    *(uint64_t *)arg += value->handle;
    return value->handle != 3;
}

static void
each_visits_until_told_to_stop(void **state)
{
    (void)state;
    now = &tables[2];
    stoa__name_table_init(now);
    uint64_t sum = 0;
    assert_true(stoa__name_table_each(now, sum_up, &sum));
    assert_true(add("b", 1, 1));
    assert_true(add("c", 2, 2));
    assert_true(stoa__name_table_each(now, sum_up, &sum));
    assert_int_equal(sum, 3);
    assert_true(add("d", 3, 3));
    assert_false(stoa__name_table_each(now, sum_up, &sum));
}

/* Writers put names in and take them out, all in few places, so that entries move and are reused; two names are always
 * there, and one that comes and goes has one of two values. Readers without the lock never see anything else. */
static _Atomic int stop;

static void *
churn(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    while (!atomic_load(&stop)) {
        char text[40];
        snprintf(text, sizeof text, "%u-%u", (unsigned)(uintptr_t)arg, (unsigned)rand_r(&seed) % 40);
        uint64_t hash = 0; /* all collide */
        stoa_name_key key = key_of(text, hash);
        stoa_held_value held = value_of(77);
        stoa__lock(&now->lock);
        if (stoa__name_table_find_locked(now, &key, &held)) {
            stoa__name_table_remove(now, &key);
        }
        else {
            stoa__name_table_add(now, &key, &held);
        }
        stoa_name_key going = key_of("going", 0);
        if (stoa__name_table_find_locked(now, &going, &held)) {
            held = value_of(held.value.handle == 1000001 ? 1000002 : 1000001);
            stoa__name_table_set(now, &going, &held);
            if (rand_r(&seed) % 2) {
                stoa__name_table_remove(now, &going);
            }
        }
        else {
            held = value_of(1000001);
            stoa__name_table_add(now, &going, &held);
        }
        stoa__unlock(&now->lock);
    }
    return NULL;
}

static void
readers_see_whole_values_while_writers_write(void **state)
{
    (void)state;
    now = &tables[3];
    stoa__name_table_init(now);
    assert_true(add("always", 0, 42));
    assert_true(add("always, too, with a longer name", 0, 43));
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    }
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(look("always", 0), 42);
        assert_int_equal(look("always, too, with a longer name", 0), 43);
        uint64_t seen = look("going", 0);
        assert_true(seen == 0 || seen == 1000001 || seen == 1000002);
        assert_int_equal(look("never", 0), 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_a_plain_list_does),
        cmocka_unit_test(names_of_all_lengths),
        cmocka_unit_test(each_visits_until_told_to_stop),
        cmocka_unit_test(readers_see_whole_values_while_writers_write),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
