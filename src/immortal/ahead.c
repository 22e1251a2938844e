#include "immortal/ahead.h"

#include "immortal/fields.h"
#include "immortal/foreign_walk.h"
#include "immortal/numbers.h"

#define STEPS 128 /* objects at most each time: a graph without leaves may be endless */

/* ---- the source ------------------------------------------------------------------------------------------------------ */

/* Asks for where the sieve knows of the container, if it is a small one with numbers in it. */
static inline void
ask_sieve(stoa_sieve *sieve, const stoa_children *children)
{
    uint64_t sum = 0;
    for (Py_ssize_t i = 0; i < children->count; i++) {
        const PyObject *child = children->first[(size_t)i * children->stride];
        if (child != NULL && stoa__is_number(child)) {
            sum = stoa__sieve_sum(sum, stoa__number_word(child));
        }
    }
    if (sum != 0) {
        __builtin_prefetch(stoa__sieve_word(sieve, sum), 1);
    }
}

static inline void
enter_container(stoa_walk *walk, const PyObject *container, const PyTypeObject *type, unsigned tail)
{
    stoa_children children;
    stoa_scout *scout = walk->scout;
    if (scout->depth < STOA_SCOUT_DEPTH && stoa__children_of(container, &children)) {
        if (walk->sieve != NULL && children.count <= STOA_SPARE) {
            ask_sieve(walk->sieve, &children);
        }
        bool tuple = type != &PyDict_Type && children.count <= (Py_ssize_t)STOA_SCOUT_ITEMS;
        scout->inside[scout->depth] = (stoa_stretch){tail, tuple ? (unsigned)children.count : 0};
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
        scout->inside[scout->depth].count = 0;
        scout->cursors[scout->depth++] = (stoa_cursor){parts.first, (size_t)parts.count, 1};
    }
}

/* All keys are forgotten. */
static void
forget_keys(stoa_scout *scout)
{
    scout->depth = 0;
    scout->head = scout->asked = scout->tail;
    scout->tuples_head = scout->tuples_tail;
}

