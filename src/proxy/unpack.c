#include "proxy/cross.h"

#include <string.h>

#include "heap/region.h"
#include "immortal/by_value.h"
#include "immortal/cpython/cpython.h"
#include "immortal/exceptions.h"
#include "proxy/exception.h"
#include "proxy/membership.h"
#include "proxy/proxy.h"
#include "proxy/run.h"

typedef struct unpacker {
    const unsigned char *at, *end;
    PyObject **values; /* the stack: owned references */
    size_t count, room;
    PyObject **numbered; /* owned references */
    size_t numbers, number_room;
} unpacker;

static uint64_t
read_operand(unpacker *u)
{
    uint64_t operand;
    memcpy(&operand, u->at, sizeof(operand));
    u->at += sizeof(operand);
    return operand;
}

static const void *
read_bytes(unpacker *u, size_t size)
{
    const void *bytes = u->at;
    u->at += size;
    return bytes;
}

static int
reserve(PyObject ***array, size_t count, size_t *room, size_t wanted)
{
    size_t more = *room == 0 ? 16 : *room;
    while (more - count < wanted) {
        more *= 2;
    }
    PyObject **grown = PyMem_Realloc(*array, more * sizeof(PyObject *));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *array = grown;
    *room = more;
    return 0;
}

static int
append(PyObject ***array, size_t *count, size_t *room, PyObject *object)
{
    if (*count == *room && reserve(array, *count, room, 1) < 0) {
        Py_DECREF(object);
        return -1;
    }
    (*array)[(*count)++] = object;
    return 0;
}

/* Steals; NULL is a failure that has happened already. */
static int
push(unpacker *u, PyObject *object)
{
    return object == NULL ? -1 : append(&u->values, &u->count, &u->room, object);
}

static void
drop_last(unpacker *u, size_t count)
{
    while (count-- > 0) {
        Py_DECREF(u->values[--u->count]);
    }
}

static int
push_run(unpacker *u, unsigned char op, uint64_t operand)
{
    size_t count = stoa__run_count(operand);
    if (u->room - u->count < count && reserve(&u->values, u->count, &u->room, count) < 0) {
        return -1;
    }
    const unsigned char *bytes = read_bytes(u, stoa__run_size(operand));
    if (stoa__run_read(op, operand, bytes, u->values + u->count) < 0) {
        return -1;
    }
    u->count += count;
    return 0;
}

/* Of `count` Nones until its items are there: hashing a key on the way may run code, which may come across it. */
static PyObject *
new_list(Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(Py_None));
    }
    return list;
}

static PyObject *
make_str(int kind, bool ascii, const void *characters, Py_ssize_t length)
{
    static const Py_UCS4 widest[] = {0, 0xFF, 0xFFFF, 0, 0x10FFFF};
    PyObject *str = PyUnicode_New(length, ascii ? 0x7F : widest[kind]);
    if (str != NULL && length > 0) {
        memcpy(PyUnicode_DATA(str), characters, (size_t)length * (size_t)kind);
    }
    return str;
}

static PyObject *
make_held(unsigned char op, PyObject *source)
{
    /* the sender holds it and its bytes never change: they are read, its reference count is not touched */
    if (op == STOA_OP_BYTES_HELD) {
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(source), PyBytes_GET_SIZE(source));
    }
    return make_str((int)PyUnicode_KIND(source), PyUnicode_IS_ASCII(source), PyUnicode_DATA(source),
                    PyUnicode_GET_LENGTH(source));
}

/* The last n values as a tuple; they leave the stack. */
static PyObject *
take_tuple(unpacker *u, size_t count)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    if (tuple == NULL) {
        return NULL;
    }
    u->count -= count;
    for (size_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, u->values[u->count + i]);
    }
    return tuple;
}

