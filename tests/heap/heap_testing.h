/* What the tests of the heap's memory share: a toy kind of object, children, and a check of all invariants. */
#ifndef STOA_TESTS_HEAP_TESTING_H
#define STOA_TESTS_HEAP_TESTING_H

#include "heap/error.h"
#include "heap/intern_table.h"
#include "heap/os.h"
#include "heap/process_struct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/process.h"

#define MIB ((size_t)1 << 20)

#if defined(__SANITIZE_THREAD__)
/* Its deadlock detector follows 64 held locks, and jemalloc's own handler for fork holds more; lock.c checks the ranks of
 * ours. A child of a process with threads is what we are here to test. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *
__tsan_default_options(void)
{
    return "detect_deadlocks=0:die_after_fork=0";
}
#endif

/* In threads and children, where cmocka's assertions must not be used. */
#define CHECK(condition)                                                                                \
    do {                                                                                                \
        if (!(condition)) {                                                                             \
            fprintf(stderr, "%s:%d: not true: %s (last message: %s)\n", __FILE__, __LINE__, #condition, \
                    stoa_error_message());                                                              \
            fflush(stderr);                                                                             \
            _exit(1);                                                                                   \
        }                                                                                               \
    } while (0)

/* The toy object: a number, as often as it fits. */
typedef struct toy {
    uint64_t size;
    uint64_t values[];
} toy;

#define TOY_TAG 77

static inline stoa_key
toy_key(uint64_t value)
{
    return stoa__key(TOY_TAG, &value, sizeof value);
}

static inline bool
toy_same(const void *candidate, const void *wanted)
{
    return ((const toy *)candidate)->values[0] == *(const uint64_t *)wanted;
}

static inline bool
toy_is_whole(const toy *object, uint64_t value)
{
    for (size_t i = 0; i < object->size / 8 - 1; i++) {
        if (object->values[i] != value) {
            return false;
        }
    }
    return true;
}

/* Lays one down (no look-up), and enters it where the batch interns. NULL: as stoa__batch_alloc. */
static inline const toy *
toy_new(stoa_batch *batch, uint64_t value, size_t size)
{
    toy *object = stoa__batch_alloc(batch, size);
    if (object == NULL) {
        return NULL;
    }
    toy *writable = stoa__rw(object);
    for (size_t i = 0; i < size / 8 - 1; i++) {
        CHECK(object->values[i] == 0); /* zeroed, and never two objects in one place */
        writable->values[i] = value;
    }
    writable->size = size;
    stoa__intern_add(batch, toy_key(value), object);
    return object;
}

static inline const toy *
toy_find(stoa_batch *batch, uint64_t value)
{
    return stoa__intern_find(batch, toy_key(value), toy_same, &value);
}

/* One toy in a batch of its own. */
static inline const toy *
toy_freeze(stoa_region *region, uint64_t value, size_t size)
{
    stoa_batch batch;
    CHECK(stoa__batch_begin(&batch, region, STOA_BATCH_INTERN) == STOA_OK);
    const toy *object = toy_find(&batch, value);
    if (object == NULL) {
        object = toy_new(&batch, value, size);
    }
    if (object == NULL) {
        stoa__batch_abort(&batch);
        return NULL;
    }
    stoa__batch_commit(&batch);
    return object;
}

static inline stoa_region_stats
stats_of(const stoa_region *region)
{
    stoa_region_stats stats;
    stoa__region_get_stats(region, &stats);
    return stats;
}

static inline void
check_region(stoa_region *region, void *arg)
{
    (void)arg;
    CHECK(stoa__chunk_check_list(region));
    CHECK(stoa__intern_check(region));
}

/* Every invariant of the heap. Nobody else may be working in it. */
static inline void
check_heap(void)
{
    CHECK(stoa__space_check(&stoa__process->space));
    CHECK(stoa__epoch_check());
    stoa__region_each(check_region, NULL);
}

/* Runs `body` in a forked child. Its exit code (0: all CHECKs held), or 1000 + the signal that ended it. */
static inline int
in_child(void (*body)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return -1;
    }
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

#endif
