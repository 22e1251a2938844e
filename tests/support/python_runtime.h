/* The runtime that a host opens, for cmocka groups that use the public headers. */
#ifndef STOA_TESTS_PYTHON_RUNTIME_H
#define STOA_TESTS_PYTHON_RUNTIME_H

/* Group set-up and tear-down: opens and closes it. No GIL is held in between. */
int stoa_test_runtime_setup(void **state);
/* The same, with the package on the path of the interpreters (PYTHONPATH, which hosts are isolated from). */
int stoa_test_package_setup(void **state);
int stoa_test_runtime_teardown(void **state);

#endif
