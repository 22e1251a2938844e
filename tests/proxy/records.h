/* For the tests in this folder: an embedded Python whose interpreters have records, and further interpreters. */
#ifndef STOA_TESTS_PROXY_RECORDS_H
#define STOA_TESTS_PROXY_RECORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/interp.h"
#include "proxy/thread_state.h"
#include "support/python_embed.h"

/* Group set-up (tear-down: stoa_test_python_teardown). */
static inline int
stoa_test_records_setup(void **state)
{
    if (stoa_test_python_setup(state) != 0) {
        return -1;
    }
    stoa__host_ready();
    return stoa__current_record() == NULL ? -1 : 0;
}

static inline stoa_interp_record *
make(void)
{
    stoa_interp_record *record;
    assert_int_equal(stoa__interp_make(NULL, false, NULL, &record), STOA_OK);
    return record;
}

static inline void
end(stoa_interp_record *record)
{
    assert_int_equal(stoa__interp_close(record, STOA_FOREVER), STOA_OK);
    stoa__interp_unref(record);
}

#endif
