#include "immortal/foreign_walk.h"

#include <string.h>

#include "heap/error.h"
#include "heap/process.h"
#include "heap/region.h"
#include "immortal/apart.h"
#include "immortal/fields.h"
#include "immortal/freeze.h"
#include "immortal/keys.h"
#include "immortal/late_walk.h"
#include "immortal/numbers.h"

static stoa_visit_result
fail_memory(stoa_walk *walk, const char *what)
{
    walk->batch.err = stoa__fail(STOA_ENOMEM, "no memory %s", what);
    return STOA_VISIT_FAILED;
}

static bool
is_reachable(const stoa_walk *walk, const PyObject *node)
{
    return stoa__region_reaches(walk->batch.region, stoa__region_of(node));
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

static stoa_visit_result
enter(stoa_walk *walk, PyObject *object, stoa_node_kind kind, unsigned flags, bool in_memo)
{
    if (!stoa__walk_open(walk, object, STOA_FRAME_FOREIGN, in_memo)) {
        return STOA_VISIT_FAILED;
    }
    walk->frames[walk->depth - 1].node_kind = (uint8_t)kind;
    walk->frames[walk->depth - 1].node_flags = (uint8_t)flags;
    walk->foreign = true;
    return STOA_VISIT_ENTERED;
}

static void
put(stoa_walk *walk, PyObject *part)
{
    __builtin_prefetch(part);
    walk->slots[walk->top++] = part;
}

static stoa_visit_result
enter_record(stoa_walk *walk, stoa_plan *plan, PyObject *object, bool in_memo)
{
    stoa_fields fields;
    if (!stoa__fields_look(plan, object, &fields)) {
        stoa__refuse_because(walk, object,
                             "its attributes are not what a class statement makes them: register() "
                             "its class with functions that take it apart and make it");
        return STOA_VISIT_FAILED;
    }
    stoa_shared *shape = stoa__fields_shape(plan, &fields);
    if (shape == NULL) {
        return fail_memory(walk, "for the names of an object's attributes");
    }
    if (!stoa__walk_reserve(walk, 1 + fields.count)) {
        return STOA_VISIT_FAILED;
    }
    stoa_visit_result result = enter(walk, object, STOA_NODE_RECORD, plan->flags, in_memo);
    if (result != STOA_VISIT_ENTERED) {
        return result;
    }
    put(walk, shape);
    stoa__fields_lay(plan, object, &fields, walk->slots + walk->top);
    for (size_t i = 0; i < fields.count; i++) {
        __builtin_prefetch(walk->slots[walk->top++]);
    }
    return STOA_VISIT_ENTERED;
}

static stoa_visit_result
enter_items(stoa_walk *walk, PyObject *object, stoa_node_kind kind, unsigned flags, PyObject *first,
            PyObject *const *items, Py_ssize_t count, bool in_memo)
{
    if (!stoa__walk_reserve(walk, 1 + (size_t)count)) {
        return STOA_VISIT_FAILED;
    }
    stoa_visit_result result = enter(walk, object, kind, flags, in_memo);
    if (result != STOA_VISIT_ENTERED) {
        return result;
    }
    if (first != NULL) {
        put(walk, first);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        put(walk, items[i]);
    }
    return STOA_VISIT_ENTERED;
}

/* ---- what Python code is needed for -------------------------------------------------------------------------------- */

/* To be taken apart after this attempt, which goes on to find the others: with `stop` it does not. */
static stoa_visit_result
postpone(stoa_walk *walk, PyObject *object, bool stop, stoa_shared **out)
{
    if (walk->apart == NULL) {
        memset(walk->plans, 0, sizeof(walk->plans)); /* the side's may be too many, and go now */
        walk->apart = stoa__apart_new(walk->batch.region);
        if (walk->apart == NULL) {
            PyErr_Clear();
            return fail_memory(walk, "to take objects apart");
        }
    }
    if (!stoa__apart_note(walk->apart, object)) {
        return fail_memory(walk, "to take objects apart");
    }
    walk->postponed = true;
    *out = Py_None;
    return stop ? STOA_VISIT_APART : STOA_VISIT_LEAF;
}

/* Why it could not be taken apart: [text, exception]. */
static stoa_visit_result
refuse_failure(stoa_walk *walk, PyObject *object, PyObject *failure)
{
    const char *text = PyUnicode_AsUTF8(PyList_GET_ITEM(failure, 0));
    if (text == NULL) {
        PyErr_Clear();
        text = "cannot be taken apart";
    }
    stoa__refuse_failed(walk, object, text);
    walk->cause = PyList_GET_ITEM(failure, 1); /* `apart` keeps it */
    return STOA_VISIT_FAILED;
}

static stoa_visit_result
step_apart(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out)
{
    PyObject *result = stoa__apart_find(walk->apart, object);
    if (result == NULL) {
        return postpone(walk, object, false, out);
    }
    if (PyList_CheckExact(result)) {
        return refuse_failure(walk, object, result);
    }
    *out = stoa__apart_laid_node(result);
    if (*out != NULL) {
        walk->foreign = true;
        return STOA_VISIT_LEAF;
    }
    stoa_node_kind kind = (stoa_node_kind)PyLong_AsLong(PyTuple_GET_ITEM(result, 0));
    unsigned flags = (unsigned)PyLong_AsUnsignedLong(PyTuple_GET_ITEM(result, 1));
    return enter_items(walk, object, kind, flags, NULL, &PyTuple_GET_ITEM(result, 2),
                       PyTuple_GET_SIZE(result) - 2, in_memo);
}

/* ---- one object ---------------------------------------------------------------------------------------------------- */

/* Kinds of other files. false: none takes it. */
static bool
step_kind(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out, stoa_visit_result *result)
{
    for (unsigned i = 0; i < STOA_NODE_KINDS; i++) {
        const stoa_foreign_kind *kind = stoa__foreign_kind(i);
        if (kind == NULL || kind->takes == NULL || !kind->takes(object)) {
            continue;
        }
        if (kind->freeze == NULL) {
            *result = step_apart(walk, object, in_memo, out);
            return true;
        }
        const char *why = NULL;
        *out = kind->freeze(&walk->batch, object, walk->flags & STOA_FREEZE_CONVERT, &why);
        if (*out == NULL && why == NULL && kind->reduce != NULL && walk->batch.err == STOA_OK) {
            *result = step_apart(walk, object, in_memo, out);
            return true;
        }
        if (*out == NULL && why != NULL) {
            stoa__refuse_because(walk, object, why);
        }
        else if (*out == NULL && walk->batch.err == STOA_EPYTHON) {
            stoa__refuse_raised(walk);
        }
        walk->foreign |= *out != NULL && stoa__is_node(*out);
        *result = *out == NULL ? STOA_VISIT_FAILED : STOA_VISIT_LEAF;
        return true;
    }
    return false;
}

static stoa_visit_result
refuse_changeable(stoa_walk *walk, PyObject *object)
{
    stoa__refuse_because(walk, object,
                         "it can be changed by its holder, and share() takes only what cannot; use freeze()");
    return STOA_VISIT_FAILED;
}

static bool
is_mutable_builtin(PyObject *object)
{
    return PyList_CheckExact(object) || PyDict_CheckExact(object) || PySet_CheckExact(object) ||
           PyByteArray_CheckExact(object);
}

/* share() takes exceptions for what they say. They are rebuilt with their arguments as they were given (reduce.c), so a list
 * among these, or in a tuple there, would arrive as a list; what lies deeper the walk meets itself. */
static bool
has_mutable_argument(PyObject *object)
{
    PyObject *arguments = PyExceptionInstance_Check(object) ? PyException_GetArgs(object) : NULL;
    bool found = false;
    for (Py_ssize_t i = 0; arguments != NULL && !found && i < PyTuple_GET_SIZE(arguments); i++) {
        PyObject *argument = PyTuple_GET_ITEM(arguments, i);
        found = is_mutable_builtin(argument);
        for (Py_ssize_t k = 0; PyTuple_CheckExact(argument) && !found && k < PyTuple_GET_SIZE(argument); k++) {
            found = is_mutable_builtin(PyTuple_GET_ITEM(argument, k));
        }
    }
    Py_XDECREF(arguments);
    return found;
}

static stoa_visit_result
step_planned(stoa_walk *walk, stoa_plan *plan, PyObject *object, bool in_memo, stoa_shared **out)
{
    if (plan->how == STOA_HOW_REFUSE) {
        /* rebuilt by what another interpreter registered: how it is taken apart is known there, and it is what arrived. Not
         * so records, whose class may have been defined again, and which may have been changed. */
        const stoa_foreign_side *side = stoa__foreign_side_if_any();
        PyObject *node = side == NULL ? NULL : stoa__table_node(side, object);
        if (node != NULL && ((stoa_node *)node)->kind == STOA_NODE_CALL && is_reachable(walk, node)) {
            walk->foreign = true;
            *out = node;
            return STOA_VISIT_LEAF;
        }
        if (plan->why[0] != '\0') {
            stoa__refuse_because(walk, object, plan->why);
        }
        else {
            stoa__refuse_type(walk, object);
        }
        return STOA_VISIT_FAILED;
    }
    if (plan->mutable && !(walk->flags & STOA_FREEZE_CONVERT)) {
        return refuse_changeable(walk, object);
    }
    if (!(walk->flags & STOA_FREEZE_CONVERT) && has_mutable_argument(object)) {
        stoa__refuse_because(
            walk, object, "one of its args can be changed, and share() takes only what cannot; use freeze()");
        return STOA_VISIT_FAILED;
    }
    return step_apart(walk, object, in_memo, out);
}

/* What was delivered and is what it was: false where it is not. */
static inline bool
is_delivered(stoa_walk *walk, const stoa_foreign_side *side, const PyObject *object, stoa_shared **out)
{
    PyObject *node = stoa__table_node(side, object);
    if (node == NULL || ((stoa_node *)node)->flags & STOA_NODE_CHANGEABLE || !is_reachable(walk, node)) {
        return false;
    }
    walk->foreign = true;
    *out = node;
    return true;
}

stoa_visit_result
stoa__record_step(stoa_walk *walk, stoa_plan *plan, PyObject *object, bool in_memo, stoa_shared **out)
{
    if (is_delivered(walk, walk->side, object, out)) {
        return STOA_VISIT_LEAF;
    }
    if (plan->mutable && !(walk->flags & STOA_FREEZE_CONVERT)) {
        return refuse_changeable(walk, object);
    }
    return plan->how == STOA_HOW_RECORD
               ? enter_record(walk, plan, object, in_memo)
               : enter_items(walk, object, STOA_NODE_NAMED, plan->flags, plan->class_node,
                             ((PyTupleObject *)object)->ob_item, PyTuple_GET_SIZE(object), in_memo);
}

stoa_visit_result
stoa__foreign_step(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out)
{
    stoa_visit_result result;
    stoa_foreign_side *side = stoa__foreign_side();
    bool here = side != NULL && !side->left;
    if (side == NULL) {
        PyErr_Clear();
    }
    stoa_plan *plan = here ? stoa__plan_find(side, Py_TYPE(object)) : NULL;
    if (plan != NULL && (plan->how == STOA_HOW_RECORD || plan->how == STOA_HOW_NAMED)) {
        walk->side = side;
        *stoa__walk_plan_place(walk, plan->type) = plan;
        return stoa__record_step(walk, plan, object, in_memo, out);
    }
    if (step_kind(walk, object, in_memo, out, &result)) {
        return result;
    }
    if (!here) {
        stoa__refuse_because(walk, object,
                             "this interpreter is being ended: only builtin types can be frozen now");
        return STOA_VISIT_FAILED;
    }
    if (is_delivered(walk, side, object, out)) {
        return STOA_VISIT_LEAF;
    }
    stoa_late *late = stoa__late_of(object);
    if (late != NULL && is_reachable(walk, (const PyObject *)late->node)) {
        bool refused = late->node->flags & STOA_NODE_CHANGEABLE && !(walk->flags & STOA_FREEZE_CONVERT);
        return refused ? refuse_changeable(walk, object) : stoa__late_step(walk, late, in_memo, out);
    }
    if (Py_IS_TYPE(object, &PyBaseObject_Type)) {
        stoa__refuse_type(walk, object);
        return STOA_VISIT_FAILED;
    }
    if (plan == NULL) {
        return postpone(walk, object, true, out);
    }
    return step_planned(walk, plan, object, in_memo, out);
}

/* ---- closing ------------------------------------------------------------------------------------------------------- */

bool
stoa__foreign_inside(stoa_shared *const *children, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (stoa__slot_is_node(children[i])) {
            return true;
        }
    }
    return false;
}

