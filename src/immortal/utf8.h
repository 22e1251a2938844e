/* UTF-8 to the PEP 393 forms of str and back, without a GIL.
 *
 * Decoding is strict: overlong forms, surrogates and what lies above U+10FFFF are refused with the offset at which the
 * bad sequence begins, as bytes.decode('utf-8') does. Text that is all ASCII is found at eight bytes a step.
 */
#ifndef STOA_IMMORTAL_UTF8_H
#define STOA_IMMORTAL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct stoa_text_shape {
    size_t length; /* characters; on failure the offset at which the bad sequence begins */
    int kind;      /* 1, 2, 4: the narrowest that fits */
    bool ascii;
} stoa_text_shape;

/* Bytes at the beginning of `text` that are ASCII. */
size_t stoa__ascii_prefix(const void *text, size_t size);

/* Validates. false: not UTF-8, see `length`. */
bool stoa__utf8_shape(const char *utf8, size_t size, stoa_text_shape *shape);

/* Decodes what stoa__utf8_shape has accepted into characters of `kind` bytes. */
void stoa__utf8_decode(const char *utf8, size_t size, int kind, void *out);

/* Bytes of the UTF-8 form of characters; SIZE_MAX: there is none (a lone surrogate). */
size_t stoa__utf8_size(int kind, const void *characters, size_t length);

/* Writes that form (no zero at the end). */
void stoa__utf8_encode(int kind, const void *characters, size_t length, char *out);

#endif
