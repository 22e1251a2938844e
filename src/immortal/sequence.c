#include "immortal/sequence.h"

#include <stdlib.h>

#include "immortal/path.h"
#include "immortal/table.h"

/* Items that were built lie in leaves of blocks, both made on touch: what nobody looks at costs a pointer a block, and who
 * looks at a few far apart does not pay for clearing their neighbours' places. */
#define BLOCK 256u
#define LEAF 16u

typedef struct block {
    PyObject **leaves[BLOCK / LEAF]; /* NULL: nothing of that leaf was built */
} block;

typedef struct sequence {
    PyObject_HEAD
    const stoa_node *node; /* const */
    block **blocks; /* NULL: nothing of that block was built; in its leaves references; NULL: not built yet */
    size_t built;   /* how many are not NULL */
    Py_hash_t hash; /* -1: not asked for yet */
    PyObject *weak_references; /* of this object */
} sequence;

static size_t
block_count(const stoa_node *node)
{
    return (node->count + BLOCK - 1) / BLOCK;
}

/* Where an item is kept. NULL: nothing near it was built. */
static inline PyObject **
place_of(const sequence *s, size_t index)
{
    const block *b = s->blocks[index / BLOCK];
    PyObject **leaf = b == NULL ? NULL : b->leaves[index % BLOCK / LEAF];
    return leaf == NULL ? NULL : &leaf[index % LEAF];
}

static inline PyObject *
built_item(const sequence *s, size_t index)
{
    PyObject *const *place = place_of(s, index);
    return place == NULL ? NULL : *place;
}

/* The same, made if need be. NULL: no memory. */
static PyObject **
make_place(sequence *s, size_t index)
{
    block **b = &s->blocks[index / BLOCK];
    if (*b == NULL && (*b = calloc(1, sizeof(**b))) == NULL) {
        return NULL;
    }
    PyObject ***leaf = &(*b)->leaves[index % BLOCK / LEAF];
    if (*leaf == NULL && (*leaf = calloc(LEAF, sizeof(**leaf))) == NULL) {
        return NULL;
    }
    return &(*leaf)[index % LEAF];
}

/* The leaf that comes next from *at on, which goes behind it: at most LEAF places. NULL: there is none. */
static PyObject **
next_leaf(const sequence *s, size_t *at)
{
    for (size_t i = *at; i / BLOCK < block_count(s->node); i += LEAF) {
        const block *b = s->blocks == NULL ? NULL : s->blocks[i / BLOCK];
        if (b == NULL) {
            i += BLOCK - i % BLOCK - LEAF; /* to the end of the block */
        }
        else if (b->leaves[i % BLOCK / LEAF] != NULL) {
            *at = i + LEAF;
            return b->leaves[i % BLOCK / LEAF];
        }
    }
    return NULL;
}