static stoa_node_kind
kind_of_frame(const stoa_frame *frame)
{
    switch ((stoa_frame_kind)frame->kind) {
    case STOA_FRAME_FOREIGN:
        return (stoa_node_kind)frame->node_kind;
    case STOA_FRAME_MAPPING:
        return STOA_NODE_MAPPING;
    case STOA_FRAME_SET:
        return STOA_NODE_FROZENSET;
    case STOA_FRAME_SLICE:
        return STOA_NODE_SLICE;
    default:
        return STOA_NODE_TUPLE;
    }
}

stoa_shared *
stoa__foreign_close(stoa_walk *walk, const stoa_frame *frame)
{
    stoa_shared **children = walk->slots + frame->base;
    size_t count = walk->top - frame->base;
    if (walk->postponed) {
        return Py_None; /* this attempt makes nothing any more */
    }
    if (stoa__late_of_frame(frame) != NULL) {
        return stoa__late_close(walk, frame);
    }
    stoa_node_kind kind = kind_of_frame(frame);
    if (kind == STOA_NODE_SAME) {
        return stoa__numbers_lay(walk, frame) ? children[0] : NULL;
    }
    if (kind == STOA_NODE_FROZENSET) {
        stoa__node_sort_members(children, count);
    }
    unsigned flags = frame->kind == STOA_FRAME_FOREIGN ? frame->node_flags : STOA_NODE_VALUE;
    /* what was delivered and was not changed is what it was */
    stoa_foreign_side *side = stoa__foreign_side_if_any();
    PyObject *node = side == NULL ? NULL : stoa__table_node(side, frame->source);
    stoa_content content = stoa__frame_content(walk, frame);
    if (node != NULL && is_reachable(walk, node) && stoa__node_is(node, kind, &content) &&
        stoa__numbers_agree(walk, frame, node)) {
        return node;
    }
    bool keyed = kind == STOA_NODE_MAPPING || kind == STOA_NODE_FROZENSET;
    if (keyed && !stoa__keys_note(walk, frame, kind, children)) {
        return NULL;
    }
    stoa_key key = {0};
    if ((walk->batch.flags & STOA_BATCH_INTERN) && (flags & STOA_NODE_VALUE)) {
        node = stoa__find_node(&walk->batch, kind, &content, &key);
        if (node != NULL && stoa__numbers_agree(walk, frame, node)) {
            return node;
        }
    }
    return stoa__numbers_lay(walk, frame) ? stoa__new_node(&walk->batch, key, kind, flags, children, count)
                                          : NULL;
}

