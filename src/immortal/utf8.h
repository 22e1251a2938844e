/* UTF-8 into the characters of a str, without a GIL.
 *
 * Two passes: scan() validates and finds how wide the widest character is, decode() writes them in that width. Text from
 * a host may be anything; what Python's own strict decoder refuses is refused: overlong forms, surrogates, values over
 * U+10FFFF, sequences cut short.
 */
#ifndef STOA_IMMORTAL_UTF8_H
#define STOA_IMMORTAL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct stoa_utf8 {
    size_t length; /* characters */
    int kind;      /* bytes each: 1, 2 or 4 */
    bool ascii;
} stoa_utf8;

/* How many bytes at the start are ASCII: exact at `size`, else rounded down to a multiple of 8. */
static inline size_t
stoa__ascii_prefix(const char *text, size_t size)
{
    size_t i = 0;
    uint64_t word;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, text + i, 8);
        if (word & UINT64_C(0x8080808080808080)) {
            return i;
        }
    }
    for (size_t j = i; j < size; j++) {
        if ((unsigned char)text[j] >= 0x80) {
            return i;
        }
    }
    return size;
}

/* false: not valid, *out_offset says where the first bad sequence begins. */
bool stoa__utf8_scan(const char *utf8, size_t size, stoa_utf8 *out, size_t *out_offset);

/* Writes the characters of valid text, `kind` bytes each. */
void stoa__utf8_decode(const char *utf8, size_t size, int kind, void *characters);

#endif
