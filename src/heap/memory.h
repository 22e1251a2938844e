/* Ordinary memory for what hangs off stoa_process.
 *
 * Copies of the library in several dlmopen namespaces have a malloc each, and what one made another may have to free.
 * So such memory always comes from the C library of whoever made the process struct. What stays within one call or one
 * thread uses plain malloc.
 */
#ifndef STOA_HEAP_MEMORY_H
#define STOA_HEAP_MEMORY_H

#include <stddef.h>

typedef struct stoa_memory { /* const after stoa__memory_init */
    void *(*calloc)(size_t count, size_t size);
    void (*free)(void *block);
} stoa_memory;

/* By the maker of the process struct, once. */
void stoa__memory_init(stoa_memory *memory);

/* `size` zeroed bytes, or NULL (no message). Any thread. Given back by stoa__free. */
void *stoa__alloc(size_t size);
void stoa__free(void *block); /* NULL: nothing */

#endif
