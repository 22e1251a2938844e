#include "heap_testing.h"

#include <signal.h>
#include <sys/resource.h>

static void
sizes_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } good[] = {{"0", 0},        {"4096", 4096},       {"64K", 64 << 10},
                {"3m", 3 << 20}, {"2 GiB", 2ul << 30}, {"1T", 1ul << 40},
                {"7B", 7},       {"5kib", 5 << 10},    {"18446744073709551615", SIZE_MAX}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t size = 99;
        assert_true(stoa__parse_size(good[i].text, &size));
        assert_int_equal(size, good[i].size);
    }
    static const char *const bad[] = {"",          "K",  "-1", "1.5G", "1X", "1KK", "18446744073709551616",
                                      "99999999T", " 1", "1G "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t size;
        assert_false(stoa__parse_size(bad[i], &size));
    }
}

static void
addresses_are_never_handed_out_twice(void **state)
{
    (void)state;
    stoa_space space;
    assert_int_equal(stoa__space_init(&space), STOA_OK);
    uintptr_t last = space.public_base;
    for (size_t i = 1; i < 50; i++) {
        size_t alignment = STOA_GRANULE << (i % 3);
        uintptr_t got = (uintptr_t)stoa__space_take(&space, i * 1000000, alignment);
        assert_true(got >= last);
        assert_int_equal(got % alignment, 0);
        last = got + i * 1000000;
    }
    assert_null(stoa__space_take(&space, 0, STOA_GRANULE));
    assert_null(stoa__space_take(&space, space.reserved, STOA_GRANULE));
    assert_true(stoa__space_check(&space));
    stoa__space_end(&space);
}

static void
granules_know_their_chunk(void **state)
{
    (void)state;
    stoa_space space;
    assert_int_equal(stoa__space_init(&space), STOA_OK);
    char *chunk = stoa__space_take(&space, 3 * STOA_GRANULE, STOA_GRANULE);
    stoa__space_enter_chunk(&space, chunk, 3 * STOA_GRANULE, 9);
    assert_true(stoa__space_check(&space));
    for (size_t i = 0; i < 3; i++) {
        const char *inside = chunk + i * STOA_GRANULE + 17;
        assert_int_equal(stoa__granule(&space, inside)->region, 9);
        assert_ptr_equal(stoa__granule_first(&space, inside), stoa__granule(&space, chunk));
    }
    assert_int_equal(stoa__granule(&space, chunk + 3 * STOA_GRANULE)->region, 0);
    stoa__granule(&space, chunk + STOA_GRANULE)->chunk_back = 0; /* the check sees what is wrong */
    assert_false(stoa__space_check(&space));
    stoa__granule(&space, chunk + STOA_GRANULE)->chunk_back = 1;
    stoa__granule(&space, chunk)->sealed = 4 * STOA_GRANULE;
    assert_false(stoa__space_check(&space));
    stoa__granule(&space, chunk)->sealed = 0;
    stoa__space_remove_chunk(&space, chunk);
    assert_int_equal(stoa__granule(&space, chunk)->region, 0);
    assert_true(stoa__space_check(&space));
    stoa__space_end(&space);
}

static void
write_to_public_view(void)
{
    CHECK(stoa__process_open() == STOA_OK);
    volatile uint64_t *object = (volatile uint64_t *)toy_freeze(NULL, 1, 64);
    signal(SIGSEGV, SIG_DFL);
    *object = 5;
}

static void
public_view_cannot_be_written(void **state)
{
    (void)state;
    assert_int_equal(in_child(write_to_public_view), 1000 + SIGSEGV);
}

static void
open_with_little_address_space(void)
{
    struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    setrlimit(RLIMIT_AS, &limit);
    CHECK(stoa__process_open() == STOA_OK);
    CHECK(stoa__reserved >= STOA_SPACE_LEAST && stoa__reserved <= (size_t)1 << 28);
    void *rest = malloc((size_t)256 << 20); /* the program can still live */
    CHECK(rest != NULL);
    CHECK(toy_freeze(NULL, 1, 64) != NULL);
    stoa_batch batch; /* and when the range is used up: a message */
    CHECK(stoa__batch_begin(&batch, NULL, 0) == STOA_OK);
    while (stoa__batch_alloc(&batch, 8 * MIB) != NULL) {
    }
    CHECK(batch.err == STOA_ENOMEM && strstr(stoa_error_message(), "STOA_HEAP_RESERVE") != NULL);
    size_t got = stoa__batch_bytes(&batch);
    CHECK(got >= stoa__reserved / 2);
    stoa__batch_abort(&batch);
    CHECK(stats_of(stoa__region_default()).used_bytes == 64);
    check_heap();
}

