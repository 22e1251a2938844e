/* Delivery: from nodes to the objects that stand for them here. */
#include <stdlib.h>

#include "heap/region.h"
#include "immortal/array_view.h"
#include "immortal/build_node.h"
#include "immortal/canonical.h"
#include "immortal/described.h"
#include "immortal/exceptions.h"
#include "immortal/foreign_walk.h"
#include "immortal/freeze.h"
#include "immortal/interpreter_state.h"
#include "immortal/path.h"
#include "immortal/record.h"
#include "immortal/table.h"

typedef struct deliver_frame {
    const stoa_node *node;
    size_t next; /* part */
    size_t base; /* of its delivered parts in `values` */
} deliver_frame;

typedef struct delivery {
    stoa_foreign_side *side;
    deliver_frame *frames;
    size_t depth, frame_room;
    PyObject **values; /* references */
    size_t top, value_room;
    const stoa_step *place; /* of the root, in what it is a part of; NULL: it is none */
    deliver_frame first_frames[8];
    PyObject *first_values[24];
} delivery;

/* Room for `more` behind `used`; the first array is part of the struct. */
static void *
grow(void *old, const void *first, size_t used, size_t more, size_t *room, size_t size)
{
    if (used + more <= *room) {
        return old;
    }
    size_t wanted = 2 * *room > used + more ? 2 * *room : used + more;
    void *fresh = wanted > PTRDIFF_MAX / size ? NULL : realloc(old == first ? NULL : old, wanted * size);
    if (fresh == NULL) {
        return PyErr_NoMemory();
    }
    if (old == first) {
        memcpy(fresh, first, used * size);
    }
    *room = wanted;
    return fresh;
}

static int
open_frame(delivery *d, const stoa_node *node)
{
    deliver_frame *frames = grow(d->frames, d->first_frames, d->depth, 1, &d->frame_room, sizeof(*frames));
    if (frames == NULL) {
        return -1;
    }
    d->frames = frames;
    PyObject **values = grow(d->values, d->first_values, d->top, node->count - node->raw + 1, &d->value_room,
                             sizeof(*values));
    if (values == NULL) {
        return -1;
    }
    d->values = values;
    d->frames[d->depth++] = (deliver_frame){node, 0, d->top};
    return 0;
}

static void
drop_to(delivery *d, size_t base)
{
    while (d->top > base) {
        Py_DECREF(d->values[--d->top]);
    }
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

static stoa_level
level_of(const void *arg, size_t i)
{
    const deliver_frame *frame = &((const delivery *)arg)->frames[i];
    return (stoa_level){frame->node->kind, frame->next - 1, frame->node->parts};
}

static void
step_of_frame(void *arg, size_t i, stoa_step *out)
{
    const delivery *d = arg;
    if (d->place != NULL && i-- == 0) {
        *out = *d->place;
        return;
    }
    if (stoa__described_step(level_of, d, i, out)) {
        return;
    }
    const deliver_frame *frame = &d->frames[i];
    stoa__node_step((stoa_node_kind)frame->node->kind, frame->node->parts, frame->next - 1, out);
}

/* "app.Point", for a message: what the node is an instance of, or is. */
static void
write_name(stoa_path *path, const stoa_node *node)
{
    const PyObject *part = NULL;
    switch ((stoa_node_kind)node->kind) {
    case STOA_NODE_GLOBAL:
    case STOA_NODE_MODULE:
        stoa__path_printf(path, "%s", PyUnicode_AsUTF8(node->parts[0]));
        if (node->kind == STOA_NODE_GLOBAL) {
            stoa__path_printf(path, ".%s", PyUnicode_AsUTF8(node->parts[1]));
        }
        return;
    case STOA_NODE_MEMBER:
    case STOA_NODE_SHAPE:
    case STOA_NODE_RECORD:
    case STOA_NODE_NAMED:
        part = node->parts[0];
        break;
    case STOA_NODE_CALL:
        part = stoa__is_node(node->parts[6]) ? node->parts[6] : node->parts[0];
        if (PyTuple_CheckExact(node->parts[6])) {
            stoa__path_printf(path, "%s.%s", PyUnicode_AsUTF8(PyTuple_GET_ITEM(node->parts[6], 0)),
                              PyUnicode_AsUTF8(PyTuple_GET_ITEM(node->parts[6], 1)));
            return;
        }
        break;
    default:
        break;
    }
    if (part != NULL && stoa__is_node(part)) {
        write_name(path, (const stoa_node *)part); /* two levels at most: RECORD, SHAPE, GLOBAL */
        return;
    }
    const stoa_foreign_kind *kind = stoa__foreign_kind(node->kind);
    stoa__path_printf(path, "%s", kind == NULL ? "unknown kind" : kind->name);
}

/* Wraps the exception that is set: where in the graph, what, and in which interpreter. */
static void
explain(delivery *d)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError) || d->depth == 0) {
        return;
    }
    PyObject *raised = PyErr_GetRaisedException();
    stoa_path path = {NULL, 0, 0, false};
    char here[STOA_INTERPRETER_NAME];
    size_t steps = d->depth - 1;
    const stoa_node *node = d->frames[d->depth - 1].node;
    while (steps > 0 && (node->kind == STOA_NODE_GLOBAL || node->kind == STOA_NODE_SHAPE) &&
           d->frames[steps - 1].node->kind != STOA_NODE_TUPLE) {
        node = d->frames[--steps].node; /* the class of something: that is what cannot be built */
    }
    stoa__path_write(&path, step_of_frame, d, steps + (d->place != NULL));
    stoa__path_printf(&path, ": '");
    write_name(&path, node);
    PyObject *text = PyObject_Str(raised);
    if (text == NULL) {
        PyErr_Clear();
        text = PyUnicode_FromString("?");
    }
    PyObject *error = stoa__exception(STOA_EXC_Error);
    bool missing = PyErr_GivenExceptionMatches(raised, PyExc_ImportError) ||
                   PyErr_GivenExceptionMatches(raised, PyExc_AttributeError);
    if (text != NULL && error != NULL) {
        PyErr_Format(error, "%s' cannot be built in interpreter '%s': %.200s: %U; %s, then ask again",
                     stoa__path_text(&path), stoa__interpreter_name(here), Py_TYPE(raised)->tp_name, text,
                     missing ? "make what it names importable there"
                             : "mend what rebuilds it, or say how with stoa.register()");
        PyObject *wrapped = PyErr_GetRaisedException();
        PyException_SetCause(wrapped, Py_NewRef(raised));
        PyException_SetContext(wrapped, Py_NewRef(raised));
        PyErr_SetRaisedException(wrapped);
    }
    Py_XDECREF(text);
    Py_DECREF(raised);
    stoa__path_clear(&path);
}

