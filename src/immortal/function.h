/* Functions: by import path where one is found there, else by value. */
#ifndef STOA_IMMORTAL_FUNCTION_H
#define STOA_IMMORTAL_FUNCTION_H

#include "immortal/foreign.h"

/* As stoa__take_apart. May run Python code. */
PyObject *stoa__function_apart(PyObject *function);

#endif
