/* Freezing and thawing Python objects.
 *
 * One iterative walk (no C recursion: a million levels work) with two explicit stacks: frames (container being read, how
 * far) and values (frozen children waiting for their container). Aliasing: a memo from source address to frozen object,
 * only for sources that can be met twice (reference count > 1; a cycle needs such a node too). A node entered and not
 * finished that is met again is a cycle: the path is read off the frames. The walk runs no Python code, so under
 * its GIL nothing changes under its feet; what needs code is taken apart between two attempts (immortal/apart.h).
 */
#ifndef STOA_IMMORTAL_FREEZE_H
#define STOA_IMMORTAL_FREEZE_H

#include <Python.h>

#include "heap/region.h"
#include "immortal/foreign.h"

#define STOA_FREEZE_INTERN 1u /* hash-consing (the default in Python) */
#define STOA_FREEZE_CONVERT \
    2u /* list, set, dict, bytearray become their frozen twins; without it they are refused */

/* The frozen twin as this interpreter sees it: new reference. NULL with NotFreezable, MemoryError, RecursionError never, or
 * what code that takes objects apart could not be stopped from raising (KeyboardInterrupt …). GIL; may run Python code. */
PyObject *stoa__freeze(PyObject *object, stoa_region *region, unsigned flags);
/* The same as an object of the heap, which may be a node (immortal/foreign.h): what is stored, and sent to others. */
stoa_shared *stoa__freeze_to_heap(PyObject *object, stoa_region *region, unsigned flags);
PyObject *stoa__thaw(PyObject *object);

#endif
