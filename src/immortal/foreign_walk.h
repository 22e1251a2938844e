/* The walk's half of freezing foreign objects: reached only for what is not native. */
#ifndef STOA_IMMORTAL_FOREIGN_WALK_H
#define STOA_IMMORTAL_FOREIGN_WALK_H

#include "immortal/foreign.h"
#include "immortal/plan.h"
#include "immortal/walk.h"

/* Where the walk keeps the plan of a class of records. */
static inline stoa_plan **
stoa__walk_plan_place(stoa_walk *walk, const PyTypeObject *type)
{
    uintptr_t a = (uintptr_t)type;
    return &walk->plans[((a >> 4) ^ (a >> 10)) % STOA_WALK_PLANS];
}

/* The plan of a class of records (RECORD or NAMED) that the walk has met lately, or NULL. */
static inline stoa_plan *
stoa__walk_plan(stoa_walk *walk, const PyTypeObject *type)
{
    stoa_plan *plan = *stoa__walk_plan_place(walk, type);
    return plan != NULL && plan->type == type ? plan : NULL;
}

/* A record, whose plan the walk knows: as stoa__foreign_step. */
stoa_visit_result
stoa__record_step(stoa_walk *walk, stoa_plan *plan, PyObject *object, bool in_memo, stoa_shared **out);

/* One object whose type is not native: a leaf (*out), a frame was opened, or a refusal was written. */
stoa_visit_result stoa__foreign_step(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out);

/* The innermost frame is of a foreign object, or a native container that has a node inside: the node. */
stoa_shared *stoa__foreign_close(stoa_walk *walk, const stoa_frame *frame);

/* How a path names part `index` of a node: ".name" of a record, "[2]" of a named tuple … Parts before `index` are frozen. */
void stoa__node_step(stoa_node_kind kind, PyObject *const *parts, size_t index, stoa_step *out);

/* How a path names the current slot of a frame of a foreign object. */
void stoa__foreign_frame_step(const stoa_walk *walk, const stoa_frame *frame, stoa_step *out);

/* Is a node among these? */
bool stoa__foreign_inside(stoa_shared *const *children, size_t count);

#endif
