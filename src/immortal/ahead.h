/* Looking ahead: what an interning walk will ask the intern table, asked for before it does.
 *
 * Problem: most of the time of interning would be waiting for memory, three times for a leaf: for the object of the source,
 * for the slot of its key, which may be anywhere in the table, and for the object that the slot names.
 * Mechanism: a scout goes over the source in the order of the walk, some dozens of leaves in front of it, across the borders
 * of containers. It computes the keys of the next leaves and then asks for the slots of all of them, one right after the
 * other, and for the objects that the slots of the group before name. For a processor that asks for memory whose
 * page it does not know waits for that; but it finds several pages at once. The keys wait in a queue until the walk gets
 * there. Where the walk takes another way than the scout thought (what is shared in the source is entered once, some types
 * the scout does not know), keys in between are dropped; when it has lost the scout, that starts again from where the
 * walk stands; at once where it was of use, else after a rest that doubles each time, for some graphs are not its kind.
 * Into records it looks once the walk has met their class: it reads their fields, as the walk does, and runs no code.
 * A wrong guess costs time, nothing else: a key belongs to an object, which the walk compares.
 *
 * A tuple is looked up by what its items have become. Where all the objects are there that the slots of its items name, the
 * scout takes them for that, and asks for the tuple's own slot.
 *
 * Only long walks have a scout. Thread: the walk's; the GIL is held and no Python code runs (walk.h), so what lies in
 * containers does not change.
 */
#ifndef STOA_IMMORTAL_AHEAD_H
#define STOA_IMMORTAL_AHEAD_H

#include "immortal/image.h"
#include "immortal/source.h"
#include "immortal/walk.h"

#define STOA_SECOND_LINE 48   /* of an object that begins anywhere in a line: where text begins, or so */
#define STOA_SCOUT_QUEUE 128u /* keys that there is room for, a power of two */
#define STOA_SCOUT_LEAD 48u   /* keys that are in the queue at least, while there are any to come */
#define STOA_SCOUT_GROUP 32u  /* keys that are added at once */
#define STOA_SCOUT_DEPTH 16u  /* containers that it stands in; into deeper ones it does not look */
#define STOA_SCOUT_ITEMS 8u   /* tuples of more it does not ask for */
#define STOA_SCOUT_FIELDS 32u /* into records of more it does not look */
#define STOA_SCOUT_LOST 4u    /* leaves in a row without a key: it starts again */
#define STOA_SCOUT_WORTH 16u  /* keys that were of use since it started: it was worth starting */
#define STOA_SCOUT_WEARY \
    10u /* it waits for at most STOA_SCOUT_LOST << this many leaves before it starts again */

/* Children of a container, from one on. */
typedef struct stoa_cursor {
    PyObject *const *at; /* the next child; NULL there: nothing */
    size_t left, stride; /* children to come, and how far one is from the next */
} stoa_cursor;

/* Asks for the containers to come: first for what they begin with, then for what they hold, then for what that holds. */
static inline void
stoa__ask_beside(const stoa_cursor *cursor)
{
    PyObject *const *at = cursor->at;
    size_t stride = cursor->stride;
    stoa_children children;
    if (cursor->left > 8) {
        __builtin_prefetch(at[8 * stride]);
    }
    if (cursor->left > 4 && at[4 * stride] != NULL) {
        stoa__prefetch_inside(at[4 * stride]);
    }
    if (cursor->left > 2 && at[2 * stride] != NULL && stoa__children_of(at[2 * stride], &children)) {
        for (Py_ssize_t i = 0; i < children.count && i < STOA_SPARE; i++) {
            const char *child = (const char *)children.first[(size_t)i * children.stride];
            __builtin_prefetch(child);
            __builtin_prefetch(child + STOA_SECOND_LINE);
        }
    }
    if (cursor->left > 1 && at[stride] != NULL && stoa__children_of(at[stride], &children)) {
        for (Py_ssize_t i = 0; i < children.count && i < STOA_SPARE; i++) {
            PyObject *child = children.first[(size_t)i * children.stride];
            if (child != NULL) {
                stoa__prefetch_inside(child);
            }
        }
    }
}

/* Some keys of the queue, one behind the other. */
typedef struct stoa_stretch {
    unsigned first, count;
} stoa_stretch;

typedef struct stoa_scout {
    unsigned head, tail; /* of the queue: tail - head keys wait */
    unsigned asked;      /* up to here it has asked for objects; <= tail */
    unsigned depth, lost;
    unsigned used, weary; /* keys of use since it started; how often it started in vain lately */
    unsigned tuples_head, tuples_tail;
    stoa_cursor cursors[STOA_SCOUT_DEPTH];     /* [depth - 1] is the innermost */
    stoa_stretch inside[STOA_SCOUT_DEPTH];     /* where its keys begin; count 0: it is no tuple to ask for */
    const PyObject *objects[STOA_SCOUT_QUEUE]; /* the queue: whose key it is, */
    stoa_key keys[STOA_SCOUT_QUEUE];           /* the key, */
    const void *hints[STOA_SCOUT_QUEUE];       /* and, up to `asked`, what its slot names; NULL: nothing */
    stoa_stretch tuples[STOA_SCOUT_QUEUE];     /* to be asked for: a queue, too */
    PyObject *fields[STOA_SCOUT_DEPTH][STOA_SCOUT_FIELDS]; /* of records it stands in, as cursors are */
} stoa_scout;

/* Adds a group of keys, fewer where the objects between are many. */
void stoa__scout_go(stoa_walk *walk);

/* It stands in slots that are about to move. */
static inline void
stoa__scout_forget(stoa_scout *scout)
{
    if (scout != NULL) {
        scout->depth = 0;
    }
}

/* The key of a leaf that the walk has come to, where it is not the first one in the queue. */
const stoa_key *stoa__scout_search(stoa_walk *walk, const PyObject *object);

/* The key of a leaf that the walk has come to, or NULL: not known. Good until the scout goes on. */
static inline const stoa_key *
stoa__known_key(stoa_walk *walk, const PyObject *object)
{
    stoa_scout *scout = walk->scout;
    if (scout == NULL) {
        return NULL;
    }
    unsigned first = scout->head % STOA_SCOUT_QUEUE;
    if (scout->head != scout->tail && scout->objects[first] == object) {
        scout->head++;
        scout->used++;
        scout->lost = 0;
        return &scout->keys[first];
    }
    return stoa__scout_search(walk, object);
}

#endif
