#include "immortal/table.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "heap/region.h"
#include "immortal/canonical.h"
#include "immortal/interpreter_state.h"
#include "immortal/plan.h"

#define FIRST_SWEEP 1024

/* ---- the side ------------------------------------------------------------------------------------------------------ */

/* How often one was made or freed in the process: who has found one, or none, looks again when that has changed. */
static _Atomic(uint64_t) side_changes;

/* What this thread has found for the interpreters that it was in last: it goes to and fro between a few. */
typedef struct known_side {
    int64_t interp_id;       /* + 1; used again by a Python that is started anew */
    stoa_foreign_side *side; /* NULL: there was none */
    uint64_t changes;        /* side_changes at the time */
} known_side;

#define KNOWN_SIDES 4 /* by the id */

static _Thread_local known_side known_sides[KNOWN_SIDES];

static void
free_side(void *kept)
{
    stoa_foreign_side *side = kept;
    atomic_fetch_add(&side_changes, 1);
    stoa__memo_clear(&side->by_node);
    stoa__memo_clear(&side->by_object);
    stoa__plans_clear(side);
    Py_XDECREF(side->registered);
    Py_XDECREF(side->meanings);
    free(side);
}

static PyObject *
make_side(void)
{
    stoa_foreign_side *side = calloc(1, sizeof(*side));
    if (side == NULL) {
        return PyErr_NoMemory();
    }
    side->sweep_at = FIRST_SWEEP;
    stoa__memo_init(&side->by_node);
    stoa__memo_init(&side->by_object);
    stoa__memo_init(&side->plans);
    side->registered = PyDict_New();
    if (side->registered == NULL) {
        free_side(side);
        return NULL;
    }
    atomic_fetch_add(&side_changes, 1);
    return stoa__interpreter_state_new("stoa.foreign", side, free_side);
}

static stoa_foreign_side *
find_side(bool make)
{
    int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());
    known_side *known = &known_sides[(uint64_t)id % KNOWN_SIDES];
    uint64_t changes = atomic_load(&side_changes); /* those of this interpreter are counted under its GIL */
    if (known->interp_id == id + 1 && known->changes == changes && (known->side != NULL || !make)) {
        return known->side;
    }
    stoa_foreign_side *side = stoa__interpreter_state("stoa.foreign", make ? make_side : NULL);
    if (side != NULL || !make) {
        *known = (known_side){id + 1, side, changes};
    }
    return side;
}

stoa_foreign_side *
stoa__foreign_side(void)
{
    return find_side(true);
}

stoa_foreign_side *
stoa__foreign_side_if_any(void)
{
    return find_side(false);
}

/* ---- entries ------------------------------------------------------------------------------------------------------- */

bool
stoa__is_name(const PyObject *node)
{
    unsigned kind = ((const stoa_node *)node)->kind;
    return kind == STOA_NODE_GLOBAL || kind == STOA_NODE_MODULE;
}

/* How many references the table itself has to an object: a function stands for its node, and for which one it is. */
static Py_ssize_t
references(const stoa_foreign_side *side, const PyObject *node, PyObject *object)
{
    const PyObject *other = NULL;
    if (((const stoa_node *)node)->kind == STOA_NODE_IDENTITY) {
        other = stoa__table_node(side, object);
    }
    else if (((const stoa_node *)node)->kind == STOA_NODE_FUNCTION) {
        other = ((const stoa_node *)node)->parts[1];
    }
    return 1 + (other != NULL && stoa__table_find(side, other) == object);
}

/* What the table keeps although nobody else may hold it: there are few, and they are wanted again. */
static bool
is_kept(const PyObject *node)
{
    return ((const stoa_node *)node)->kind == STOA_NODE_SHAPE || stoa__is_name(node);
}

/* What its name finds again, though others hold it for good: a member has its class, which is no use of a node. */
static bool
is_found_again(const PyObject *node)
{
    return is_kept(node) || ((const stoa_node *)node)->kind == STOA_NODE_MEMBER;
}

/* An entry of what is outdated: under itself, by itself. */
static bool
is_outdated_entry(const stoa_memo_entry *entry)
{
    return entry->source == entry->twin;
}

/* Has nobody but the table the object of an entry? */
static bool
is_unused(const stoa_foreign_side *side, const stoa_memo_entry *entry)
{
    PyObject *object = entry->twin;
    if (is_outdated_entry(entry)) {
        return Py_REFCNT(object) == 1;
    }
    const PyObject *node = entry->source;
    return Py_REFCNT(object) == references(side, node, object) && !is_kept(node);
}

