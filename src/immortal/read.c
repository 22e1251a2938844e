/* Reading shared objects: what kind, and one value. See stoa/value.h; containers are in read_container.c. */
#include "immortal/read.h"

#include "heap/error.h"
#include "immortal/cpython/cpython.h"
#include "immortal/equal.h"

#include <math.h>

const char *
stoa_kind_name(stoa_kind kind)
{
    switch (kind) {
#define KIND_NAME(symbol, number, name) \
    case symbol:                        \
        return name;
        STOA_KIND_TABLE(KIND_NAME)
#undef KIND_NAME
    }
    return "unknown";
}

static stoa_kind
kind_of_node(const stoa_node *node)
{
    static const uint8_t kinds[STOA_NODE_KINDS] = {
        [STOA_NODE_TUPLE] = STOA_KIND_TUPLE,        [STOA_NODE_MAPPING] = STOA_KIND_MAPPING,
        [STOA_NODE_FROZENSET] = STOA_KIND_SET,      [STOA_NODE_SLICE] = STOA_KIND_SLICE,
        [STOA_NODE_GLOBAL] = STOA_KIND_GLOBAL,      [STOA_NODE_MODULE] = STOA_KIND_GLOBAL,
        [STOA_NODE_MEMBER] = STOA_KIND_MEMBER,      [STOA_NODE_RECORD] = STOA_KIND_RECORD,
        [STOA_NODE_CALL] = STOA_KIND_INSTANCE,      [STOA_NODE_NAMED] = STOA_KIND_NAMED_TUPLE,
        [STOA_NODE_ARRAY] = STOA_KIND_ARRAY,        [STOA_NODE_HANDLE] = STOA_KIND_HANDLE,
        [STOA_NODE_PERSISTENT] = STOA_KIND_MAPPING, [STOA_NODE_FUNCTION] = STOA_KIND_FUNCTION,
    };
    return node->kind < STOA_NODE_KINDS ? (stoa_kind)kinds[node->kind] : STOA_KIND_OTHER;
}

stoa_kind
stoa_object_kind(const stoa_object *object)
{
    if (object == NULL) {
        return STOA_KIND_OTHER;
    }
    const PyObject *o = (const PyObject *)object;
    const PyTypeObject *type = o->ob_type;
    if (type == &PyUnicode_Type) {
        return STOA_KIND_TEXT;
    }
    if (type == &PyLong_Type) {
        return STOA_KIND_INT;
    }
    if (type == &PyTuple_Type) {
        return STOA_KIND_TUPLE;
    }
    if (type == &STOA_MAPPING_TYPE) {
        return STOA_KIND_MAPPING;
    }
    if (type == &PyFloat_Type) {
        return STOA_KIND_FLOAT;
    }
    if (o == Py_None) {
        return STOA_KIND_NONE;
    }
    if (type == &PyBool_Type) {
        return STOA_KIND_BOOL;
    }
    if (type == &PyBytes_Type) {
        return STOA_KIND_BYTES;
    }
    if (type == &PyFrozenSet_Type) {
        return STOA_KIND_SET;
    }
    if (type == &PyComplex_Type) {
        return STOA_KIND_COMPLEX;
    }
    if (type == &PyRange_Type) {
        return STOA_KIND_RANGE;
    }
    if (type == &PySlice_Type) {
        return STOA_KIND_SLICE;
    }
    if (stoa__is_node(o)) {
        return kind_of_node((const stoa_node *)(const void *)o);
    }
    bool is_date = type == stoa__runtime.date || type == stoa__runtime.time ||
                   type == stoa__runtime.datetime || type == stoa__runtime.timedelta || o == stoa__runtime.utc;
    return is_date ? STOA_KIND_DATETIME : STOA_KIND_OTHER;
}

bool
stoa_object_equal(const stoa_object *a, const stoa_object *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool equal = false;
    if (stoa__equal((const PyObject *)a, (const PyObject *)b, &equal) != STOA_OK) {
        stoa__fail(STOA_ENOMEM, "stoa_object_equal: no memory to compare deeply nested objects");
        return false;
    }
    return equal;
}

