/* The table behind canonical.h, with the look-ups that are on the path of every object that is made. */
#ifndef STOA_IMMORTAL_CANONICAL_TABLE_H
#define STOA_IMMORTAL_CANONICAL_TABLE_H

#include "immortal/cpython/cpython.h"

#define STOA_SMALL_INTS 1100      /* looked for from -1100 to 1099; versions have -5..256 or -5..1024 */
#define STOA_CANONICAL_SLOTS 4096 /* of the static strings, of which there are about a thousand */

typedef struct stoa_canonical {
    PyObject *empty_str, *empty_bytes, *empty_tuple;
    int64_t int_low, int_high; /* both included */
    size_t longest;            /* of the static strings */
    size_t string_count;
    uintptr_t first_string, last_string; /* addresses: every str between them is static */
    PyObject *chars[256], *bytes[256];
    PyObject *ints[2 * STOA_SMALL_INTS];
    uint64_t marks[STOA_CANONICAL_SLOTS / 64]; /* a bit for each slot that some string belongs to: most texts need no more */
    PyObject *strings[STOA_CANONICAL_SLOTS]; /* open addressing by stoa__canonical_slot */
} stoa_canonical;

extern stoa_canonical stoa__canonical;

static inline PyObject *
stoa__canonical_small_int(int64_t value)
{
    if (value < stoa__canonical.int_low || value > stoa__canonical.int_high) {
        return NULL;
    }
    return stoa__canonical.ints[value + STOA_SMALL_INTS];
}

/* Mixes the length of a text of two bytes or more and up to 16 bytes of its ends. */
static inline uint64_t
stoa__text_mix(const void *text, size_t size)
{
    const char *bytes = text;
    uint64_t head = 0, tail = 0;
    if (size >= 8) {
        memcpy(&head, bytes, 8);
        memcpy(&tail, bytes + size - 8, 8);
    }
    else if (size >= 4) {
        uint32_t a, b;
        memcpy(&a, bytes, 4);
        memcpy(&b, bytes + size - 4, 4);
        head = a;
        tail = b;
    }
    else {
        uint16_t a, b;
        memcpy(&a, bytes, 2);
        memcpy(&b, bytes + size - 2, 2);
        head = a;
        tail = b;
    }
    uint64_t mix = (head ^ size) * UINT64_C(0x9E3779B97F4A7C15) ^ tail * UINT64_C(0xC2B2AE3D27D4EB4F);
    return mix * UINT64_C(0x9E3779B97F4A7C15);
}

static inline size_t
stoa__canonical_slot(const char *text, size_t size)
{
    return (size_t)(stoa__text_mix(text, size) >> 52) & (STOA_CANONICAL_SLOTS - 1);
}

/* The static string of this ASCII text of two characters or more, or NULL. */
static inline PyObject *
stoa__canonical_string(const char *text, size_t size)
{
    if (size > stoa__canonical.longest) {
        return NULL;
    }
    size_t first = stoa__canonical_slot(text, size);
    if ((stoa__canonical.marks[first / 64] >> first % 64 & 1) == 0) {
        return NULL;
    }
    for (size_t slot = first;; slot = (slot + 1) & (STOA_CANONICAL_SLOTS - 1)) {
        PyObject *str = stoa__canonical.strings[slot];
        if (str == NULL) {
            return NULL;
        }
        if ((size_t)((const PyASCIIObject *)str)->length == size &&
            memcmp((const char *)str + sizeof(PyASCIIObject), text, size) == 0) {
            return str;
        }
    }
}

#endif
