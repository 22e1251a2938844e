/* The heap layer's process without a Python, for cmocka groups: open, with owners of handles that are only records. */
#ifndef STOA_TESTS_PROCESS_H
#define STOA_TESTS_PROCESS_H

#include "heap/interp_table.h"
#include "heap/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Group set-up; the end of the program takes it down. */
static inline int
open_process(void **state)
{
    (void)state;
    return stoa__process_open() == STOA_OK ? 0 : -1;
}

/* A record as an interpreter has it, under an id of its own; end_owner ends it. */
static inline stoa_interp_record *
make_owner(const char *name)
{
    static int64_t next_id = 100;
    stoa_interp_record *record = NULL;
    assert_int_equal(stoa__interp_register(next_id++, 0, name, NULL, &record), STOA_OK);
    return record;
}

static inline void
end_owner(stoa_interp_record *record)
{
    stoa__interp_gone(record);
    stoa__interp_unref(record);
}

#endif
