#include "support/python_runtime.h"

#include "stoa.h"

int
stoa_test_runtime_setup(void **state)
{
    (void)state;
    return stoa_runtime_open(NULL) == STOA_OK ? 0 : -1;
}

int
stoa_test_package_setup(void **state)
{
    (void)state;
    stoa_runtime_options options;
    stoa_runtime_options_init(&options);
    options.isolated = false;
    return stoa_runtime_open(&options) == STOA_OK ? 0 : -1;
}

int
stoa_test_runtime_teardown(void **state)
{
    (void)state;
    return stoa_runtime_close() == STOA_OK ? 0 : -1;
}