/* Stands where the walk stands: before what comes after the current slot of each frame. */
static void
start_again(stoa_walk *walk)
{
    stoa_scout *scout = walk->scout;
    forget_keys(scout);
    size_t first = walk->depth > STOA_SCOUT_DEPTH / 2 ? walk->depth - STOA_SCOUT_DEPTH / 2 : 0;
    for (size_t i = first; i < walk->depth; i++) {
        const stoa_frame *frame = &walk->frames[i];
        size_t end = i + 1 < walk->depth ? walk->frames[i + 1].base : walk->top,
               next = frame->next + frame->step;
        if (next < end) {
            scout->inside[scout->depth].count = 0;
            scout->cursors[scout->depth++] = (stoa_cursor){
                walk->slots + next, (end - next + frame->step - 1) / frame->step, frame->step};
        }
    }
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

/* Has the leaf a key? Texts have. */
static inline bool
key_of(const stoa_walk *walk, PyObject *leaf, const PyTypeObject *type, stoa_key *out)
{
    if (type != &PyUnicode_Type || stoa__memo_cached(&walk->memo, leaf)->source == leaf || stoa__in_heap(leaf)) {
        return false;
    }
    *out = stoa__key_of_str((int)PyUnicode_KIND(leaf), PyUnicode_IS_ASCII(leaf), PyUnicode_DATA(leaf),
                            PyUnicode_GET_LENGTH(leaf));
    return true;
}

/* Enters a container, or a record. False: it is a leaf. */
static inline bool
enter(stoa_walk *walk, const stoa_cursor *cursor, PyObject *object, const PyTypeObject *type, unsigned tail)
{
    if (type == &PyDict_Type || type == &PyList_Type || type == &PyTuple_Type) {
        stoa__ask_beside(cursor);
        enter_container(walk, object, type, tail);
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

/* The innermost container is done. A tuple is asked for if each of its items has a key. */
static inline void
leave(stoa_scout *scout, unsigned tail)
{
    const stoa_stretch *inside = &scout->inside[--scout->depth];
    if (inside->count != 0 && tail - inside->first == inside->count &&
        scout->tuples_tail - scout->tuples_head != STOA_SCOUT_QUEUE) {
        scout->tuples[scout->tuples_tail++ % STOA_SCOUT_QUEUE] = *inside;
    }
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
                    entered = enter(walk, &(stoa_cursor){at, left, stride}, object, type, tail);
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
        leave(scout, tail);
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

/* The keys of the queue between two places, as far as they lie one behind the other in the array. */
static inline size_t
stretch(unsigned from, unsigned to)
{
    unsigned left = STOA_SCOUT_QUEUE - from % STOA_SCOUT_QUEUE;
    return to - from < left ? to - from : left;
}

/* Asks for the slots of the keys from there on. */
static void
ask_for_slots(stoa_walk *walk, unsigned from)
{
    stoa_scout *scout = walk->scout;
    const void *places[STOA_INTERN_PLACES * STOA_SCOUT_QUEUE];
    size_t count = 0, more;
    for (unsigned at = from; at != scout->tail; at += (unsigned)more) {
        more = stretch(at, scout->tail);
        count += stoa__intern_places(&walk->batch, &scout->keys[at % STOA_SCOUT_QUEUE], more, places + count);
    }
    ask_for(places, count, 0);
}

/* Asks for what the slots name of the keys up to there. */
static void
ask_for_objects(stoa_walk *walk, unsigned to)
{
    stoa_scout *scout = walk->scout;
    const void *places[STOA_SCOUT_QUEUE];
    size_t count = 0, more;
    for (unsigned at = scout->asked; at != to; at += (unsigned)more) {
        const void **hints = &scout->hints[at % STOA_SCOUT_QUEUE];
        more = stretch(at, to);
        stoa__intern_hints(&walk->batch, &scout->keys[at % STOA_SCOUT_QUEUE], more, hints);
        for (size_t i = 0; i < more; i++) {
            places[count] = hints[i];
            count += hints[i] != NULL;
        }
    }
    scout->asked = to;
    ask_for(places, count, 0);
    ask_for(places, count, STOA_SECOND_LINE);
}

/* The key that a tuple will have if its items become what their slots name. False: one of them names nothing. */
static inline bool
key_of_tuple(const stoa_scout *scout, stoa_stretch tuple, stoa_key *out)
{
    stoa_shared *items[STOA_SCOUT_ITEMS];
    for (unsigned i = 0; i < tuple.count; i++) {
        const char *hint = scout->hints[(tuple.first + i) % STOA_SCOUT_QUEUE];
        if (hint == NULL) {
            return false;
        }
        /* those of the own batch are named by their writable twins */
        items[i] = (stoa_shared *)(uintptr_t)(stoa__in_heap(hint) ? hint : hint - stoa__alias_delta);
    }
    *out = stoa__key_of_tuple(items, (Py_ssize_t)tuple.count);
    return true;
}

/* Asks for the slots of tuples whose items have been asked for. */
static void
ask_for_tuples(stoa_walk *walk)
{
    stoa_scout *scout = walk->scout;
    stoa_key keys[STOA_SCOUT_QUEUE];
    const void *places[STOA_INTERN_PLACES * STOA_SCOUT_QUEUE];
    size_t count = 0;
    for (; scout->tuples_head != scout->tuples_tail; scout->tuples_head++) {
        stoa_stretch tuple = scout->tuples[scout->tuples_head % STOA_SCOUT_QUEUE];
        if ((int)(scout->asked - tuple.first - tuple.count) < 0) {
            break;
        }
        count += key_of_tuple(scout, tuple, &keys[count]);
    }
    ask_for(places, stoa__intern_places(&walk->batch, keys, count, places), 0);
}

void
stoa__scout_go(stoa_walk *walk)
{
    unsigned old = walk->scout->tail;
    gather(walk);
    ask_for_slots(walk, old);
    ask_for_objects(walk, old);
    ask_for_tuples(walk);
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
        forget_keys(scout); /* it rests, and nobody looks through them */
    }
    if (scout->lost >= STOA_SCOUT_LOST << scout->weary) {
        scout->lost = scout->used = 0;
        start_again(walk);
    }
    return NULL;
}
