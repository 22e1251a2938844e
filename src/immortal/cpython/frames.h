/* Which memory of an interpreter's threads holds no references any more, though addresses may have stayed behind in it.
 *
 * Python frames lie in chunks that a thread keeps: what is above the top, and in each frame what is above its stack pointer,
 * is left over from earlier calls. 3.12 and 3.13 do not write the stack pointer of a frame down while it runs C code; then
 * all of its stack may be in use, unless the caller knows better (`top`).
 */
#ifndef STOA_CPYTHON_FRAMES_H
#define STOA_CPYTHON_FRAMES_H

#include <Python.h>

#include <stdint.h>

/* Calls add for each such piece of the threads of `interp`, whose GIL is held. `top`: the end of the arguments that a C function
 * got from a frame of the calling thread, if they lie in that frame (vectorcall); NULL: not known. */
void stoa__frames_unused(PyInterpreterState *interp, const void *top,
                         void (*add)(uintptr_t start, uintptr_t end, void *arg), void *arg);

#endif
