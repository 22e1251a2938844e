#include "proxy/cross.h"

#include <stdlib.h>
#include <string.h>

#include "heap/region.h"
#include "immortal/by_value.h"
#include "immortal/canonical.h"
#include "immortal/cpython/cpython.h"
#include "immortal/exceptions.h"
#include "proxy/by_copy.h"
#include "proxy/exception.h"
#include "proxy/pack_memo.h"
#include "proxy/proxy.h"
#include "proxy/run.h"

/* Text of this many bytes and more is held, not written down. */
#define HELD_SIZE (64 * 1024)
/* Text of this many bytes and more crosses once, however often it is met. */
#define ALIAS_SIZE 256
/* Values that say by code what they are made of, one inside the other. */
#define CALLS_MAX 10000

static uint32_t (*pack_interpreter)(PyObject *); /* const after the module is set up */
PyObject *(*stoa__unpack_interpreter)(uint32_t serial);

void
stoa__cross_set_interpreter_class(uint32_t (*pack)(PyObject *), PyObject *(*unpack)(uint32_t serial))
{
    pack_interpreter = pack;
    stoa__unpack_interpreter = unpack;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

typedef struct frame {
    PyObject *source; /* borrowed: the container, alive by `items` or its own container */
    PyObject *items; /* owned: a tuple of what is in it, taken at once, so that changes meanwhile do no harm */
    Py_ssize_t next;
    unsigned char op; /* written when all items are */
    bool pairs;       /* items are key, value, … */
    bool copy;        /* below by_copy: mutable containers are allowed */
    bool names;       /* below a value: classes and functions go by name */
    bool first;       /* of a value: one part is written already */
    uint8_t kind;     /* of a value: stoa_node_kind */
    Py_ssize_t memo;  /* slot in the memo, or -1 */
} frame;

typedef struct packer {
    stoa_parcel *parcel;
    const char *root;
    unsigned flags;
    frame *frames;
    size_t depth, frame_room;
    stoa_pack_memo memo;
    int64_t numbers; /* given so far */
    size_t calls;    /* frames of values that say by code what they are made of */
    bool in_exception;
} packer;

/* "args[0]['key']": what is being packed, by the items that the frames stand at. */
static PyObject *
describe_path(const packer *p)
{
    PyObject *path = PyUnicode_FromString(p->root);
    size_t shown = p->depth > 64 ? 64 : p->depth;
    for (size_t i = 0; i < shown && path != NULL; i++) {
        const frame *f = &p->frames[i];
        Py_ssize_t index = f->next - 1;
        PyObject *step;
        if (index < 0) {
            break;
        }
        if (f->pairs && index % 2 == 1) {
            step = PyUnicode_FromFormat("[%.100R]", PyTuple_GET_ITEM(f->items, index - 1));
        }
        else if (f->pairs) {
            step = PyUnicode_FromString(".key");
        }
        else if (PyAnySet_Check(f->source)) {
            step = PyUnicode_FromString(".member");
        }
        else {
            step = PyUnicode_FromFormat("[%zd]", index);
        }
        PyObject *longer = step == NULL ? NULL : PyUnicode_Concat(path, step);
        Py_XDECREF(step);
        Py_SETREF(path, longer);
    }
    if (path != NULL && shown < p->depth) {
        Py_SETREF(path, PyUnicode_FromFormat("%U… (%zu levels)", path, p->depth));
    }
    return path;
}

static int
refuse(const packer *p, PyObject *object, const char *why_and_remedy)
{
    PyObject *path = describe_path(p);
    const char *text = path == NULL ? NULL : PyUnicode_AsUTF8(path);
    if (text == NULL) {
        PyErr_Clear();
        text = p->root;
    }
    stoa__raise_not_freezable(text, Py_TYPE(object)->tp_name, why_and_remedy);
    Py_XDECREF(path);
    return -1;
}

/* ---- memo -------------------------------------------------------------------------------------------------------- */

/* 1: met before, recalled (or a cycle: -1 with an exception). 0: new, or one that is sent again. */
static int
recall(packer *p, PyObject *object)
{
    bool fresh;
    const stoa_pack_slot *slot = stoa__pack_memo_slot(&p->memo, object, &fresh);
    if (slot == NULL) {
        return -1;
    }
    if (fresh || slot->number == STOA_PACK_BY_PROXY) {
        return 0;
    }
    if (slot->number == STOA_PACK_BEING_MADE) {
        return refuse(p, object, "it contains itself; immutable containers that do cannot cross");
    }
    return stoa__parcel_write_op(p->parcel, STOA_OP_RECALL, (uint64_t)slot->number) < 0 ? -1 : 1;
}

static int
remember(packer *p, PyObject *object)
{
    stoa__pack_memo_known(&p->memo, object)->number = p->numbers++;
    return stoa__parcel_write_byte(p->parcel, STOA_OP_REMEMBER);
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

static int
write_with_bytes(packer *p, unsigned char op, uint64_t operand, const void *bytes, size_t size)
{
    return stoa__parcel_write_op(p->parcel, op, operand) < 0 ? -1 : stoa__parcel_write(p->parcel, bytes, size);
}

static int
pack_text(packer *p, PyObject *object)
{
    bool is_str = PyUnicode_CheckExact(object);
    size_t length = is_str ? (size_t)PyUnicode_GET_LENGTH(object) : (size_t)PyBytes_GET_SIZE(object);
    size_t size = is_str ? length * (size_t)PyUnicode_KIND(object) : length;
    bool alias = size >= ALIAS_SIZE && Py_REFCNT(object) > 1;
    if (alias) {
        int found = recall(p, object);
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    int result;
    if (size >= HELD_SIZE && !(p->flags & STOA_PACK_DETACHED)) {
        result = stoa__parcel_hold(p->parcel, object);
        if (result == 0) {
            result = stoa__parcel_write_op(p->parcel, is_str ? STOA_OP_STR_HELD : STOA_OP_BYTES_HELD,
                                           (uintptr_t)object);
        }
    }
    else if (is_str) {
        uint64_t shape = (uint64_t)length << 4 | (uint64_t)PyUnicode_KIND(object) << 1 |
                         PyUnicode_IS_ASCII(object);
        result = write_with_bytes(p, STOA_OP_STR, shape, PyUnicode_DATA(object), size);
    }
    else {
        result = write_with_bytes(p, STOA_OP_BYTES, size, PyBytes_AS_STRING(object), size);
    }
    return result == 0 && alias ? remember(p, object) : result;
}

static int
pack_int(packer *p, PyObject *object)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
        return stoa__parcel_write_op(p->parcel, STOA_OP_INT, (uint64_t)value);
    }
    PyObject *text = PyNumber_ToBase(object, 16);
    if (text == NULL) {
        return -1;
    }
    size_t size = (size_t)PyUnicode_GET_LENGTH(text) + 1; /* with the NUL that PyLong_FromString wants */
    int result = write_with_bytes(p, STOA_OP_BIG_INT, size, PyUnicode_DATA(text), size);
    Py_DECREF(text);
    return result;
}

static int
pack_real(packer *p, PyObject *object)
{
    uint64_t bits[2];
    if (PyFloat_CheckExact(object)) {
        double value = PyFloat_AS_DOUBLE(object);
        memcpy(bits, &value, sizeof(value));
        return stoa__parcel_write_op(p->parcel, STOA_OP_FLOAT, bits[0]);
    }
    Py_complex value = PyComplex_AsCComplex(object);
    memcpy(&bits[0], &value.real, sizeof(bits[0]));
    memcpy(&bits[1], &value.imag, sizeof(bits[1]));
    return write_with_bytes(p, STOA_OP_COMPLEX, bits[0], &bits[1], sizeof(bits[1]));
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

static int
push_frame(packer *p, PyObject *source, PyObject *items, unsigned char op, bool copy, bool memo)
{
    if (items == NULL) {
        return -1;
    }
    if (p->depth == p->frame_room) {
        size_t room = p->frame_room == 0 ? 8 : p->frame_room * 2;
        frame *frames = realloc(p->frames, room * sizeof(*frames));
        if (frames == NULL) {
            Py_DECREF(items);
            PyErr_NoMemory();
            return -1;
        }
        p->frames = frames;
        p->frame_room = room;
    }
    bool pairs = op == STOA_OP_MAPPING || op == STOA_OP_FROZENDICT || op == STOA_OP_FILL_DICT;
    p->frames[p->depth++] = (frame){
        .source = source, .items = items, .op = op, .pairs = pairs, .copy = copy, .memo = memo ? 0 : -1};
    if (p->depth > 1 && op != STOA_OP_EXCEPTION) {
        p->frames[p->depth - 1].names = p->frames[p->depth - 2].names;
    }
    return 0;
}

/* key, value, key, value … as of now. */
static PyObject *
flatten_dict(PyObject *dict)
{
    PyObject *items = PyTuple_New(2 * PyDict_Size(dict));
    PyObject *key, *value;
    Py_ssize_t position = 0, i = 0;
    while (items != NULL && PyDict_Next(dict, &position, &key, &value)) {
        PyTuple_SET_ITEM(items, i++, Py_NewRef(key));
        PyTuple_SET_ITEM(items, i++, Py_NewRef(value));
    }
    return items;
}

static PyObject *
attributes_of(PyObject *object)
{
    PyObject *start = PyObject_GetAttrString(object, "start");
    PyObject *stop = start == NULL ? NULL : PyObject_GetAttrString(object, "stop");
    PyObject *step = stop == NULL ? NULL : PyObject_GetAttrString(object, "step");
    PyObject *items = step == NULL ? NULL : PyTuple_Pack(3, start, stop, step);
    Py_XDECREF(start);
    Py_XDECREF(stop);
    Py_XDECREF(step);
    return items;
}

static int
pack_mapping_proxy(packer *p, PyObject *object, bool copy, bool memo)
{
    PyObject *dict = PyObject_CallMethod(object, "copy", NULL);
    if (dict == NULL) {
        return -1;
    }
    if (!PyDict_CheckExact(dict)) {
        Py_DECREF(dict);
        return refuse(p, object, "it stands for a mapping that is no dict: send freeze(dict(x))");
    }
    PyObject *items = flatten_dict(dict);
    Py_DECREF(dict);
    return push_frame(p, object, items, STOA_OP_MAPPING, copy, memo);
}

/* A list is told its size: it is made with room for its items. */
static int
write_new(packer *p, unsigned char make, PyObject *items)
{
    return make == STOA_OP_NEW_LIST ? stoa__parcel_write_op(p->parcel, make, (uint64_t)PyTuple_GET_SIZE(items))
                                    : stoa__parcel_write_byte(p->parcel, make);
}

static int
pack_mutable(packer *p, PyObject *object)
{
    int met = recall(p, object);
    if (met != 0) {
        return met < 0 ? -1 : 0;
    }
    if (PyByteArray_CheckExact(object)) {
        size_t size = (size_t)PyByteArray_GET_SIZE(object);
        if (write_with_bytes(p, STOA_OP_BYTEARRAY, size, PyByteArray_AS_STRING(object), size) < 0) {
            return -1;
        }
        return remember(p, object);
    }
    bool list = PyList_CheckExact(object), dict = PyDict_CheckExact(object);
    unsigned char make = list ? STOA_OP_NEW_LIST : dict ? STOA_OP_NEW_DICT : STOA_OP_NEW_SET;
    unsigned char fill = list ? STOA_OP_FILL_LIST : dict ? STOA_OP_FILL_DICT : STOA_OP_FILL_SET;
    PyObject *items = dict ? flatten_dict(object) : PySequence_Tuple(object);
    if (items == NULL) {
        return -1;
    }
    /* made first and filled later: so it may contain itself */
    if (write_new(p, make, items) < 0 || remember(p, object) < 0) {
        Py_DECREF(items);
        return -1;
    }
    return push_frame(p, object, items, fill, true, false);
}

static int
pack_container(packer *p, PyObject *object, bool copy, unsigned char op)
{
    bool memo = Py_REFCNT(object) > 1;
    if (memo) {
        int met = recall(p, object);
        if (met != 0) {
            return met < 0 ? -1 : 0;
        }
    }
    switch (op) {
    case STOA_OP_TUPLE:
        return push_frame(p, object, Py_NewRef(object), op, copy, memo);
    case STOA_OP_FROZENSET:
        return push_frame(p, object, PySequence_Tuple(object), op, copy, memo);
    case STOA_OP_FROZENDICT:
        return push_frame(p, object, flatten_dict(object), op, copy, memo);
    case STOA_OP_MAPPING:
        return pack_mapping_proxy(p, object, copy, memo);
    default:
        return push_frame(p, object, attributes_of(object), op, copy, memo);
    }
}

/* What stays where it is: the other side gets a proxy, or, for a memoryview, a view of the same memory. */
static int
pack_handle(packer *p, PyObject *object)
{
    stoa_side *side = stoa__side_here();
    stoa_handle handle;
    if (side == NULL || stoa__proxy_handle_of(side, object, &handle) < 0 ||
        stoa__parcel_hold_handle(p->parcel, handle) < 0) {
        return -1;
    }
    return stoa__parcel_write_op(p->parcel, PyMemoryView_Check(object) ? STOA_OP_MEMORYVIEW : STOA_OP_PROXY,
                                 handle);
}

static int
write_shared(packer *p, PyObject *object)
{
    return stoa__parcel_write_op(p->parcel, STOA_OP_SHARED, (uintptr_t)object);
}

static int
write_name(packer *p, PyObject *object)
{
    return stoa__parcel_write_op(p->parcel, STOA_OP_NAME, (uintptr_t)object);
}

static bool
is_value(PyObject *object, bool copy)
{
    stoa_crossing crossing = stoa__value_crossing(object);
    return crossing == STOA_CROSSES_VALUE || (crossing == STOA_CROSSES_COPY && copy);
}

/* An object of a class, by value. 1: done; 0: it goes by proxy. */
static int
pack_value(packer *p, PyObject *object, bool copy)
{
    bool memo = Py_REFCNT(object) > 1;
    int met = memo ? recall(p, object) : 0;
    if (met != 0) {
        return met;
    }
    stoa_value_parts parts;
    int taken = stoa__value_apart(object, &parts);
    if (taken <= 0) {
        Py_XDECREF(parts.rest);
        if (taken == 0 && memo) {
            stoa__pack_memo_known(&p->memo, object)->number = STOA_PACK_BY_PROXY;
        }
        return taken;
    }
    if (parts.kind == STOA_NODE_CALL && ++p->calls > CALLS_MAX) {
        Py_DECREF(parts.rest);
        PyErr_Format(PyExc_RecursionError,
                     "stoa: a %.200s consists of parts that consist of parts, %d levels deep: does its "
                     "__reduce__ always give a new object?",
                     Py_TYPE(object)->tp_name, CALLS_MAX);
        return -1;
    }
    if (parts.first != NULL && write_name(p, parts.first) < 0) {
        Py_DECREF(parts.rest);
        return -1;
    }
    if (push_frame(p, object, parts.rest, STOA_OP_VALUE, copy, memo) < 0) {
        return -1;
    }
    frame *f = &p->frames[p->depth - 1];
    f->kind = (uint8_t)parts.kind;
    f->first = parts.first != NULL;
    f->names = parts.names;
    return 1;
}

static int
pack_one(packer *p, PyObject *object, bool copy)
{
    bool names = p->depth > 0 && p->frames[p->depth - 1].names;
    PyObject *marked = stoa__by_copy_content(object);
    if (marked != NULL) {
        object = marked;
        copy = true;
    }
    PyTypeObject *type = Py_TYPE(object);
    if (stoa__is_shared(object)) {
        if ((p->flags & STOA_PACK_DETACHED) && stoa__in_heap(object)) {
            /* nobody may come for it before the sender has gone: a region that can end stays from now on */
            stoa__region_mark_delivered(object, 0);
        }
        return write_shared(p, object);
    }
    if (!PyUnicode_CheckExact(object) && !PyLong_CheckExact(object)) {
        PyObject *shared = stoa__delivered_to_heap(object);
        if (shared != NULL) {
            return write_shared(p, shared);
        }
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    if (type == &PyUnicode_Type || type == &PyBytes_Type) {
        return pack_text(p, object);
    }
    if (type == &PyLong_Type) {
        return pack_int(p, object);
    }
    if (type == &PyFloat_Type || type == &PyComplex_Type) {
        return pack_real(p, object);
    }
    if (type == &PyTuple_Type) {
        return pack_container(p, object, copy, STOA_OP_TUPLE);
    }
    if (type == &PyFrozenSet_Type) {
        return pack_container(p, object, copy, STOA_OP_FROZENSET);
    }
    if (type == &PyDictProxy_Type) {
        return pack_container(p, object, copy, STOA_OP_MAPPING);
    }
    if (stoa__is_frozendict(object)) {
        return pack_container(p, object, copy, STOA_OP_FROZENDICT);
    }
    if (type == &PyRange_Type || type == &PySlice_Type) {
        return pack_container(p, object, copy, type == &PyRange_Type ? STOA_OP_RANGE : STOA_OP_SLICE);
    }
    if (copy && (PyList_CheckExact(object) || PyDict_CheckExact(object) || PySet_CheckExact(object) ||
                 PyByteArray_CheckExact(object))) {
        return pack_mutable(p, object);
    }
    uint32_t serial = pack_interpreter == NULL ? 0 : pack_interpreter(object);
    if (serial != 0) {
        return stoa__parcel_write_op(p->parcel, STOA_OP_INTERPRETER, serial);
    }
    if (PyExceptionInstance_Check(object) && !p->in_exception && !(p->flags & STOA_PACK_EXCEPTION)) {
        p->in_exception = true; /* what its attributes hold crosses by proxy: it may be itself */
        return push_frame(p, object, stoa__exception_describe(object), STOA_OP_EXCEPTION, copy, false);
    }
    if (names) {
        PyObject *named;
        int found = stoa__value_name(object, &named);
        if (found != 0) {
            return found < 0 ? -1 : write_name(p, named);
        }
    }
    int taken = is_value(object, copy) ? pack_value(p, object, copy) : 0;
    return taken != 0 ? (taken < 0 ? -1 : 0) : pack_handle(p, object);
}

bool
stoa__crosses_by_value(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyUnicode_Type || type == &PyBytes_Type || type == &PyLong_Type || type == &PyFloat_Type ||
           type == &PyComplex_Type || type == &PyTuple_Type || type == &PyFrozenSet_Type ||
           type == &PyDictProxy_Type || stoa__is_frozendict(object) || type == &PyRange_Type ||
           type == &PySlice_Type || type == &PyMemoryView_Type || stoa__by_copy_content(object) != NULL ||
           (pack_interpreter != NULL && pack_interpreter(object) != 0) || PyExceptionInstance_Check(object) ||
           is_value(object, false);
}

/* All items of the innermost frame are written: the container itself. */
static int
finish_frame(packer *p)
{
    frame f = p->frames[--p->depth];
    uint64_t operand = (uint64_t)PyTuple_GET_SIZE(f.items);
    int result = 0;
    if (f.op == STOA_OP_EXCEPTION) {
        result = stoa__parcel_write_op(p->parcel, STOA_OP_TUPLE, operand);
        operand = 0;
        p->in_exception = false;
    }
    if (f.op == STOA_OP_VALUE) {
        operand = (uint64_t)f.kind << 32 | (operand + f.first);
        p->calls -= f.kind == STOA_NODE_CALL;
    }
    if (result == 0) {
        result = stoa__parcel_write_op(p->parcel, f.op, operand);
    }
    if (result == 0 && f.memo >= 0) {
        result = remember(p, f.source);
    }
    Py_DECREF(f.items);
    return result;
}

/* The outermost container of STOA_PACK_TOP: a list or dict that is only the bag. */
static int
pack_top(packer *p, PyObject *object)
{
    bool dict = PyDict_CheckExact(object);
    PyObject *items = dict ? flatten_dict(object) : PySequence_Tuple(object);
    if (items == NULL) {
        return -1;
    }
    if (write_new(p, dict ? STOA_OP_NEW_DICT : STOA_OP_NEW_LIST, items) < 0) {
        Py_DECREF(items);
        return -1;
    }
    return push_frame(p, object, items, dict ? STOA_OP_FILL_DICT : STOA_OP_FILL_LIST, false, false);
}

/* The next item of a container; or a run of numbers at once. */
static int
pack_next(packer *p, frame *f)
{
    Py_ssize_t run = stoa__run_write(p->parcel, &PyTuple_GET_ITEM(f->items, f->next),
                                     PyTuple_GET_SIZE(f->items) - f->next);
    if (run != 0) {
        f->next += run > 0 ? run : 0;
        return run < 0 ? -1 : 0;
    }
    bool copy = f->copy;
    PyObject *item = PyTuple_GET_ITEM(f->items, f->next++);
    return pack_one(p, item, copy);
}

int
stoa__pack(PyObject *object, const char *root, unsigned flags, stoa_parcel *out)
{
    packer p = {.parcel = out, .root = root, .flags = flags};
    stoa__parcel_init(out);
    bool bag = (flags & STOA_PACK_TOP) && (PyDict_CheckExact(object) || PyList_CheckExact(object));
    int result = bag ? pack_top(&p, object) : pack_one(&p, object, (flags & STOA_PACK_COPY) != 0);
    while (result == 0 && p.depth > 0) {
        frame *f = &p.frames[p.depth - 1];
        if (f->next == PyTuple_GET_SIZE(f->items)) {
            result = finish_frame(&p);
        }
        else {
            result = pack_next(&p, f);
        }
    }
    while (p.depth > 0) {
        Py_DECREF(p.frames[--p.depth].items);
    }
    stoa__pack_memo_free(&p.memo);
    free(p.frames);
    if (result < 0) {
        stoa__parcel_clear(out);
    }
    return result;
}
