/* What a search through the process's own memory asks of the operating system and of the C library (os_memory_linux.c,
 * os_malloc_glibc.c). Answers are of some moment: other threads go on.
 */
#ifndef STOA_HEAP_OS_MEMORY_H
#define STOA_HEAP_OS_MEMORY_H

#include "heap/search.h"

typedef struct stoa_mapping {
    uintptr_t start, end;
    bool readable, writable;
    bool is_stack, is_heap; /* the main thread's; what brk() has made */
} stoa_mapping;

/* Calls visit for each mapping of this process, by ascending address. Uses no malloc. STOA_EOS. */
stoa_err stoa__os_each_mapping(void (*visit)(const stoa_mapping *here, void *arg), void *arg);

/* Adds all memory of the process that can be written to and was touched (as far as the system tells), but for mappings inside
 * [but_from, but_to). STOA_EOS. */
stoa_err stoa__os_writable_memory(stoa_pieces *out, uintptr_t but_from, uintptr_t but_to);
/* Adds what lies in stacks beyond their threads' stack pointers, and the stacks of threads that are gone. `own`: the calling
 * thread's stack in use starts there. What cannot be told is left out. */
void stoa__os_unused_stacks(stoa_pieces *out, const void *own);
/* Copies memory of this process; returns how many bytes, from the start, could be read. */
size_t stoa__os_copy(void *to, const void *from, size_t size);

/* Bytes of memory that the process has now. */
size_t stoa__os_resident(void);

/* Adds what malloc has given out to nobody; looks at nothing in [but_from, but_to). Where this C library's malloc is
 * not at work, or not laid out as we know it: nothing. */
void stoa__os_unused_malloc(stoa_pieces *out, uintptr_t but_from, uintptr_t but_to);
/* Did a checking malloc (a sanitizer's) mark this as freed? */
bool stoa__os_is_poisoned(const void *address);

#endif