/* Moves what somebody else holds, too, into new tables; the rest is dropped afterwards, since that may run code. */
static void
sweep(stoa_foreign_side *side)
{
    stoa_memo nodes, objects, old = side->by_node;
    size_t kept = 0, dropped = 0, size = side->by_node.table == NULL ? 0 : side->by_node.table_mask + 1;
    stoa__memo_init(&nodes);
    stoa__memo_init(&objects);
    bool failed = false;
    for (size_t i = 0; i < size && !failed; i++) {
        const stoa_memo_entry *entry = &old.table[i];
        if (entry->twin == NULL || is_unused(side, entry)) {
            continue;
        }
        PyObject *node = stoa__memo_find(&side->by_object, entry->twin);
        failed = !stoa__memo_put(&nodes, entry->source, entry->twin) ||
                 (node != NULL && (node == entry->source || is_outdated_entry(entry)) &&
                  !stoa__memo_put(&objects, entry->twin, node));
        kept++;
    }
    if (failed) { /* no memory to become smaller: later */
        stoa__memo_clear(&nodes);
        stoa__memo_clear(&objects);
        side->sweep_at *= 2;
        return;
    }
    side->by_node.table = NULL;
    stoa__memo_clear(&side->by_node);
    stoa__memo_clear(&side->by_object);
    nodes.cache = side->by_node.first; /* the cache inside is not used, but must not point at the stack */
    objects.cache = side->by_object.first;
    side->by_node = nodes;
    side->by_object = objects;
    side->by_node.cache = side->by_node.first;
    side->by_object.cache = side->by_object.first;
    side->count = kept;
    side->sweep_at = 2 * kept > FIRST_SWEEP ? 2 * kept : FIRST_SWEEP;
    for (size_t i = 0; i < size; i++) {
        PyObject *object = old.table[i].twin;
        if (object != NULL && stoa__memo_find(&nodes, old.table[i].source) != object) {
            old.table[dropped++].twin = object;
        }
    }
    for (size_t i = 0; i < dropped; i++) {
        Py_DECREF((PyObject *)old.table[i].twin);
    }
    free(old.table);
}

PyObject *
stoa__table_add(stoa_foreign_side *side, PyObject *node, PyObject *object)
{
    PyObject *faster = stoa__table_find(side, node);
    if (faster != NULL) {
        Py_INCREF(faster);
        Py_DECREF(object);
        return faster;
    }
    if (side->left) {
        return object;
    }
    bool known_by_itself = stoa__is_shared(object) || stoa__is_name(node) ||
                           ((const stoa_node *)node)->kind == STOA_NODE_IDENTITY;
    if (!stoa__memo_put(&side->by_node, node, object) ||
        (!known_by_itself && stoa__table_node(side, object) == NULL &&
         !stoa__memo_put(&side->by_object, object, node))) {
        if (stoa__table_find(side, node) == object) {
            (void)stoa__memo_put(&side->by_node, node, NULL);
        }
        Py_DECREF(object);
        return PyErr_NoMemory();
    }
    Py_INCREF(object); /* the caller's */
    if (++side->count >= side->sweep_at && !side->sweeping) {
        side->sweeping = true; /* what is dropped may run code that gets here again */
        PyObject *raised = PyErr_GetRaisedException();
        sweep(side);
        PyErr_SetRaisedException(raised);
        side->sweeping = false;
    }
    return object;
}

void
stoa__table_add_name(stoa_foreign_side *side, PyObject *node, PyObject *object)
{
    if (!side->left && stoa__table_find(side, node) == object && stoa__table_node(side, object) == NULL &&
        !stoa__is_shared(object)) {
        (void)stoa__memo_put(&side->by_object, object,
                             node); /* without memory: it is frozen anew when it is sent */
    }
}

void
stoa__table_forget_names(stoa_foreign_side *side)
{
    PyObject *dropped = PyList_New(0);
    for (size_t i = 0; dropped != NULL && side->by_node.table != NULL && i <= side->by_node.table_mask; i++) {
        stoa_memo_entry *entry = &side->by_node.table[i];
        PyObject *node = (PyObject *)(uintptr_t)entry->source, *object = entry->twin;
        if (object == NULL || is_outdated_entry(entry) || !is_found_again(node) ||
            PyList_Append(dropped, object) < 0) {
            continue; /* without memory for the list it is kept */
        }
        entry->twin = NULL;
        side->count--;
        if (stoa__table_node(side, object) == node) {
            (void)stoa__memo_put(&side->by_object, object, NULL); /* it has an entry: no memory is wanted */
        }
        Py_DECREF(object); /* the list has it */
    }
    PyErr_Clear();
    Py_XDECREF(dropped);
}

