#include "immortal/utf8.h"

/* Length of the sequence at `s`, of which `left` bytes (at least 1) are there, and its character; 0: not valid. */
static inline size_t
decode_one(const unsigned char *s, size_t left, uint32_t *out)
{
    uint32_t c = s[0];
    if (c < 0x80) {
        *out = c;
        return 1;
    }
    size_t size = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (c < 0xC2 || c > 0xF4 || size > left) { /* C0 and C1 could only begin overlong forms */
        return 0;
    }
    c &= 0x7Fu >> size;
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
        c = c << 6 | (s[i] & 0x3F);
    }
    bool overlong = (size == 3 && c < 0x800) || (size == 4 && c < 0x10000);
    if (overlong || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF) {
        return 0;
    }
    *out = c;
    return size;
}

bool
stoa__utf8_scan(const char *utf8, size_t size, stoa_utf8 *out, size_t *out_offset)
{
    size_t i = stoa__ascii_prefix(utf8, size);
    if (i == size) {
        *out = (stoa_utf8){size, 1, true};
        return true;
    }
    size_t length = i;
    uint32_t all = 0; /* the highest bit of any character decides */
    while (i < size) {
        uint32_t c;
        size_t used = decode_one((const unsigned char *)utf8 + i, size - i, &c);
        if (used == 0) {
            *out_offset = i;
            return false;
        }
        all |= c;
        i += used;
        length++;
    }
    *out = (stoa_utf8){length, all < 0x100 ? 1 : all < 0x10000 ? 2 : 4, false};
    return true;
}

void
stoa__utf8_decode(const char *utf8, size_t size, int kind, void *characters)
{
    size_t i = 0, n = 0;
    if (kind == 1) {
        i = n = stoa__ascii_prefix(utf8, size);
        memcpy(characters, utf8, i);
    }
    while (i < size) {
        uint32_t c = 0;
        i += decode_one((const unsigned char *)utf8 + i, size - i, &c);
        if (kind == 1) {
            ((uint8_t *)characters)[n++] = (uint8_t)c;
        } else if (kind == 2) {
            ((uint16_t *)characters)[n++] = (uint16_t)c;
        } else {
            ((uint32_t *)characters)[n++] = c;
        }
    }
}
