/* How objects of one type are taken apart: found out once a type, and again when the type changes.
 *
 * Finding out may run Python code (attributes of metaclasses, imports), so it is done while no batch is open. What is
 * found is kept by (type, version tag): CPython gives a type a new tag after each change of it or of its bases, and never
 * the same twice, so neither a changed class nor another one at the same address meets an old plan.
 *
 * RECORD: instances of plain classes (made by a class statement, state in slots and __dict__ only). Their state is read
 * straight from memory (fields.h); what is the same for many instances (class, names) is a SHAPE node, remembered in the plan.
 */
#ifndef STOA_IMMORTAL_PLAN_H
#define STOA_IMMORTAL_PLAN_H

#include "immortal/cpython/cpython.h"
#include "immortal/numpy_value.h"
#include "immortal/table.h"

typedef enum stoa_how {
    STOA_HOW_REFUSE, /* it cannot be frozen */
    STOA_HOW_RECORD,
    STOA_HOW_NAMED, /* tuple subclass with nothing but items */
    STOA_HOW_APART, /* taken apart one by one, outside the walk */
} stoa_how;

#define STOA_PLAN_SLOTS 64
#define STOA_ORDER_MAX 32

typedef struct stoa_slot {
    Py_ssize_t offset;
    stoa_shared *name;
} stoa_slot;

/* A shape, and how its records are known again (fields.h). */
typedef struct stoa_known_shape {
    stoa_shared *shape; /* NULL: none yet */
    uint64_t present;   /* which slots are set */
    size_t count;       /* of attributes */
    const stoa_keys *keys;
    uint8_t order[STOA_ORDER_MAX];   /* of values kept apart, in `keys` */
    PyObject *names[STOA_ORDER_MAX]; /* of a dict: references, so that an address stands for one name */
} stoa_known_shape;

typedef struct stoa_plan {
    const PyTypeObject *type;
    unsigned version;
    uint8_t how;     /* stoa_how */
    uint8_t flags;   /* STOA_NODE_* of its nodes */
    bool mutable;    /* share() refuses it */
    bool registered; /* take it apart with the registered function */
    bool twin;       /* APART: a builtin container stands for it */
    bool odd;        /* APART: may be unequal to itself, as NaN is; then it is no VALUE */
    uint8_t numpy;   /* APART: stoa_numpy_kind */
    bool amended;    /* APART: what it says of itself cannot be used (library_value.h) */
    uint32_t round;  /* of the side when it was made: for plans that hold for one freeze only (version 0) */
    char why[240];   /* REFUSE: the reason and the remedy, if it is a special one */
    stoa_shared *class_node;
    size_t slot_count;
    stoa_slot slots[STOA_PLAN_SLOTS];
    stoa_known_shape apart; /* met last, with values kept apart or in slots alone */
    stoa_known_shape named; /* met last, of a dict */
} stoa_plan;

/* The plan of a type if it is known and still holds; else NULL. No Python code. GIL. */
stoa_plan *stoa__plan_find(stoa_foreign_side *side, PyTypeObject *type);
/* The plan, made if need be; `object` is an instance. NULL with an exception. May run Python code. */
stoa_plan *stoa__plan_make(stoa_foreign_side *side, PyObject *object);
void stoa__plans_clear(stoa_foreign_side *side);
/* All are to be made anew, since what is importable has changed; those that are in use stay until then. */
void stoa__plans_outdate(stoa_foreign_side *side);

/* Made by class statements, down to object, its instances' state in slots and __dict__ only? No Python code. */
bool stoa__is_plain_class(PyTypeObject *type);

/* Is it a class of members of an enumeration; made by @dataclass; by @dataclass(frozen=True)? No exception is left. */
bool stoa__is_enumeration(PyTypeObject *type);
bool stoa__is_data(PyTypeObject *type);
bool stoa__is_frozen_data(PyTypeObject *type);

/* Where an import finds a class or function, as two str: new references. It is looked up there. -1 with TypeError, whose
 * text says why not and what to do. May run Python code. */
int stoa__global_path(PyObject *object, PyObject **out_module, PyObject **out_qualname);

#endif
