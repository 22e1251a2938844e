#include "support/python_immortal.h"

#include "support/python_embed.h"

#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/freeze.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

int
stoa_test_immortal_setup(void **state)
{
    if (stoa_test_python_setup(state) != 0 || stoa__process_open() != STOA_OK || stoa__canonical_init() != 0) {
        PyErr_Print();
        return -1;
    }
    return 0;
}

const struct stoa_object *
stoa_test_frozen(const char *expression)
{
    PyObject *source = stoa_test_eval(expression);
    stoa_shared *twin = stoa__freeze_to_heap(source, NULL, STOA_FREEZE_CONVERT | STOA_FREEZE_INTERN);
    assert_non_null(twin);
    Py_DECREF(source);
    return (const struct stoa_object *)twin;
}
