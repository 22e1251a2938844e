/* The functions on objects: freeze, share, thaw, is_shared. */
#ifndef STOA_MODULE_OBJECTS_H
#define STOA_MODULE_OBJECTS_H

#include <Python.h>

/* Adds them to the module. 0, or -1 with an exception. */
int stoa__module_add_objects(PyObject *module);

#endif
