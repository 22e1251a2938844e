#include "immortal/freeze.h"

#include "heap/error.h"
#include "heap/process.h"
#include "heap/wipe.h"
#include "immortal/ahead.h"
#include "immortal/apart.h"
#include "immortal/canonical.h"
#include "immortal/exceptions.h"
#include "immortal/foreign_walk.h"
#include "immortal/keys.h"
#include "immortal/numbers.h"
#include "immortal/persist.h"
#include "immortal/step.h"

#include <stdlib.h>
#include <string.h>

/* Is this shared object usable from where we are freezing to? The dict behind a shared mappingproxy is in the heap, too,
 * and may be got hold of; but it is no value of its own. */
static inline bool
is_reachable(const stoa_walk *walk, const PyObject *object)
{
    return stoa__region_reaches(walk->batch.region, stoa__region_of(object)) &&
           !Py_IS_TYPE((PyObject *)object, &PyDict_Type);
}

/* Remembers the keys of the dict that a frame was opened for, and what they have become. */
static void
keep_heading(stoa_walk *walk, const PyDictObject *dict, stoa_shared *const *pairs)
{
    const stoa_str_entry *entries = stoa__headed_entries(dict);
    if (entries != NULL) {
        size_t count = (size_t)dict->ma_used;
        stoa__heading_keep(stoa__heading_of(walk->headings, entries, count), entries, count, pairs);
    }
}

static stoa_shared *
make_tuple(stoa_walk *walk, const stoa_frame *frame)
{
    stoa_content content = stoa__frame_content(walk, frame);
    stoa_key key = {0};
    if (content.count == 0) {
        return stoa__canonical_empty_tuple();
    }
    if (walk->batch.flags & STOA_BATCH_INTERN) {
        stoa_shared *found = stoa__find_tuple(&walk->batch, &content, &key);
        if (found != NULL && stoa__numbers_agree(walk, frame, found)) {
            return found;
        }
    }
    return stoa__numbers_lay(walk, frame)
               ? stoa__new_tuple(&walk->batch, key, content.items, (Py_ssize_t)content.count)
               : NULL;
}

static stoa_shared *
make_mapping(stoa_walk *walk, const stoa_frame *frame)
{
    stoa_content content = stoa__frame_content(walk, frame);
    stoa_key key = {0};
    /* see enter_proxy */
    const PyDictObject *dict = (const PyDictObject *)((uintptr_t)frame->source & ~(uintptr_t)1);
    if (walk->headings != NULL && frame->step == 1) {
        keep_heading(walk, dict, content.items);
    }
    if (walk->batch.flags & STOA_BATCH_INTERN) {
        stoa_shared *found = stoa__find_mapping(&walk->batch, &content, &key);
        if (found != NULL && stoa__numbers_agree(walk, frame, found)) {
            return found;
        }
    }
    if (!stoa__numbers_lay(walk, frame)) {
        return NULL;
    }
    const stoa_keys *keys = stoa__dict_keys(dict);
    /* its table is to be copied, if it has no gaps: then the shared one has the same */
    bool same = dict->ma_values == NULL && keys->nentries == dict->ma_used;
    return stoa__new_mapping(&walk->batch, key, content.items, (Py_ssize_t)content.count / 2,
                             same ? keys : NULL);
}

/* A long one with foreign nodes among its values, but not its keys: as make_mapping(), and the node around it. */
static stoa_shared *
make_late_mapping(stoa_walk *walk, const stoa_frame *frame)
{
    stoa_shared *base = make_mapping(walk, frame);
    return base == NULL ? NULL
                        : stoa__persist_first(&walk->batch, base, walk->slots + frame->base,
                                              (walk->top - frame->base) / 2);
}

static bool
is_late_mapping(const stoa_walk *walk, const stoa_frame *frame)
{
    return frame->kind == STOA_FRAME_MAPPING &&
           stoa__persist_suits(walk->slots + frame->base, (walk->top - frame->base) / 2);
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
        return is_late_mapping(walk, frame) ? make_late_mapping(walk, frame) : stoa__foreign_close(walk, frame);
    }
    switch ((stoa_frame_kind)frame->kind) {
    case STOA_FRAME_TUPLE:
        return make_tuple(walk, frame);
    case STOA_FRAME_MAPPING:
        return make_mapping(walk, frame);
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
    unsigned flags = frame->fresh ? STOA_BATCH_FRESH : 0;
    bool sought = frame->kind != STOA_FRAME_FOREIGN || (frame->node_flags & STOA_NODE_VALUE);
    if (frame->numbers && sought && stoa__numbers_unmet(walk, frame)) {
        flags |= STOA_BATCH_UNMET;
    }
    walk->batch.flags |= flags;
    stoa_shared *made = make_container(walk, frame);
    walk->batch.flags &= ~flags;
    return made;
}

