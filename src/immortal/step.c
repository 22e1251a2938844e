#include "immortal/step.h"

#include "immortal/ahead.h"
#include "immortal/canonical.h"
#include "immortal/canonical_table.h"
#include "immortal/content.h"
#include "immortal/datetime_like.h"
#include "immortal/equal.h"
#include "immortal/foreign_walk.h"
#include "immortal/freeze.h"
#include "immortal/hash.h"
#include "immortal/image.h"
#include "immortal/source.h"

#include <math.h>

/* NaN is equal to nothing but is found by identity, so two NaNs that are two keys must stay two objects. */
static stoa_shared *
freeze_complex(stoa_batch *batch, PyObject *number)
{
    Py_complex value = ((PyComplexObject *)number)->cval;
    unsigned flags = batch->flags;
    if (isnan(value.real) || isnan(value.imag)) {
        batch->flags &= ~STOA_BATCH_INTERN;
    }
    stoa_shared *made = stoa__make_complex(batch, value.real, value.imag);
    batch->flags = flags;
    return made;
}

static inline stoa_shared *
freeze_float(stoa_batch *batch, PyObject *number)
{
    return isnan(PyFloat_AS_DOUBLE(number)) ? stoa__new_float(batch, PyFloat_AS_DOUBLE(number))
                                            : stoa__make_number(batch, number);
}

/* `key`: see stoa__make_str_keyed. */
static inline stoa_shared *
freeze_str(stoa_batch *batch, const stoa_key *key, PyObject *text)
{
    return stoa__make_str_keyed(batch, key, (int)PyUnicode_KIND(text), PyUnicode_IS_ASCII(text),
                                PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text),
                                ((PyASCIIObject *)text)->hash);
}

/* Without interning: the same as one made lately, or a new one. */
static stoa_shared *
freeze_str_again(stoa_walk *walk, PyObject *text)
{
    int kind = (int)PyUnicode_KIND(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (length <= 1) {
        return freeze_str(&walk->batch, NULL, text);
    }
    uint64_t mix = stoa__text_mix(PyUnicode_DATA(text), (size_t)length * (size_t)kind) + (unsigned)kind;
    size_t at = (size_t)(mix >> (64 - STOA_TEXTS_LOG2));
    stoa_shared *made = walk->texts->last[at].shared;
    if (made != NULL && walk->texts->last[at].mix == mix) {
        /* of this walk's batch: its writable twin is in the cache, the public one not even mapped */
        const PyObject *near = stoa__in_heap(made) ? stoa__rw(made) : made;
        if (stoa__equal_str(near, text)) {
            return made;
        }
    }
    made = freeze_str(&walk->batch, NULL, text);
    walk->texts->last[at].mix = mix;
    walk->texts->last[at].shared = made;
    return made;
}

static stoa_shared *
freeze_range(stoa_batch *batch, PyObject *range)
{
    const stoa_range *r = (const stoa_range *)range;
    PyObject *source[4] = {r->start, r->stop, r->step, r->length};
    stoa_shared *twin[4];
    for (int i = 0; i < 4; i++) {
        twin[i] = stoa__make_number(batch, source[i]);
        if (twin[i] == NULL) {
            return NULL;
        }
    }
    return stoa__make_range(batch, twin[0], twin[1], twin[2], twin[3]);
}

static inline stoa_visit_result
enter_mutable(stoa_walk *walk, PyObject *container, stoa_frame_kind kind, bool in_memo)
{
    if (!(walk->flags & STOA_FREEZE_CONVERT)) {
        stoa__refuse_mutable(walk, container);
        return STOA_VISIT_FAILED;
    }
    return stoa__walk_enter(walk, container, kind, container, in_memo) ? STOA_VISIT_ENTERED : STOA_VISIT_FAILED;
}

static stoa_visit_result
enter_proxy(stoa_walk *walk, PyObject *proxy, stoa_shared **out)
{
    PyObject *mapping = stoa__proxy_target(proxy);
    if (!stoa__is_any_dict(mapping)) {
        stoa__refuse_because(walk, proxy, "the mapping behind it is no plain dict; freeze dict(it) instead");
        return STOA_VISIT_FAILED;
    }
    /* In a cycle the proxy may have one reference and the mapping, too: so the mapping is always remembered, under an
     * odd address, since met by itself it is another thing: a dict, which share() refuses. */
    const PyObject *source = (const PyObject *)((const char *)mapping + 1);
    void *twin = stoa__memo_find(&walk->memo, source);
    if (twin == STOA_MEMO_OPEN) {
        stoa__refuse_cycle(walk, proxy, source);
        return STOA_VISIT_FAILED;
    }
    if (twin != NULL) {
        *out = twin;
        return STOA_VISIT_LEAF;
    }
    return stoa__walk_enter(walk, mapping, STOA_FRAME_MAPPING, source, true) ? STOA_VISIT_ENTERED
                                                                             : STOA_VISIT_FAILED;
}

/* Types that are rare, and then those that are not native. */
static stoa_visit_result
step_rare(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out)
{
    stoa_batch *batch = &walk->batch;
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyComplex_Type) {
        *out = freeze_complex(batch, object);
    }
    else if (type == &PyRange_Type) {
        *out = freeze_range(batch, object);
    }
    else if (type == &PyByteArray_Type) {
        if (!(walk->flags & STOA_FREEZE_CONVERT)) {
            stoa__refuse_mutable(walk, object);
            return STOA_VISIT_FAILED;
        }
        *out = stoa__make_bytes(batch, PyByteArray_AS_STRING(object), (size_t)PyByteArray_GET_SIZE(object), -1);
    }
    else if (stoa__is_canonical(object)) {
        *out = object;
    }
    else {
        const char *why = NULL;
        if (!stoa__is_datetime_like(object, &why) || why != NULL) {
            return stoa__foreign_step(walk, object, in_memo, out);
        }
        *out = stoa__make_datetime_like(batch, object);
    }
    return *out == NULL ? STOA_VISIT_FAILED : STOA_VISIT_LEAF;
}

