/* What names stand for, for the C API: shared objects and handles. */
#ifndef STOA_HOST_PUBLIC_NAMES_H
#define STOA_HOST_PUBLIC_NAMES_H

#include "heap/names.h"

/* As stoa_lookup, whatever the name stands for; a handle comes with a reference for the caller. */
stoa_err stoa__public_lookup(const char *name, double timeout, stoa_value *out);

#endif
