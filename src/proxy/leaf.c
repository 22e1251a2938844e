#include "proxy/leaf.h"

#include <string.h>

#include "heap/process.h" // stoa__in_heap
#include "immortal/canonical.h"
#include "proxy/cross.h"
#include "proxy/membership.h"
#include "proxy/run.h"

static int
write_with_bytes(stoa_parcel *parcel, unsigned char op, uint64_t operand, const void *bytes, size_t size)
{
    unsigned char *to = stoa__parcel_reserve(parcel, 1 + sizeof(operand) + size);
    if (to == NULL) {
        return -1;
    }
    to[0] = op;
    memcpy(to + 1, &operand, sizeof(operand));
    memcpy(to + 1 + sizeof(operand), bytes, size);
    parcel->size += 1 + sizeof(operand) + size;
    return 1;
}

static int
write_op(stoa_parcel *parcel, unsigned char op, uint64_t operand)
{
    return write_with_bytes(parcel, op, operand, "", 0);
}

int
stoa__text_write(stoa_parcel *parcel, PyObject *text)
{
    if (PyBytes_CheckExact(text)) {
        size_t size = (size_t)PyBytes_GET_SIZE(text);
        return write_with_bytes(parcel, STOA_OP_BYTES, size, PyBytes_AS_STRING(text), size);
    }
    size_t length = (size_t)PyUnicode_GET_LENGTH(text);
    uint64_t shape = (uint64_t)length << 4 | (uint64_t)PyUnicode_KIND(text) << 1 | PyUnicode_IS_ASCII(text);
    return write_with_bytes(parcel, STOA_OP_STR, shape, PyUnicode_DATA(text), stoa__text_size(text));
}

static int
write_int(stoa_parcel *parcel, PyObject *object)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
        return write_op(parcel, STOA_OP_INT, (uint64_t)value);
    }
    PyObject *text = PyNumber_ToBase(object, 16);
    if (text == NULL) {
        return -1;
    }
    size_t size = (size_t)PyUnicode_GET_LENGTH(text) + 1; /* with the NUL that PyLong_FromString wants */
    int result = write_with_bytes(parcel, STOA_OP_BIG_INT, size, PyUnicode_DATA(text), size);
    Py_DECREF(text);
    return result;
}

static int
write_real(stoa_parcel *parcel, PyObject *object)
{
    uint64_t bits[2];
    if (PyFloat_CheckExact(object)) {
        double value = PyFloat_AS_DOUBLE(object);
        memcpy(bits, &value, sizeof(value));
        return write_op(parcel, STOA_OP_FLOAT, bits[0]);
    }
    Py_complex value = PyComplex_AsCComplex(object);
    memcpy(&bits[0], &value.real, sizeof(bits[0]));
    memcpy(&bits[1], &value.imag, sizeof(bits[1]));
    return write_with_bytes(parcel, STOA_OP_COMPLEX, bits[0], &bits[1], sizeof(bits[1]));
}

int
stoa__leaf_write(stoa_parcel *parcel, PyObject *object, bool detached)
{
    PyTypeObject *type = Py_TYPE(object);
    if (stoa__in_heap(object)) {
        if (detached) {
            return 0;
        }
        stoa__let_go_below(object);
        return write_op(parcel, STOA_OP_SHARED, (uintptr_t)object);
    }
    if (stoa__is_canonical(object)) {
        return write_op(parcel, STOA_OP_SHARED, (uintptr_t)object);
    }
    if (type == &PyUnicode_Type || type == &PyBytes_Type) {
        return stoa__text_size(object) < STOA_ALIAS_SIZE ? stoa__text_write(parcel, object) : 0;
    }
    return type == &PyLong_Type                               ? write_int(parcel, object)
           : type == &PyFloat_Type || type == &PyComplex_Type ? write_real(parcel, object)
                                                              : 0;
}

Py_ssize_t
stoa__leaves_write(stoa_parcel *parcel, PyObject *const *items, Py_ssize_t count, bool detached)
{
    Py_ssize_t done = 0;
    while (done < count) {
        Py_ssize_t run = stoa__run_write(parcel, items + done, count - done);
        if (run == 0) {
            run = stoa__leaf_write(parcel, items[done], detached);
        }
        if (run <= 0) {
            return run < 0 ? -1 : done;
        }
        done += run;
    }
    return done;
}