stoa_err
stoa__wrong_kind(const char *function, const stoa_object *object, const char *wanted)
{
    if (object == NULL) {
        return stoa__fail(STOA_EINVAL, "%s: the object is NULL", function);
    }
    return stoa__fail(STOA_ETYPE, "%s: the object is of kind %s; %s is wanted", function,
                      stoa_kind_name(stoa_object_kind(object)), wanted);
}

stoa_err
stoa__null_out(const char *function)
{
    return stoa__fail(STOA_EINVAL, "%s: an out argument is NULL", function);
}

static const PyObject *
as_int(const stoa_object *object)
{
    const PyObject *o = (const PyObject *)object;
    return o != NULL && (o->ob_type == &PyLong_Type || o->ob_type == &PyBool_Type) ? o : NULL;
}

stoa_err
stoa_get_bool(const stoa_object *object, bool *out_value)
{
    const PyObject *o = stoa__as_type(object, &PyBool_Type);
    stoa_err err = stoa__readable(__func__, out_value != NULL, o, object, "bool");
    if (err != STOA_OK) {
        return err;
    }
    *out_value = o == Py_True;
    return STOA_OK;
}

/* |value|; false: 2^64 or more. */
static bool
magnitude(const PyObject *number, uint64_t *out)
{
    size_t count = stoa__int_digit_count(number);
    const digit *digits = stoa__int_digits(number);
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;) {
        if (value >> (64 - PyLong_SHIFT) != 0) {
            return false;
        }
        value = value << PyLong_SHIFT | digits[i];
    }
    *out = value;
    return true;
}

stoa_err
stoa_get_int64(const stoa_object *object, int64_t *out_value)
{
    const PyObject *number = as_int(object);
    uint64_t value;
    stoa_err err = stoa__readable(__func__, out_value != NULL, number, object, "int");
    if (err != STOA_OK) {
        return err;
    }
    bool negative = stoa__int_is_negative(number);
    if (!magnitude(number, &value) || value > (uint64_t)INT64_MAX + negative) {
        return stoa__fail(STOA_EINVAL, "%s: the int does not fit into 64 bits; use stoa_get_int_bytes",
                          __func__);
    }
    *out_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return STOA_OK;
}

stoa_err
stoa_get_uint64(const stoa_object *object, uint64_t *out_value)
{
    const PyObject *number = as_int(object);
    uint64_t value;
    stoa_err err = stoa__readable(__func__, out_value != NULL, number, object, "int");
    if (err != STOA_OK) {
        return err;
    }
    if (stoa__int_is_negative(number) || !magnitude(number, &value)) {
        return stoa__fail(STOA_EINVAL, "%s: the int is negative or does not fit into 64 bits", __func__);
    }
    *out_value = value;
    return STOA_OK;
}

/* Bits of |value|, and whether |value| is a power of two. */
static size_t
count_bits(const PyObject *number, bool *out_power)
{
    size_t count = stoa__int_digit_count(number);
    const digit *digits = stoa__int_digits(number);
    if (count == 0) {
        *out_power = false;
        return 0;
    }
    digit top = digits[count - 1];
    *out_power = (top & (top - 1)) == 0;
    for (size_t i = 0; i + 1 < count && *out_power; i++) {
        *out_power = digits[i] == 0;
    }
    return (count - 1) * PyLong_SHIFT + (size_t)(32 - __builtin_clz((unsigned)top));
}

stoa_err
stoa_get_int_bytes(const stoa_object *object, void *buffer, size_t size, size_t *out_needed)
{
    const PyObject *number = as_int(object);
    if (number == NULL) {
        return stoa__wrong_kind(__func__, object, "int");
    }
    if (buffer == NULL && size != 0) {
        return stoa__fail(STOA_EINVAL, "%s: buffer is NULL, but size is %zu", __func__, size);
    }
    bool power, negative = stoa__int_is_negative(number);
    size_t bits = count_bits(number, &power);
    size_t needed = (negative && power ? bits - 1 : bits) / 8 +
                    1; /* one bit more for the sign; -2^n does without */
    if (out_needed != NULL) {
        *out_needed = needed;
    }
    if (size < needed) {
        return stoa__fail(STOA_EINVAL, "%s: the int needs %zu bytes, the buffer has %zu", __func__, needed,
                          size);
    }
    const digit *digits = stoa__int_digits(number);
    size_t count = stoa__int_digit_count(number), next = 0;
    uint64_t pending = 0;
    unsigned have = 0, carry = 1;
    for (size_t i = 0; i < size; i++) {
        if (have < 8 && next < count) {
            pending |= (uint64_t)digits[next++] << have;
            have += PyLong_SHIFT;
        }
        unsigned byte = (unsigned)(pending & 0xFF);
        pending >>= 8;
        have = have > 8 ? have - 8 : 0;
        if (negative) { /* -x is ~x + 1 */
            byte = (~byte & 0xFF) + carry;
            carry = byte >> 8;
        }
        ((unsigned char *)buffer)[i] = (unsigned char)byte;
    }
    return STOA_OK;
}

