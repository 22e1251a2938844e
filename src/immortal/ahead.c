#include "immortal/ahead.h"

#include "immortal/fields.h"
#include "immortal/foreign_walk.h"

#define STEPS 128 /* objects at most each time: a graph without leaves may be endless */

/* ---- the source ------------------------------------------------------------------------------------------------------ */

static inline void
enter_container(stoa_scout *scout, const PyObject *container)
{
    stoa_children children;
    if (scout->depth < STOA_SCOUT_DEPTH && stoa__children_of(container, &children)) {
        scout->cursors[scout->depth++] = (stoa_cursor){children.first, (size_t)children.count, children.stride};
    }
}

/* The parts of a record, if the walk has met its class: in `room` where they do not lie one behind the other. */
static inline bool
parts_of(stoa_walk *walk, PyObject *object, PyObject *room[STOA_SCOUT_FIELDS], stoa_children *out)
{
    const stoa_plan *plan = stoa__walk_plan(walk, Py_TYPE(object));
    stoa_fields fields;
    if (plan == NULL) {
        return false;
    }
    if (plan->how == STOA_HOW_NAMED) {
        *out = (stoa_children){((PyTupleObject *)object)->ob_item, Py_SIZE(object), 1};
        return true;
    }
    if (!stoa__fields_look(plan, object, &fields) || fields.count > STOA_SCOUT_FIELDS) {
        return false;
    }
    stoa__fields_lay(plan, object, &fields, room);
    *out = (stoa_children){room, (Py_ssize_t)fields.count, 1};
    return true;
}

/* As stoa__ask_beside, for records to come. */
static inline void
ask_for_records(stoa_walk *walk, const stoa_cursor *cursor)
{
    PyObject *const *at = cursor->at;
    size_t stride = cursor->stride;
    if (cursor->left > 8 && at[8 * stride] != NULL) {
        stoa__instance_ask(at[8 * stride]);
    }
    PyObject *room[STOA_SCOUT_FIELDS];
    stoa_children parts;
    if (cursor->left > 2 && at[2 * stride] != NULL && parts_of(walk, at[2 * stride], room, &parts)) {
        for (Py_ssize_t i = 0; i < parts.count && i < STOA_SPARE; i++) {
            __builtin_prefetch(parts.first[i]);
            __builtin_prefetch((const char *)parts.first[i] + STOA_SECOND_LINE);
        }
    }
}

static inline void
enter_record(stoa_walk *walk, PyObject *object)
{
    stoa_scout *scout = walk->scout;
    stoa_children parts;
    if (scout->depth < STOA_SCOUT_DEPTH && parts_of(walk, object, scout->fields[scout->depth], &parts)) {
        scout->cursors[scout->depth++] = (stoa_cursor){parts.first, (size_t)parts.count, 1};
    }
}

