#include "immortal/freeze.h"

#include "heap/error.h"
#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/equal.h"
#include "immortal/datetime_like.h"
#include "immortal/apart.h"
#include "immortal/exceptions.h"
#include "immortal/foreign_walk.h"
#include "immortal/hash.h"
#include "immortal/image.h"
#include "immortal/source.h"
#include "immortal/walk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* NaN is equal to nothing but is found by identity, so two NaNs that are two keys must stay two objects. */
static stoa_shared *
make_without_interning(stoa_batch *batch, PyObject *number)
{
    unsigned flags = batch->flags;
    batch->flags &= ~STOA_BATCH_INTERN;
    stoa_shared *made;
    if (PyFloat_CheckExact(number)) {
        made = stoa__make_float(batch, PyFloat_AS_DOUBLE(number));
    }
    else {
        Py_complex value = ((PyComplexObject *)number)->cval;
        made = stoa__make_complex(batch, value.real, value.imag);
    }
    batch->flags = flags;
    return made;
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
    Py_hash_t hash = ((PyASCIIObject *)text)->hash;
    if (hash == -1) {
        hash = stoa__hash_bytes(PyUnicode_DATA(text), (size_t)length * (size_t)kind);
    }
    size_t at = (size_t)hash & (STOA_TEXTS - 1);
    stoa_shared *made = walk->texts->last[at].shared;
    if (made != NULL && walk->texts->last[at].hash == hash && stoa__equal_str(made, text)) {
        return made;
    }
    made = stoa__make_str(&walk->batch, kind, PyUnicode_IS_ASCII(text), PyUnicode_DATA(text), length, hash);
    walk->texts->last[at].hash = hash;
    walk->texts->last[at].shared = made;
    return made;
}

static inline stoa_shared *
freeze_int(stoa_batch *batch, const stoa_key *key, PyObject *number)
{
    return stoa__make_int_digits_keyed(batch, key, stoa__int_is_negative(number), stoa__int_digits(number),
                                       stoa__int_digit_count(number));
}

static inline stoa_shared *
freeze_float(stoa_batch *batch, const stoa_key *key, PyObject *number)
{
    double value = PyFloat_AS_DOUBLE(number);
    return isnan(value) ? make_without_interning(batch, number) : stoa__make_float_keyed(batch, key, value);
}

/* The key of the object in the current slot, if it was computed ahead. */
static inline const stoa_key *
known_key(const stoa_walk *walk, const PyObject *object)
{
    const stoa_ahead *ahead = &walk->ahead[walk->frames[walk->depth - 1].next % STOA_KEY_RING];
    return ahead->object == object ? &ahead->key : NULL;
}

/* Asks for what visiting the object in this slot will touch: the intern table's slot of a leaf, the inside of a
 * container. Most of the time of interning is waiting for those. */
static inline void
look_ahead(stoa_walk *walk, size_t at)
{
    PyObject *object = walk->slots[at];
    if (stoa__memo_cached(&walk->memo, object)->source == object || stoa__in_heap(object)) {
        return;
    }
    PyTypeObject *type = Py_TYPE(object);
    stoa_ahead *ahead = &walk->ahead[at % STOA_KEY_RING];
    if (type == &PyUnicode_Type) {
        ahead->key = stoa__key_of_str((int)PyUnicode_KIND(object), PyUnicode_IS_ASCII(object),
                                      PyUnicode_DATA(object), PyUnicode_GET_LENGTH(object));
    }
    else if (type == &PyFloat_Type) {
        ahead->key = stoa__key_of_float(PyFloat_AS_DOUBLE(object));
    }
    else if (type == &PyLong_Type) {
        size_t count = stoa__int_digit_count(object);
        if (count == 0 || (count == 1 && stoa__int_digits(object)[0] <= 1024)) {
            return; /* likely one of the runtime's own */
        }
        ahead->key = stoa__key_of_int(stoa__int_is_negative(object), stoa__int_digits(object), count);
    }
    else {
        stoa__prefetch_inside(object);
        return;
    }
    ahead->object = object;
    stoa__intern_prefetch(&walk->batch, ahead->key);
}

static stoa_shared *
freeze_range(stoa_batch *batch, PyObject *range)
{
    const stoa_range *r = (const stoa_range *)range;
    PyObject *source[4] = {r->start, r->stop, r->step, r->length};
    stoa_shared *twin[4];
    for (int i = 0; i < 4; i++) {
        twin[i] = freeze_int(batch, NULL, source[i]);
        if (twin[i] == NULL) {
            return NULL;
        }
    }
    return stoa__make_range(batch, twin[0], twin[1], twin[2], twin[3]);
}

/* Is this shared object usable from where we are freezing to? The dict behind a shared mappingproxy is in the heap, too,
 * and may be got hold of; but it is no value of its own. */
