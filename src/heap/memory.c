#include "heap/memory.h"

#include "heap/process_struct.h"

#include <stdlib.h>

void
stoa__memory_init(stoa_memory *memory)
{
    memory->calloc = calloc;
    memory->free = free;
}

void *
stoa__alloc(size_t size)
{
    return stoa__process->memory.calloc(1, size);
}

void
stoa__free(void *block)
{
    stoa__process->memory.free(block);
}
