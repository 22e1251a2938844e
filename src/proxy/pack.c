#include "proxy/cross.h"

#include <stdlib.h>
#include <string.h>

#include "immortal/by_value.h"
#include "immortal/canonical.h"
#include "immortal/cpython/cpython.h"
#include "immortal/exceptions.h"
#include "proxy/bag.h"
#include "proxy/by_copy.h"
#include "proxy/exception.h"
#include "proxy/leaf.h"
#include "proxy/packer.h"
#include "proxy/proxy.h"

/* Text of this many bytes and more is held, not written down. */
#define HELD_SIZE (64 * 1024)
/* So many items of a list or dict are made before they go into it: the receiver's stack stays in its cache. */
#define PIECE 2048
#define PAIRS 256 /* keys and values of a dict */
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

static int
write_op(stoa_packer *p, unsigned char op, uint64_t operand)
{
    return stoa__parcel_write_op(p->parcel, op, operand);
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* Text that is no leaf. */
static int
pack_text(stoa_packer *p, PyObject *object, unsigned own)
{
    bool alias = Py_REFCNT(object) > 1 && !stoa__packer_meets_once(p, object, own);
    if (alias) {
        int found = stoa__packer_recall(p, object);
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    int result;
    if (stoa__text_size(object) >= HELD_SIZE && !(p->flags & STOA_PACK_DETACHED)) {
        result = stoa__parcel_hold(p->parcel, object);
        if (result == 0) {
            unsigned char op = PyUnicode_CheckExact(object) ? STOA_OP_STR_HELD : STOA_OP_BYTES_HELD;
            result = write_op(p, op, (uintptr_t)object);
        }
    }
    else {
        result = stoa__text_write(p->parcel, object) < 0 ? -1 : 0;
    }
    return result == 0 && alias ? stoa__packer_remember(p, object) : result;
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

static bool
is_filled(unsigned char op)
{
    return op == STOA_OP_FILL_LIST || op == STOA_OP_FILL_DICT || op == STOA_OP_FILL_SET;
}

static int
push_frame(stoa_packer *p, PyObject *source, PyObject *items, unsigned char op, bool copy, bool memo)
{
    if (items == NULL) {
        return -1;
    }
    if (p->depth == p->frame_room) {
        size_t room = p->frame_room == 0 ? 8 : p->frame_room * 2;
        stoa_pack_frame *frames = realloc(p->frames, room * sizeof(*frames));
        if (frames == NULL) {
            Py_DECREF(items);
            PyErr_NoMemory();
            return -1;
        }
        p->frames = frames;
        p->frame_room = room;
    }
    bool pairs = op == STOA_OP_MAPPING || op == STOA_OP_FROZENDICT || op == STOA_OP_FILL_DICT;
    bool plain = is_filled(op) || op == STOA_OP_TUPLE || op == STOA_OP_FROZENSET || op == STOA_OP_FROZENDICT;
    p->frames[p->depth++] = (stoa_pack_frame){.source = source,
                                              .items = items,
                                              .op = op,
                                              .own = !plain            ? STOA_OWN_UNKNOWN
                                                     : items == source ? 1
                                                                       : 2,
                                              .pairs = pairs,
                                              .copy = copy,
                                              .memo = memo ? 0 : -1};
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
pack_mapping_proxy(stoa_packer *p, PyObject *object, bool copy, bool memo)
{
    PyObject *dict = stoa__packer_beware(p) < 0 ? NULL : PyObject_CallMethod(object, "copy", NULL);
    if (dict == NULL) {
        return -1;
    }
    if (!PyDict_CheckExact(dict) &&
        PyDict_Check(dict)) { /* in its own order: an OrderedDict may have moved things */
        PyObject *items = PyObject_CallMethod(dict, "items", NULL),
                 *plain = items == NULL ? NULL : PyDict_New();
        if (plain != NULL && PyDict_MergeFromSeq2(plain, items, 1) < 0) {
            Py_CLEAR(plain);
        }
        Py_XDECREF(items);
        Py_SETREF(dict, plain);
        if (dict == NULL) {
            return -1;
        }
    }
    if (!PyDict_CheckExact(dict)) {
        Py_DECREF(dict);
        return stoa__packer_refuse(p, object, "it stands for a mapping that is no dict: send freeze(dict(x))");
    }
    PyObject *items = flatten_dict(dict);
    Py_DECREF(dict);
    return push_frame(p, object, items, STOA_OP_MAPPING, copy, memo);
}

/* A list is told its size: it is made with room for its items. */
static int
write_new(stoa_packer *p, PyObject *object)
{
    return PyList_CheckExact(object)
               ? write_op(p, STOA_OP_NEW_LIST, (uint64_t)PyList_GET_SIZE(object))
               : stoa__parcel_write_byte(p->parcel,
                                         PyDict_CheckExact(object) ? STOA_OP_NEW_DICT : STOA_OP_NEW_SET);
}

/* Items [from, from + count) of a list, dict or set, which are written, go into it. */
static int
write_fill(stoa_packer *p, unsigned char fill, Py_ssize_t from, Py_ssize_t count)
{
    uint64_t place = (uint64_t)from;
    if (count == 0) {
        return 0;
    }
    if (write_op(p, fill, (uint64_t)count) < 0) {
        return -1;
    }
    return fill == STOA_OP_FILL_LIST ? stoa__parcel_write(p->parcel, &place, sizeof(place)) : 0;
}

/* The next items of a list or dict, as they stand in it: at most PIECE. How many. */
static Py_ssize_t
look_at(PyObject *object, Py_ssize_t next, Py_ssize_t *position, PyObject **piece, PyObject *const **items)
{
    Py_ssize_t count = 0;
    if (PyList_CheckExact(object)) {
        *items = ((PyListObject *)object)->ob_item + next;
        count = PyList_GET_SIZE(object) - next;
        return count < PIECE ? count : PIECE;
    }
    *items = piece;
    while (count < PAIRS && PyDict_Next(object, position, &piece[count], &piece[count + 1])) {
        count += 2;
    }
    return count;
}

/* The leaves that a list or dict begins with: nothing can change it while they are written, so straight from it. `*next` of
 * its items are written then, of them `*filled` are put into it. */
static int
write_first_leaves(stoa_packer *p, PyObject *object, unsigned char fill, Py_ssize_t *next, Py_ssize_t *filled)
{
    PyObject *piece[PAIRS], *const *items;
    Py_ssize_t position = 0, count, done;
    *next = *filled = 0;
    while ((count = look_at(object, *next, &position, piece, &items)) > 0) {
        done = stoa__leaves_write(p->parcel, items, count, p->flags & STOA_PACK_DETACHED);
        if (done < 0) {
            return -1;
        }
        *next += done;
        if (done < count) {
            break;
        }
        if (write_fill(p, fill, *filled, count) < 0) {
            return -1;
        }
        *filled += count;
    }
    return 0;
}

/* Writes a list, dict or set that is new on the other side, or a frame for what of it is not written yet. */
static int
write_items(stoa_packer *p, PyObject *object, bool copy)
{
    bool list = PyList_CheckExact(object), dict = PyDict_CheckExact(object);
    unsigned char fill = list ? STOA_OP_FILL_LIST : dict ? STOA_OP_FILL_DICT : STOA_OP_FILL_SET;
    Py_ssize_t next = 0, filled = 0;
    if ((list || dict) && write_first_leaves(p, object, fill, &next, &filled) < 0) {
        return -1;
    }
    Py_ssize_t size = list   ? PyList_GET_SIZE(object)
                      : dict ? 2 * PyDict_Size(object)
                             : PySet_GET_SIZE(object);
    if (next == size) {
        return write_fill(p, fill, filled, next - filled);
    }
    if (push_frame(p, object, dict ? flatten_dict(object) : PySequence_Tuple(object), fill, copy, false) < 0) {
        return -1;
    }
    p->frames[p->depth - 1].next = next;
    p->frames[p->depth - 1].filled = filled;
    return 0;
}

static int
pack_mutable(stoa_packer *p, PyObject *object, unsigned own)
{
    bool once = stoa__packer_meets_once(p, object, own);
    int met = once ? 0 : stoa__packer_recall(p, object);
    p->skipped |= once;
    if (met != 0) {
        return met < 0 ? -1 : 0;
    }
    if (PyByteArray_CheckExact(object)) {
        size_t size = (size_t)PyByteArray_GET_SIZE(object);
        if (write_op(p, STOA_OP_BYTEARRAY, size) < 0 ||
            stoa__parcel_write(p->parcel, PyByteArray_AS_STRING(object), size) < 0) {
            return -1;
        }
        return once ? 0 : stoa__packer_remember(p, object);
    }
    /* made first and filled later: so it may contain itself */
    return write_new(p, object) < 0 || (!once && stoa__packer_remember(p, object) < 0)
               ? -1
               : write_items(p, object, true);
}

static int
pack_container(stoa_packer *p, PyObject *object, bool copy, unsigned char op, unsigned own)
{
    bool once = stoa__packer_meets_once(p, object, own);
    bool memo = Py_REFCNT(object) > 1 && !once;
    p->skipped |= once;
    if (memo) {
        int met = stoa__packer_recall(p, object);
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
pack_handle(stoa_packer *p, PyObject *object)
{
    stoa_side *side = stoa__side_here();
    stoa_handle handle;
    if (side == NULL || stoa__proxy_handle_of(side, object, &handle) < 0 ||
        stoa__parcel_hold_handle(p->parcel, handle) < 0) {
        return -1;
    }
    return write_op(p, PyMemoryView_Check(object) ? STOA_OP_MEMORYVIEW : STOA_OP_PROXY, handle);
}

static int
write_shared(stoa_packer *p, PyObject *object)
{
    if (p->flags & STOA_PACK_DETACHED) {
        stoa__let_go_anywhere(object);
    }
    else {
        stoa__let_go_below(object);
    }
    return write_op(p, STOA_OP_SHARED, (uintptr_t)object);
}

static bool
is_value(PyObject *object, bool copy)
{
    stoa_crossing crossing = stoa__value_crossing(object);
    return crossing == STOA_CROSSES_VALUE || (crossing != STOA_CROSSES_NOT && copy);
}

/* An object of a class, by value. 1: done; 0: it goes by proxy. */
static int
pack_value(stoa_packer *p, PyObject *object, bool copy)
{
    bool memo = Py_REFCNT(object) > 1;
    int met = memo ? stoa__packer_recall(p, object) : 0;
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
    if (parts.first != NULL && write_op(p, STOA_OP_NAME, (uintptr_t)parts.first) < 0) {
        Py_DECREF(parts.rest);
        return -1;
    }
    if (push_frame(p, object, parts.rest, STOA_OP_VALUE, copy, memo) < 0) {
        return -1;
    }
    stoa_pack_frame *f = &p->frames[p->depth - 1];
    f->kind = (uint8_t)parts.kind;
    f->first = parts.first != NULL;
    f->names = parts.names;
    return 1;
}

static int
pack_one(stoa_packer *p, PyObject *object, bool copy, unsigned own)
{
    bool names = p->depth > 0 && p->frames[p->depth - 1].names;
    PyObject *marked = stoa__by_copy_content(object);
    if (marked != NULL) {
        object = marked;
        copy = true;
        own = STOA_OWN_UNKNOWN; /* the marker is one more container */
    }
    PyTypeObject *type = Py_TYPE(object);
    int leaf = stoa__leaf_write(p->parcel, object, p->flags & STOA_PACK_DETACHED);
    if (leaf != 0) {
        return leaf < 0 ? -1 : 0;
    }
    if (stoa__in_heap(object)) {
        return write_shared(p, object);
    }
    if (!PyUnicode_CheckExact(object)) {
        PyObject *shared = stoa__delivered_to_heap(object);
        if (shared != NULL) {
            return write_shared(p, shared);
        }
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    if (type == &PyUnicode_Type || type == &PyBytes_Type) {
        return pack_text(p, object, own);
    }
    if (type == &PyTuple_Type) {
        return pack_container(p, object, copy, STOA_OP_TUPLE, own);
    }
    if (type == &PyFrozenSet_Type) {
        return pack_container(p, object, copy, STOA_OP_FROZENSET, own);
    }
    if (type == &PyDictProxy_Type) {
        return pack_container(p, object, copy, STOA_OP_MAPPING, own);
    }
    if (stoa__is_frozendict(object)) {
        return pack_container(p, object, copy, STOA_OP_FROZENDICT, own);
    }
    if (type == &PyRange_Type || type == &PySlice_Type) {
        return pack_container(p, object, copy, type == &PyRange_Type ? STOA_OP_RANGE : STOA_OP_SLICE, own);
    }
    if (copy && stoa__is_bag(object)) {
        return pack_mutable(p, object, own);
    }
    uint32_t serial = pack_interpreter == NULL ? 0 : pack_interpreter(object);
    if (serial != 0) {
        return stoa__parcel_write_op(p->parcel, STOA_OP_INTERPRETER, serial);
    }
    if (!stoa__is_bag(object) && stoa__packer_beware(p) < 0) {
        return -1;
    }
    if (PyExceptionInstance_Check(object) && !p->in_exception && !(p->flags & STOA_PACK_EXCEPTION)) {
        p->in_exception = true; /* what its attributes hold crosses by proxy: it may be itself */
        return push_frame(p, object, stoa__exception_describe(object), STOA_OP_EXCEPTION, copy, false);
    }
    if (names) {
        PyObject *named;
        int found = stoa__value_name(object, &named);
        if (found != 0) {
            return found < 0 ? -1 : write_op(p, STOA_OP_NAME, (uintptr_t)named);
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
finish_frame(stoa_packer *p)
{
    stoa_pack_frame f = p->frames[--p->depth];
    uint64_t operand = (uint64_t)PyTuple_GET_SIZE(f.items);
    int result = 0;
    if (is_filled(f.op)) {
        result = write_fill(p, f.op, f.filled, f.next - f.filled);
        Py_DECREF(f.items);
        return result;
    }
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
        result = stoa__packer_remember(p, f.source);
    }
    Py_DECREF(f.items);
    return result;
}

/* The next items of a container: all leaves that come now, or one that is none. */
static int
pack_next(stoa_packer *p, stoa_pack_frame *f)
{
    Py_ssize_t more = PyTuple_GET_SIZE(f->items) - f->next, waiting = f->next - f->filled;
    if (is_filled(f->op) && waiting >= PIECE && (!f->pairs || waiting % 2 == 0)) {
        if (write_fill(p, f->op, f->filled, waiting) < 0) {
            return -1;
        }
        f->filled = f->next;
    }
    Py_ssize_t leaves = stoa__leaves_write(p->parcel, &PyTuple_GET_ITEM(f->items, f->next),
                                           more < PIECE ? more : PIECE, p->flags & STOA_PACK_DETACHED);
    if (leaves != 0) {
        f->next += leaves > 0 ? leaves : 0;
        return leaves < 0 ? -1 : 0;
    }
    bool copy = f->copy;
    unsigned own = f->own;
    PyObject *item = PyTuple_GET_ITEM(f->items, f->next++);
    return pack_one(p, item, copy, own);
}

/* The outermost object of STOA_PACK_TOP: its items cross by the rule. Those of a set may be a copy: they are hashed. */
static int
pack_bag(stoa_packer *p, PyObject *object)
{
    bool copy = (p->flags & STOA_PACK_COPY) != 0 || PySet_CheckExact(object) || PyByteArray_CheckExact(object);
    if (PyDict_CheckExact(object) || PyList_CheckExact(object)) {
        return write_new(p, object) < 0 ? -1 : write_items(p, object, false);
    }
    int taken = !copy && stoa__goes_as_bag(object) ? pack_value(p, object, false) : 0;
    return taken == 0 ? pack_one(p, object, copy, STOA_OWN_UNKNOWN) : taken < 0 ? -1 : 0;
}

static int
pack_all(stoa_packer *p, PyObject *object)
{
    int result = p->flags & STOA_PACK_TOP
                     ? pack_bag(p, object)
                     : pack_one(p, object, (p->flags & STOA_PACK_COPY) != 0, STOA_OWN_UNKNOWN);
    while (result == 0 && p->depth > 0) {
        stoa_pack_frame *f = &p->frames[p->depth - 1];
        result = f->next == PyTuple_GET_SIZE(f->items) ? finish_frame(p) : pack_next(p, f);
    }
    while (p->depth > 0) {
        Py_DECREF(p->frames[--p->depth].items);
    }
    stoa__pack_memo_free(&p->memo);
    free(p->frames);
    return result;
}

int
stoa__pack(PyObject *object, const char *root, unsigned flags, stoa_parcel *out)
{
    stoa_packer first = {.parcel = out, .root = root, .flags = flags};
    stoa__parcel_init(out);
    int result = pack_all(&first, object);
    if (result < 0) {
        stoa__parcel_clear(out);
    }
    if (result < 0 && first.wary && first.skipped) {
        stoa_packer wary = {.parcel = out, .root = root, .flags = flags, .wary = true};
        result = pack_all(&wary, object);
        if (result < 0) {
            stoa__parcel_clear(out);
        }
    }
    return result;
}