static sequence *
as_sequence(PyObject *self)
{
    return (sequence *)self;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static int
sequence_clear(PyObject *self)
{
    sequence *s = as_sequence(self);
    size_t at = 0;
    PyObject **leaf;
    while (s->built > 0 && (leaf = next_leaf(s, &at)) != NULL) {
        for (size_t k = 0; k < LEAF; k++) {
            if (leaf[k] != NULL) {
                s->built--;
                Py_CLEAR(leaf[k]);
            }
        }
    }
    return 0;
}

static void
sequence_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    (void)sequence_clear(self);
    sequence *s = as_sequence(self);
    size_t at = 0;
    PyObject **leaf;
    while ((leaf = next_leaf(s, &at)) != NULL) {
        free(leaf);
    }
    for (size_t i = 0; s->blocks != NULL && i < block_count(s->node); i++) {
        free(s->blocks[i]);
    }
    free(s->blocks);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
sequence_traverse(PyObject *self, visitproc visit, void *arg)
{
    const sequence *s = as_sequence(self);
    Py_VISIT(Py_TYPE(self));
    size_t left = s->built, at = 0;
    PyObject **leaf;
    while (left > 0 && (leaf = next_leaf(s, &at)) != NULL) {
        for (size_t k = 0; k < LEAF; k++) {
            left -= leaf[k] != NULL;
            Py_VISIT(leaf[k]);
        }
    }
    return 0;
}

bool
stoa__is_sequence(const PyObject *object)
{
    return object->ob_type->tp_dealloc ==
           sequence_dealloc; /* one function, however many interpreters have the class */
}

PyObject *
stoa__sequence_node(PyObject *self)
{
    return (PyObject *)(uintptr_t)as_sequence(self)->node;
}

size_t
stoa__sequence_built(const PyObject *self)
{
    return ((const sequence *)self)->built;
}

size_t
stoa__sequence_next_built(const PyObject *self, size_t from)
{
    const sequence *s = (const sequence *)self;
    size_t at = from - from % LEAF;
    PyObject **leaf;
    while ((leaf = next_leaf(s, &at)) != NULL) { /* which ends before `at` */
        for (size_t i = at - LEAF; i < at; i++) {
            if (i >= from && leaf[i % LEAF] != NULL) {
                return i;
            }
        }
    }
    return SIZE_MAX;
}

PyObject *
stoa__sequence_part(PyObject *self, size_t index)
{
    const sequence *s = as_sequence(self);
    PyObject *item = built_item(s, index);
    return item != NULL ? item : s->node->parts[index];
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static Py_ssize_t
sequence_length(PyObject *self)
{
    return (Py_ssize_t)as_sequence(self)->node->count;
}

static PyObject *
sequence_item(PyObject *self, Py_ssize_t index)
{
    sequence *s = as_sequence(self);
    if (index < 0 || (size_t)index >= s->node->count) {
        PyErr_SetString(PyExc_IndexError, "sequence index out of range");
        return NULL;
    }
    PyObject *known = built_item(s, (size_t)index);
    if (known != NULL) {
        return Py_NewRef(known);
    }
    PyObject *part = s->node->parts[index];
    stoa_step where = {STOA_STEP_INDEX, (size_t)index, NULL, NULL};
    PyObject *item = stoa__deliver_late(part, &where);
    if (item == NULL || item == part) {
        return item;
    }
    PyObject **place = make_place(s, (size_t)index);
    if (place == NULL) {
        Py_DECREF(item);
        return PyErr_NoMemory();
    }
    if (*place == NULL) { /* delivery may have let another thread in */
        *place = Py_NewRef(item);
        s->built++;
    }
    return item;
}

static PyObject *
sequence_range(PyObject *self, Py_ssize_t start, Py_ssize_t step, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *item = sequence_item(self, start + i * step);
        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, item);
    }
    return tuple;
}

