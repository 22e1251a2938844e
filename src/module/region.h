/* The Python type `Region`. One heap type an interpreter; instances hold a reference to the heap's region. */
#ifndef STOA_MODULE_REGION_H
#define STOA_MODULE_REGION_H

#include <Python.h>

#include "stoa/region.h"

/* Makes the type and adds it to the module. 0, or -1 with an exception. */
int stoa__module_add_region(PyObject *module);

/* What a region holds, as a dict: new reference. */
PyObject *stoa__region_figures(const stoa_region_info *info);

/* What a `region=` argument means: None (or NULL) is the default region, *out NULL. Else *out is a reference of the caller's:
 * whatever code runs before the region is used, another thread may retire it. -1: TypeError; *out is as it was. */
int stoa__region_argument(PyObject *argument, stoa_region **out);

/* One optional flag argument: *out keeps its value when `argument` is NULL. -1: what its __bool__ raised. */
int stoa__flag_argument(PyObject *argument, bool *out);

#endif
