#include "immortal/sequence.h"

#include "immortal/late.h"
#include "immortal/path.h"
#include "immortal/table.h"

static stoa_late *
as_late(PyObject *self)
{
    return (stoa_late *)self;
}

static bool
is_sequence(PyObject *object)
{
    const stoa_late *late = stoa__late_of(object);
    return late != NULL && late->node->kind == STOA_NODE_TUPLE;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static Py_ssize_t
sequence_length(PyObject *self)
{
    return (Py_ssize_t)as_late(self)->numbers;
}

static PyObject *
sequence_item(PyObject *self, Py_ssize_t index)
{
    stoa_late *late = as_late(self);
    if (index < 0 || (size_t)index >= late->numbers) {
        PyErr_SetString(PyExc_IndexError, "sequence index out of range");
        return NULL;
    }
    stoa_step where = {STOA_STEP_INDEX, (size_t)index, NULL, NULL};
    return stoa__late_value(late, (size_t)index, late->node->parts[index], &where);
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
    stoa_late *late = as_late(self);
    if (late->hash == -1) {
        PyObject *tuple = as_tuple(self);
        late->hash = tuple == NULL ? -1 : PyObject_Hash(tuple);
        Py_XDECREF(tuple);
    }
    return late->hash;
}

/* The other operand of a comparison or a concatenation as what tuple would take, or NULL: it would take none. */
static bool
is_operand(PyObject *other)
{
    return PyTuple_Check(other) || is_sequence(other);
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
                (self == other || (is_sequence(other) && as_late(other)->node == as_late(self)->node &&
                                   as_late(other)->built == 0 && as_late(self)->built == 0));
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
    {"__reduce__", sequence_reduce, METH_NOARGS, "__reduce__($self, /)\n--\n\nAs a tuple."},
    {"__copy__", sequence_copy, METH_NOARGS, "__copy__($self, /)\n--\n\nIt cannot change: itself."},
    STOA_LATE_SIZEOF,
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    STOA_LATE_SLOTS,
    {Py_tp_repr, sequence_repr},
    {Py_tp_hash, sequence_hash},
    {Py_tp_iter, PySeqIter_New},
    {Py_tp_richcompare, sequence_compare},
    {Py_tp_methods, methods},
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
    .basicsize = sizeof(stoa_late),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_SEQUENCE,
    .slots = slots,
};

/* ---- making -------------------------------------------------------------------------------------------------------- */

PyTypeObject *
stoa__sequence_type(void)
{
    stoa_foreign_side *side = stoa__foreign_side();
    if (side == NULL) {
        return NULL;
    }
    if (side->sequence_type == NULL) {
        PyObject *type = stoa__late_type_new(&spec, "Sequence");
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
    if (node->count < STOA_LATE_MIN) {
        return NULL;
    }
    PyTypeObject *type = stoa__sequence_type();
    return type == NULL ? NULL : stoa__late_new(type, node, node->count);
}
