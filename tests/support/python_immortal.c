#include "support/python_immortal.h"

#include "support/python_embed.h"

#include "heap/process.h"
#include "immortal/canonical.h"

int
stoa_test_immortal_setup(void **state)
{
    if (stoa_test_python_setup(state) != 0 || stoa__process_open() != STOA_OK || stoa__canonical_init() != 0) {
        PyErr_Print();
        return -1;
    }
    return 0;
}
