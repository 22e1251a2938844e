/* The type stoa.Proxy, put together from the slots of several files. Private to the files of proxy_*.c and side.c. */
#ifndef STOA_PROXY_PROXY_TYPE_H
#define STOA_PROXY_PROXY_TYPE_H

#include <Python.h>

/* New references; one of each an interpreter. NULL with an exception. GIL. */
PyTypeObject *stoa__proxy_type_new(void);
PyTypeObject *stoa__proxy_iterator_type_new(void);

/* p(*args, **kwargs) */
PyObject *stoa__proxy_vectorcall(PyObject *self, PyObject *const *args, size_t count, PyObject *names);

/* Each ends with {0, NULL}. */
extern const PyType_Slot stoa__proxy_number_slots[];
extern const PyType_Slot stoa__proxy_container_slots[];
extern const PyType_Slot stoa__proxy_special_slots[];
extern const PyType_Slot stoa__proxy_async_slots[];

#endif