/* ---- the loop ------------------------------------------------------------------------------------------------------ */

/* Takes over `object`; NULL is a failure that has happened. */
static int
push_built(delivery *d, const stoa_node *node, PyObject *object)
{
    if (object != NULL && !stoa__foreign_kind(node->kind)->known_elsewhere) {
        object = stoa__table_add(d->side, (PyObject *)(uintptr_t)node, object);
    }
    if (object == NULL) {
        return -1;
    }
    d->values[d->top++] = object; /* room was made with the frame around */
    return 0;
}

/* All parts of the innermost frame are there. */
static int
close_frame(delivery *d)
{
    const deliver_frame *frame = &d->frames[d->depth - 1];
    const stoa_node *node = frame->node;
    const stoa_foreign_kind *kind = stoa__foreign_kind(node->kind);
    PyObject *object = NULL;
    if (kind == NULL || kind->build == NULL) {
        PyErr_SetString(PyExc_SystemError, "stoa: no code was loaded that builds this kind of node");
    }
    else {
        object = kind->build(node, d->values + frame->base);
        if (object == NULL && !PyErr_Occurred()) {
            PyErr_SetString(PyExc_SystemError, "stoa: building a node failed without saying why");
        }
    }
    if (object == NULL) {
        return -1;
    }
    drop_to(d, frame->base);
    d->depth--;
    return push_built(d, node, object);
}

/* A record of native values whose class is known here, without a frame for it. Its values lie anywhere, and counting a
 * reference reads each: they are all fetched at once. NULL without an exception: it is not that, or building it fails, which
 * the long way tells better. */
static PyObject *
quick_record(const stoa_foreign_side *side, const stoa_node *node)
{
    if (node->kind != STOA_NODE_RECORD) {
        return NULL;
    }
    for (size_t i = 1; i < node->count; i++) {
        __builtin_prefetch(node->parts[i]);
    }
    PyObject *shape = stoa__table_find(side, node->parts[0]);
    for (size_t i = 1; shape != NULL && i < node->count; i++) {
        if (stoa__is_node(node->parts[i])) {
            return NULL;
        }
    }
    PyObject *record = shape == NULL ? NULL : stoa__record_of(Py_NewRef(shape), node->parts + 1);
    Py_XDECREF(shape);
    PyErr_Clear();
    return record;
}

/* What stands for a node here, borrowed. A view of an array may have been released, by any of its holders (`with view:`): for
 * others there is another one. */
static PyObject *
find_known(stoa_foreign_side *side, PyObject *node)
{
    PyObject *known = stoa__table_find(side, node);
    if (known != NULL && ((const stoa_node *)node)->kind == STOA_NODE_ARRAY && stoa__is_released_view(known)) {
        stoa__table_forget(side, node);
        return NULL;
    }
    return known;
}

/* One part, or the root: delivered at once, or a frame is opened. */
static int
visit(delivery *d, PyObject *part)
{
    if (!stoa__is_node(part)) {
        d->values[d->top++] = Py_NewRef(part);
        return 0;
    }
    const stoa_node *node = (const stoa_node *)part;
    PyObject *known = find_known(d->side, part);
    if (known != NULL) {
        d->values[d->top++] = Py_NewRef(known);
        return 0;
    }
    PyObject *record = quick_record(d->side, node);
    if (record != NULL) {
        return push_built(d, node, record);
    }
    const stoa_foreign_kind *kind = stoa__foreign_kind(node->kind);
    if (kind != NULL && kind->build_lazily != NULL) {
        PyObject *object = kind->build_lazily(node);
        if (object != NULL || PyErr_Occurred()) {
            return push_built(d, node, object);
        }
    }
    return open_frame(d, node);
}

