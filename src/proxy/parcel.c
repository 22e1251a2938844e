#include "proxy/parcel.h"

#include <stdlib.h>
#include <string.h>

void
stoa__parcel_init(stoa_parcel *parcel)
{
    parcel->data = parcel->here;
    parcel->size = 0;
    parcel->capacity = sizeof(parcel->here);
    parcel->held = NULL;
    parcel->held_count = parcel->held_room = 0;
    parcel->handles = NULL;
    parcel->handle_count = parcel->handle_room = 0;
}

static int
grow(stoa_parcel *parcel, size_t size)
{
    size_t capacity = parcel->capacity;
    if (size > (size_t)PY_SSIZE_T_MAX / 2 - parcel->size) {
        PyErr_NoMemory();
        return -1;
    }
    while (capacity < parcel->size + size) {
        capacity *= 2;
    }
    bool was_here = parcel->data == parcel->here;
    unsigned char *data = realloc(was_here ? NULL : parcel->data, capacity);
    if (data == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (was_here) {
        memcpy(data, parcel->here, parcel->size);
    }
    parcel->data = data;
    parcel->capacity = capacity;
    return 0;
}

int
stoa__parcel_write(stoa_parcel *parcel, const void *bytes, size_t size)
{
    if (size > parcel->capacity - parcel->size && grow(parcel, size) < 0) {
        return -1;
    }
    memcpy(parcel->data + parcel->size, bytes, size);
    parcel->size += size;
    return 0;
}

unsigned char *
stoa__parcel_reserve(stoa_parcel *parcel, size_t size)
{
    if (size > parcel->capacity - parcel->size && grow(parcel, size) < 0) {
        return NULL;
    }
    return parcel->data + parcel->size;
}

int
stoa__parcel_write_byte(stoa_parcel *parcel, unsigned char byte)
{
    return stoa__parcel_write(parcel, &byte, 1);
}

int
stoa__parcel_write_op(stoa_parcel *parcel, unsigned char op, uint64_t operand)
{
    unsigned char both[1 + sizeof(operand)];
    both[0] = op;
    memcpy(both + 1, &operand, sizeof(operand));
    return stoa__parcel_write(parcel, both, sizeof(both));
}

int
stoa__parcel_hold(stoa_parcel *parcel, PyObject *object)
{
    if (parcel->held_count == parcel->held_room) {
        size_t room = parcel->held_room == 0 ? 4 : parcel->held_room * 2;
        PyObject **held = realloc(parcel->held, room * sizeof(PyObject *));
        if (held == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        parcel->held = held;
        parcel->held_room = room;
    }
    parcel->held[parcel->held_count++] = Py_NewRef(object);
    return 0;
}

int
stoa__parcel_hold_handle(stoa_parcel *parcel, stoa_handle handle)
{
    if (parcel->handle_count == parcel->handle_room) {
        size_t room = parcel->handle_room == 0 ? 4 : parcel->handle_room * 2;
        stoa_handle *handles = realloc(parcel->handles, room * sizeof(stoa_handle));
        if (handles == NULL) {
            stoa__handle_unref(handle);
            PyErr_NoMemory();
            return -1;
        }
        parcel->handles = handles;
        parcel->handle_room = room;
    }
    parcel->handles[parcel->handle_count++] = handle;
    return 0;
}

void
stoa__parcel_move(stoa_parcel *to, stoa_parcel *from)
{
    bool here = from->data == from->here;
    memcpy(to, from, offsetof(stoa_parcel, here));
    if (here) {
        memcpy(to->here, from->here, from->size);
        to->data = to->here;
    }
    stoa__parcel_init(from);
}

void
stoa__parcel_abandon(stoa_parcel *parcel)
{
    for (size_t i = 0; i < parcel->handle_count; i++) {
        stoa__handle_unref(parcel->handles[i]);
    }
    free(parcel->handles);
    free(parcel->held);
    if (parcel->data != parcel->here) {
        free(parcel->data);
    }
    stoa__parcel_init(parcel);
}

void
stoa__parcel_clear(stoa_parcel *parcel)
{
    for (size_t i = 0; i < parcel->held_count; i++) {
        Py_DECREF(parcel->held[i]);
    }
    stoa__parcel_abandon(parcel);
}
