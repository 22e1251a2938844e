/* What is to be called: from a function here to the same function there. */
#ifndef STOA_HOST_TARGET_H
#define STOA_HOST_TARGET_H

#include "proxy/parcel.h"

/* Under the caller's GIL: a description of `function`. -1 with TypeError, ValueError or NotFreezable. */
int stoa__target_pack(PyObject *function, unsigned flags, stoa_parcel *out);
/* Under the callee's GIL: the function, new reference. NULL with ImportError, AttributeError, … */
PyObject *stoa__target_unpack(const stoa_parcel *parcel);
/* "module:qualname", as in the description: new reference, NULL with an exception. GIL. */
PyObject *stoa__target_find(PyObject *module_name, PyObject *qualname);

#endif