/* How many objects the batch will have entered in the end, if the frame with the most children goes on as it began and is
 * the most of all. */
static uint64_t
expectation(const stoa_walk *walk)
{
    size_t most = 0;
    double part = 0, part_of_most = 1; /* how much of the frame is done */
    for (size_t i = walk->depth; i-- > 0;) {
        const stoa_frame *frame = &walk->frames[i];
        size_t end = i + 1 < walk->depth ? walk->frames[i + 1].base : walk->top;
        part = ((double)(frame->next - frame->base) + part * frame->step) / (double)(end - frame->base);
        if (end - frame->base > most) {
            most = end - frame->base;
            part_of_most = part;
        }
    }
    double entered = (double)(stoa__intern_entered(&walk->batch) - walk->numbers_interned);
    return (uint64_t)(entered / (part_of_most > 1e-9 ? part_of_most : 1));
}

/* Has the user pressed Ctrl-C? Handlers run Python code, which may change what we stand in; so the walk only looks,
 * leaves, and lets them run when nothing is held. */
static bool
interrupt_is_pending(stoa_walk *walk)
{
    walk->interval = walk->interval * 16 < STOA_SIGNAL_INTERVAL ? walk->interval * 16 : STOA_SIGNAL_INTERVAL;
    walk->budget = walk->interval;
    walk->batch.expected = expectation(walk);
    stoa__memo_widen(&walk->memo);
    if (walk->headings == NULL) {
        walk->headings = calloc(1, sizeof(*walk->headings));
    }
    if (walk->scout == NULL && (walk->batch.flags & STOA_BATCH_INTERN) != 0) {
        walk->scout = calloc(1, sizeof(*walk->scout));
    }
    if (walk->numbers == NULL && (walk->batch.flags & STOA_BATCH_INTERN) != 0) {
        walk->numbers = calloc(1, sizeof(*walk->numbers));
    }
    if ((walk->batch.flags & STOA_BATCH_INTERN) != 0) {
        stoa__numbers_widen(walk);
    }
    if (walk->texts == NULL && (walk->batch.flags & STOA_BATCH_INTERN) == 0) {
        walk->texts = calloc(1, sizeof(*walk->texts)); /* without memory for either the walk goes without */
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

/* Numbers wait in some places and not in others, so the cache does not answer for them. */
static inline void
remember_leaf(stoa_walk *walk, const PyObject *source, stoa_shared *twin)
{
    if (!stoa__is_number(source)) {
        remember(walk, source, twin);
    }
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
    if (frame->kind == STOA_FRAME_FOREIGN && frame->node_kind == STOA_NODE_SAME && stoa__is_number(made) &&
        (walk->batch.flags & STOA_BATCH_INTERN) && stoa__numbers_wait(outer)) {
        made = stoa__numbers_postpone(walk, outer, made);
    }
    walk->slots[outer->next] = made;
    outer->next += outer->step;
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
    remember_leaf(walk, object, twin);
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
    stoa_visit_result result = stoa__step(walk, object, in_memo, out);
    if (result == STOA_VISIT_LEAF && in_memo) {
        if (*out != object && !stoa__memo_put(&walk->memo, object, *out)) {
            walk->batch.err = stoa__fail(STOA_ENOMEM, "no memory to remember objects met twice");
            return STOA_VISIT_FAILED;
        }
        remember_leaf(walk, object, *out);
    }
    return result;
}

/* Visits the slots of the innermost frame until one turns out to be a container, which is then the innermost, or all are
 * done: LEAF. */
static inline stoa_visit_result
run_frame(stoa_walk *walk, bool interning)
{
    stoa_frame *frame = &walk->frames[walk->depth - 1];
    const stoa_scout *scout = walk->scout;
    size_t top = walk->top, step = frame->step;
    bool numbers_wait = interning && stoa__numbers_wait(frame);
    for (size_t at = frame->next; at < top; at += step) {
        PyObject *object = walk->slots[at];
        if (!interning) { /* else the scout asks */
            __builtin_prefetch(walk->slots[at + STOA_SPARE - 1]);
        }
        const stoa_memo_entry *cached = stoa__memo_cached(&walk->memo, object);
        if (cached->source == object) {
            walk->slots[at] = cached->twin;
            continue;
        }
        frame->next = at;
        if (interning && scout != NULL && scout->depth > 0 && scout->tail - scout->head < STOA_SCOUT_LEAD) {
            stoa__scout_go(walk);
        }
        if (--walk->budget == 0 && interrupt_is_pending(walk)) {
            return STOA_VISIT_SIGNAL;
        }
        if (numbers_wait && stoa__is_number(object)) {
            walk->slots[at] = stoa__in_heap(object) && !is_reachable(walk, object)
                                  ? stoa__numbers_bring(walk, frame, object)
                                  : stoa__numbers_postpone(walk, frame, object);
            if (walk->slots[at] == NULL) {
                return STOA_VISIT_FAILED;
            }
            continue;
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
    walk->keys = NULL;
    walk->budget = walk->interval = STOA_SIGNAL_FIRST;
    walk->slots = walk->first_slots;
    walk->slot_capacity = STOA_FIRST_SLOTS;
    memset(walk->first_slots, 0, sizeof(walk->first_slots)); /* prefetching looks above top */
    walk->frames = walk->first_frames;
    walk->frame_capacity = STOA_FIRST_FRAMES;
    stoa__memo_init(&walk->memo);
    walk->memo.wipes = walk->batch.region != stoa__region_default(); /* which is never retired */
    walk->scout = NULL;
    walk->headings = NULL;
    walk->side = NULL;
    memset(walk->plans, 0, sizeof(walk->plans));
    walk->texts = NULL;
    walk->numbers = NULL;
    walk->sieve = NULL;
    walk->sum_count = 0;
    walk->numbers_interned = 0;
    walk->message = (stoa_path){NULL, 0, 0, false};
    walk->path_size = 0;
    walk->offender[0] = '\0';
    walk->slots[0] = object;
    walk->top = 1;
    walk->frames[0] = (stoa_frame){.kind = STOA_FRAME_ROOT, .step = 1};
    walk->depth = 1;
}

static void
walk_clear(stoa_walk *walk)
{
    bool wipe = walk->memo.wipes;
    if (walk->slots != walk->first_slots) {
        stoa__wipe_free(walk->slots, walk->slot_capacity * sizeof(*walk->slots), wipe);
    }
    if (walk->frames != walk->first_frames) {
        free(walk->frames);
    }
    stoa__memo_clear(&walk->memo);
    stoa__wipe_free(walk->headings, sizeof(*walk->headings), wipe);
    stoa__wipe_free(walk->scout, sizeof(*walk->scout), wipe);
    stoa__wipe_free(walk->texts, sizeof(*walk->texts), wipe);
    stoa__wipe_free(walk->numbers, sizeof(*walk->numbers), wipe);
    stoa__sieve_free(walk->sieve);
    stoa__path_clear(&walk->message);
    PyObject *raised = PyErr_GetRaisedException(); /* dropping keys may run __del__ */
    Py_XDECREF(walk->keys);
    PyErr_SetRaisedException(raised);
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

/* Where the object stands that something else than a refusal was raised of. */
static void
note_place(stoa_walk *walk)
{
    PyObject *raised = walk->path_size == 0 ? NULL : PyErr_GetRaisedException();
    if (raised != NULL) {
        PyObject *done = PyObject_CallMethod(raised, "add_note", "(N)",
                                             PyUnicode_FromFormat("It stands at %s of what was to be frozen.",
                                                                  stoa__path_text(&walk->message)));
        Py_XDECREF(done);
        PyErr_SetRaisedException(raised);
    }
}

/* The walk is done; what of it could still fail when it is delivered? */
static stoa_walk_result
try_keys(stoa_walk *walk)
{
    int good = stoa__keys_try(walk);
    return good > 0 ? STOA_WALK_DONE : good == 0 ? STOA_WALK_APART : STOA_WALK_RAISED;
}

/* One attempt. STOA_WALK_FAILED, STOA_WALK_RAISED: the exception is set. */
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
    if (result == STOA_WALK_DONE && walk.keys != NULL) {
        result = try_keys(&walk);
    }
    if (result == STOA_WALK_DONE && stoa__apart_commit(*apart) != STOA_OK) {
        walk.batch.err = STOA_EFORKED;
        result = STOA_WALK_FAILED;
    }
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
            note_place(&walk);
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
