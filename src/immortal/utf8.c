#include "immortal/utf8.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

size_t
stoa__ascii_prefix(const void *text, size_t size)
{
    const unsigned char *p = text;
    size_t i = 0;
    for (; i + 32 <= size; i += 32) {
        uint64_t w[4];
        memcpy(w, p + i, sizeof w);
        if ((w[0] | w[1] | w[2] | w[3]) & HIGH_BITS) {
            break;
        }
    }
    for (; i + 8 <= size; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, sizeof w);
        if (w & HIGH_BITS) {
            return i + ((size_t)__builtin_ctzll(w & HIGH_BITS) >> 3);
        }
    }
    while (i < size && p[i] < 0x80) {
        i++;
    }
    return i;
}

/* Length of the sequence that begins at p (a byte >= 0x80) and its character; 0: not valid. */
static inline unsigned
sequence(const unsigned char *p, size_t left, uint32_t *character)
{
    unsigned first = p[0], low = 0x80, high = 0xBF, more;
    if (first >= 0xC2 && first <= 0xDF) {
        more = 1;
        *character = first & 0x1F;
    }
    else if ((first & 0xF0) == 0xE0) {
        more = 2;
        *character = first & 0x0F;
        low = first == 0xE0 ? 0xA0 : low;   /* overlong below */
        high = first == 0xED ? 0x9F : high; /* surrogates above */
    }
    else if (first >= 0xF0 && first <= 0xF4) {
        more = 3;
        *character = first & 0x07;
        low = first == 0xF0 ? 0x90 : low;
        high = first == 0xF4 ? 0x8F : high; /* U+10FFFF */
    }
    else {
        return 0;
    }
    for (unsigned i = 1; i <= more; i++) {
        if (i >= left || p[i] < low || p[i] > high) {
            return 0;
        }
        *character = *character << 6 | (p[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    return more + 1;
}

bool
stoa__utf8_shape(const char *utf8, size_t size, stoa_text_shape *shape)
{
    const unsigned char *p = (const unsigned char *)utf8;
    size_t at = stoa__ascii_prefix(p, size), length = at;
    uint32_t all = 0;
    shape->ascii = at == size;
    while (at < size) {
        uint32_t character;
        unsigned taken = sequence(p + at, size - at, &character);
        if (taken == 0) {
            shape->length = at;
            return false;
        }
        all |= character;
        at += taken;
        length++;
        if (at < size && p[at] < 0x80) {
            size_t plain = stoa__ascii_prefix(p + at, size - at);
            at += plain;
            length += plain;
        }
    }
    shape->length = length;
    shape->kind = all > 0xFFFF ? 4
                  : all > 0xFF ? 2
                               : 1; /* an or of characters exceeds a power of two when one does */
    return true;
}

#define DECODE(type)                                       \
    do {                                                   \
        type *to = out;                                    \
        while (at < size) {                                \
            if (p[at] < 0x80) {                            \
                *to++ = p[at++];                           \
                continue;                                  \
            }                                              \
            uint32_t character = 0;                        \
            at += sequence(p + at, size - at, &character); \
            *to++ = (type)character;                       \
        }                                                  \
    } while (0)

void
stoa__utf8_decode(const char *utf8, size_t size, int kind, void *out)
{
    const unsigned char *p = (const unsigned char *)utf8;
    size_t at = 0;
    if (kind == 1) {
        DECODE(uint8_t);
    }
    else if (kind == 2) {
        DECODE(uint16_t);
    }
    else {
        DECODE(uint32_t);
    }
}

size_t
stoa__utf8_size(int kind, const void *characters, size_t length)
{
    size_t size = length, surrogates = 0;
    if (kind == 1) {
        const uint8_t *c = characters;
        for (size_t i = 0; i < length; i++) {
            size += c[i] >> 7;
        }
    }
    else if (kind == 2) {
        const uint16_t *c = characters;
        for (size_t i = 0; i < length; i++) {
            size += (c[i] >= 0x80) + (c[i] >= 0x800);
            surrogates += (c[i] & 0xF800) == 0xD800;
        }
    }
    else {
        const uint32_t *c = characters;
        for (size_t i = 0; i < length; i++) {
            size += (size_t)(c[i] >= 0x80) + (c[i] >= 0x800) + (c[i] >= 0x10000);
            surrogates += (c[i] & 0xFFFFF800) == 0xD800;
        }
    }
    return surrogates ? SIZE_MAX : size;
}

static inline unsigned char *
encode_one(uint32_t c, unsigned char *to)
{
    if (c < 0x80) {
        *to++ = (unsigned char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (unsigned char)(0xC0 | c >> 6);
    }
    else {
        if (c < 0x10000) {
            *to++ = (unsigned char)(0xE0 | c >> 12);
        }
        else {
            *to++ = (unsigned char)(0xF0 | c >> 18);
            *to++ = (unsigned char)(0x80 | (c >> 12 & 0x3F));
        }
        *to++ = (unsigned char)(0x80 | (c >> 6 & 0x3F));
    }
    *to++ = (unsigned char)(0x80 | (c & 0x3F));
    return to;
}

void
stoa__utf8_encode(int kind, const void *characters, size_t length, char *out)
{
    unsigned char *to = (unsigned char *)out;
    for (size_t i = 0; i < length; i++) {
        uint32_t c = kind == 1   ? ((const uint8_t *)characters)[i]
                     : kind == 2 ? ((const uint16_t *)characters)[i]
                                 : ((const uint32_t *)characters)[i];
        to = encode_one(c, to);
    }
}