stoa_err
stoa_get_double(const stoa_object *object, double *out_value)
{
    const PyObject *o = (const PyObject *)object;
    if (out_value == NULL) {
        return stoa__null_out(__func__);
    }
    if (o != NULL && o->ob_type == &PyFloat_Type) {
        *out_value = ((const PyFloatObject *)o)->ob_fval;
        return STOA_OK;
    }
    const PyObject *number = as_int(object);
    if (number == NULL) {
        return stoa__wrong_kind(__func__, object, "float or int");
    }
    /* The top 64 bits, with what was below them kept as the lowest bit: rounds as the whole number would. */
    bool power;
    size_t bits = count_bits(number, &power), count = stoa__int_digit_count(number);
    const digit *digits = stoa__int_digits(number);
    long drop = bits > 64 ? (long)(bits - 64) : 0;
    uint64_t top = 0;
    for (size_t i = count; i-- > 0;) {
        long low = (long)i * PyLong_SHIFT - drop;
        uint64_t d = digits[i];
        if (low >= 0) {
            top |= d << low;
        }
        else if (low > -PyLong_SHIFT) {
            top |= d >> -low | ((d & ((UINT64_C(1) << -low) - 1)) != 0);
        }
        else {
            top |= d != 0;
        }
    }
    double value = ldexp((double)top, (int)(drop < 100000 ? drop : 100000));
    if (isinf(value)) {
        return stoa__fail(STOA_EINVAL, "%s: the int is too large for a double", __func__);
    }
    *out_value = stoa__int_is_negative(number) ? -value : value;
    return STOA_OK;
}

stoa_err
stoa_get_complex(const stoa_object *object, double *out_real, double *out_imag)
{
    const PyObject *o = stoa__as_type(object, &PyComplex_Type);
    stoa_err err = stoa__readable(__func__, out_real != NULL && out_imag != NULL, o, object, "complex");
    if (err != STOA_OK) {
        return err;
    }
    *out_real = ((const PyComplexObject *)o)->cval.real;
    *out_imag = ((const PyComplexObject *)o)->cval.imag;
    return STOA_OK;
}

stoa_err
stoa_get_text(const stoa_object *object, const char **out_utf8, size_t *out_size)
{
    const PyObject *o = stoa__as_type(object, &PyUnicode_Type);
    stoa_err err = stoa__readable(__func__, out_utf8 != NULL, o, object, "text");
    if (err != STOA_OK) {
        return err;
    }
    const PyASCIIObject *str = (const PyASCIIObject *)o;
    const PyCompactUnicodeObject *compact = (const PyCompactUnicodeObject *)o;
    const char *utf8 = str->state.ascii ? stoa__str_data(o) : compact->utf8;
    size_t size = (size_t)(str->state.ascii ? str->length : compact->utf8_length);
    if (utf8 == NULL) {
        return stoa__fail(STOA_EUTF8, "%s: the text has lone surrogates, which UTF-8 has no form for",
                          __func__);
    }
    *out_utf8 = utf8;
    if (out_size != NULL) {
        *out_size = size;
    }
    return STOA_OK;
}

stoa_err
stoa_get_bytes(const stoa_object *object, const void **out_bytes, size_t *out_size)
{
    const PyObject *o = stoa__as_type(object, &PyBytes_Type);
    stoa_err err = stoa__readable(__func__, out_bytes != NULL && out_size != NULL, o, object, "bytes");
    if (err != STOA_OK) {
        return err;
    }
    *out_bytes = (const char *)o + STOA_BYTES_HEAD;
    *out_size = (size_t)Py_SIZE((PyObject *)(uintptr_t)o);
    return STOA_OK;
}
