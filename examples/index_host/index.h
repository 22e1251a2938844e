/* Building the index: each thread makes a part of it, the parts become one by pointer. */
#ifndef INDEX_HOST_INDEX_H
#define INDEX_HOST_INDEX_H

#include "files.h"

#include <stoa.h>

#define MAX_THREADS 256

/* The index of the files, built by `threads` threads that hold no GIL and enter no interpreter. Prints its progress. */
const stoa_object *build_index(const file_list *files, size_t threads, const char *root);

#endif