static PyObject *
run(delivery *d, PyObject *root)
{
    int result = visit(d, root);
    while (result == 0 && d->depth > 0) {
        deliver_frame *frame = &d->frames[d->depth - 1];
        if (frame->next == frame->node->count - frame->node->raw) {
            result = close_frame(d);
        }
        else {
            result = visit(d, frame->node->parts[frame->next++]);
        }
    }
    if (result == 0) {
        return d->values[--d->top];
    }
    explain(d);
    PyObject *raised = PyErr_GetRaisedException();
    stoa__table_forget_names(d->side); /* whoever asks again may have given a name another meaning */
    PyErr_SetRaisedException(raised);
    return NULL;
}

PyObject *
stoa__deliver_copy(PyObject *object)
{
    const stoa_node *node = (const stoa_node *)object;
    const stoa_foreign_kind *kind = stoa__foreign_kind(node->kind);
    size_t count = node->count - node->raw;
    PyObject *parts = PyList_New((Py_ssize_t)count), *copy = NULL;
    size_t ready = 0;
    for (PyObject *part; parts != NULL && ready < count; ready++) {
        if ((part = stoa__deliver(node->parts[ready])) == NULL) {
            break;
        }
        PyList_SET_ITEM(parts, (Py_ssize_t)ready, part);
    }
    if (parts != NULL && ready == count) {
        copy = kind->build(node, ((PyListObject *)parts)->ob_item);
    }
    Py_XDECREF(parts);
    return copy;
}

static PyObject *
deliver(PyObject *node, const stoa_step *place)
{
    delivery d = {.side = stoa__foreign_side(),
                  .place = place,
                  .frame_room = Py_ARRAY_LENGTH(d.first_frames),
                  .value_room = Py_ARRAY_LENGTH(d.first_values)};
    if (d.side == NULL) {
        return NULL;
    }
    PyObject *known = find_known(d.side, node);
    if (known != NULL) {
        return Py_NewRef(known);
    }
    d.frames = d.first_frames;
    d.values = d.first_values;
    PyObject *object = run(&d, node);
    PyObject *raised = PyErr_GetRaisedException();
    drop_to(&d, 0);
    PyErr_SetRaisedException(raised);
    if (d.frames != d.first_frames) {
        free(d.frames);
    }
    if (d.values != d.first_values) {
        free(d.values);
    }
    return object;
}

/* Passes `object` on, which was delivered by itself for `node`. */
static PyObject *
by_itself(PyObject *node, PyObject *object)
{
    if (object != NULL && stoa__is_name(node)) {
        stoa__table_add_name(stoa__foreign_side_if_any(), node, object);
    }
    return object;
}

PyObject *
stoa__deliver_node(PyObject *node)
{
    return by_itself(node, deliver(node, NULL));
}

PyObject *
stoa__deliver_part(PyObject *node)
{
    return deliver(node, NULL);
}

PyObject *
stoa__deliver_late(PyObject *part, const stoa_step *place)
{
    return stoa__is_node(part) ? by_itself(part, deliver(part, place)) : Py_NewRef(part);
}

/* ---- back ---------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__delivered_node(PyObject *object)
{
    const stoa_foreign_side *side = stoa__foreign_side_if_any();
    return side == NULL ? NULL : stoa__table_node(side, object);
}

stoa_region *
stoa__region_of_frozen(PyObject *object)
{
    const PyObject *in_heap = stoa__in_heap(object) ? object : stoa__delivered_node(object);
    return in_heap == NULL ? NULL : stoa__region_ref_of(in_heap);
}

PyObject *
stoa__delivered_to_heap(PyObject *object)
{
    if (stoa__is_shared(object)) {
        return object;
    }
    PyObject *node = stoa__delivered_node(object);
    if (node == NULL || !(((const stoa_node *)node)->flags & STOA_NODE_CHANGEABLE)) {
        return node;
    }
    stoa_region *region = stoa__region_ref_of(node); /* there nothing has to be copied */
    PyObject *frozen = stoa__freeze_to_heap(object, region, STOA_FREEZE_INTERN | STOA_FREEZE_CONVERT);
    stoa__region_unref(region);
    if (frozen == NULL && (PyErr_ExceptionMatches(stoa__exception(STOA_EXC_NotFreezable)) ||
                           PyErr_ExceptionMatches(stoa__exception(STOA_EXC_InterpreterGone)) ||
                           PyErr_ExceptionMatches(stoa__exception(STOA_EXC_ReleasedProxy)))) {
        PyErr_Clear(); /* it crosses in another way */
    }
    return frozen;
}
