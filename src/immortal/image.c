/* Images of what has no table inside: bytes, numbers, tuple, range, slice. Text, sets, mappings and dates: image_*.c. */
#include "immortal/image.h"

#include <stdlib.h>

#include "immortal/content.h"
#include "immortal/image_parts.h"

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

typedef struct span {
    const void *start;
    size_t size;
} span;

static bool
same_bytes(const void *candidate, const void *wanted)
{
    const PyBytesObject *bytes = candidate;
    const span *s = wanted;
    return bytes->ob_base.ob_base.ob_type == &PyBytes_Type && (size_t)Py_SIZE(bytes) == s->size &&
           memcmp(bytes->ob_sval, s->start, s->size) == 0;
}

stoa_shared *
stoa__make_bytes(stoa_batch *batch, const void *bytes, size_t size, Py_hash_t hash)
{
    if (size <= 1) {
        return size == 0 ? stoa__canonical.empty_bytes : stoa__canonical.bytes[*(const unsigned char *)bytes];
    }
    if (size > STOA_LARGEST) {
        return stoa__no_room(batch, "bytes");
    }
    stoa_key key = {0};
    if (stoa__interning(batch)) {
        span wanted = {bytes, size};
        key = stoa__key(STOA_TAG_BYTES, bytes, size);
        stoa_shared *found = stoa__find_image(batch, key, same_bytes, &wanted);
        if (found != NULL) {
            return found;
        }
    }
    stoa_shared *object = stoa__batch_alloc(batch, STOA_BYTES_HEAD + size + 1);
    if (object == NULL) {
        return NULL;
    }
    PyBytesObject *image = stoa__rw(object);
    stoa__lay_head(image, &PyBytes_Type);
    image->ob_base.ob_size = (Py_ssize_t)size;
    *stoa__bytes_hash(image) = hash != -1 ? hash : stoa__hash_bytes(bytes, size);
    memcpy(image->ob_sval, bytes, size);
    if (stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

/* ---- int ----------------------------------------------------------------------------------------------------------- */

typedef struct int_content {
    uintptr_t tag;
    const digit *digits;
    size_t count;
} int_content;

static bool
same_int(const void *candidate, const void *wanted)
{
    const PyLongObject *integer = candidate;
    const int_content *content = wanted;
    return integer->ob_base.ob_type == &PyLong_Type && integer->long_value.lv_tag == content->tag &&
           memcmp(integer->long_value.ob_digit, content->digits, content->count * sizeof(digit)) == 0;
}

stoa_key
stoa__key_of_int(bool negative, const digit *digits, size_t count)
{
    return stoa__key(STOA_TAG_INT + (negative ? 0x100 : 0), digits, count * sizeof(digit));
}

stoa_shared *
stoa__new_int(stoa_batch *batch, bool negative, const digit *digits, size_t count)
{
    stoa_shared *object = stoa__batch_alloc(batch, STOA_INT_HEAD + count * sizeof(digit));
    if (object == NULL) {
        return NULL;
    }
    PyLongObject *image = stoa__rw(object);
    stoa__lay_head(image, &PyLong_Type);
    image->long_value.lv_tag = stoa__int_tag(negative, count);
    memcpy(image->long_value.ob_digit, digits, count * sizeof(digit));
    return object;
}

stoa_shared *
stoa__make_int_digits(stoa_batch *batch, bool negative, const digit *digits, size_t count)
{
    if (count <= 1) {
        int64_t value = count == 0 ? 0 : negative ? -(int64_t)digits[0] : (int64_t)digits[0];
        stoa_shared *small = stoa__canonical_small_int(value);
        if (small != NULL) {
            return small;
        }
    }
    if (count > STOA_LARGEST / sizeof(digit)) {
        return stoa__no_room(batch, "int");
    }
    stoa_key key = {0};
    int_content content = {stoa__int_tag(negative, count), digits, count};
    if (stoa__interning(batch)) {
        key = stoa__key_of_int(negative, digits, count);
        stoa_shared *found = stoa__find_image(batch, key, same_int, &content);
        if (found != NULL) {
            return found;
        }
    }
    stoa_shared *object = stoa__new_int(batch, negative, digits, count);
    if (object != NULL && stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

static size_t
split_digits(uint64_t magnitude, digit *digits)
{
    size_t count = 0;
    for (; magnitude != 0; magnitude >>= PyLong_SHIFT) {
        digits[count++] = (digit)(magnitude & PyLong_MASK);
    }
    return count;
}

stoa_shared *
stoa__make_int64(stoa_batch *batch, int64_t value)
{
    stoa_shared *small = stoa__canonical_small_int(value);
    if (small != NULL) {
        return small;
    }
    digit digits[3];
    size_t count = split_digits(value < 0 ? -(uint64_t)value : (uint64_t)value, digits);
    return stoa__make_int_digits(batch, value < 0, digits, count);
}

stoa_shared *
stoa__make_int_bytes(stoa_batch *batch, const void *bytes, size_t size, bool is_signed)
{
    const unsigned char *in = bytes;
    bool negative = is_signed && size > 0 && in[size - 1] >= 0x80;
    unsigned char filler = negative ? 0xFF : 0;
    while (size > 0 && in[size - 1] == filler) {
        size--; /* bytes that say nothing; the sign is in `negative` */
    }
    if (size > STOA_LARGEST / 2) {
        return stoa__no_room(batch, "int");
    }
    digit few[64], *digits = few;
    size_t room = (size * 8 + 1 + PyLong_SHIFT - 1) / PyLong_SHIFT + 1;
    if (room > sizeof few / sizeof few[0]) {
        digits = malloc(room * sizeof(digit));
        if (digits == NULL) {
            return stoa__image_fail(batch, STOA_ENOMEM, "no memory to convert an int of %zu bytes", size);
        }
    }
    size_t count = 0;
    uint64_t pending = 0, carry = negative; /* two's complement: invert and add one */
    unsigned bits = 0;
    for (size_t i = 0; i < size || bits > 0 || carry;) {
        while (bits < PyLong_SHIFT && i < size) {
            pending |= (uint64_t)(unsigned char)(in[i++] ^ filler) << bits;
            bits += 8;
        }
        uint64_t sum = (pending & PyLong_MASK) + carry;
        digits[count++] = (digit)(sum & PyLong_MASK);
        carry = sum >> PyLong_SHIFT;
        pending >>= PyLong_SHIFT;
        bits = bits > PyLong_SHIFT ? bits - PyLong_SHIFT : 0;
    }
    while (count > 0 && digits[count - 1] == 0) {
        count--;
    }
    stoa_shared *object = stoa__make_int_digits(batch, negative, digits, count);
    if (digits != few) {
        free(digits);
    }
    return object;
}

/* ---- float, complex ------------------------------------------------------------------------------------------------ */

static bool
same_float(const void *candidate, const void *wanted)
{
    const PyFloatObject *number = candidate;
    return number->ob_base.ob_type == &PyFloat_Type && memcmp(&number->ob_fval, wanted, sizeof(double)) == 0;
}

stoa_shared *
stoa__new_float(stoa_batch *batch, double value)
{
    stoa_shared *object = stoa__batch_alloc(batch, sizeof(PyFloatObject));
    if (object == NULL) {
        return NULL;
    }
    PyFloatObject *image = stoa__rw(object);
    stoa__lay_head(image, &PyFloat_Type);
    image->ob_fval = value;
    return object;
}

stoa_shared *
stoa__make_float(stoa_batch *batch, double value)
{
    stoa_key key = {0};
    if (stoa__interning(batch)) {
        key = stoa__key(STOA_TAG_FLOAT, &value, sizeof value);
        stoa_shared *found = stoa__find_image(batch, key, same_float, &value);
        if (found != NULL) {
            return found;
        }
    }
    stoa_shared *object = stoa__new_float(batch, value);
    if (object != NULL && stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

static bool
same_complex(const void *candidate, const void *wanted)
{
    const PyComplexObject *number = candidate;
    return number->ob_base.ob_type == &PyComplex_Type && memcmp(&number->cval, wanted, sizeof(Py_complex)) == 0;
}

stoa_shared *
stoa__make_complex(stoa_batch *batch, double real, double imag)
{
    Py_complex value = {real, imag};
    stoa_key key = {0};
    if (stoa__interning(batch)) {
        key = stoa__key(STOA_TAG_COMPLEX, &value, sizeof value);
        stoa_shared *found = stoa__find_image(batch, key, same_complex, &value);
        if (found != NULL) {
            return found;
        }
    }
    stoa_shared *object = stoa__batch_alloc(batch, sizeof(PyComplexObject));
    if (object == NULL) {
        return NULL;
    }
    PyComplexObject *image = stoa__rw(object);
    stoa__lay_head(image, &PyComplex_Type);
    image->cval = value;
    if (stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

/* ---- tuple --------------------------------------------------------------------------------------------------------- */

static bool
same_tuple(const void *candidate, const void *wanted)
{
    const PyTupleObject *tuple = candidate;
    const stoa_content *content = wanted;
    return tuple->ob_base.ob_base.ob_type == &PyTuple_Type && (size_t)Py_SIZE(tuple) == content->count &&
           stoa__has_content(tuple->ob_item, content);
}

#if STOA_TUPLE_HAS_HASH
/* -1: holds something unhashable; hash() raises then, and stores nothing. */
static stoa_err
tuple_hash(stoa_shared *const *items, Py_ssize_t count, Py_hash_t *out)
{
    uint64_t acc = STOA_TUPLE_SEED;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_hash_t hash;
        stoa_err err = stoa__hash_fast(items[i], &hash);
        if (err != STOA_OK) {
            *out = -1;
            return err == STOA_ETYPE ? STOA_OK : err;
        }
        acc = stoa__hash_mix(acc, hash);
    }
    *out = stoa__hash_tuple_end(acc, (size_t)count);
    return STOA_OK;
}
#endif

stoa_key
stoa__key_of_tuple(stoa_shared *const *items, Py_ssize_t count)
{
    return stoa__content_key(STOA_TAG_TUPLE, &(stoa_content){items, (size_t)count, STOA_NUMBERS_NONE});
}

stoa_shared *
stoa__find_tuple(stoa_batch *batch, const stoa_content *content, stoa_key *key)
{
    *key = stoa__content_key(STOA_TAG_TUPLE, content);
    return stoa__find_image(batch, *key, same_tuple, content);
}

stoa_shared *
stoa__new_tuple(stoa_batch *batch, stoa_key key, stoa_shared *const *items, Py_ssize_t count)
{
    if (count < 0 || (size_t)count > STOA_LARGEST / sizeof(PyObject *)) {
        return stoa__no_room(batch, "tuple");
    }
    size_t size = (size_t)count * sizeof(PyObject *);
#if STOA_TUPLE_HAS_HASH
    Py_hash_t hash;
    if (tuple_hash(items, count, &hash) != STOA_OK) {
        return stoa__image_fail(batch, STOA_ENOMEM, "no memory to hash what a tuple holds");
    }
#endif
    char *block = stoa__batch_alloc(batch, STOA_GC_HEAD + offsetof(PyTupleObject, ob_item) + size);
    if (block == NULL) {
        return NULL;
    }
    stoa_shared *object = (stoa_shared *)(void *)(block + STOA_GC_HEAD);
    PyTupleObject *image = stoa__rw(object);
    stoa__lay_head(image, &PyTuple_Type);
    image->ob_base.ob_size = count;
#if STOA_TUPLE_HAS_HASH
    STOA_TUPLE_HASH(image) = hash;
#endif
    memcpy(image->ob_item, items, size);
    if (stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

stoa_shared *
stoa__make_tuple(stoa_batch *batch, stoa_shared *const *items, Py_ssize_t count)
{
    if (count == 0) {
        return stoa__canonical.empty_tuple;
    }
    stoa_key key = {0};
    if (stoa__interning(batch) && count > 0) {
        stoa_content content = {items, (size_t)count, STOA_NUMBERS_LAID};
        stoa_shared *found = stoa__find_tuple(batch, &content, &key);
        if (found != NULL) {
            return found;
        }
    }
    return stoa__new_tuple(batch, key, items, count);
}

/* ---- range, slice -------------------------------------------------------------------------------------------------- */

static bool
same_range(const void *candidate, const void *wanted)
{
    const stoa_range *range = candidate;
    return range->ob_base.ob_type == &PyRange_Type &&
           memcmp(&range->start, wanted, 4 * sizeof(PyObject *)) == 0;
}

stoa_shared *
stoa__make_range(stoa_batch *batch, stoa_shared *start, stoa_shared *stop, stoa_shared *step,
                 stoa_shared *length)
{
    PyObject *parts[4] = {start, stop, step, length};
    stoa_key key = {0};
    if (stoa__interning(batch)) {
        key = stoa__key(STOA_TAG_RANGE, parts, sizeof parts);
        stoa_shared *found = stoa__find_image(batch, key, same_range, parts);
        if (found != NULL) {
            return found;
        }
    }
    stoa_shared *object = stoa__batch_alloc(batch, sizeof(stoa_range));
    if (object == NULL) {
        return NULL;
    }
    stoa_range *image = stoa__rw(object);
    stoa__lay_head(image, &PyRange_Type);
    memcpy(&image->start, parts, sizeof parts);
    if (stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

static bool
same_slice(const void *candidate, const void *wanted)
{
    const PySliceObject *slice = candidate;
    return slice->ob_base.ob_type == &PySlice_Type &&
           memcmp(&slice->start, wanted, 3 * sizeof(PyObject *)) == 0;
}

stoa_shared *
stoa__make_slice(stoa_batch *batch, stoa_shared *start, stoa_shared *stop, stoa_shared *step)
{
    PyObject *parts[3] = {start, stop, step};
    stoa_key key = {0};
    if (stoa__interning(batch)) {
        key = stoa__key(STOA_TAG_SLICE, parts, sizeof parts);
        stoa_shared *found = stoa__find_image(batch, key, same_slice, parts);
        if (found != NULL) {
            return found;
        }
    }
    char *block = stoa__batch_alloc(batch, STOA_GC_HEAD + sizeof(PySliceObject));
    if (block == NULL) {
        return NULL;
    }
    stoa_shared *object = (stoa_shared *)(void *)(block + STOA_GC_HEAD);
    PySliceObject *image = stoa__rw(object);
    stoa__lay_head(image, &PySlice_Type);
    memcpy(&image->start, parts, sizeof parts);
    if (stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}
