/* Containers whose values are built when somebody looks at them, and then kept: SharedSequence and PersistentMapping.
 *
 * A frozen container of a million records would cost its receiver a million objects, of which it may want ten. So a long one
 * with foreign nodes among its values is delivered as an object that refers to the node. Each value has a number, its place
 * in a tuple or what a version numbers its keys by (persist.h). One that is a node is built on first touch, and kept here
 * as long as the container is: so it is the same object each time, and what its holder changes in it stays, and is found
 * when the container is frozen again, in time of what was built and not of what is there (late_walk.h).
 *
 * Built values lie in leaves of blocks, both made on touch: what nobody looks at costs a pointer a block, and who looks at a
 * few far apart does not pay for clearing their neighbours' places. All fields: the interpreter's GIL.
 */
#ifndef STOA_IMMORTAL_LATE_H
#define STOA_IMMORTAL_LATE_H

#include "immortal/foreign.h"

#define STOA_LATE_MIN 1024u /* items of a tuple, pairs of a mapping: shorter ones are built at once */
#define STOA_LATE_BLOCK 256u
#define STOA_LATE_LEAF 16u

typedef struct stoa_late_block {
    PyObject **leaves[STOA_LATE_BLOCK / STOA_LATE_LEAF]; /* NULL: nothing of that leaf was built */
} stoa_late_block;

/* The object, of either type. */
typedef struct stoa_late {
    PyObject ob_base;
    const stoa_node *node; /* const: TUPLE or PERSISTENT */
    stoa_late_block **blocks; /* by number; NULL: nothing was built; in the leaves references, NULL: not built yet */
    size_t numbers;           /* const: how many there are */
    size_t built;             /* how many values are there */
    Py_hash_t hash;           /* -1: not asked for yet */
    PyObject *weak_references;
} stoa_late;

/* The type of a spec with STOA_LATE_SLOTS, registered as that abstract class of collections.abc: new reference, NULL with an
 * exception. */
PyObject *stoa__late_type_new(PyType_Spec *spec, const char *abstract);

/* A new one, of such a type. NULL with an exception. */
PyObject *stoa__late_new(PyTypeObject *type, const stoa_node *node, size_t numbers);

/* The object as one of these; NULL: it is none. No Python code. */
stoa_late *stoa__late_of(PyObject *object);
bool stoa__is_late_type(const PyTypeObject *type);

/* What the value of a number is in the heap: borrowed, perhaps a node. NULL: it was removed. */
PyObject *stoa__late_part(const stoa_late *late, size_t number);

/* Where a value is kept; NULL: nothing near it was built. */
static inline PyObject **
stoa__late_place(const stoa_late *late, size_t number)
{
    const stoa_late_block *block = late->blocks == NULL ? NULL : late->blocks[number / STOA_LATE_BLOCK];
    PyObject **leaf = block == NULL ? NULL : block->leaves[number % STOA_LATE_BLOCK / STOA_LATE_LEAF];
    return leaf == NULL ? NULL : &leaf[number % STOA_LATE_LEAF];
}

/* The value that was built: borrowed, or NULL. */
static inline PyObject *
stoa__late_built(const stoa_late *late, size_t number)
{
    PyObject *const *place = stoa__late_place(late, number);
    return place == NULL ? NULL : *place;
}

/* Builds the value of a number whose part is a node, and keeps it. New reference to what is kept. */
PyObject *stoa__late_build(stoa_late *late, size_t number, PyObject *part, const stoa_step *where);

/* The value of a number: new reference. `part`: what stoa__late_part says. `where`: its place, for the message of an error. */
static inline PyObject *
stoa__late_value(stoa_late *late, size_t number, PyObject *part, const stoa_step *where)
{
    PyObject *built = stoa__late_built(late, number);
    if (built == NULL && stoa__is_node(part)) {
        return stoa__late_build(late, number, part, where);
    }
    return Py_NewRef(built != NULL ? built : part);
}

/* The same for who only looks: what is built for it is not kept. */
static inline PyObject *
stoa__late_look(const stoa_late *late, size_t number, PyObject *part, const stoa_step *where)
{
    PyObject *built = stoa__late_built(late, number);
    return built != NULL ? Py_NewRef(built) : stoa__deliver_late(part, where);
}

/* The number of the first value from `from` on that was built and may have been changed by its holder since; SIZE_MAX: there
 * is none. In time of what was built, and a little for each 256 numbers between. No Python code. */
size_t stoa__late_next_changeable(const stoa_late *late, size_t from);

void stoa__late_dealloc(PyObject *self);
int stoa__late_traverse(PyObject *self, visitproc visit, void *arg);
int stoa__late_clear(PyObject *self);
PyObject *stoa__late_sizeof(PyObject *self, PyObject *none); /* METH_NOARGS */
extern PyMemberDef stoa__late_members[];

#define STOA_LATE_SIZEOF                                                                                  \
    {                                                                                                     \
        "__sizeof__", stoa__late_sizeof, METH_NOARGS, "Bytes of it, and of the places of what was built." \
    }
#define STOA_LATE_SLOTS                                                         \
    {Py_tp_dealloc, stoa__late_dealloc}, {Py_tp_traverse, stoa__late_traverse}, \
        {Py_tp_clear, stoa__late_clear},                                        \
    {                                                                           \
        Py_tp_members, stoa__late_members                                       \
    }

#endif
