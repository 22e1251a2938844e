#include "immortal/content.h"

#include <string.h>

#include "immortal/image_parts.h"

#define BLOCK 64u /* words that a key is computed over at once */
#define CHAIN UINT64_C(0xD6E8FEB86659FD93)

bool
stoa__same_number(const PyObject *a, const PyObject *b)
{
    if (a->ob_type != b->ob_type) {
        return false;
    }
    if (a->ob_type == &PyFloat_Type) {
        return memcmp(&((const PyFloatObject *)a)->ob_fval, &((const PyFloatObject *)b)->ob_fval,
                      sizeof(double)) == 0;
    }
    size_t digits = stoa__int_digit_count(a);
    return a->ob_type == &PyLong_Type && digits == stoa__int_digit_count(b) &&
           stoa__int_is_negative(a) == stoa__int_is_negative(b) &&
           memcmp(stoa__int_digits(a), stoa__int_digits(b), digits * sizeof(digit)) == 0;
}

static inline uint64_t
word_of(PyObject *child, stoa_numbers_among numbers)
{
    bool number = numbers == STOA_NUMBERS_PENDING ? stoa__is_pending(child) : stoa__is_number(child);
    return number ? stoa__number_word(stoa__slot_object(child)) : (uint64_t)(uintptr_t)child;
}

/* In blocks, each with the key of those before in its seed: so words that stand nowhere need no memory. */
stoa_key
stoa__content_key(uint64_t tag, const stoa_content *content)
{
    stoa_key key = {0};
    size_t at = 0;
    do {
        size_t count = content->count - at < BLOCK ? content->count - at : BLOCK;
        const void *block = content->items + at;
        uint64_t words[BLOCK];
        if (content->numbers != STOA_NUMBERS_NONE) {
            for (size_t i = 0; i < count; i++) {
                words[i] = word_of(content->items[at + i], content->numbers);
            }
            block = words;
        }
        key = stoa__key(tag ^ key.tag * CHAIN, block, count * sizeof(words[0]));
        at += count;
    } while (at < content->count);
    return key;
}
_Static_assert(sizeof(PyObject *) == sizeof(uint64_t), "an address is a word");

bool
stoa__has_content(stoa_shared *const *items, const stoa_content *content)
{
    if (content->numbers != STOA_NUMBERS_PENDING) {
        return memcmp(items, content->items, content->count * sizeof(*items)) == 0;
    }
    for (size_t i = 0; i < content->count; i++) {
        if (!stoa__same_child(items[i], content->items[i])) {
            return false;
        }
    }
    return true;
}