static void
little_address_space_is_enough(void **state)
{
    (void)state;
    const char *sanitizer = getenv("STOA_SANITIZE");
    if (sanitizer != NULL && *sanitizer != '\0') {
        skip(); /* they need terabytes themselves */
    }
    assert_int_equal(in_child(open_with_little_address_space), 0);
}

static void
open_with_small_files(void)
{
    struct rlimit limit = {64 << 20, 64 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK(stoa__process_open() == STOA_OK); /* and no SIGXFSZ */
    CHECK(stoa__reserved <= 64 << 20);
    CHECK(toy_freeze(NULL, 1, 64) != NULL);
}

static void
file_size_limit_is_kept(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_with_small_files), 0);
}

static void
open_with_reserve(void)
{
    setenv("STOA_HEAP_RESERVE", "a lot", 1);
    CHECK(stoa__process_open() == STOA_EINVAL);
    CHECK(strstr(stoa_error_message(), "STOA_HEAP_RESERVE=\"a lot\"") != NULL);
    setenv("STOA_HEAP_RESERVE", "1M", 1);
    CHECK(stoa__process_open() == STOA_ENOMEM);
    setenv("STOA_HEAP_RESERVE", "128M", 1);
    CHECK(stoa__process_open() == STOA_OK); /* a failure can be mended */
    CHECK(stoa__reserved == 128 << 20);
    setenv("STOA_HEAP_RESERVE", "256M", 1);
    CHECK(stoa__process_open() == STOA_OK);
    CHECK(stoa__reserved == 128 << 20);
}

static void
reserve_is_taken_from_the_environment(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_with_reserve), 0);
}

static void
open_with_limit(void)
{
    setenv("STOA_HEAP_LIMIT", "5M", 1);
    CHECK(stoa__process_open() == STOA_OK);
    stoa_batch batch;
    CHECK(stoa__batch_begin(&batch, NULL, 0) == STOA_OK);
    for (int i = 0; i < 5; i++) {
        CHECK(stoa__batch_alloc(&batch, MIB) != NULL);
    }
    CHECK(stoa__batch_alloc(&batch, MIB) == NULL);
    CHECK(batch.err == STOA_ENOMEM && strstr(stoa_error_message(), "STOA_HEAP_LIMIT") != NULL);
    stoa__batch_abort(&batch);
    CHECK(atomic_load(&stoa__process->space.chunk_bytes) == 0);
    /* what was given back can be taken again */
    CHECK(stoa__batch_begin(&batch, NULL, 0) == STOA_OK);
    CHECK(stoa__batch_alloc(&batch, 5 * MIB) != NULL);
    stoa__batch_commit(&batch);
    CHECK(toy_freeze(NULL, 1, 64) == NULL);
    check_heap();
}

static void
heap_limit_is_exact(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_with_limit), 0);
}

static size_t
resident_kib(void)
{
    size_t kib = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "RssShmem: %zu", &kib) == 1) {
            break;
        }
    }
    fclose(status);
    return kib;
}

static void
fill_and_count_resident(void)
{
    CHECK(stoa__process_open() == STOA_OK);
    CHECK(toy_freeze(NULL, 1, 64) != NULL);
    CHECK(resident_kib() <= 512); /* one string does not cost huge pages */
    stoa_batch batch;
    CHECK(stoa__batch_begin(&batch, NULL, 0) == STOA_OK);
    const char *objects[600];
    for (int i = 0; i < 600; i++) {
        objects[i] = stoa__batch_alloc(&batch, 100000);
        CHECK(objects[i] != NULL);
        memset(stoa__rw(objects[i]), i, 100000);
    }
    stoa__batch_commit(&batch);
    size_t sum = 0;
    for (int i = 0; i < 600; i++) {
        for (size_t k = 0; k < 100000; k += 1000) {
            sum += (unsigned char)objects[i][k];
        }
    }
    CHECK(sum != 0);
    size_t kib = resident_kib();
    CHECK(kib >= 55000 && kib < 90000); /* 60 MB, once: without dropping the alias it would be 120 */
}

static void
resident_size_counts_pages_once(void **state)
{
    (void)state;
    assert_int_equal(in_child(fill_and_count_resident), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read_as_people_write_them),
        cmocka_unit_test(addresses_are_never_handed_out_twice),
        cmocka_unit_test(granules_know_their_chunk),
        cmocka_unit_test(public_view_cannot_be_written),
        cmocka_unit_test(little_address_space_is_enough),
        cmocka_unit_test(file_size_limit_is_kept),
        cmocka_unit_test(reserve_is_taken_from_the_environment),
        cmocka_unit_test(heap_limit_is_exact),
        cmocka_unit_test(resident_size_counts_pages_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
