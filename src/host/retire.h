/* Retiring a region: the whole of it, over heap/retire.h and heap/search.h. */
#ifndef STOA_HOST_RETIRE_H
#define STOA_HOST_RETIRE_H

#include "heap/lock.h"
#include "stoa/region.h"

/* As stoa_region_retire, by a C function that a Python frame has called, or by nobody's (both NULL). `stack`: the frame
 * address of that C function; `top`: the end of its arguments, if they lie in the frame. With or without a GIL held. */
stoa_err stoa__retire(stoa_region *region, stoa_deadline deadline, const void *stack, const void *top);

#endif
