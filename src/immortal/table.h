/* What one interpreter keeps for foreign nodes: delivered objects by node, nodes by delivered object, plans of its types.
 *
 * A delivered object is held until a sweep finds that the table alone holds it, so that nobody can tell whether it was
 * kept. Sweeps come when the table has doubled since the last: constant time an entry, and memory bounded by twice what
 * is in use. What is outdated (meanings.h) is entered under itself, in the place of its node. All fields: the interpreter's
 * GIL. No Python code runs between a look-up and the use of what it lends.
 */
#ifndef STOA_IMMORTAL_TABLE_H
#define STOA_IMMORTAL_TABLE_H

#include "immortal/foreign.h"
#include "immortal/memo.h"

#define STOA_PLANS_MAX 4096u

#define STOA_CROSSINGS 128u

/* How instances of a class cross (by_value.h); `version` is the class's when that was found. */
typedef struct stoa_crossing_slot {
    const PyTypeObject *type;
    unsigned version;
    uint8_t crossing;
} stoa_crossing_slot;

typedef struct stoa_foreign_side {
    bool left; /* the interpreter is being ended: nothing is kept any more */
    bool sweeping;
    stoa_memo by_node;      /* node -> object: a reference */
    stoa_memo by_object;    /* object -> node; not for objects that are shared themselves */
    size_t count, sweep_at; /* entries; when to sweep */
    PyObject *registered;   /* dict: type -> (reduce or None, rebuild or None) */
    PyObject *meanings; /* dict: "module:name" -> address of the class or function (meanings.h); NULL: none yet */
    PyObject *carried; /* dict: globals of __main__ that functions brought here, as they came (function.h) */
    PyTypeObject *sequence_type;
    stoa_memo plans; /* type -> stoa_plan (plan.h) */
    size_t plan_count;
    stoa_crossing_slot crossings[STOA_CROSSINGS]; /* by address of the class; the last one met */
    uint32_t round;                               /* counts freezes that needed Python code */
} stoa_foreign_side;

/* The current interpreter's, made on first need. NULL with an exception. GIL. */
stoa_foreign_side *stoa__foreign_side(void);
/* The same, or NULL without an exception: it has none yet. */
stoa_foreign_side *stoa__foreign_side_if_any(void);

/* Borrowed, or NULL. */
static inline PyObject *
stoa__table_find(const stoa_foreign_side *side, const PyObject *node)
{
    return stoa__memo_find(&side->by_node, node);
}
static inline PyObject *
stoa__table_node(const stoa_foreign_side *side, const PyObject *object)
{
    return stoa__memo_find(&side->by_object, object);
}

/* Keeps `object` (a reference is taken over) as what stands for `node`, unless another thread has been faster: new
 * reference to what does stand for it. NULL with MemoryError. May run __del__ of objects that nobody uses. */
PyObject *stoa__table_add(stoa_foreign_side *side, PyObject *node, PyObject *object);

/* A class, function or module that is found by its name? What was delivered as a part of something is not sent by name for
 * that when it is sent itself; only what was frozen or received as such is. So how a class crosses does not depend on what else
 * has crossed. */
bool stoa__is_name(const PyObject *node);
/* From now on `object` stands for `node`, a name, in the other direction, too. */
void stoa__table_add_name(stoa_foreign_side *side, PyObject *node, PyObject *object);

/* What stands for a node does so no longer, and is unknown from now on. It is there. May run __del__. */
void stoa__table_forget(stoa_foreign_side *side, PyObject *node);
/* What is outdated stands for its nodes no longer: nobody gets it for them any more, while its holders may send it still. May
 * run __del__. */
void
stoa__table_outdate(stoa_foreign_side *side, bool (*is_outdated)(const PyObject *node, void *arg), void *arg);

/* Looks names up anew next time: classes, functions, modules, members of enumerations. May run __del__. */
void stoa__table_forget_names(stoa_foreign_side *side);

/* Drops all that nobody else holds, names included. May run __del__. */
void stoa__table_tidy(void);

/* An object that was delivered for a node of that region and is in use; `*out_count` how many are. Borrowed; NULL: none. */
PyObject *stoa__table_delivered_of(uint32_t region, size_t *out_count);

#endif
