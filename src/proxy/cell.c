#include "proxy/cell.h"

#include "heap/region.h"
#include "immortal/canonical.h"
#include "immortal/foreign.h"
#include "immortal/freeze.h"
#include "proxy/cross.h"

#define NAME_LENGTH 64
#define NAMES_MAX 65536u

static PyObject *
shared_name(stoa_side *side, PyObject *name)
{
    if (!PyUnicode_CHECK_INTERNED(name) || side->left) {
        return NULL;
    }
    stoa_name_slot *slot = &side->names[((uintptr_t)name >> 4) * 0x9E3779B1u >> 7 & (STOA_NAME_CACHE - 1)];
    if (slot->name == name) {
        return slot->shared;
    }
    if (PyUnicode_GET_LENGTH(name) > NAME_LENGTH || side->names_shared >= NAMES_MAX) {
        return NULL;
    }
    PyObject *shared = stoa__freeze(name, NULL, STOA_FREEZE_INTERN);
    if (shared == NULL) {
        PyErr_Clear();
        return NULL;
    }
    side->names_shared++;
    PyObject *before = slot->name;
    *slot = (stoa_name_slot){Py_NewRef(name), shared};
    Py_XDECREF(before);
    return shared;
}

int
stoa__cell_write(stoa_side *side, PyObject *object, bool name, stoa_cell *out)
{
    PyTypeObject *type = Py_TYPE(object);
    if (object == Py_None || type == &PyBool_Type) {
        out->kind = STOA_CELL_SHARED;
        out->as.object = object;
        return 0;
    }
    if (type == &PyLong_Type) {
        int overflow;
        out->kind = STOA_CELL_INT;
        out->as.integer = PyLong_AsLongLongAndOverflow(object, &overflow);
        return overflow != 0;
    }
    if (type == &PyFloat_Type) {
        out->kind = STOA_CELL_FLOAT;
        out->as.real = PyFloat_AS_DOUBLE(object);
        return 0;
    }
    PyObject *shared = name && type == &PyUnicode_Type ? shared_name(side, object) : NULL;
    if (shared == NULL && stoa__is_shared(object)) {
        shared = object;
    }
    if (shared != NULL) {
        out->kind = STOA_CELL_SHARED;
        out->as.object = shared;
        return 0;
    }
    if (type == &PyUnicode_Type && PyUnicode_IS_ASCII(object) &&
        PyUnicode_GET_LENGTH(object) <= STOA_CELL_TEXT) {
        out->kind = STOA_CELL_ASCII;
        out->size = (uint32_t)PyUnicode_GET_LENGTH(object);
        memcpy(out->as.text, PyUnicode_DATA(object), out->size);
        return 0;
    }
    if ((shared = stoa__delivered_to_heap(object)) != NULL) {
        out->kind = STOA_CELL_SHARED;
        out->as.object = shared;
        return 0;
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    if (!stoa__is_proxy(object) && stoa__crosses_by_value(object)) {
        return 1;
    }
    out->kind = STOA_CELL_HANDLE;
    return stoa__proxy_handle_of(side, object, &out->as.handle);
}

PyObject *
stoa__cell_read(stoa_interp_record *record, const stoa_cell *from)
{
    switch (from->kind) {
    case STOA_CELL_SHARED:
        if (stoa__in_heap(from->as.object)) {
            stoa__region_mark_delivered(from->as.object, record->serial);
        }
        return stoa__deliver(from->as.object);
    case STOA_CELL_INT:
        return PyLong_FromLongLong(from->as.integer);
    case STOA_CELL_FLOAT:
        return PyFloat_FromDouble(from->as.real);
    case STOA_CELL_ASCII: {
        PyObject *text = PyUnicode_New(from->size, 0x7F);
        if (text != NULL && from->size > 0) {
            memcpy(PyUnicode_DATA(text), from->as.text, from->size);
        }
        return text;
    }
    default: {
        stoa_side *side = stoa__side_of(record);
        if (side == NULL) {
            stoa__handle_unref(from->as.handle);
            return NULL;
        }
        return stoa__side_import(side, from->as.handle);
    }
    }
}

void
stoa__cells_drop(const stoa_cell *cells, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (cells[i].kind == STOA_CELL_HANDLE) {
            stoa__handle_unref(cells[i].as.handle);
        }
    }
}
