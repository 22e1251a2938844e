/* The other half of pickling a proxy. */
#ifndef STOA_PROXY_PROXY_SPECIAL_H
#define STOA_PROXY_PROXY_SPECIAL_H

#include <Python.h>

/* _unpickle_proxy(process, place, handle): new reference, NULL with ValueError or ReleasedProxy. GIL. */
PyObject *stoa__proxy_unpickle(PyObject *module, PyObject *args);

#endif
