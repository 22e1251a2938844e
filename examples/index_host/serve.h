/* Serving: one interpreter a thread, all on the one index. */
#ifndef INDEX_HOST_SERVE_H
#define INDEX_HOST_SERVE_H

#include <stddef.h>

/* Opens `count` interpreters, each on a thread of its own; each answers `queries` queries from the index published as
 * "example.index". Prints what they say. 0 when all gave the same answers. */
int serve_index(size_t count, size_t queries);

#endif
