/* Where slot i of a table lies whose slots never move: segment 0 has the first 2^first slots, each further one as many as
 * all before it, so a table of pointers as short as this reaches every 32-bit index. */
#ifndef STOA_HEAP_SEGMENT_H
#define STOA_HEAP_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

static inline unsigned
stoa__segment_of(uint32_t index, unsigned first, uint32_t *offset)
{
    if (index >> first == 0) {
        *offset = index;
        return 0;
    }
    unsigned top = 31u - (unsigned)__builtin_clz(index);
    *offset = index - (1u << top);
    return top - first + 1;
}

static inline size_t
stoa__segment_size(unsigned segment, unsigned first)
{
    return (size_t)1 << (segment == 0 ? first : first + segment - 1);
}

#endif
