#include "immortal/late.h"

#include <stdlib.h>

#include "immortal/persist.h"

#define BLOCK STOA_LATE_BLOCK
#define LEAF STOA_LATE_LEAF

static stoa_late *
as_late(PyObject *self)
{
    return (stoa_late *)self;
}

static size_t
block_count(const stoa_late *late)
{
    return (late->numbers + BLOCK - 1) / BLOCK;
}

/* ---- places -------------------------------------------------------------------------------------------------------- */

/* Where a value is kept, made if need be. NULL: no memory. */
static PyObject **
make_place(stoa_late *late, size_t number)
{
    if (late->blocks == NULL) {
        late->blocks = calloc(block_count(late), sizeof(*late->blocks));
        if (late->blocks == NULL) {
            return NULL;
        }
    }
    stoa_late_block **block = &late->blocks[number / BLOCK];
    if (*block == NULL && (*block = calloc(1, sizeof(**block))) == NULL) {
        return NULL;
    }
    PyObject ***leaf = &(*block)->leaves[number % BLOCK / LEAF];
    if (*leaf == NULL && (*leaf = calloc(LEAF, sizeof(**leaf))) == NULL) {
        return NULL;
    }
    return &(*leaf)[number % LEAF];
}

/* The leaf that comes next from *at on, which goes behind it: at most LEAF places. NULL: there is none. */
static PyObject **
next_leaf(const stoa_late *late, size_t *at)
{
    for (size_t i = *at; late->blocks != NULL && i / BLOCK < block_count(late); i += LEAF) {
        const stoa_late_block *block = late->blocks[i / BLOCK];
        if (block == NULL) {
            i += BLOCK - i % BLOCK - LEAF; /* to the end of the block */
        }
        else if (block->leaves[i % BLOCK / LEAF] != NULL) {
            *at = i + LEAF;
            return block->leaves[i % BLOCK / LEAF];
        }
    }
    return NULL;
}

/* ---- types --------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__late_type_new(PyType_Spec *spec, const char *abstract)
{
    PyObject *type = PyType_FromSpec(spec);
    PyObject *abc = type == NULL ? NULL : PyImport_ImportModule("collections.abc");
    PyObject *base = abc == NULL ? NULL : PyObject_GetAttrString(abc, abstract);
    PyObject *done = base == NULL ? NULL : PyObject_CallMethod(base, "register", "O", type);
    Py_XDECREF(done);
    Py_XDECREF(base);
    Py_XDECREF(abc);
    if (done == NULL) {
        Py_CLEAR(type);
    }
    return type;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__late_new(PyTypeObject *type, const stoa_node *node, size_t numbers)
{
    stoa_late *late = PyObject_GC_New(stoa_late, type);
    if (late != NULL) {
        late->node = node;
        late->blocks = NULL;
        late->numbers = numbers;
        late->built = 0;
        late->hash = -1;
        late->weak_references = NULL;
    }
    return (PyObject *)late; /* the collector hears of it when it holds something */
}

int
stoa__late_clear(PyObject *self)
{
    stoa_late *late = as_late(self);
    size_t at = 0;
    PyObject **leaf;
    while (late->built > 0 && (leaf = next_leaf(late, &at)) != NULL) {
        for (size_t k = 0; k < LEAF; k++) {
            if (leaf[k] != NULL) {
                late->built--;
                Py_CLEAR(leaf[k]);
            }
        }
    }
    return 0;
}

void
stoa__late_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    stoa_late *late = as_late(self);
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    (void)stoa__late_clear(self);
    size_t at = 0;
    PyObject **leaf;
    while ((leaf = next_leaf(late, &at)) != NULL) {
        free(leaf);
    }
    for (size_t i = 0; late->blocks != NULL && i < block_count(late); i++) {
        free(late->blocks[i]);
    }
    free(late->blocks);
    type->tp_free(self);
    Py_DECREF(type);
}

int
stoa__late_traverse(PyObject *self, visitproc visit, void *arg)
{
    const stoa_late *late = as_late(self);
    Py_VISIT(Py_TYPE(self));
    size_t left = late->built, at = 0;
    PyObject **leaf;
    while (left > 0 && (leaf = next_leaf(late, &at)) != NULL) {
        for (size_t k = 0; k < LEAF; k++) {
            left -= leaf[k] != NULL;
            Py_VISIT(leaf[k]);
        }
    }
    return 0;
}

PyObject *
stoa__late_sizeof(PyObject *self, PyObject *Py_UNUSED(none))
{
    const stoa_late *late = as_late(self);
    size_t size = sizeof(*late), at = 0;
    for (size_t i = 0; late->blocks != NULL && i < block_count(late); i++) {
        size += sizeof(*late->blocks) + (late->blocks[i] == NULL ? 0 : sizeof(*late->blocks[i]));
    }
    while (next_leaf(late, &at) != NULL) {
        size += LEAF * sizeof(PyObject *);
    }
    return PyLong_FromSize_t(size);
}

PyMemberDef stoa__late_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(stoa_late, weak_references), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* ---- values -------------------------------------------------------------------------------------------------------- */

bool
stoa__is_late_type(const PyTypeObject *type)
{
    return type->tp_dealloc == stoa__late_dealloc; /* one function, however many interpreters have the classes */
}

stoa_late *
stoa__late_of(PyObject *object)
{
    return stoa__is_late_type(Py_TYPE(object)) ? as_late(object) : NULL;
}

PyObject *
stoa__late_part(const stoa_late *late, size_t number)
{
    if (late->node->kind == STOA_NODE_TUPLE) {
        return late->node->parts[number];
    }
    PyObject *key, *value;
    return stoa__persist_pair(stoa__persist_of_node((const PyObject *)late->node), number, &key, &value)
               ? value
               : NULL;
}

PyObject *
stoa__late_build(stoa_late *late, size_t number, PyObject *part, const stoa_step *where)
{
    PyObject *value = stoa__deliver_late(part, where);
    PyObject **place = value == NULL ? NULL : make_place(late, number);
    if (place == NULL) {
        if (value != NULL) {
            Py_DECREF(value);
            PyErr_NoMemory();
        }
        return NULL;
    }
    if (*place != NULL) { /* delivery may have let another thread in */
        Py_DECREF(value);
        return Py_NewRef(*place);
    }
    *place = Py_NewRef(value);
    if (late->built++ == 0 && !PyObject_GC_IsTracked((PyObject *)late)) {
        PyObject_GC_Track(late);
    }
    return value;
}

size_t
stoa__late_next_changeable(const stoa_late *late, size_t from)
{
    size_t at = from - from % LEAF;
    PyObject **leaf;
    while ((leaf = next_leaf(late, &at)) != NULL) { /* which ends before `at` */
        for (size_t i = at - LEAF; i < at; i++) {
            if (i >= from && leaf[i % LEAF] != NULL &&
                ((const stoa_node *)stoa__late_part(late, i))->flags & STOA_NODE_CHANGEABLE) {
                return i;
            }
        }
    }
    return SIZE_MAX;
}