/* Stands where the walk stands: before what comes after the current slot of each frame. */
static void
start_again(stoa_walk *walk)
{
    stoa_scout *scout = walk->scout;
    scout->depth = 0;
    scout->head = scout->asked = scout->tail;
    size_t first = walk->depth > STOA_SCOUT_DEPTH / 2 ? walk->depth - STOA_SCOUT_DEPTH / 2 : 0;
    for (size_t i = first; i < walk->depth; i++) {
        const stoa_frame *frame = &walk->frames[i];
        size_t end = i + 1 < walk->depth ? walk->frames[i + 1].base : walk->top,
               next = frame->next + frame->step;
        if (next < end) {
            scout->cursors[scout->depth++] = (stoa_cursor){
                walk->slots + next, (end - next + frame->step - 1) / frame->step, frame->step};
        }
    }
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

/* Has the leaf a key? */
static inline bool
key_of(const stoa_walk *walk, PyObject *leaf, const PyTypeObject *type, stoa_key *out)
{
    if (type == &PyUnicode_Type) {
        if (stoa__memo_cached(&walk->memo, leaf)->source == leaf || stoa__in_heap(leaf)) {
            return false;
        }
        *out = stoa__key_of_str((int)PyUnicode_KIND(leaf), PyUnicode_IS_ASCII(leaf), PyUnicode_DATA(leaf),
                                PyUnicode_GET_LENGTH(leaf));
        return true;
    }
    if (type == &PyFloat_Type) {
        *out = stoa__key_of_float(PyFloat_AS_DOUBLE(leaf));
        return true;
    }
    if (type == &PyLong_Type && stoa__int_is_large(leaf)) {
        *out = stoa__key_of_int(stoa__int_is_negative(leaf), stoa__int_digits(leaf),
                                stoa__int_digit_count(leaf));
        return true;
    }
    return false;
}

/* Enters a container, or a record. False: it is a leaf. */
static inline bool
enter(stoa_walk *walk, const stoa_cursor *cursor, PyObject *object, const PyTypeObject *type)
{
    if (type == &PyDict_Type || type == &PyList_Type || type == &PyTuple_Type) {
        stoa__ask_beside(cursor);
        enter_container(walk->scout, object);
        return true;
    }
    if (type == &PyUnicode_Type || type == &PyFloat_Type || type == &PyLong_Type || type == &PyBool_Type ||
        object == Py_None) {
        return false;
    }
    ask_for_records(walk, cursor);
    enter_record(walk, object);
    return true;
}

/* Adds the keys of the next leaves to the queue. */
static void
gather(stoa_walk *walk)
{
    stoa_scout *scout = walk->scout;
    unsigned tail = scout->tail, end = tail + STOA_SCOUT_GROUP;
    int steps = STEPS;
    while (scout->depth > 0) {
        stoa_cursor *cursor = &scout->cursors[scout->depth - 1];
        PyObject *const *at = cursor->at;
        size_t left = cursor->left, stride = cursor->stride;
        bool entered = false;
        while (left > 0 && tail != end && steps-- > 0 && !entered) {
            PyObject *object = *at;
            if (object != NULL) {
                const PyTypeObject *type = Py_TYPE(object);
                stoa_key key;
                if (key_of(walk, object, type, &key)) {
                    scout->objects[tail % STOA_SCOUT_QUEUE] = object;
                    scout->keys[tail++ % STOA_SCOUT_QUEUE] = key;
                }
                else {
                    entered = enter(walk, &(stoa_cursor){at, left, stride}, object, type);
                }
            }
            at += stride;
            left--;
        }
        cursor->at = at;
        cursor->left = left;
        if (entered) {
            continue;
        }
        if (left > 0) {
            break; /* enough for now */
        }
        scout->depth--;
    }
    scout->tail = tail;
}

static inline void
ask_for(const void *const *places, size_t count, size_t offset)
{
    for (size_t i = 0; i < count; i++) {
        __builtin_prefetch((const char *)places[i] + offset);
    }
}

/* The keys of the queue from `from` on, as far as they lie one behind the other. */
static inline size_t
stretch(unsigned from, unsigned to)
{
    unsigned left = STOA_SCOUT_QUEUE - from % STOA_SCOUT_QUEUE;
    return to - from < left ? to - from : left;
}

void
stoa__scout_go(stoa_walk *walk)
{
    stoa_scout *scout = walk->scout;
    unsigned old = scout->tail;
    gather(walk);
    const void *places[STOA_INTERN_PLACES * STOA_SCOUT_QUEUE];
    size_t count = 0;
    for (unsigned at = old; at != scout->tail;) {
        size_t more = stretch(at, scout->tail);
        count += stoa__intern_places(&walk->batch, &scout->keys[at % STOA_SCOUT_QUEUE], more, places + count);
        at += (unsigned)more;
    }
    ask_for(places, count, 0);
    count = 0;
    for (unsigned at = scout->asked; at != old;) {
        size_t more = stretch(at, old);
        count += stoa__intern_hints(&walk->batch, &scout->keys[at % STOA_SCOUT_QUEUE], more, places + count);
        at += (unsigned)more;
    }
    ask_for(places, count, 0);
    ask_for(places, count, STOA_SECOND_LINE);
    scout->asked = old;
}

const stoa_key *
stoa__scout_search(stoa_walk *walk, const PyObject *object)
{
    stoa_scout *scout = walk->scout;
    for (unsigned at = scout->head; at != scout->tail; at++) {
        if (scout->objects[at % STOA_SCOUT_QUEUE] == object) {
            scout->head = at + 1;
            scout->used++;
            scout->lost = 0;
            return &scout->keys[at % STOA_SCOUT_QUEUE];
        }
    }
    if (++scout->lost == STOA_SCOUT_LOST) {
        if (scout->used >= STOA_SCOUT_WORTH) {
            scout->weary = 0;
        }
        else if (scout->weary < STOA_SCOUT_WEARY) {
            scout->weary++;
        }
        scout->depth = 0; /* it rests, and nobody looks through its keys */
        scout->head = scout->asked = scout->tail;
    }
    if (scout->lost >= STOA_SCOUT_LOST << scout->weary) {
        scout->lost = scout->used = 0;
        start_again(walk);
    }
    return NULL;
}
