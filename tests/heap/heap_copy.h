/* What a second copy of the heap layer, loaded as another library of the process would be, offers to test_process.c. */
#ifndef STOA_TESTS_HEAP_COPY_H
#define STOA_TESTS_HEAP_COPY_H

#include "stoa/error.h"

typedef struct heap_copy {
    stoa_err (*open)(void);
    const char *(*message)(void);
    const void *(*process)(void);
    /* one toy of the default region, found or made; NULL: failed */
    const void *(*freeze)(uint64_t value, size_t size);
    stoa_err (*publish)(const char *name, const void *object);
    const void *(*look_up)(const char *name);
    void (*check)(void); /* all invariants */
} heap_copy;

typedef const heap_copy *(*heap_copy_fn)(void);

#endif
