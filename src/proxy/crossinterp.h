/* What of ours passes through the standard library's queues and calls between interpreters: shared objects by pointer; proxies,
 * things and interpreters by handle, as a parcel (immortal/cpython/xidata.h says how). */
#ifndef STOA_PROXY_CROSSINTERP_H
#define STOA_PROXY_CROSSINTERP_H

#include <Python.h>

/* Makes builtin types ready, and the proxies of this interpreter. Once an interpreter. GIL. -1 with an exception. */
int stoa__crossinterp_ready(void);
/* A class of this interpreter whose instances a parcel carries whole. The same. */
int stoa__crossinterp_class(PyTypeObject *type);

#endif
