/* How the C API gets into an interpreter: from any thread, with or without a thread state, for one piece of work. */
#ifndef STOA_HOST_INSIDE_H
#define STOA_HOST_INSIDE_H

#include <Python.h>

#include "heap/interp_table.h"

typedef struct stoa_inside_work {
    stoa_interp_record *record; /* a reference is held by the caller */
    double timeout;             /* seconds; negative: for ever */
    stoa_err (*run)(void *arg); /* inside, its GIL held; leaves no exception set */
    void *arg;
} stoa_inside_work;

/* What `run` returns; or STOA_EGONE, STOA_ESTATE, STOA_ENOMEM as stoa_interp_enter, STOA_EINVAL: the timeout is NaN. */
stoa_err stoa__inside(const stoa_inside_work *work);

#endif