/* ---- paths --------------------------------------------------------------------------------------------------------- */

void
stoa__node_step(stoa_node_kind kind, PyObject *const *parts, size_t index, stoa_step *out)
{
    static const char *const call_parts[] = {"__reduce__()[0]", "__reduce__()[1]", "__reduce__()",
                                             "__reduce__()[2]", "__reduce__()[3]", "__reduce__()[4]",
                                             "__class__",       "__reduce__()[5]"};
    *out = (stoa_step){kind == STOA_NODE_SAME ? STOA_STEP_NONE : STOA_STEP_INDEX, index, NULL, NULL};
    if (kind == STOA_NODE_RECORD && index > 0 && stoa__is_node(parts[0])) {
        const stoa_node *shape = (const stoa_node *)parts[0];
        const char *name = index < shape->count ? PyUnicode_AsUTF8(shape->parts[index]) : NULL;
        PyErr_Clear();
        *out = (stoa_step){STOA_STEP_ATTRIBUTE, 0, NULL, name == NULL ? "?" : name};
    }
    else if (kind == STOA_NODE_NAMED && index > 0) {
        out->index = index - 1;
    }
    else if (kind == STOA_NODE_CALL && index < Py_ARRAY_LENGTH(call_parts)) {
        *out = (stoa_step){STOA_STEP_ATTRIBUTE, 0, NULL, call_parts[index]};
    }
    else if (kind == STOA_NODE_MEMBER && index == 2) {
        *out = (stoa_step){STOA_STEP_ATTRIBUTE, 0, NULL, "value"};
    }
    else if (kind == STOA_NODE_MAPPING) {
        *out = index % 2 == 0
                   ? (stoa_step){STOA_STEP_KEY, index / 2, NULL, NULL}
                   : (stoa_step){STOA_STEP_VALUE, index / 2, stoa__slot_object(parts[index - 1]), NULL};
    }
}

void
stoa__foreign_frame_step(const stoa_walk *walk, const stoa_frame *frame, stoa_step *out)
{
    if (stoa__late_of_frame(frame) != NULL) {
        stoa__late_frame_step(frame, out);
        return;
    }
    stoa__node_step((stoa_node_kind)frame->node_kind, walk->slots + frame->base, frame->next - frame->base,
                    out);
}
