#include "proxy/item.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "immortal/canonical.h"
#include "immortal/foreign.h"
#include "proxy/cross.h"
#include "proxy/thing.h"

/* A parcel that is cut to size: a million of them may wait in a queue. */
typedef struct parcel_box {
    stoa_box box;
    stoa_handle *handles; /* a reference of each; malloc'ed, or NULL */
    size_t handle_count, size;
    unsigned char *data; /* `here`, or malloc'ed */
    unsigned char here[];
} parcel_box;

static void
drop_parcel_box(stoa_box *base)
{
    parcel_box *box = (parcel_box *)base;
    for (size_t i = 0; i < box->handle_count; i++) {
        stoa__handle_unref(box->handles[i]);
    }
    free(box->handles);
    if (box->data != box->here) {
        free(box->data);
    }
    free(box);
}

static int
pack_box(PyObject *object, stoa_item *out)
{
    stoa_parcel parcel;
    if (stoa__pack(object, "item", STOA_PACK_DETACHED, &parcel) < 0) {
        return -1;
    }
    bool inside = parcel.data == parcel.here;
    parcel_box *box = malloc(offsetof(parcel_box, here) + (inside ? parcel.size : 0));
    if (box == NULL) {
        stoa__parcel_clear(&parcel);
        PyErr_NoMemory();
        return -1;
    }
    box->box.drop = drop_parcel_box;
    box->handles = parcel.handles;
    box->handle_count = parcel.handle_count;
    box->size = parcel.size;
    box->data = inside ? box->here : parcel.data;
    if (inside) {
        memcpy(box->here, parcel.data, parcel.size);
    }
    out->kind = STOA_ITEM_BOX; /* the box has taken over all that the parcel had */
    out->as.box = &box->box;
    return 0;
}

static int
pack_shared(PyObject *object, stoa_item *out)
{
    out->kind = STOA_ITEM_OBJECT;
    out->as.object.at = object;
    out->as.object.region = stoa__in_heap(object) ? stoa__region_ref_of(object) : NULL;
    return 0;
}

/* 1: it is neither small nor shared. */
static int
pack_small(PyObject *object, stoa_item *out)
{
    PyTypeObject *type = Py_TYPE(object);
    if (object == Py_None || type == &PyBool_Type || stoa__in_heap(object)) {
        return pack_shared(object, out);
    }
    if (type == &PyLong_Type) {
        int overflow;
        out->kind = STOA_ITEM_INT;
        out->as.integer = PyLong_AsLongLongAndOverflow(object, &overflow);
        return overflow != 0;
    }
    if (type == &PyFloat_Type) {
        out->kind = STOA_ITEM_FLOAT;
        out->as.real = PyFloat_AS_DOUBLE(object);
        return 0;
    }
    bool ascii = type == &PyUnicode_Type && PyUnicode_IS_ASCII(object);
    if (ascii ||
        type == &PyBytes_Type) { /* so that C can read it without an interpreter, and it needs no parcel */
        const char *text = ascii ? PyUnicode_DATA(object) : PyBytes_AS_STRING(object);
        size_t size = (size_t)(ascii ? PyUnicode_GET_LENGTH(object) : PyBytes_GET_SIZE(object));
        if (!stoa__item_text(ascii, text, size, out)) {
            PyErr_NoMemory();
            return -1;
        }
        return 0;
    }
    return 1;
}

int
stoa__item_pack(stoa_side *side, PyObject *object, stoa_item *out)
{
    int result = pack_small(object, out);
    if (result <= 0) {
        return result;
    }
    if (stoa__is_thing(object) || stoa__is_proxy(object)) {
        out->kind = STOA_ITEM_HANDLE;
        return stoa__proxy_handle_of(side, object, &out->as.handle);
    }
    return stoa__is_shared(object) ? pack_shared(object, out) : pack_box(object, out);
}

static PyObject *
unpack_box(const stoa_item *item)
{
    const parcel_box *box = (const parcel_box *)item->as.box;
    stoa_parcel view;
    stoa__parcel_init(&view);
    view.data = box->data;
    view.size = box->size;
    return stoa__unpack(&view);
}

static PyObject *
unpack_text(const stoa_text_box *box, bool is_text)
{
    return is_text ? PyUnicode_FromStringAndSize(box->text, (Py_ssize_t)box->size)
                   : PyBytes_FromStringAndSize(box->text, (Py_ssize_t)box->size);
}

PyObject *
stoa__item_look(stoa_side *side, const stoa_item *item)
{
    switch ((stoa_item_kind)item->kind) {
    case STOA_ITEM_OBJECT:
        if (item->as.object.region != NULL) {
            stoa__region_mark_delivered(item->as.object.at, side->record->serial);
        }
        return stoa__deliver((PyObject *)(uintptr_t)item->as.object.at);
    case STOA_ITEM_INT:
        return PyLong_FromLongLong(item->as.integer);
    case STOA_ITEM_FLOAT:
        return PyFloat_FromDouble(item->as.real);
    case STOA_ITEM_ASCII:
        return PyUnicode_FromStringAndSize(item->as.text, item->size);
    case STOA_ITEM_BYTES:
        return PyBytes_FromStringAndSize(item->as.text, item->size);
    case STOA_ITEM_HANDLE:
        if (stoa__handle_ref_held(item->as.handle) != STOA_OK) {
            return PyErr_NoMemory();
        }
        return stoa__side_import(side, item->as.handle);
    case STOA_ITEM_LONG_TEXT:
    case STOA_ITEM_LONG_BYTES:
        return unpack_text((const stoa_text_box *)item->as.box, item->kind == STOA_ITEM_LONG_TEXT);
    case STOA_ITEM_BOX:
        return unpack_box(item);
    case STOA_ITEM_NOTHING:
        break;
    }
    PyErr_SetString(PyExc_SystemError, "stoa: an item of no kind");
    return NULL;
}

PyObject *
stoa__item_unpack(stoa_side *side, stoa_item *item)
{
    PyObject *object = stoa__item_look(side, item);
    if (object != NULL) {
        stoa__item_drop(item);
    }
    return object;
}