stoa_visit_result
stoa__step(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out)
{
    stoa_batch *batch = &walk->batch;
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyUnicode_Type) {
        *out = walk->texts != NULL ? freeze_str_again(walk, object)
                                   : freeze_str(batch, stoa__known_key(walk, object), object);
    }
    else if (type == &PyLong_Type) {
        *out = stoa__make_number(batch, object);
    }
    else if (type == &PyDict_Type) {
        return enter_mutable(walk, object, STOA_FRAME_MAPPING, in_memo);
    }
    else if (type == &PyList_Type) {
        return enter_mutable(walk, object, STOA_FRAME_TUPLE, in_memo);
    }
    else if (type == &PyFloat_Type) {
        *out = freeze_float(batch, object);
    }
    else if (type == &PyTuple_Type) {
        return stoa__walk_enter(walk, object, STOA_FRAME_TUPLE, object, in_memo) ? STOA_VISIT_ENTERED
                                                                                 : STOA_VISIT_FAILED;
    }
    else if (object == Py_None || type == &PyBool_Type) {
        *out = object;
    }
    else if (type == &PyBytes_Type) {
        *out = stoa__make_bytes(batch, PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object), -1);
    }
    else if (type == &PySet_Type) {
        return enter_mutable(walk, object, STOA_FRAME_SET, in_memo);
    }
    else if (type == &PyFrozenSet_Type) {
        return stoa__walk_enter(walk, object, STOA_FRAME_SET, object, in_memo) ? STOA_VISIT_ENTERED
                                                                               : STOA_VISIT_FAILED;
    }
    else if (type == &PyDictProxy_Type) {
        return enter_proxy(walk, object, out);
#if STOA_HAS_FROZENDICT
    }
    else if (type == &PyFrozenDict_Type) {
        return stoa__walk_enter(walk, object, STOA_FRAME_MAPPING, object, in_memo) ? STOA_VISIT_ENTERED
                                                                                   : STOA_VISIT_FAILED;
#endif
    }
    else if (type == &PySlice_Type) {
        return stoa__walk_enter(walk, object, STOA_FRAME_SLICE, object, in_memo) ? STOA_VISIT_ENTERED
                                                                                 : STOA_VISIT_FAILED;
    }
    else {
        stoa_plan *plan = stoa__walk_plan(walk, type);
        return plan != NULL ? stoa__record_step(walk, plan, object, in_memo, out)
                            : step_rare(walk, object, in_memo, out);
    }
    return *out == NULL ? STOA_VISIT_FAILED : STOA_VISIT_LEAF;
}
