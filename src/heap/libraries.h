/* Which versions of other people's code are in the library: for people who ask (`python -m stoa info`). Any thread. */
#ifndef STOA_HEAP_LIBRARIES_H
#define STOA_HEAP_LIBRARIES_H

#include <stddef.h>

/* Each writes text like "5.3.0" into buffer, NUL-terminated, cut where it does not fit. */
void stoa__jemalloc_version(char *buffer, size_t size);
void stoa__xxhash_version(char *buffer, size_t size);

#endif
