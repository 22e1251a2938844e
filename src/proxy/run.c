#include "proxy/run.h"

#include <string.h>

#include "heap/process.h" // stoa__in_heap
#include "proxy/cross.h"

#define SHORTEST 8
#define LONGEST 2048 /* so that what is reserved for one stays small, and in the cache */
#define HEAD (1 + sizeof(uint64_t))

/* Exact ints as 64 bits each, up to one that is wider, or to something else. `*extent` has all bits that one of them has (a
 * negative one: that it has not), so it is as wide as the widest. */
static size_t
take_ints(unsigned char *to, PyObject *const *items, size_t count, uint64_t *extent)
{
    uint64_t bits = 0;
    size_t i = 0;
    for (; i < count && Py_IS_TYPE(items[i], &PyLong_Type) && !stoa__in_heap(items[i]); i++) {
        int64_t value;
        int overflow = 0;
        if (PyUnstable_Long_IsCompact((PyLongObject *)items[i])) {
            value = PyUnstable_Long_CompactValue((PyLongObject *)items[i]);
        }
        else {
            value = PyLong_AsLongLongAndOverflow(items[i], &overflow);
        }
        if (overflow != 0) {
            break;
        }
        memcpy(to + i * sizeof(value), &value, sizeof(value));
        bits |= (uint64_t)(value ^ value >> 63);
    }
    *extent = bits;
    return i;
}

static size_t
take_floats(unsigned char *to, PyObject *const *items, size_t count)
{
    size_t i = 0;
    for (; i < count && Py_IS_TYPE(items[i], &PyFloat_Type) && !stoa__in_heap(items[i]); i++) {
        double value = PyFloat_AS_DOUBLE(items[i]);
        memcpy(to + i * sizeof(value), &value, sizeof(value));
    }
    return i;
}

static size_t
width_of(uint64_t extent)
{
    return extent < 0x80 ? 1 : extent < 0x8000 ? 2 : extent < UINT64_C(0x80000000) ? 4 : 8;
}

/* In place: what is written lies before what is still to be read. */
static void
narrow(unsigned char *values, size_t count, size_t width)
{
    for (size_t i = 0; i < count && width < sizeof(int64_t); i++) {
        int64_t value;
        memcpy(&value, values + i * sizeof(value), sizeof(value));
        int32_t four = (int32_t)value;
        int16_t two = (int16_t)value;
        int8_t one = (int8_t)value;
        memcpy(values + i * width,
               width == 4   ? (void *)&four
               : width == 2 ? (void *)&two
                            : (void *)&one,
               width);
    }
}

Py_ssize_t
stoa__run_write(stoa_parcel *parcel, PyObject *const *items, Py_ssize_t count)
{
    PyTypeObject *type = count < SHORTEST ? NULL : Py_TYPE(items[0]);
    bool ints = type == &PyLong_Type;
    if ((!ints && type != &PyFloat_Type) || !Py_IS_TYPE(items[SHORTEST - 1], type)) {
        return 0;
    }
    uint64_t operand, extent = UINT64_MAX;
    size_t most = count < LONGEST ? (size_t)count : LONGEST;
    unsigned char *to = stoa__parcel_reserve(parcel, HEAD + most * sizeof(int64_t));
    if (to == NULL) {
        return -1;
    }
    size_t length = ints ? take_ints(to + HEAD, items, most, &extent) : take_floats(to + HEAD, items, most);
    if (length < SHORTEST) {
        return 0; /* what was reserved stays unused */
    }
    size_t width = width_of(extent);
    narrow(to + HEAD, length, width);
    operand = (uint64_t)length << 4 | width;
    to[0] = ints ? STOA_OP_INTS : STOA_OP_FLOATS;
    memcpy(to + 1, &operand, sizeof(operand));
    parcel->size += HEAD + length * width;
    return (Py_ssize_t)length;
}

static int64_t
int_at(const unsigned char *bytes, size_t width, size_t i)
{
    int8_t one;
    int16_t two;
    int32_t four;
    int64_t eight;
    switch (width) {
    case 1:
        memcpy(&one, bytes + i, sizeof(one));
        return one;
    case 2:
        memcpy(&two, bytes + i * sizeof(two), sizeof(two));
        return two;
    case 4:
        memcpy(&four, bytes + i * sizeof(four), sizeof(four));
        return four;
    default:
        memcpy(&eight, bytes + i * sizeof(eight), sizeof(eight));
        return eight;
    }
}

int
stoa__run_read(unsigned char op, uint64_t operand, const unsigned char *bytes, PyObject **out)
{
    size_t count = stoa__run_count(operand), width = operand & 15;
    for (size_t i = 0; i < count; i++) {
        if (op == STOA_OP_INTS) {
            out[i] = PyLong_FromLongLong(int_at(bytes, width, i));
        }
        else {
            double real;
            memcpy(&real, bytes + i * sizeof(real), sizeof(real));
            out[i] = PyFloat_FromDouble(real);
        }
        if (out[i] == NULL) {
            while (i > 0) {
                Py_DECREF(out[--i]);
            }
            return -1;
        }
    }
    return 0;
}