static inline bool
is_reachable(const stoa_walk *walk, const PyObject *object)
{
    return stoa__region_reaches(walk->batch.region, stoa__region_of(object)) &&
           !Py_IS_TYPE((PyObject *)object, &PyDict_Type);
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
        Py_complex value = ((PyComplexObject *)object)->cval;
        *out = isnan(value.real) || isnan(value.imag) ? make_without_interning(batch, object)
                                                      : stoa__make_complex(batch, value.real, value.imag);
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

/* Freezes one object, or opens a frame for it. */
static inline stoa_visit_result
step(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out)
{
    stoa_batch *batch = &walk->batch;
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyUnicode_Type) {
        *out = walk->texts != NULL ? freeze_str_again(walk, object)
                                   : freeze_str(batch, known_key(walk, object), object);
    }
    else if (type == &PyLong_Type) {
        *out = freeze_int(batch, known_key(walk, object), object);
    }
    else if (type == &PyDict_Type) {
        return enter_mutable(walk, object, STOA_FRAME_MAPPING, in_memo);
    }
    else if (type == &PyList_Type) {
        return enter_mutable(walk, object, STOA_FRAME_TUPLE, in_memo);
    }
    else if (type == &PyFloat_Type) {
        *out = freeze_float(batch, known_key(walk, object), object);
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
        return step_rare(walk, object, in_memo, out);
    }
    return *out == NULL ? STOA_VISIT_FAILED : STOA_VISIT_LEAF;
}

/* The table of the dict that a frame was opened for, if it has no gaps: then the shared one has the same. */
static inline const stoa_keys *
table_to_copy(const PyObject *source)
{
    const PyDictObject *dict = (const PyDictObject *)((uintptr_t)source & ~(uintptr_t)1); /* see enter_proxy */
    return dict->ma_values == NULL && stoa__dict_keys(dict)->nentries == dict->ma_used ? stoa__dict_keys(dict)
                                                                                       : NULL;
}

static stoa_shared *
make_container(stoa_walk *walk, const stoa_frame *frame)
{
    stoa_batch *batch = &walk->batch;
    stoa_shared *const *children = walk->slots + frame->base;
    Py_ssize_t count = (Py_ssize_t)(walk->top - frame->base);
    if (walk->postponed) {
        return Py_None; /* this attempt makes nothing any more */
    }
    if (walk->foreign && (frame->kind == STOA_FRAME_FOREIGN || stoa__foreign_inside(children, (size_t)count))) {
        return stoa__foreign_close(walk, frame);
    }
    switch ((stoa_frame_kind)frame->kind) {
    case STOA_FRAME_TUPLE:
        return stoa__make_tuple(batch, children, count);
    case STOA_FRAME_MAPPING:
        return stoa__make_mapping_like(batch, children, count / 2, table_to_copy(frame->source));
    case STOA_FRAME_SET:
        return stoa__make_frozenset(batch, children, count);
    case STOA_FRAME_SLICE:
        return stoa__make_slice(batch, children[0], children[1], children[2]);
    case STOA_FRAME_ROOT:
    case STOA_FRAME_FOREIGN:
        break;
    }
    return children[0];
}

/* Was it laid down after the batch stood at `before`? (A false no is possible: another chunk.) */
static inline bool
is_fresh(const stoa_walk *walk, const stoa_shared *made, const char *before)
{
    return (const char *)made >= before && (const char *)made < walk->batch.next;
}

static stoa_shared *
close_frame(stoa_walk *walk, const stoa_frame *frame)
{
    if (!frame->fresh) {
        return make_container(walk, frame);
    }
    walk->batch.flags |= STOA_BATCH_FRESH;
    stoa_shared *made = make_container(walk, frame);
    walk->batch.flags &= ~STOA_BATCH_FRESH;
    return made;
}

/* Has the user pressed Ctrl-C? Handlers run Python code, which may change what we stand in; so the walk only looks,
 * leaves, and lets them run when nothing is held. */
static bool
interrupt_is_pending(stoa_walk *walk)
{
    walk->budget = STOA_SIGNAL_INTERVAL;
    stoa__memo_widen(&walk->memo);
    if (walk->texts == NULL && (walk->batch.flags & STOA_BATCH_INTERN) == 0) {
        walk->texts = calloc(1, sizeof(*walk->texts)); /* without memory for it the walk goes without */
    }
    if (walk->watch_signals && PyOS_InterruptOccurred()) {
        PyErr_SetInterrupt(); /* asking has cleared it */
        return true;
    }
    return false;
}

static void
remember(stoa_walk *walk, const PyObject *source, stoa_shared *twin)
{
    *stoa__memo_cached(&walk->memo, source) = (stoa_memo_entry){source, twin};
}

