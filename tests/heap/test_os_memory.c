#include "heap_testing.h"

#include "heap/os_memory.h"

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define OWN_MALLOC 0 /* another malloc is at work */
#else
#define OWN_MALLOC 1
#endif

static bool
is_in(const stoa_pieces *pieces, uintptr_t address)
{
    for (size_t i = 0; i < pieces->count; i++) {
        if (address >= pieces->at[i].start && address < pieces->at[i].end) {
            return true;
        }
    }
    return false;
}

static void
pieces_are_sorted_and_joined(void **state)
{
    (void)state;
    stoa_pieces pieces = {NULL, 0, 0, false};
    for (uintptr_t i = 5000; i > 0; i--) {
        stoa__pieces_add(&pieces, i * 100, i * 100 + (i % 2 == 0 ? 100 : 50));
    }
    stoa__pieces_add(&pieces, 7, 7); /* nothing */
    assert_int_equal(pieces.count, 5000);
    stoa__pieces_sort(&pieces);
    assert_int_equal(pieces.count, 2501); /* each even one touches the odd one after it */
    for (size_t i = 1; i < pieces.count; i++) {
        assert_true(pieces.at[i - 1].end < pieces.at[i].start);
    }
    stoa__pieces_free(&pieces);
    assert_null(pieces.at);
}

static void
touched_memory_is_found_and_can_be_copied(void **state)
{
    (void)state;
    size_t page = stoa__os_page_size();
    char *memory = stoa__os_alloc(16 * page, false);
    assert_non_null(memory);
    memset(memory + 3 * page, 'x', page);
    stoa_pieces pieces = {NULL, 0, 0, false};
    assert_int_equal(stoa__os_writable_memory(&pieces, 0, 0), STOA_OK);
    stoa__pieces_sort(&pieces);
    assert_true(is_in(&pieces, (uintptr_t)memory + 3 * page));
    assert_true(is_in(&pieces, (uintptr_t)memory + 4 * page - 8));
    assert_true(is_in(&pieces, (uintptr_t)&page));          /* a stack */
    assert_true(is_in(&pieces, (uintptr_t)&stoa__process)); /* a variable */
    char copy[64];
    assert_int_equal(stoa__os_copy(copy, memory + 3 * page, sizeof copy), sizeof copy);
    assert_memory_equal(copy, "xxxxxxxx", 8);
    assert_int_equal(mprotect(memory + 4 * page, page, PROT_NONE), 0);
    char many[128];
    assert_int_equal(stoa__os_copy(many, memory + 4 * page - 64, sizeof many), 64);
    assert_int_equal(stoa__os_copy(many, memory + 4 * page, sizeof many), 0);
    stoa__pieces_free(&pieces);
    uintptr_t start = (uintptr_t)memory, end = start + 3 * page;
    assert_int_equal(stoa__os_writable_memory(&pieces, start, end + 13 * page), STOA_OK);
    stoa__pieces_free(&pieces);
    stoa__os_free(memory, 16 * page);
}

#define BLOCKS 400

/* Of all sizes, so that each way of being free is met: in a thread's cache, in bins, joined, at the top. */
static void
check_blocks(void)
{
    char *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(24 + i * 40);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, 24 + i * 40);
    }
    for (size_t i = 0; i < BLOCKS; i += 2) {
        free(blocks[i]);
    }
    stoa_pieces pieces = {NULL, 0, 0, false};
    stoa__os_unused_malloc(&pieces, 0, 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        uintptr_t middle = (uintptr_t)blocks[i] + 16;
        CHECK(is_in(&pieces, middle) == (i % 2 == 0));
    }
    for (size_t i = 1; i < BLOCKS; i += 2) {
        free(blocks[i]);
    }
    stoa__pieces_free(&pieces);
}

static void *
check_in_thread(void *arg)
{
    (void)arg;
    check_blocks();
    return NULL;
}

static void
free_blocks_of_malloc_are_known(void **state)
{
    (void)state;
    if (!OWN_MALLOC) {
        skip();
    }
    check_blocks();
    for (int i = 0; i < 3; i++) { /* in arenas of their own */
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, check_in_thread, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    check_blocks();
}

static _Atomic uintptr_t deep, shallow;
static int pipe_ends[2];

static void *
sleep_in_the_kernel(void *arg)
{
    char here[32], below[64 << 10];
    (void)arg;
    memset(below, 1, sizeof below);
    __asm__ __volatile__("" : : "r"(below) : "memory");
    atomic_store(&shallow, (uintptr_t)here);
    CHECK(read(pipe_ends[0], here, 1) == 1);
    return NULL;
}

static void *
dive(void *arg)
{
    char below[256 << 10];
    (void)arg;
    memset(below, 1, sizeof below);
    __asm__ __volatile__("" : : "r"(below) : "memory");
    atomic_store(&deep, (uintptr_t)below);
    return NULL;
}

static void
unused_stacks_are_known(void **state)
{
    (void)state;
    pthread_t thread, gone;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_the_kernel, NULL), 0);
    while (atomic_load(&shallow) == 0) {
        usleep(1000);
    }
    stoa_pieces pieces = {NULL, 0, 0, false};
    char here[16];
    bool known = false;
    for (int i = 0; i < 2000 && !known; i++) { /* until it sleeps */
        pieces.count = 0;
        stoa__os_unused_stacks(&pieces, here);
        known = is_in(&pieces, atomic_load(&shallow) - (512 << 10));
        usleep(1000);
    }
    if (!known) { /* this system does not tell where a thread's stack pointer is */
        assert_int_equal(write(pipe_ends[1], "x", 1), 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        stoa__pieces_free(&pieces);
        skip();
    }
    assert_false(is_in(&pieces, atomic_load(&shallow)));
    assert_false(is_in(&pieces, (uintptr_t)here));
    assert_true(is_in(&pieces, (uintptr_t)here - (32 << 10)));
    assert_int_equal(pthread_create(&gone, NULL, dive, NULL), 0);
    assert_int_equal(pthread_join(gone, NULL), 0);
    pieces.count = 0;
    stoa__os_unused_stacks(&pieces, here);
#if defined(__x86_64__) && OWN_MALLOC
    assert_true(is_in(&pieces, atomic_load(&deep))); /* the C library keeps the stack */
#endif
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    stoa__pieces_free(&pieces);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_sorted_and_joined),
        cmocka_unit_test(touched_memory_is_found_and_can_be_copied),
        cmocka_unit_test(free_blocks_of_malloc_are_known),
        cmocka_unit_test(unused_stacks_are_known),
    };
    if (stoa__process_open() != STOA_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
