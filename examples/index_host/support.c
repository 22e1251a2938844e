#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void
die(const char *what)
{
    fprintf(stderr, "index_host: %s: %s\n", what,
            *stoa_error_message() ? stoa_error_message() : strerror(errno));
    exit(1);
}

void
check(stoa_err err, const char *what)
{
    if (err != STOA_OK) {
        die(what);
    }
}

void
check_call(stoa_err err, const char *what, stoa_exception **exception)
{
    if (err == STOA_EPYTHON) {
        fprintf(stderr, "index_host: %s\n%s", what, stoa_exception_traceback(*exception));
        exit(1);
    }
    check(err, what);
}

void *
grow(void *array, size_t *room, size_t item)
{
    *room = *room ? 2 * *room : 4;
    void *bigger = realloc(array, *room * item);
    if (bigger == NULL) {
        die("memory");
    }
    return bigger;
}

double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void
numbers_add(numbers *all, size_t number)
{
    if (all->count == all->room) {
        all->items = grow(all->items, &all->room, sizeof(uint32_t));
    }
    all->items[all->count++] = (uint32_t)number;
}
