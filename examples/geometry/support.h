/* What a host program does with a failure: it says what failed and ends. */
#ifndef GEOMETRY_SUPPORT_H
#define GEOMETRY_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>

#include "stoa.h"

static inline void
check(stoa_err err, const char *what)
{
    if (err != STOA_OK) {
        fprintf(stderr, "geometry: %s: %s\n", what, stoa_error_message());
        exit(1);
    }
}

static inline void
check_call(stoa_err err, const char *what, stoa_exception **exception)
{
    if (err == STOA_EPYTHON && *exception != NULL) {
        fprintf(stderr, "geometry: %s: %s\n", what, stoa_exception_traceback(*exception));
        exit(1);
    }
    check(err, what);
}

static inline void
bad_file(const char *path, const char *why)
{
    fprintf(stderr, "geometry: %s: %s\n", path, why);
    exit(1);
}

#endif