static int
fill_dict(PyObject *dict, PyObject *const *pairs, size_t count)
{
    for (size_t i = 0; i < count; i += 2) {
        if (PyDict_SetItem(dict, pairs[i], pairs[i + 1]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
make_mapping(unpacker *u, unsigned char op, size_t count)
{
    PyObject *dict = PyDict_New();
    PyObject *mapping = NULL;
    if (dict != NULL && fill_dict(dict, u->values + u->count - count, count) == 0) {
        mapping = op == STOA_OP_FROZENDICT ? stoa__frozendict_new(dict) : PyDictProxy_New(dict);
    }
    Py_XDECREF(dict);
    drop_last(u, count);
    return push(u, mapping);
}

/* frozenset, range or slice: made from a tuple. */
static int
make_from_tuple(unpacker *u, unsigned char op, size_t count)
{
    PyObject *tuple = take_tuple(u, count);
    PyObject *object = NULL;
    if (tuple == NULL) {
        return -1;
    }
    if (op == STOA_OP_FROZENSET) {
        object = PyFrozenSet_New(tuple);
    }
    else if (op == STOA_OP_SLICE) {
        object = PySlice_New(PyTuple_GET_ITEM(tuple, 0), PyTuple_GET_ITEM(tuple, 1),
                             PyTuple_GET_ITEM(tuple, 2));
    }
    else {
        object = PyObject_Call((PyObject *)&PyRange_Type, tuple, NULL);
    }
    Py_DECREF(tuple);
    return push(u, object);
}

static int
make_value(unpacker *u, uint64_t operand)
{
    size_t count = (size_t)(operand & UINT32_MAX);
    PyObject *object = stoa__value_build((stoa_node_kind)(operand >> 32), u->values + u->count - count, count);
    drop_last(u, count);
    return push(u, object);
}

/* The last n values into a list that was made with room for them, from `place` on. */
static int
fill_list(unpacker *u, PyObject *list, Py_ssize_t place, size_t count)
{
    int result = 0;
    u->count -= count;
    for (size_t i = 0; i < count;
         i++, place++) { /* who found the list before it was full may have changed it, or cut it */
        PyObject *value = u->values[u->count + i];
        if (place < PyList_GET_SIZE(list) && PyList_GET_ITEM(list, place) == Py_None) {
            PyList_SET_ITEM(list, place, value); /* a None has nothing to be told */
        }
        else {
            result |= PyList_SetItem(list, place, value);
        }
    }
    return result;
}

static int
fill(unpacker *u, unsigned char op, size_t count)
{
    PyObject **items = u->values + u->count - count;
    PyObject *container = items[-1];
    int result = 0;
    if (op == STOA_OP_FILL_LIST) {
        Py_ssize_t place = (Py_ssize_t)read_operand(u);
        return fill_list(u, container, place, count);
    }
    if (op == STOA_OP_FILL_DICT) {
        result = fill_dict(container, items, count);
    }
    for (size_t i = 0; i < count && result == 0 && op != STOA_OP_FILL_DICT; i++) {
        result = PySet_Add(container, items[i]);
    }
    drop_last(u, count);
    return result;
}

/* Of the default region, which nobody has to mark. */
static PyObject *
find_name(PyObject *object)
{
    return stoa__is_node(object) ? stoa__deliver_part(object) : Py_NewRef(object);
}

/* The parcel keeps its own reference of the handle. */
static PyObject *
receive_handle(unsigned char op, stoa_handle handle)
{
    stoa_side *side = stoa__side_here();
    if (side == NULL) {
        return NULL;
    }
    stoa_err err = stoa__handle_ref_held(handle);
    PyObject *object = err == STOA_OK ? stoa__side_import(side, handle) : stoa__raise(err);
    if (object != NULL && op == STOA_OP_MEMORYVIEW && stoa__is_proxy(object)) {
        Py_SETREF(object, PyMemoryView_FromObject(object));
    }
    return object;
}

static int
unpack_leaf(unpacker *u, unsigned char op, uint64_t operand)
{
    size_t size = (size_t)operand;
    double real, imaginary;
    switch (op) {
    case STOA_OP_SHARED:
        return push(u, stoa__receive((PyObject *)(uintptr_t)operand));
    case STOA_OP_NAME:
        return push(u, find_name((PyObject *)(uintptr_t)operand));
    case STOA_OP_STR: {
        int kind = (int)(operand >> 1 & 7);
        size = (size_t)(operand >> 4);
        return push(u, make_str(kind, operand & 1, read_bytes(u, size * (size_t)kind), (Py_ssize_t)size));
    }
    case STOA_OP_STR_HELD:
    case STOA_OP_BYTES_HELD:
        return push(u, make_held(op, (PyObject *)(uintptr_t)operand));
    case STOA_OP_BYTES:
        return push(u, PyBytes_FromStringAndSize(read_bytes(u, size), (Py_ssize_t)size));
    case STOA_OP_BYTEARRAY:
        return push(u, PyByteArray_FromStringAndSize(read_bytes(u, size), (Py_ssize_t)size));
    case STOA_OP_INT:
        return push(u, PyLong_FromLongLong((long long)operand));
    case STOA_OP_BIG_INT:
        return push(u, PyLong_FromString(read_bytes(u, size), NULL, 16));
    case STOA_OP_FLOAT:
        memcpy(&real, &operand, sizeof(real));
        return push(u, PyFloat_FromDouble(real));
    case STOA_OP_COMPLEX:
        memcpy(&real, &operand, sizeof(real));
        memcpy(&imaginary, read_bytes(u, sizeof(imaginary)), sizeof(imaginary));
        return push(u, PyComplex_FromDoubles(real, imaginary));
    case STOA_OP_RECALL:
        return push(u, Py_NewRef(u->numbered[size]));
    case STOA_OP_PROXY:
    case STOA_OP_MEMORYVIEW:
        return push(u, receive_handle(op, operand));
    default:
        return push(u, stoa__unpack_interpreter((uint32_t)operand));
    }
}

static int
step(unpacker *u)
{
    unsigned char op = *u->at++;
    switch (op) {
    case STOA_OP_NEW_DICT:
        return push(u, PyDict_New());
    case STOA_OP_NEW_SET:
        return push(u, PySet_New(NULL));
    case STOA_OP_REMEMBER:
        return append(&u->numbered, &u->numbers, &u->number_room, Py_NewRef(u->values[u->count - 1]));
    default:
        break;
    }
    uint64_t operand = read_operand(u);
    switch (op) {
    case STOA_OP_NEW_LIST:
        return push(u, new_list((Py_ssize_t)operand));
    case STOA_OP_INTS:
    case STOA_OP_FLOATS:
        return push_run(u, op, operand);
    case STOA_OP_TUPLE:
        return push(u, take_tuple(u, operand));
    case STOA_OP_MAPPING:
    case STOA_OP_FROZENDICT:
        return make_mapping(u, op, operand);
    case STOA_OP_EXCEPTION: {
        PyObject *description = u->values[--u->count];
        PyObject *exception = stoa__exception_make(description);
        Py_DECREF(description);
        return push(u, exception);
    }
    case STOA_OP_FROZENSET:
    case STOA_OP_RANGE:
    case STOA_OP_SLICE:
        return make_from_tuple(u, op, operand);
    case STOA_OP_VALUE:
        return make_value(u, operand);
    case STOA_OP_FILL_LIST:
    case STOA_OP_FILL_DICT:
    case STOA_OP_FILL_SET:
        return fill(u, op, operand);
    default:
        return unpack_leaf(u, op, operand);
    }
}

PyObject *
stoa__unpack(const stoa_parcel *parcel)
{
    unpacker u = {.at = parcel->data, .end = parcel->data + parcel->size};
    int result = 0;
    while (result == 0 && u.at < u.end) {
        result = step(&u);
    }
    PyObject *object = result == 0 ? u.values[--u.count] : NULL;
    drop_last(&u, u.count);
    while (u.numbers > 0) {
        Py_DECREF(u.numbered[--u.numbers]);
    }
    PyMem_Free(u.values);
    PyMem_Free(u.numbered);
    return object;
}
