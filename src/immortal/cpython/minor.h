/* The minor version of CPython that this is built for, as names: what is particular to it, for every layer to ask about.
 *
 * Nothing but constants, so that files which must not know any layout can include it; layouts are in cpython.h.
 */
#ifndef STOA_CPYTHON_MINOR_H
#define STOA_CPYTHON_MINOR_H

#include <Python.h>

#if PY_MAJOR_VERSION != 3
#error "Stoa supports CPython 3.12 to 3.15"
#elif PY_MINOR_VERSION == 12
#include "immortal/cpython/py312.h"
#elif PY_MINOR_VERSION == 13
#include "immortal/cpython/py313.h"
#elif PY_MINOR_VERSION == 14
#include "immortal/cpython/py314.h"
#elif PY_MINOR_VERSION == 15
#include "immortal/cpython/py315.h"
#else
#error "this minor version of CPython is not known to Stoa (3.12 to 3.15 are)"
#endif
/* Each pyXYZ.h defines
 *   STOA_REFCNT_WORD      the first 8 bytes of a shared object: a count that INCREF and DECREF of this and of other versions'
 *                         headers leave alone, and the flags beside it (hazards: section 3)
 *   STOA_TUPLE_HAS_HASH   1: a tuple caches its hash
 *   STOA_HAS_FROZENDICT   1: a mapping is a frozendict; 0: a mappingproxy over a dict
 *   STOA_NATIVE_DATES     1: the datetime types are process-wide
 *   STOA_SINGLE_MODULES   1: some modules of the standard library harm the process in a second interpreter (untried.h)
 *   STOA_LAST_SMALL_INT   the greatest int that the runtime has one object of (found at run time; for tests)
 *   STOA_INTERPS_ONE_AT_A_TIME  1: two threads must not make or end interpreters at once
 *   STOA_THREADING_KEEPS_FIRST  1: threading takes the thread that imports it first for the main one, and joins it at exit
 *   STOA_TUPLE_HASH(t)    the hash field as an lvalue (only where there is one)
 */

#endif
