/* What a signal handler can know about the instruction that it interrupted. One place for the processors. */
#ifndef STOA_HEAP_FAULT_H
#define STOA_HEAP_FAULT_H

#include "stoa/base.h"

/* `context` is the handler's third argument. All async-signal-safe. */
bool stoa__fault_is_write(const void *context); /* where the processor does not tell: true */
uintptr_t stoa__fault_pc(const void *context);  /* the instruction; 0: not known */
uintptr_t stoa__fault_sp(const void *context);  /* its stack pointer; 0: not known */

#endif
