/* Foreign nodes: frozen objects whose type belongs to one interpreter.
 *
 * A dataclass instance, an enum member or a function cannot lie in the shared heap: its class is an object of an
 * interpreter. So what is shared is a node: the kind, and the parts it is made of (its class by import path, the values of
 * its fields …), which are shared objects or nodes themselves. The receiver builds the object from the parts, once, and
 * keeps it: that is delivery. A container with a node inside is a node, too (a template, over which delivery builds a real
 * tuple, mapping or frozenset), so a shared object that is no node is native through and through, and stays by pointer.
 *
 *   freeze:  walk meets a type that is not native -> plan.h says how it is taken apart -> parts are frozen like any children
 *            -> stoa__make_node.  What needs Python code for that (a __reduce__, a registered function, an import) is taken
 *            apart between two attempts, when no batch is open and nothing of the graph is held by a borrowed pointer.
 *   deliver: stoa__deliver(heap object) -> what stands for it in this interpreter.
 *
 * Rules for callers
 *  1. A pointer into the heap that came from a name, a parcel, a queue or C goes through stoa__deliver before Python code
 *     sees it. A node (stoa__is_node) has a type without methods and must never reach Python code.
 *  2. What is stored or sent is the heap object: stoa__freeze_to_heap, or stoa__delivered_to_heap of a delivered one.
 *  3. A kind of another file is plugged in with stoa__foreign_set_kind before the first interpreter uses it.
 *
 * The cache (table.h) holds a delivered object until a sweep finds that nobody else does: so `is` holds as long as anybody
 * can tell, and memory is bounded by twice what is in use.
 */
#ifndef STOA_IMMORTAL_FOREIGN_H
#define STOA_IMMORTAL_FOREIGN_H

#include <Python.h>

#include "immortal/image.h"
#include "immortal/path.h"

typedef enum stoa_node_kind {
    STOA_NODE_SAME,      /* in a walk only: its one part stands for it */
    STOA_NODE_TUPLE,     /* items */
    STOA_NODE_MAPPING,   /* key, value, key, value … */
    STOA_NODE_FROZENSET, /* members */
    STOA_NODE_SLICE,     /* start, stop, step */
    STOA_NODE_GLOBAL,    /* module, qualname: a class or function that an import finds */
    STOA_NODE_MODULE,    /* name */
    STOA_NODE_MEMBER,    /* class, name or None, value: of an enumeration */
    STOA_NODE_SHAPE,     /* class, names of fields …: what records have in common */
    STOA_NODE_RECORD,    /* shape, values of the fields … */
    STOA_NODE_NAMED,     /* class, items …: a named tuple */
    STOA_NODE_CALL,      /* see reduce.c: rebuilt as pickle does */
    STOA_NODE_FUNCTION,  /* see function.c: by value */
    STOA_NODE_ARRAY,     /* bytes with a format and a shape */
    STOA_NODE_PERSISTENT,
    STOA_NODE_HANDLE, /* a proxy, or a process-wide thing: proxy/node.h */
    STOA_NODE_IDENTITY, /* nothing but itself: which cell, function or namespace of the graph something is (function.h) */
    STOA_NODE_KINDS
} stoa_node_kind;

#define STOA_NODE_VALUE 1u      /* equal parts make equal objects: hash-consed */
#define STOA_NODE_CHANGEABLE 2u /* what is delivered can be changed by its holder; or something inside can */

/* All const once sealed. */
typedef struct stoa_node {
    PyObject ob_base; /* immortal, of stoa__node_type */
    uint16_t kind;    /* stoa_node_kind */
    uint16_t flags;
    uint32_t raw;      /* words at the end of `parts` that are no objects: the kind's own */
    size_t count;      /* of `parts`, raw ones included */
    PyObject *parts[]; /* shared objects and nodes */
} stoa_node;

/* The marker; a process-wide static type that is never made ready: no Python code can do anything with it. */
extern PyTypeObject stoa__node_type;

