/* _stoa_testing: what the Python tests need from C. Built with the tests, never installed.
 *   testing_module.c     the module
 *   testing_recorder.c   the write recorder (support/recorder.h) for Python
 *   testing_capi.c       calls of CPython's C API that Python code cannot make, for the hazards battery
 */
#ifndef STOA_TESTS_TESTING_H
#define STOA_TESTS_TESTING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyMethodDef testing_recorder_methods[];
extern PyMethodDef testing_capi_methods[];

#endif