/* Takes an entry out, and gives up its reference; `object` is held otherwise. No memory is wanted: there is an entry. */
static void
take_out(stoa_foreign_side *side, PyObject *node, PyObject *object)
{
    (void)stoa__memo_put(&side->by_node, node, NULL);
    side->count--;
    Py_DECREF(object);
}

void
stoa__table_forget(stoa_foreign_side *side, PyObject *node)
{
    PyObject *object = Py_NewRef(stoa__table_find(side, node));
    if (stoa__table_node(side, object) == node) {
        (void)stoa__memo_put(&side->by_object, object, NULL);
    }
    take_out(side, node, object);
    Py_DECREF(object);
}

/* `object` is held once by the caller. */
static void
outdate(stoa_foreign_side *side, PyObject *node, PyObject *object)
{
    const stoa_node *which = (const stoa_node *)node;
    if (which->kind == STOA_NODE_FUNCTION && stoa__table_find(side, which->parts[1]) == object) {
        take_out(side, which->parts[1], object);
    }
    bool known = stoa__table_node(side, object) == node;
    bool used = known && !is_kept(node) &&
                Py_REFCNT(object) > 2; /* by the caller, by the table, and by somebody */
    take_out(side, node, object);
    if (used && stoa__memo_put(&side->by_node, object, object)) {
        side->count++;
        Py_INCREF(object);
    }
    else if (known) {
        (void)stoa__memo_put(&side->by_object, object, NULL);
    }
}

void
stoa__table_outdate(stoa_foreign_side *side, bool (*is_outdated)(const PyObject *node, void *arg), void *arg)
{
    PyObject *nodes = PyList_New(0), *objects = PyList_New(0);
    for (size_t i = 0;
         nodes != NULL && objects != NULL && side->by_node.table != NULL && i <= side->by_node.table_mask; i++) {
        const stoa_memo_entry *entry = &side->by_node.table[i];
        PyObject *address = entry->twin == NULL || is_outdated_entry(entry) || !is_outdated(entry->source, arg)
                                ? NULL
                                : PyLong_FromVoidPtr((void *)(uintptr_t)entry->source);
        if (address != NULL && PyList_Append(objects, entry->twin) == 0) {
            (void)PyList_Append(nodes, address); /* without memory it stays */
        }
        Py_XDECREF(address);
    }
    for (Py_ssize_t i = 0; nodes != NULL && i < PyList_GET_SIZE(nodes); i++) {
        PyObject *node = PyLong_AsVoidPtr(PyList_GET_ITEM(nodes, i)), *object = PyList_GET_ITEM(objects, i);
        if (stoa__table_find(side, node) == object) { /* not one that went with another */
            outdate(side, node, object);
        }
    }
    PyErr_Clear();
    Py_XDECREF(nodes);
    Py_XDECREF(objects);
}

void
stoa__table_tidy(void)
{
    stoa_foreign_side *side = stoa__foreign_side_if_any();
    if (side == NULL || side->left || side->sweeping) {
        return;
    }
    stoa__table_forget_names(side);
    side->sweeping = true;
    sweep(side);
    side->sweeping = false;
}

PyObject *
stoa__table_delivered_of(uint32_t region, size_t *out_count)
{
    const stoa_foreign_side *side = stoa__foreign_side_if_any();
    PyObject *one = NULL;
    *out_count = 0;
    for (size_t i = 0; side != NULL && side->by_node.table != NULL && i <= side->by_node.table_mask; i++) {
        const stoa_memo_entry *entry = &side->by_node.table[i];
        const void *node = is_outdated_entry(entry) ? stoa__table_node(side, entry->twin) : entry->source;
        if (entry->twin != NULL && stoa__region_of(node) == region) {
            one = entry->twin;
            ++*out_count;
        }
    }
    return one;
}

void
stoa__foreign_leave(void)
{
    stoa_foreign_side *side = stoa__foreign_side_if_any();
    if (side == NULL || side->left) {
        return;
    }
    side->left = true;
    stoa_memo nodes = side->by_node;
    stoa__memo_init(&side->by_node);
    stoa__memo_clear(&side->by_object);
    stoa__memo_init(&side->by_object);
    for (size_t i = 0; nodes.table != NULL && i <= nodes.table_mask; i++) {
        Py_XDECREF((PyObject *)nodes.table[i].twin);
    }
    free(nodes.table);
    Py_CLEAR(side->registered);
    Py_CLEAR(side->meanings);
    Py_CLEAR(side->carried);
    Py_CLEAR(side->sequence_type);
}
