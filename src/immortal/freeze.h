/* Freezing and thawing Python objects.
 *
 * One iterative walk (no C recursion: a million levels work) with two explicit stacks: frames (container being read, how
 * far) and values (frozen children waiting for their container). Aliasing: a memo from source address to frozen object,
 * only for sources that can be met twice (reference count > 1; a cycle needs such a node too). A node entered and not
 * finished that is met again is a cycle: the path is read off the frames. The walk runs no Python code while it stands in
 * a native container, so under its GIL nothing changes under its feet; what is registered to run code (foreign kinds,
 * later) is checked for change afterwards.
 */
#ifndef STOA_IMMORTAL_FREEZE_H
#define STOA_IMMORTAL_FREEZE_H

#include <Python.h>

#include "heap/region.h"

#define STOA_FREEZE_INTERN 1u /* hash-consing (the default in Python) */
#define STOA_FREEZE_CONVERT \
    2u /* list, set, dict, bytearray become their frozen twins; without it they are refused */

/* New reference (immortal: counting it is harmless). NULL with NotFreezable, MemoryError, RecursionError never. GIL. */
PyObject *stoa__freeze(PyObject *object, stoa_region *region, unsigned flags);
PyObject *stoa__thaw(PyObject *object);

#endif