static PyObject *
sequence_subscript(PyObject *self, PyObject *key)
{
    Py_ssize_t length = sequence_length(self);
    if (PySlice_Check(key)) {
        Py_ssize_t start, stop, step;
        if (PySlice_Unpack(key, &start, &stop, &step) < 0) {
            return NULL;
        }
        Py_ssize_t count = PySlice_AdjustIndices(length, &start, &stop, step);
        return count == length && step == 1 ? Py_NewRef(self) : sequence_range(self, start, step, count);
    }
    Py_ssize_t index = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (index == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return sequence_item(self, index < 0 ? index + length : index);
}

static PyObject *
as_tuple(PyObject *self)
{
    return sequence_range(self, 0, 1, sequence_length(self));
}

static PyObject *
sequence_repr(PyObject *self)
{
    PyObject *tuple = as_tuple(self);
    PyObject *repr = tuple == NULL ? NULL : PyObject_Repr(tuple);
    Py_XDECREF(tuple);
    return repr;
}

static Py_hash_t
sequence_hash(PyObject *self)
{
    sequence *s = as_sequence(self);
    if (s->hash == -1) {
        PyObject *tuple = as_tuple(self);
        s->hash = tuple == NULL ? -1 : PyObject_Hash(tuple);
        Py_XDECREF(tuple);
    }
    return s->hash;
}

/* The other operand of a comparison or a concatenation as what tuple would take, or NULL: it would take none. */
static bool
is_operand(const PyObject *other)
{
    return PyTuple_Check(other) || stoa__is_sequence(other);
}

/* As tuples are compared: the first pair that differs decides. Items after it are not built. */
static PyObject *
sequence_compare(PyObject *self, PyObject *other, int op)
{
    if (!is_operand(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    Py_ssize_t mine = sequence_length(self), theirs = PySequence_Size(other), i = 0;
    bool same = mine == theirs &&
                (self == other ||
                 (stoa__is_sequence(other) && as_sequence(other)->node == as_sequence(self)->node &&
                  as_sequence(other)->built == 0 && as_sequence(self)->built == 0));
    if (theirs < 0) {
        return NULL;
    }
    if ((op == Py_EQ || op == Py_NE) && mine != theirs) {
        return PyBool_FromLong(op == Py_NE);
    }
    for (i = same ? mine : 0; i < mine && i < theirs; i++) {
        PyObject *a = sequence_item(self, i), *b = a == NULL ? NULL : PySequence_GetItem(other, i);
        int equal = b == NULL ? -1 : PyObject_RichCompareBool(a, b, Py_EQ);
        PyObject *result = NULL;
        if (equal == 0) {
            result = op == Py_EQ   ? Py_NewRef(Py_False)
                     : op == Py_NE ? Py_NewRef(Py_True)
                                   : PyObject_RichCompare(a, b, op);
        }
        Py_XDECREF(a);
        Py_XDECREF(b);
        if (equal <= 0) {
            return result;
        }
    }
    Py_RETURN_RICHCOMPARE(mine, theirs, op);
}

/* Either operand may be the sequence. */
static PyObject *
sequence_add(PyObject *a, PyObject *b)
{
    if (!is_operand(a) || !is_operand(b)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *left = PySequence_Tuple(a), *right = left == NULL ? NULL : PySequence_Tuple(b);
    PyObject *sum = right == NULL ? NULL : PySequence_Concat(left, right);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return sum;
}

static PyObject *
sequence_repeat(PyObject *self, Py_ssize_t count)
{
    PyObject *tuple = as_tuple(self);
    PyObject *result = tuple == NULL ? NULL : PySequence_Repeat(tuple, count);
    Py_XDECREF(tuple);
    return result;
}

/* ---- methods ------------------------------------------------------------------------------------------------------- */

static PyObject *
sequence_index(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t length = sequence_length(self), start = 0, stop = length;
    if (count < 1 || count > 3) {
        return PyErr_Format(PyExc_TypeError, "index() takes a value and at most two positions (%zd given)",
                            count);
    }
    if ((count > 1 && !_PyEval_SliceIndex(args[1], &start)) ||
        (count > 2 && !_PyEval_SliceIndex(args[2], &stop))) {
        return NULL;
    }
    start = start < 0 ? (start + length < 0 ? 0 : start + length) : start;
    stop = stop < 0 ? stop + length : stop > length ? length : stop;
    for (Py_ssize_t i = start; i < stop; i++) {
        PyObject *item = sequence_item(self, i);
        int equal = item == NULL ? -1 : PyObject_RichCompareBool(item, args[0], Py_EQ);
        Py_XDECREF(item);
        if (equal != 0) {
            return equal < 0 ? NULL : PyLong_FromSsize_t(i);
        }
    }
    return PyErr_Format(PyExc_ValueError, "%R is not in the sequence", args[0]);
}

static PyObject *
sequence_count(PyObject *self, PyObject *value)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t i = 0; i < sequence_length(self); i++) {
        PyObject *item = sequence_item(self, i);
        int equal = item == NULL ? -1 : PyObject_RichCompareBool(item, value, Py_EQ);
        Py_XDECREF(item);
        if (equal < 0) {
            return NULL;
        }
        found += equal;
    }
    return PyLong_FromSsize_t(found);
}

/* Pickled, and copied, as the tuple. */
static PyObject *
sequence_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *list = PySequence_List(self);
    PyObject *reduced = list == NULL ? NULL : Py_BuildValue("O(O)", &PyTuple_Type, list);
    Py_XDECREF(list);
    return reduced;
}

static PyObject *
sequence_copy(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyMethodDef methods[] = {
    {"index", (PyCFunction)(void (*)(void))sequence_index, METH_FASTCALL,
     "index($self, value, start=0, stop=sys.maxsize, /)\n--\n\n"
     "The first position of value; ValueError if there is none."},
    {"count", sequence_count, METH_O, "count($self, value, /)\n--\n\nHow often value is in it."},
    {"__reduce__", sequence_reduce, METH_NOARGS, "As a tuple."},
    {"__copy__", sequence_copy, METH_NOARGS, "It cannot change: itself."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585"},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(sequence, weak_references), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, sequence_dealloc},
    {Py_tp_traverse, sequence_traverse},
    {Py_tp_clear, sequence_clear},
    {Py_tp_repr, sequence_repr},
    {Py_tp_hash, sequence_hash},
    {Py_tp_richcompare, sequence_compare},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_sq_length, sequence_length},
    {Py_sq_item, sequence_item},
    {Py_sq_repeat, sequence_repeat},
    {Py_mp_length, sequence_length},
    {Py_mp_subscript, sequence_subscript},
    {Py_nb_add, sequence_add},
    {Py_tp_doc, "A long frozen tuple: its items are built when they are looked at, and then kept."},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "stoa.SharedSequence",
    .basicsize = sizeof(sequence),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_SEQUENCE,
    .slots = slots,
};

/* ---- making -------------------------------------------------------------------------------------------------------- */

static int
register_as_sequence(PyObject *type)
{
    PyObject *abc = PyImport_ImportModule("collections.abc");
    PyObject *base = abc == NULL ? NULL : PyObject_GetAttrString(abc, "Sequence");
    PyObject *done = base == NULL ? NULL : PyObject_CallMethod(base, "register", "O", type);
    Py_XDECREF(done);
    Py_XDECREF(base);
    Py_XDECREF(abc);
    return done == NULL ? -1 : 0;
}

/* Borrowed. */
static PyTypeObject *
sequence_type(stoa_foreign_side *side)
{
    if (side->sequence_type == NULL) {
        PyObject *type = PyType_FromSpec(&spec);
        if (type != NULL && register_as_sequence(type) < 0) {
            Py_CLEAR(type);
        }
        if (type == NULL || side->sequence_type != NULL) { /* another thread was faster */
            Py_XDECREF(type);
            return side->sequence_type;
        }
        side->sequence_type = (PyTypeObject *)type;
    }
    return side->sequence_type;
}

PyObject *
stoa__sequence_of(const stoa_node *node)
{
    if (node->count < STOA_SEQUENCE_MIN) {
        return NULL;
    }
    stoa_foreign_side *side = stoa__foreign_side();
    PyTypeObject *type = side == NULL ? NULL : sequence_type(side);
    sequence *s = type == NULL ? NULL : PyObject_GC_New(sequence, type);
    if (s == NULL) {
        return NULL;
    }
    s->node = node;
    s->built = 0;
    s->hash = -1;
    s->weak_references = NULL;
    s->blocks = calloc(block_count(node), sizeof(*s->blocks));
    PyObject_GC_Track(s);
    if (s->blocks == NULL) {
        Py_DECREF(s);
        return PyErr_NoMemory();
    }
    return (PyObject *)s;
}
