#include "proxy/run.h"

#include <string.h>

#include "heap/process.h" // stoa__in_heap
#include "proxy/cross.h"

#define SHORTEST 8
#define LONGEST 4096 /* so that what is reserved for one stays small */

static bool
may_run(PyObject *object, PyTypeObject *type)
{
    return Py_IS_TYPE(object, type) && !stoa__in_heap(object);
}

static size_t
write_ints(unsigned char *to, PyObject *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int overflow;
        int64_t value = PyLong_AsLongLongAndOverflow(items[i], &overflow);
        if (overflow != 0) {
            return i;
        }
        memcpy(to + i * sizeof(value), &value, sizeof(value));
    }
    return count;
}

static size_t
write_floats(unsigned char *to, PyObject *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value = PyFloat_AS_DOUBLE(items[i]);
        memcpy(to + i * sizeof(value), &value, sizeof(value));
    }
    return count;
}

Py_ssize_t
stoa__run_write(stoa_parcel *parcel, PyObject *const *items, Py_ssize_t count)
{
    PyTypeObject *type = Py_TYPE(items[0]);
    if (type != &PyLong_Type && type != &PyFloat_Type) {
        return 0;
    }
    size_t length = 0;
    while (length < LONGEST && length < (size_t)count && may_run(items[length], type)) {
        length++;
    }
    unsigned char head[1 + sizeof(uint64_t)];
    if (length < SHORTEST) {
        return 0;
    }
    unsigned char *to = stoa__parcel_reserve(parcel, sizeof(head) + length * sizeof(uint64_t));
    if (to == NULL) {
        return -1;
    }
    bool ints = type == &PyLong_Type;
    uint64_t written = ints ? write_ints(to + sizeof(head), items, length)
                            : write_floats(to + sizeof(head), items, length);
    if (written == 0) {
        return 0; /* the first is a long one: alone, and what was reserved stays unused */
    }
    to[0] = ints ? STOA_OP_INTS : STOA_OP_FLOATS;
    memcpy(to + 1, &written, sizeof(written));
    parcel->size += sizeof(head) + written * sizeof(uint64_t);
    return (Py_ssize_t)written;
}

int
stoa__run_read(unsigned char op, const unsigned char *bytes, size_t count, PyObject **out)
{
    for (size_t i = 0; i < count; i++) {
        int64_t integer;
        double real;
        memcpy(&integer, bytes + i * sizeof(integer), sizeof(integer));
        memcpy(&real, bytes + i * sizeof(real), sizeof(real));
        out[i] = op == STOA_OP_INTS ? PyLong_FromLongLong(integer) : PyFloat_FromDouble(real);
        if (out[i] == NULL) {
            while (i > 0) {
                Py_DECREF(out[--i]);
            }
            return -1;
        }
    }
    return 0;
}