/* Closes the innermost frame and puts the result where the outer one wants it. */
static bool
leave_frame(stoa_walk *walk)
{
    stoa_frame *frame = &walk->frames[walk->depth - 1];
    const char *before = walk->batch.next;
    stoa_shared *made = close_frame(walk, frame);
    if (made == NULL) {
        return false;
    }
    bool fresh = is_fresh(walk, made, before);
    if (frame->in_memo) {
        if (!stoa__memo_put(&walk->memo, frame->source, made)) {
            walk->batch.err = stoa__fail(STOA_ENOMEM, "no memory to remember objects met twice");
            return false;
        }
        remember(walk, frame->source, made);
    }
    walk->top = frame->base;
    walk->depth--;
    stoa_frame *outer = &walk->frames[walk->depth - 1];
    walk->slots[outer->next++] = made;
    outer->fresh |= fresh;
    return true;
}

/* Looks an object with several references up: 1 found (*out), 0 not met yet, -1 a cycle. */
static inline int
recall(stoa_walk *walk, PyObject *object, stoa_shared **out)
{
    void *twin = stoa__memo_find(&walk->memo, object);
    if (twin == NULL) {
        return 0;
    }
    if (twin == STOA_MEMO_OPEN) {
        stoa__refuse_cycle(walk, object, object);
        return -1;
    }
    *out = twin;
    remember(walk, object, twin);
    return 1;
}

/* One object that the cache does not know. */
static inline stoa_visit_result
visit(stoa_walk *walk, PyObject *object, stoa_shared **out)
{
    if (stoa__in_heap(object) && is_reachable(walk, object)) {
        *out = object;
        return STOA_VISIT_LEAF;
    }
    bool in_memo = Py_REFCNT(object) > 1 || walk->depth == 1;
    if (in_memo) {
        int known = recall(walk, object, out);
        if (known != 0) {
            return known > 0 ? STOA_VISIT_LEAF : STOA_VISIT_FAILED;
        }
    }
    stoa_visit_result result = step(walk, object, in_memo, out);
    if (result == STOA_VISIT_LEAF && in_memo) {
        if (*out != object && !stoa__memo_put(&walk->memo, object, *out)) {
            walk->batch.err = stoa__fail(STOA_ENOMEM, "no memory to remember objects met twice");
            return STOA_VISIT_FAILED;
        }
        remember(walk, object, *out);
    }
    return result;
}

/* Visits the slots of the innermost frame until one turns out to be a container, which is then the innermost, or all are
 * done: LEAF. */
static inline stoa_visit_result
run_frame(stoa_walk *walk, bool interning)
{
    stoa_frame *frame = &walk->frames[walk->depth - 1];
    size_t top = walk->top;
    if (interning && frame->next == frame->base) {
        for (size_t at = frame->base; at < top && at < frame->base + STOA_AHEAD; at++) {
            look_ahead(walk, at);
        }
    }
    for (size_t at = frame->next; at < top; at++) {
        PyObject *object = walk->slots[at];
        __builtin_prefetch(walk->slots[at + STOA_SPARE - 1]);
        if (interning && at + STOA_AHEAD < top) {
            look_ahead(walk, at + STOA_AHEAD);
        }
        const stoa_memo_entry *cached = stoa__memo_cached(&walk->memo, object);
        if (cached->source == object) {
            walk->slots[at] = cached->twin;
            continue;
        }
        frame->next = at;
        if (--walk->budget == 0 && interrupt_is_pending(walk)) {
            return STOA_VISIT_SIGNAL;
        }
        stoa_shared *made = NULL;
        const char *before = walk->batch.next;
        stoa_visit_result result = visit(walk, object, &made);
        if (result != STOA_VISIT_LEAF) {
            return result;
        }
        frame->fresh |= is_fresh(walk, made, before);
        walk->slots[at] = made;
    }
    frame->next = top;
    return STOA_VISIT_LEAF;
}

static stoa_walk_result
run(stoa_walk *walk)
{
    bool interning = walk->batch.flags & STOA_BATCH_INTERN;
    for (;;) {
        stoa_visit_result result = interning ? run_frame(walk, true) : run_frame(walk, false);
        if (result == STOA_VISIT_SIGNAL) {
            return STOA_WALK_SIGNAL;
        }
        if (result == STOA_VISIT_APART) {
            return STOA_WALK_APART;
        }
        if (result == STOA_VISIT_LEAF && walk->depth == 1) {
            return walk->postponed ? STOA_WALK_APART : STOA_WALK_DONE;
        }
        if (result == STOA_VISIT_FAILED || (result == STOA_VISIT_LEAF && !leave_frame(walk))) {
            return STOA_WALK_FAILED;
        }
    }
}

