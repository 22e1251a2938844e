/* Thawing: a private, mutable deep copy.
 *
 * Mutable containers can be made empty and filled later, so unlike freezing the walk goes from the top down: a container
 * is made and remembered when it is met, and a frame says how far it is filled. So aliases stay aliases, as with
 * copy.deepcopy, and even a cycle (of a private source) comes out right. Dict keys and set members stay what they are:
 * they must be hashable. Nothing of the user's runs for a shared source; for a private one a key's __hash__ and __eq__
 * may, so a container's children are held (INCREF) before anything else happens.
 */
#include "immortal/array_view.h"
#include "immortal/freeze.h"
#include "immortal/late.h"
#include "immortal/persist_view.h"

#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/fields.h"
#include "immortal/memo.h"
#include "immortal/record.h"
#include "immortal/source.h"

#include <stdlib.h>

typedef struct thaw_frame {
    PyObject *copy; /* the list or dict being filled: owned, since a key's __eq__ might take it out of the outer one */
    size_t base; /* children: items, or key, value, key, value …; references are held */
    size_t next;
    bool is_dict;
    PyObject *shape; /* of a record, whose fields the children are: owned; else NULL */
} thaw_frame;

typedef struct thaw_walk {
    PyObject **slots; /* owned references from the innermost frame's `next` to top, and those of outer frames */
    size_t top, slot_capacity;
    thaw_frame *frames;
    size_t depth, frame_capacity;
    stoa_memo memo; /* source -> copy, for sources with several references */
    PyObject *keep; /* list of the private sources in the memo and their copies: they must outlive the walk */
} thaw_walk;

static bool
reserve(void **array, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity) {
        return true;
    }
    size_t wanted = *capacity * 2 > count ? *capacity * 2 : count + 64;
    void *fresh = wanted > PTRDIFF_MAX / size ? NULL : realloc(*array, wanted * size);
    if (fresh == NULL) {
        PyErr_NoMemory();
        return false;
    }
    *array = fresh;
    *capacity = wanted;
    return true;
}

static bool
hold_array(thaw_walk *walk, PyObject *const *items, Py_ssize_t count)
{
    if (!reserve((void **)&walk->slots, &walk->slot_capacity, walk->top + (size_t)count, sizeof(PyObject *))) {
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        walk->slots[walk->top++] = Py_NewRef(items[i]);
    }
    return true;
}

static bool
hold_pairs(thaw_walk *walk, PyObject *dict)
{
    size_t count = 2 * (size_t)PyDict_GET_SIZE(dict);
    if (!reserve((void **)&walk->slots, &walk->slot_capacity, walk->top + count, sizeof(PyObject *))) {
        return false;
    }
    Py_ssize_t position = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &position, &key, &value)) {
        walk->slots[walk->top++] = Py_NewRef(key);
        walk->slots[walk->top++] = Py_NewRef(value);
    }
    return true;
}

/* The dict whose pairs a mapping has, or NULL: no mapping that we know. */
static PyObject *
dict_behind(PyObject *object)
{
    PyObject *target = stoa__proxy_target(object);
    return stoa__is_any_dict(target) ? target : NULL;
}

static bool
remember(thaw_walk *walk, PyObject *source, PyObject *copy)
{
    if (Py_REFCNT(source) == 1) {
        return true;
    }
    if (!stoa__in_heap(source)) {
        if (walk->keep == NULL && (walk->keep = PyList_New(0)) == NULL) {
            return false;
        }
        if (PyList_Append(walk->keep, source) < 0 || PyList_Append(walk->keep, copy) < 0) {
            return false;
        }
    }
    if (!stoa__memo_put(&walk->memo, source, copy)) {
        PyErr_NoMemory();
        return false;
    }
    return true;
}

