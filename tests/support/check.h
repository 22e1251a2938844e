/* For what a thread of a test checks: cmocka's asserts jump, so it returns what went wrong, and who joins it asserts NULL. */
#ifndef STOA_TESTS_CHECK_H
#define STOA_TESTS_CHECK_H

#include "stoa/error.h"

#include <stdio.h>

#define CHECK(condition)                                                                               \
    do {                                                                                               \
        if (!(condition)) {                                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, stoa_error_message()); \
            return "failed";                                                                           \
        }                                                                                              \
    } while (0)

#endif