static void
walk_init(stoa_walk *walk, PyObject *object, unsigned flags, bool watch_signals)
{
    walk->flags = flags;
    walk->watch_signals = watch_signals;
    walk->foreign = walk->postponed = false;
    walk->cause = NULL;
    walk->budget = 256; /* the first look only finds out that the walk is long */
    walk->slots = walk->first_slots;
    walk->slot_capacity = STOA_FIRST_SLOTS;
    memset(walk->first_slots, 0, sizeof(walk->first_slots)); /* prefetching looks above top */
    walk->frames = walk->first_frames;
    walk->frame_capacity = STOA_FIRST_FRAMES;
    stoa__memo_init(&walk->memo);
    memset(walk->ahead, 0, sizeof(walk->ahead));
    walk->texts = NULL;
    walk->message = (stoa_path){NULL, 0, 0, false};
    walk->path_size = 0;
    walk->offender[0] = '\0';
    walk->slots[0] = object;
    walk->top = 1;
    walk->frames[0] = (stoa_frame){.kind = STOA_FRAME_ROOT};
    walk->depth = 1;
}

static void
walk_clear(stoa_walk *walk)
{
    if (walk->slots != walk->first_slots) {
        free(walk->slots);
    }
    if (walk->frames != walk->first_frames) {
        free(walk->frames);
    }
    stoa__memo_clear(&walk->memo);
    free(walk->texts);
    stoa__path_clear(&walk->message);
}

static void
raise_refusal(stoa_walk *walk)
{
    const char *text = stoa__path_text(&walk->message);
    char *path = strndup(text, walk->path_size);
    if (path == NULL) {
        PyErr_NoMemory();
        return;
    }
    stoa__raise_not_freezable(path, walk->offender, text + walk->path_size);
    free(path);
    if (walk->cause != NULL) {
        PyObject *raised = PyErr_GetRaisedException();
        PyException_SetCause(raised, Py_NewRef(walk->cause));
        PyErr_SetRaisedException(raised);
    }
}

/* One attempt. STOA_WALK_FAILED: the exception is set. */
static stoa_walk_result
attempt(PyObject *object, stoa_region *region, unsigned flags, bool watch_signals, stoa_apart **apart,
        stoa_shared **out)
{
    stoa_walk walk;
    stoa_err err = stoa__batch_begin(&walk.batch, region, flags & STOA_FREEZE_INTERN ? STOA_BATCH_INTERN : 0);
    if (err != STOA_OK) {
        stoa__raise(err);
        return STOA_WALK_FAILED;
    }
    walk_init(&walk, object, flags, watch_signals);
    walk.apart = *apart;
    stoa_walk_result result = run(&walk);
    if (result == STOA_WALK_DONE) {
        *out = walk.slots[0];
        stoa__batch_commit(&walk.batch);
    }
    else {
        err = walk.batch.err;
        stoa__batch_abort(&walk.batch);
    }
    if (result == STOA_WALK_FAILED) {
        if (walk.offender[0] != '\0') {
            raise_refusal(&walk);
        }
        else {
            stoa__raise(err);
        }
    }
    *apart = walk.apart;
    walk_clear(&walk);
    return result;
}

/* Attempts until there is a result. Between them nothing is held, and code may run: signal handlers, or what takes objects
 * apart. It may have changed the graph, so the walk starts anew; after a signal it does not look for another, so it ends. */
static stoa_walk_result
attempts(PyObject *object, stoa_region *region, unsigned flags, stoa_shared **out)
{
    stoa_apart *apart = NULL;
    bool watch_signals = true;
    stoa_walk_result result;
    for (;;) {
        result = attempt(object, region, flags, watch_signals, &apart, out);
        if (result == STOA_WALK_SIGNAL) {
            watch_signals = false;
        }
        else if (result != STOA_WALK_APART) {
            break;
        }
        if (result == STOA_WALK_SIGNAL ? PyErr_CheckSignals() < 0 : stoa__apart_run(apart) < 0) {
            result = STOA_WALK_FAILED;
            break;
        }
    }
    stoa__apart_free(apart);
    return result;
}

stoa_shared *
stoa__freeze_to_heap(PyObject *object, stoa_region *region, unsigned flags)
{
    if (region == NULL) {
        region = stoa__region_default();
    }
    if (stoa__in_heap(object) && stoa__region_reaches(region, stoa__region_of(object)) &&
        !PyDict_CheckExact(object)) {
        return object;
    }
    PyObject *node = stoa__delivered_node(object);
    if (node != NULL && !(((const stoa_node *)node)->flags & STOA_NODE_CHANGEABLE) &&
        stoa__region_reaches(region, stoa__region_of(node))) {
        return node;
    }
    stoa_shared *made = NULL;
    return attempts(object, region, flags, &made) == STOA_WALK_DONE ? made : NULL;
}

PyObject *
stoa__freeze(PyObject *object, stoa_region *region, unsigned flags)
{
    stoa_shared *made = stoa__freeze_to_heap(object, region, flags);
    return made == NULL ? NULL : stoa__deliver(made);
}