/* Makes the empty copy of a list, tuple or mapping and opens its frame. New reference. */
static PyObject *
open_container(thaw_walk *walk, PyObject *source, PyObject *dict)
{
    if (!reserve((void **)&walk->frames, &walk->frame_capacity, walk->depth + 1, sizeof(thaw_frame))) {
        return NULL;
    }
    PyObject *copy = dict != NULL ? PyDict_New() : PyList_New(Py_SIZE(source));
    if (copy == NULL) {
        return NULL;
    }
    size_t base = walk->top;
    bool held = dict != NULL ? hold_pairs(walk, dict)
                : PyList_CheckExact(source)
                    ? hold_array(walk, ((PyListObject *)source)->ob_item, PyList_GET_SIZE(source))
                    : hold_array(walk, ((PyTupleObject *)source)->ob_item, PyTuple_GET_SIZE(source));
    if (!held || !remember(walk, source, copy)) {
        Py_DECREF(copy);
        return NULL;
    }
    walk->frames[walk->depth++] = (thaw_frame){Py_NewRef(copy), base, base, dict != NULL, NULL};
    return copy;
}

static bool
hold_fields(thaw_walk *walk, PyObject *object, const stoa_plan *plan, const stoa_fields *fields)
{
    if (!reserve((void **)&walk->slots, &walk->slot_capacity, walk->top + fields->count, sizeof(PyObject *))) {
        return false;
    }
    stoa__fields_lay(plan, object, fields, walk->slots + walk->top);
    for (size_t i = 0; i < fields->count; i++) {
        Py_INCREF(walk->slots[walk->top++]);
    }
    return true;
}

/* An instance of the same class without attributes, and the frame to fill it. New reference. */
static PyObject *
open_record(thaw_walk *walk, PyObject *source, stoa_plan *plan)
{
    stoa_fields fields;
    if (!reserve((void **)&walk->frames, &walk->frame_capacity, walk->depth + 1, sizeof(thaw_frame))) {
        return NULL;
    }
    size_t base = walk->top;
    stoa_shared *node = stoa__fields_look(plan, source, &fields) ? stoa__fields_shape(plan, &fields) : NULL;
    bool held = node != NULL && hold_fields(walk, source, plan, &fields);
    if (!held && !PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    PyObject *shape = held ? stoa__deliver(node) : NULL;
    PyObject *copy = shape == NULL ? NULL : stoa__record_new(shape);
    if (copy == NULL || !remember(walk, source, copy)) {
        Py_XDECREF(shape);
        Py_XDECREF(copy);
        return NULL;
    }
    walk->frames[walk->depth++] = (thaw_frame){Py_NewRef(copy), base, base, false, shape};
    return copy;
}

/* What is found by its name is one object wherever it stands. */
static bool
is_named(PyObject *object)
{
    return PyType_Check(object) || PyFunction_Check(object) || PyCFunction_Check(object) ||
           PyModule_Check(object);
}

/* What was delivered. NULL without an exception: it was not. */
static PyObject *
thaw_delivered(thaw_walk *walk, PyObject *object)
{
    PyObject *node = stoa__delivered_node(object);
    if (stoa__late_of(object) != NULL) {
        PyObject *tuple = PySequence_Tuple(object); /* kept by the frame's slots, item by item */
        PyObject *copy = tuple == NULL ? NULL : open_container(walk, tuple, NULL);
        Py_XDECREF(tuple);
        return copy;
    }
    const stoa_foreign_kind *by_handle = stoa__foreign_kind(STOA_NODE_HANDLE);
    if (node == NULL && walk->depth > 0 && by_handle != NULL && by_handle->takes(object)) {
        return Py_NewRef(object); /* a proxy inside stays one */
    }
    unsigned kind = node == NULL ? STOA_NODE_SAME : ((const stoa_node *)node)->kind;
    if (kind == STOA_NODE_RECORD) {
        stoa_foreign_side *side = stoa__foreign_side();
        stoa_plan *plan = side == NULL ? NULL : stoa__plan_make(side, object);
        if (plan != NULL && plan->how == STOA_HOW_RECORD) {
            return open_record(walk, object, plan);
        }
    }
    if (node == NULL && walk->depth > 0 && is_named(object)) {
        return Py_NewRef(object); /* it was delivered as a part, so the table does not know it (table.h) */
    }
    if (node == NULL || PyErr_Occurred()) {
        return NULL;
    }
    return ((const stoa_node *)node)->flags & STOA_NODE_CHANGEABLE && kind == STOA_NODE_CALL
               ? stoa__deliver_copy(node)
               : Py_NewRef(object);
}

static bool
is_leaf(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type || type == &PyBool_Type ||
           type == &PyBytes_Type || object == Py_None || type == &PyComplex_Type || type == &PyRange_Type ||
           type == &PySlice_Type || stoa__is_shared(object);
}

/* The thawed form of one value: new reference. Containers come back empty, with a frame open to fill them. */
static PyObject *
thaw_value(thaw_walk *walk, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyUnicode_Type || type == &PyLong_Type) {
        return Py_NewRef(object);
    }
    void *known = stoa__memo_find(&walk->memo, object);
    if (known != NULL) {
        return Py_NewRef((PyObject *)known);
    }
    PyObject *dict = dict_behind(object);
    if (dict != NULL || type == &PyTuple_Type || type == &PyList_Type) {
        return open_container(walk, object, dict);
    }
    PyObject *copy;
    if (type == &PyFrozenSet_Type || type == &PySet_Type) {
        copy = PySet_New(object);
    }
    else if (type == &PyByteArray_Type) {
        copy = PyByteArray_FromObject(object);
    }
    else if (is_leaf(object)) {
        return Py_NewRef(object);
    }
    else if (stoa__is_persistent(object)) {
        dict = stoa__persist_as_dict(object, false);
        copy = dict == NULL ? NULL : open_container(walk, object, dict);
        Py_XDECREF(dict);
        return copy;
    }
    else if (stoa__array_is_delivered(object)) {
        copy = stoa__array_thaw(object);
    }
    else if ((copy = thaw_delivered(walk, object)) != NULL || PyErr_Occurred()) {
        return copy;
    }
    else {
        PyErr_Format(
            PyExc_TypeError,
            "cannot thaw an object of type '%.100s': thaw() copies builtin containers and shared objects; "
            "use copy.deepcopy() for others",
            type->tp_name);
        return NULL;
    }
    if (copy != NULL && !remember(walk, object, copy)) {
        Py_CLEAR(copy);
    }
    return copy;
}