static inline bool
stoa__is_node(const PyObject *object)
{
    return object->ob_type == &stoa__node_type;
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

/* A node in the heap. `raw` words at the end are taken as they are; they are never hash-consed by content, so a kind that
 * has some does not pass STOA_NODE_VALUE. CHANGEABLE is inherited from nodes among the parts. NULL: batch->err and the
 * message are set. Thread: the batch's; no GIL. */
stoa_shared *stoa__make_node(stoa_batch *batch, stoa_node_kind kind, unsigned flags,
                             stoa_shared *const *parts, size_t count, uint32_t raw);
/* A node that stands for a handle, one for each handle where there is interning: takes over one reference, which the region
 * keeps, in failure too. NULL and thread as above. */
stoa_shared *stoa__make_handle_node(stoa_batch *batch, uint64_t handle);
uint64_t stoa__handle_of_node(const stoa_node *node);
/* Into the order that members of a FROZENSET node have: that of their addresses. A set's own is that of its table, another one
 * in each interpreter. */
void stoa__node_sort_members(stoa_shared **members, size_t count);
/* Has it exactly these parts? */
struct stoa_content;
bool stoa__node_is(const PyObject *object, stoa_node_kind kind, const struct stoa_content *parts);
/* In two steps, as stoa__find_tuple and stoa__new_tuple: a node without raw words. Only STOA_NODE_VALUE are looked for. */
stoa_shared *
stoa__find_node(stoa_batch *batch, stoa_node_kind kind, const struct stoa_content *parts, stoa_key *key);
stoa_shared *stoa__new_node(stoa_batch *batch, stoa_key key, stoa_node_kind kind, unsigned flags,
                            stoa_shared *const *parts, size_t count);

/* ---- kinds --------------------------------------------------------------------------------------------------------- */

struct stoa_apart; /* apart.h */

typedef struct stoa_foreign_kind {
    const char *name;
    /* The object of this interpreter: new reference, or NULL with an exception. `parts`: the delivered parts, without the
     * raw ones; borrowed. GIL; may run Python code, and may be called twice for one node by two threads (the first to
     * finish wins). */
    PyObject *(*build)(const stoa_node *node, PyObject *const *parts);
    /* The same without the parts having been delivered, or NULL with no exception: build() is to be called. May be NULL. */
    PyObject *(*build_lazily)(const stoa_node *node);

    bool known_elsewhere; /* what is delivered is one object already: it is kept in no table here */

    /* Freezing; all may be NULL. May this object be one of the kind? Exact type tests only, no Python code. */
    bool (*takes)(PyObject *object);
    /* Lays the whole node without running Python code, in the walk: NULL with *why: refused for that reason (static text
     * with the remedy); NULL without: the batch failed (STOA_EPYTHON: an exception is set) or, where it has not and there is
     * a reduce(), that is to be asked. `convert`: freeze(), not share(). */
    stoa_shared *(*freeze)(stoa_batch *batch, PyObject *object, bool convert, const char **why);
    /* Or: what to freeze instead, while nothing is held; Python code may run. New reference to a tuple of parts, which are
     * then frozen as children of a node of this kind, or what stoa__apart_laid gave; NULL with an exception. */
    PyObject *(*reduce)(PyObject *object, struct stoa_apart *apart, unsigned *flags);
} stoa_foreign_kind;

/* `kind` must stay valid for ever. Before the first freeze or delivery, idempotent. */
void stoa__foreign_set_kind(stoa_node_kind which, const stoa_foreign_kind *kind);
const stoa_foreign_kind *stoa__foreign_kind(unsigned which); /* NULL: there is none */

/* ---- delivery ------------------------------------------------------------------------------------------------------ */

/* What stands here for a node: new reference, or NULL with stoa.Error, whose message names the node's place, its class and
 * the interpreter, and whose __cause__ is what building it raised; then nothing of it is kept, and asking again tries
 * again. GIL; may run Python code (imports, a registered rebuild). Iterative. */
PyObject *stoa__deliver_node(PyObject *node);

/* The same for a part of something that is delivered: a class is not known as delivered itself for that. */
PyObject *stoa__deliver_part(PyObject *node);

/* As stoa__deliver, of a part that is delivered when somebody touches it: `place` is where it stands in what it is a
 * part of, for the message of an error. */
PyObject *stoa__deliver_late(PyObject *part, const stoa_step *place);

/* Another object like the one that is delivered for a node: of its own, its parts the delivered ones. New reference. */
PyObject *stoa__deliver_copy(PyObject *node);

/* What stands here for an object of the heap, or for one that is shared otherwise: new reference. The caller marks the
 * region (stoa__region_mark_delivered). GIL. */
static inline PyObject *
stoa__deliver(PyObject *object)
{
    return stoa__is_node(object) ? stoa__deliver_node(object) : Py_NewRef(object);
}

/* The node that a delivered object stands for, borrowed from the heap; NULL (no exception): it is not delivered. An object
 * whose node is CHANGEABLE may have been changed since: see stoa__delivered_to_heap. O(1), no Python code. GIL. */
PyObject *stoa__delivered_node(PyObject *object);

/* The region in which an object lies that is shared or delivered: new reference; NULL: the default one, or it is neither. GIL. */
struct stoa_region *stoa__region_of_frozen(PyObject *object);

/* What to send for an object that is shared or delivered: by pointer, O(1), unless it or something inside it can be
 * changed: then what was built so far is compared, and what was changed is frozen anew. NULL without an exception: it is
 * neither shared nor delivered (or cannot be frozen any more); NULL with one: no memory, interrupted. GIL. */
PyObject *stoa__delivered_to_heap(PyObject *object);

/* The interpreter ends: gives up what was delivered to it. Its GIL. */
void stoa__foreign_leave(void);

#endif
