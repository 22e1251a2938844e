/* The fields of a record, in the order of its shape: the slots that are set, then the attributes as they were set. For
 * whoever reads records: the walk, its scout, thawing, and functions and classes by value. GIL; no Python code.
 */
#ifndef STOA_IMMORTAL_FIELDS_H
#define STOA_IMMORTAL_FIELDS_H

#include "immortal/cpython/instance.h"
#include "immortal/plan.h"

typedef struct stoa_fields {
    stoa_instance instance; /* the attributes */
    uint64_t present;       /* which slots are set */
    size_t count;           /* of fields */
} stoa_fields;

static inline PyObject *
stoa__slot_value(const stoa_plan *plan, const PyObject *object, size_t i)
{
    return *(PyObject *const *)(const void *)((const char *)object + plan->slots[i].offset);
}

/* `plan` is one for RECORD. false: its attributes cannot be told (instance.h). */
static inline bool
stoa__fields_look(const stoa_plan *plan, PyObject *object, stoa_fields *out)
{
    if (!stoa__instance_look(object, &out->instance)) {
        return false;
    }
    out->present = 0;
    for (size_t i = 0; i < plan->slot_count; i++) {
        out->present |= (uint64_t)(stoa__slot_value(plan, object, i) != NULL) << i;
    }
    out->count = out->instance.count + (size_t)__builtin_popcountll(out->present);
    return true;
}

/* Writes their values, `count` of them, borrowed. */
static inline void
stoa__fields_lay(const stoa_plan *plan, const PyObject *object, const stoa_fields *fields, PyObject **out)
{
    for (size_t i = 0; i < plan->slot_count; i++) {
        if (fields->present >> i & 1) {
            *out++ = stoa__slot_value(plan, object, i);
        }
    }
    stoa__instance_lay(&fields->instance, out);
}

/* The SHAPE node of the record. NULL: no memory (message set). */
stoa_shared *stoa__fields_shape(stoa_plan *plan, const stoa_fields *fields);

#endif
