/* Opening a container: its children become slots. */
#include "immortal/walk.h"

#include "heap/error.h"
#include "immortal/ahead.h"

#include <stdlib.h>
#include <string.h>

static bool
no_memory(stoa_walk *walk)
{
    walk->batch.err = stoa__fail(STOA_ENOMEM,
                                 "no memory for the walk: %zu containers deep, %zu children waiting",
                                 walk->depth, walk->top);
    return false;
}

/* At least `count` elements of `size`, in memory of its own. NULL: no memory, nothing has changed. */
static void *
enlarge(void *old, const void *first, size_t used, size_t *capacity, size_t count, size_t size)
{
    size_t wanted = *capacity * 2 > count ? *capacity * 2 : count;
    if (wanted > PTRDIFF_MAX / size) {
        return NULL;
    }
    void *fresh = old == first ? malloc(wanted * size) : realloc(old, wanted * size);
    if (fresh == NULL) {
        return NULL;
    }
    if (old == first) {
        memcpy(fresh, first, used * size);
    }
    *capacity = wanted;
    return fresh;
}

bool
stoa__walk_reserve(stoa_walk *walk, size_t more)
{
    size_t count = walk->top + more + STOA_SPARE;
    if (count <= walk->slot_capacity) {
        return true;
    }
    stoa__scout_forget(walk->scout);
    PyObject **slots = enlarge(walk->slots, walk->first_slots, walk->top, &walk->slot_capacity, count,
                               sizeof(*slots));
    if (slots == NULL) {
        return no_memory(walk);
    }
    walk->slots = slots;
    return true;
}

static bool
reserve_frame(stoa_walk *walk)
{
    if (walk->depth < walk->frame_capacity) {
        return true;
    }
    stoa_frame *frames = enlarge(walk->frames, walk->first_frames, walk->depth, &walk->frame_capacity,
                                 walk->depth + 1, sizeof(*frames));
    if (frames == NULL) {
        return no_memory(walk);
    }
    walk->frames = frames;
    return true;
}

static void
take(stoa_walk *walk, PyObject *const *items, size_t count)
{
    PyObject **slots = walk->slots + walk->top;
    for (size_t i = 0; i < count; i++) {
        slots[i] = items[i];
    }
    for (size_t i = 0; i < count && i < 8; i++) { /* the loop asks for the later ones */
        __builtin_prefetch(items[i]);
    }
    walk->top += count;
}

/* The pairs of a dict whose keys are known as a whole. */
static inline bool
take_headed(stoa_walk *walk, const PyDictObject *dict)
{
    const stoa_str_entry *entries = walk->headings != NULL ? stoa__headed_entries(dict) : NULL;
    if (entries == NULL) {
        return false;
    }
    size_t count = (size_t)dict->ma_used;
    const stoa_heading *heading = stoa__heading_of(walk->headings, entries, count);
    if (!stoa__heading_lay(heading, entries, count, walk->slots + walk->top)) {
        return false;
    }
    walk->top += 2 * count;
    return true;
}

/* *step: see stoa_frame. */
static bool
take_pairs(stoa_walk *walk, PyObject *dict, uint8_t *step)
{
    if (!stoa__walk_reserve(walk, 2 * (size_t)PyDict_GET_SIZE(dict))) {
        return false;
    }
    if (take_headed(walk, (const PyDictObject *)dict)) {
        *step = 2;
        return true;
    }
    PyObject **slots = walk->slots + walk->top;
    stoa_children values;
    if (stoa__children_of(dict, &values)) {
        for (Py_ssize_t i = 0; i < values.count; i++) {
            PyObject *const *at = &values.first[(size_t)i * values.stride];
            if (*at != NULL) {
                __builtin_prefetch(*at);
                *slots++ = at[-1]; /* the key */
                *slots++ = *at;
            }
        }
        walk->top = (size_t)(slots - walk->slots);
        return true;
    }
    Py_ssize_t position = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &position, &key, &value)) {
        __builtin_prefetch(value);
        *slots++ = key;
        *slots++ = value;
    }
    walk->top = (size_t)(slots - walk->slots);
    return true;
}

static bool
take_members(stoa_walk *walk, PyObject *set)
{
    if (!stoa__walk_reserve(walk, (size_t)PySet_GET_SIZE(set))) {
        return false;
    }
    size_t position = 0;
    PyObject *member;
    while ((member = stoa__set_next(set, &position)) != NULL) {
        __builtin_prefetch(member);
        walk->slots[walk->top++] = member;
    }
    return true;
}

static bool
take_array(stoa_walk *walk, PyObject *const *items, Py_ssize_t count)
{
    if (!stoa__walk_reserve(walk, (size_t)count)) {
        return false;
    }
    take(walk, items, (size_t)count);
    return true;
}

/* As a scout does, for the walk that has none: from the slot of the container that was just opened. */
static inline void
look_beside(const stoa_walk *walk)
{
    const stoa_frame *outer = &walk->frames[walk->depth - 2];
    size_t step = outer->kind == STOA_FRAME_MAPPING ? 2 : 1;
    size_t top = walk->frames[walk->depth - 1].base, at = outer->next;
    stoa__ask_beside(&(stoa_cursor){walk->slots + at, (top - at + step - 1) / step, step});
}

bool
stoa__walk_open(stoa_walk *walk, const PyObject *source, stoa_frame_kind kind, bool in_memo)
{
    if (!reserve_frame(walk)) {
        return false;
    }
    if (in_memo && !stoa__memo_put(&walk->memo, source, STOA_MEMO_OPEN)) {
        return no_memory(walk);
    }
    walk->frames[walk->depth++] = (stoa_frame){.source = source,
                                               .base = walk->top,
                                               .next = walk->top,
                                               .kind = (uint8_t)kind,
                                               .step = 1,
                                               .in_memo = in_memo};
    return true;
}

bool
stoa__walk_enter(stoa_walk *walk, PyObject *container, stoa_frame_kind kind, const PyObject *source,
                 bool in_memo)
{
    if (!reserve_frame(walk)) {
        return false;
    }
    if (in_memo && !stoa__memo_put(&walk->memo, source, STOA_MEMO_OPEN)) {
        return no_memory(walk);
    }
    size_t base = walk->top;
    uint8_t step = 1;
    bool taken;
    switch (kind) {
    case STOA_FRAME_MAPPING:
        taken = take_pairs(walk, container, &step);
        break;
    case STOA_FRAME_SET:
        taken = take_members(walk, container);
        break;
    case STOA_FRAME_SLICE:
        taken = take_array(walk, stoa__slice_fields(container), 3);
        break;
    default:
        taken = PyList_CheckExact(container)
                    ? take_array(walk, ((PyListObject *)container)->ob_item, PyList_GET_SIZE(container))
                    : take_array(walk, ((PyTupleObject *)container)->ob_item, PyTuple_GET_SIZE(container));
        break;
    }
    if (!taken) {
        return false;
    }
    walk->frames[walk->depth++] = (stoa_frame){.source = source,
                                               .base = base,
                                               .next = base + step - 1,
                                               .kind = (uint8_t)kind,
                                               .step = step,
                                               .in_memo = in_memo};
    if (walk->scout == NULL) { /* it has asked already */
        look_beside(walk);
    }
    return true;
}