/* Puts one thawed child where it belongs; takes the reference. A dict's key is the slot before. */
static bool
put(thaw_walk *walk, PyObject *copy, bool is_dict, PyObject *shape, size_t base, size_t next, PyObject *child)
{
    if (shape != NULL) {
        int unset = stoa__record_set(copy, shape, next - base, child);
        Py_DECREF(child);
        return unset == 0;
    }
    if (!is_dict) {
        return PyList_SetItem(copy, (Py_ssize_t)(next - base), child) == 0; /* checks the index: see above */
    }
    int failed = PyDict_SetItem(copy, walk->slots[next - 1], child);
    Py_DECREF(child);
    return failed == 0;
}

static bool
fill(thaw_walk *walk)
{
    while (walk->depth > 0) {
        thaw_frame *frame = &walk->frames[walk->depth - 1];
        if (frame->next == walk->top) {
            while (walk->top > frame->base) {
                Py_DECREF(walk->slots[--walk->top]);
            }
            Py_XDECREF(frame->shape);
            Py_DECREF(walk->frames[--walk->depth].copy);
            continue;
        }
        if (frame->is_dict && (frame->next - frame->base) % 2 == 0) {
            frame->next++; /* the key */
        }
        size_t next = frame->next++, base = frame->base;
        PyObject *copy = frame->copy;
        bool is_dict = frame->is_dict;
        PyObject *shape = frame->shape;
        PyObject *child = thaw_value(walk, walk->slots[next]); /* may move frames and slots */
        if (child == NULL || !put(walk, copy, is_dict, shape, base, next, child)) {
            return false;
        }
    }
    return true;
}

PyObject *
stoa__thaw(PyObject *object)
{
    thaw_walk walk = {0};
    stoa__memo_init(&walk.memo);
    PyObject *result = thaw_value(&walk, object);
    if (result != NULL && !fill(&walk)) {
        Py_CLEAR(result);
    }
    while (walk.top > 0) {
        Py_DECREF(walk.slots[--walk.top]);
    }
    while (walk.depth > 0) {
        Py_XDECREF(walk.frames[walk.depth - 1].shape);
        Py_DECREF(walk.frames[--walk.depth].copy);
    }
    free(walk.slots);
    free(walk.frames);
    stoa__memo_clear(&walk.memo);
    Py_XDECREF(walk.keep);
    return result;
}
