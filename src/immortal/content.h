/* What a container is made of, as interning sees it: addresses of children, but values of numbers.
 *
 * Problem: numbers are many and mostly new. Looking each one up costs a wait for memory and an entry half as large as the
 * number; and one that is found lies wherever it was met first, so that whoever iterates waits for it once more.
 * Mechanism: a number is content of what holds it. The key of a tuple, mapping or node is computed over one word for each
 * child: its address, but of a number what its value says. So equal containers meet, whichever object stands for a
 * number in them. During a walk a number that was met in such a container is "pending": its place holds the source,
 * marked by the lowest bit, and it is laid down (immortal/numbers.h) when it is known that the container is new.
 *
 * A source is compared by value. A number that lies in the heap already must be the very one: who froze it, or met it before
 * in the same walk, may look for it with `is`. (Floats that are NaN, and the runtime's own small ints, are no numbers here:
 * they are what their address says.)
 *
 * Members of sets, and what ranges and slices are made of, go by address: their numbers are interned one by one.
 */
#ifndef STOA_IMMORTAL_CONTENT_H
#define STOA_IMMORTAL_CONTENT_H

#include <math.h>
#include <string.h>

#include "immortal/canonical_table.h"
#include "immortal/image.h"

#define STOA_PENDING ((uintptr_t)1)

typedef enum stoa_numbers_among {
    STOA_NUMBERS_NONE,    /* the caller knows that no child is a number */
    STOA_NUMBERS_PENDING, /* each number is pending */
    STOA_NUMBERS_LAID     /* there may be some, none of them pending: each child is looked at */
} stoa_numbers_among;

typedef struct stoa_content {
    stoa_shared *const *items;
    size_t count;
    stoa_numbers_among numbers;
} stoa_content;

static inline bool
stoa__is_pending(const PyObject *child)
{
    return ((uintptr_t)child & STOA_PENDING) != 0;
}

static inline PyObject *
stoa__pending(PyObject *number)
{
    return (PyObject *)(void *)((char *)number + STOA_PENDING);
}

/* The object that a slot stands for: a shared one, or the source of a pending number. */
static inline PyObject *
stoa__slot_object(PyObject *child)
{
    return (PyObject *)(void *)((char *)child - ((uintptr_t)child & STOA_PENDING));
}

#define STOA_SHORT_INT 2u /* digits at most of an int whose word is its value */

static inline int64_t
stoa__short_int(const PyObject *integer, size_t digits)
{
    const digit *d = stoa__int_digits(integer);
    int64_t value = digits == 0   ? 0
                    : digits == 1 ? (int64_t)d[0]
                                  : (int64_t)d[1] << PyLong_SHIFT | (int64_t)d[0];
    return stoa__int_is_negative(integer) ? -value : value;
}

/* Is it one of the numbers that this is about? Reads the object. */
static inline bool
stoa__is_number(const PyObject *object)
{
    if (object->ob_type == &PyFloat_Type) {
        return !isnan(((const PyFloatObject *)object)->ob_fval);
    }
    if (object->ob_type != &PyLong_Type) {
        return false;
    }
    size_t digits = stoa__int_digit_count(object);
    return digits > STOA_SHORT_INT || stoa__canonical_small_int(stoa__short_int(object, digits)) == NULL;
}

/* Of a number: equal ones have equal words, different ones of up to 60 bits, or two floats, different words. */
static inline uint64_t
stoa__number_word(const PyObject *number)
{
    if (number->ob_type == &PyFloat_Type) {
        uint64_t bits;
        memcpy(&bits, &((const PyFloatObject *)number)->ob_fval, sizeof bits);
        return bits ^ UINT64_C(0x9E3779B97F4A7C15);
    }
    size_t digits = stoa__int_digit_count(number);
    if (digits <= STOA_SHORT_INT) {
        return (uint64_t)stoa__short_int(number, digits) ^ UINT64_C(0xC2B2AE3D27D4EB4F);
    }
    return stoa__key_of_int(stoa__int_is_negative(number), stoa__int_digits(number), digits).tag;
}

/* Same type, same value, bit by bit. */
bool stoa__same_number(const PyObject *a, const PyObject *b);

/* The twin of an int or a float that is not NaN, as stoa__make_int_digits and stoa__make_float. */
static inline stoa_shared *
stoa__make_number(stoa_batch *batch, const PyObject *number)
{
    return number->ob_type == &PyFloat_Type
               ? stoa__make_float(batch, ((const PyFloatObject *)number)->ob_fval)
               : stoa__make_int_digits(batch, stoa__int_is_negative(number), stoa__int_digits(number),
                                       stoa__int_digit_count(number));
}

/* The intern key of a container. */
stoa_key stoa__content_key(uint64_t tag, const stoa_content *content);

/* Are these, the children of a shared object, the content? */
bool stoa__has_content(stoa_shared *const *items, const stoa_content *content);

/* Is this child what is wanted at its place? Neither has to be equal as Python sees it. */
static inline bool
stoa__same_child(const PyObject *child, PyObject *wanted)
{
    if (child == wanted) {
        return true;
    }
    if (!stoa__is_pending(wanted)) {
        return false;
    }
    const PyObject *number = stoa__slot_object(wanted);
    return child == number || (!stoa__in_heap(number) && stoa__same_number(child, number));
}

#endif
