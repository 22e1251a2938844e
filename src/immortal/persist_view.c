#include "immortal/persist_view.h"

#include "immortal/cpython/cpython.h"
#include "immortal/interpreter_state.h"
#include "immortal/late.h"
#include "immortal/source.h"

/* What an interpreter keeps: in a capsule in its dict. */
typedef struct view_state {
    PyTypeObject *mapping, *iterator;
} view_state;

typedef enum what { KEYS, VALUES, ITEMS } what;

typedef struct iterator_object {
    PyObject ob_base;
    stoa_late *mapping;          /* owned; NULL when a collection has taken it */
    const stoa_persist *version; /* its */
    stoa_persist_cursor cursor;  /* guarded by the GIL */
    uint64_t left;
    what kind;
    PyObject *pair; /* ITEMS: what was given last, to be given again if nobody has kept it; owned, or NULL */
} iterator_object;

static view_state *get_state(void);

static inline stoa_late *
as_late(PyObject *self)
{
    return (stoa_late *)self;
}

static inline const stoa_persist *
version_of(PyObject *self)
{
    return stoa__persist_of_node((const PyObject *)as_late(self)->node);
}

/* A function of the module that has the parts written in Python, called with these arguments. */
static PyObject *
call_helper(const char *name, PyObject *a, PyObject *b)
{
    PyObject *module = PyImport_ImportModule("stoa._evolve");
    PyObject *function = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    PyObject *result = function == NULL ? NULL : PyObject_CallFunctionObjArgs(function, a, b, NULL);
    Py_XDECREF(function);
    Py_XDECREF(module);
    return result;
}

/* ---- the mapping ------------------------------------------------------------------------------------------------- */

/* New reference to the value; NULL without an exception: not there. `keep`: as stoa__persist_as_dict. */
static inline PyObject *
find(PyObject *self, PyObject *key, bool keep)
{
    Py_hash_t hash = PyObject_Hash(key);
    uint64_t number;
    PyObject *part = hash == -1 ? NULL : stoa__persist_find(version_of(self), key, hash, &number);
    stoa_step where = {STOA_STEP_VALUE, 0, key, NULL};
    return part == NULL ? NULL
           : keep       ? stoa__late_value(as_late(self), number, part, &where)
                        : stoa__late_look(as_late(self), number, part, &where);
}

static PyObject *
mapping_subscript(PyObject *self, PyObject *key)
{
    PyObject *value = find(self, key, true);
    if (value == NULL && !PyErr_Occurred()) {
        PyObject *arguments = PyTuple_Pack(1, key); /* a tuple as a key is not to be taken for arguments */
        if (arguments != NULL) {
            PyErr_SetObject(PyExc_KeyError, arguments);
            Py_DECREF(arguments);
        }
    }
    return value;
}

static Py_ssize_t
mapping_length(PyObject *self)
{
    return (Py_ssize_t)version_of(self)->count;
}

static int
mapping_contains(PyObject *self, PyObject *key)
{
    Py_hash_t hash = PyObject_Hash(key);
    uint64_t number;
    if (hash == -1) {
        return -1;
    }
    return stoa__persist_find(version_of(self), key, hash, &number) != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

static PyObject *
mapping_get(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        return PyErr_Format(PyExc_TypeError, "get() takes 1 or 2 arguments (%zd given)", count);
    }
    PyObject *value = find(self, args[0], true);
    return value != NULL || PyErr_Occurred() ? value : Py_NewRef(count == 2 ? args[1] : Py_None);
}

PyObject *
stoa__persist_as_dict(PyObject *self, bool keep)
{
    stoa_late *late = as_late(self);
    PyObject *dict = PyDict_New(), *key, *value;
    stoa_persist_cursor cursor = {0};
    while (dict != NULL && stoa__persist_next(version_of(self), &cursor, &key, &value)) {
        uint64_t number = cursor.next - 1;
        key = stoa__deliver(key);
        stoa_step where = {STOA_STEP_VALUE, 0, key, NULL};
        value = key == NULL ? NULL
                : keep      ? stoa__late_value(late, number, value, &where)
                            : stoa__late_look(late, number, value, &where);
        if (value == NULL || PyDict_SetItem(dict, key, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *
make_iterator(PyObject *self, what kind)
{
    view_state *state = get_state();
    iterator_object *iterator = state == NULL ? NULL : PyObject_GC_New(iterator_object, state->iterator);
    if (iterator != NULL) {
        iterator->mapping = (stoa_late *)Py_NewRef(self);
        iterator->version = version_of(self);
        iterator->cursor = (stoa_persist_cursor){0};
        iterator->left = iterator->version->count;
        iterator->kind = kind;
        iterator->pair = NULL;
        PyObject_GC_Track(iterator);
    }
    return (PyObject *)iterator;
}

static PyObject *
mapping_iter(PyObject *self)
{
    return make_iterator(self, KEYS);
}

static PyObject *
mapping_iter_values(PyObject *self, PyObject *Py_UNUSED(none))
{
    return make_iterator(self, VALUES);
}

static PyObject *
mapping_iter_items(PyObject *self, PyObject *Py_UNUSED(none))
{
    return make_iterator(self, ITEMS);
}

static PyObject *
mapping_keys(PyObject *self, PyObject *Py_UNUSED(none))
{
    return call_helper("Keys", self, NULL);
}

static PyObject *
mapping_values(PyObject *self, PyObject *Py_UNUSED(none))
{
    return call_helper("Values", self, NULL);
}

static PyObject *
mapping_items(PyObject *self, PyObject *Py_UNUSED(none))
{
    return call_helper("Items", self, NULL);
}

/* A helper that takes the pairs, which nobody else gets hold of: values that are built for it are not kept. */
static PyObject *
call_with_pairs(const char *name, PyObject *self)
{
    PyObject *pairs = stoa__persist_as_dict(self, false);
    PyObject *result = pairs == NULL ? NULL : call_helper(name, pairs, NULL);
    Py_XDECREF(pairs);
    return result;
}

static PyObject *
mapping_reduce(PyObject *self, PyObject *Py_UNUSED(none))
{
    return call_with_pairs("reduce", self);
}

static PyObject *
mapping_repr(PyObject *self)
{
    return call_with_pairs("represent", self);
}

/* What `dict`, or the persistent mapping `other`, has under a key: new reference; NULL: nothing, or an exception is set. */
static PyObject *
find_in(PyObject *dict, PyObject *other, PyObject *key)
{
    return dict != NULL ? Py_XNewRef(PyDict_GetItemWithError(dict, key)) : find(other, key, false);
}

/* As dict or another persistent mapping. 1, 0; -1 with an exception. */
static int
equal_pairs(PyObject *self, PyObject *dict, PyObject *other)
{
    stoa_persist_cursor cursor = {0};
    PyObject *key, *value;
    int equal = 1;
    while (equal > 0 && stoa__persist_next(version_of(self), &cursor, &key, &value)) {
        key = stoa__deliver(key);
        stoa_step where = {STOA_STEP_VALUE, 0, key, NULL};
        PyObject *theirs = key == NULL ? NULL : find_in(dict, other, key), *mine = NULL;
        if (theirs == NULL) {
            equal = PyErr_Occurred() ? -1 : 0;
        }
        else if ((mine = stoa__late_look(as_late(self), cursor.next - 1, value, &where)) == NULL) {
            equal = -1;
        }
        else {
            equal = PyObject_RichCompareBool(theirs, mine, Py_EQ);
        }
        Py_XDECREF(key);
        Py_XDECREF(theirs);
        Py_XDECREF(mine);
    }
    return equal;
}

static PyObject *
mapping_compare(PyObject *self, PyObject *other, int how)
{
    if (how != Py_EQ && how != Py_NE) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *dict = stoa__proxy_target(other);
    dict = PyDict_CheckExact(dict) ? dict : NULL;
    int truth;
    if (self == other) {
        truth = 1;
    }
    else if (dict != NULL || stoa__is_persistent(other)) {
        Py_ssize_t count = dict != NULL ? PyDict_GET_SIZE(dict) : mapping_length(other);
        truth = count == mapping_length(self) ? equal_pairs(self, dict, other) : 0;
    }
    else {
        PyObject *equal = call_helper("equal", self, other);
        if (equal == NULL || equal == Py_NotImplemented) {
            return equal;
        }
        truth = PyObject_IsTrue(equal);
        Py_DECREF(equal);
    }
    return truth < 0 ? NULL : PyBool_FromLong(truth == (how == Py_EQ));
}

/* Either operand may be one. What comes out is a dict, or what dicts make of the other. */
static PyObject *
mapping_or(PyObject *a, PyObject *b)
{
    PyObject *left = stoa__is_persistent(a) ? stoa__persist_as_dict(a, true) : Py_NewRef(a);
    PyObject *right = left == NULL             ? NULL
                      : stoa__is_persistent(b) ? stoa__persist_as_dict(b, true)
                                               : Py_NewRef(b);
    PyObject *both = right == NULL ? NULL : PyNumber_Or(left, right);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return both;
}

static PyObject *
mapping_copy(PyObject *self, PyObject *Py_UNUSED(none))
{
    return stoa__persist_as_dict(self, true);
}

static PyObject *
mapping_copied(PyObject *self, PyObject *Py_UNUSED(none))
{
    return Py_NewRef(self);
}

static PyObject *
mapping_reversed(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *keys = PySequence_List(self);
    PyObject *reversed = keys == NULL ? NULL : PyObject_CallMethod(keys, "__reversed__", NULL);
    Py_XDECREF(keys);
    return reversed;
}

static Py_hash_t
mapping_hash(PyObject *self)
{
    stoa_late *late = as_late(self);
    if (late->hash == -1) {
        PyObject *hash = call_with_pairs("hash_of", self);
        late->hash = hash == NULL ? -1 : PyLong_AsSsize_t(hash);
        Py_XDECREF(hash);
    }
    return late->hash;
}

static PyMethodDef mapping_methods[] = {
    {"get", (PyCFunction)(void (*)(void))mapping_get, METH_FASTCALL,
     "get($self, key, default=None, /)\n--\n\nThe value of key, or default."},
    {"keys", mapping_keys, METH_NOARGS, "keys($self, /)\n--\n\nThe keys, as of a dict."},
    {"values", mapping_values, METH_NOARGS, "values($self, /)\n--\n\nThe values, as of a dict."},
    {"items", mapping_items, METH_NOARGS, "items($self, /)\n--\n\nPairs of key and value, as of a dict."},
    {"_iter_values", mapping_iter_values, METH_NOARGS, NULL},
    {"_iter_items", mapping_iter_items, METH_NOARGS, NULL},
    {"copy", mapping_copy, METH_NOARGS, "copy($self, /)\n--\n\nA dict of the pairs."},
    {"__reversed__", mapping_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nThe keys from the last to the first."},
    {"__copy__", mapping_copied, METH_NOARGS, "__copy__($self, /)\n--\n\nIt cannot change: itself."},
    STOA_LATE_SIZEOF,
    {"__reduce__", mapping_reduce, METH_NOARGS, "Pickles as the pairs."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "PersistentMapping[K, V], for type hints."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot mapping_slots[] = {
    STOA_LATE_SLOTS,
    {Py_tp_doc, "A read-only mapping in the shared heap, of which evolve() makes new versions cheaply."},
    {Py_tp_methods, mapping_methods},
    {Py_tp_iter, mapping_iter},
    {Py_tp_repr, mapping_repr},
    {Py_tp_hash, mapping_hash},
    {Py_tp_richcompare, mapping_compare},
    {Py_mp_subscript, mapping_subscript},
    {Py_mp_length, mapping_length},
    {Py_sq_contains, mapping_contains},
    {Py_nb_or, mapping_or},
    {0, NULL},
};

static PyType_Spec mapping_spec = {
    .name = "stoa.PersistentMapping",
    .basicsize = sizeof(stoa_late),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_MAPPING,
    .slots = mapping_slots,
};

/* ---- iterators --------------------------------------------------------------------------------------------------- */

static int
iterator_clear(PyObject *self)
{
    Py_CLEAR(((iterator_object *)self)->mapping);
    Py_CLEAR(((iterator_object *)self)->pair);
    return 0;
}

static int
iterator_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((iterator_object *)self)->mapping);
    Py_VISIT(((iterator_object *)self)->pair);
    return 0;
}

static void
iterator_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)iterator_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Takes over both references. Whoever unpacks a pair at once, as loops do, lets go of it before asking for the next:
 * then that one is filled again, as dicts do. */
static PyObject *
give_pair(iterator_object *it, PyObject *key, PyObject *value)
{
    PyObject *pair = it->pair;
    if (pair != NULL && Py_REFCNT(pair) == 1) {
        PyObject *old_key = PyTuple_GET_ITEM(pair, 0), *old_value = PyTuple_GET_ITEM(pair, 1);
        PyTuple_SET_ITEM(pair, 0, key);
        PyTuple_SET_ITEM(pair, 1, value);
#if STOA_TUPLE_HAS_HASH
        STOA_TUPLE_HASH(pair) = -1;
#endif
        if (!(stoa__in_heap(key) && stoa__in_heap(value)) && !PyObject_GC_IsTracked(pair)) {
            PyObject_GC_Track(pair); /* a collection found nothing in it that could be in a cycle */
        }
        Py_INCREF(pair);
        Py_DECREF(old_key);
        Py_DECREF(old_value);
        return pair;
    }
    pair = PyTuple_New(2);
    if (pair == NULL) {
        Py_DECREF(key);
        Py_DECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, key);
    PyTuple_SET_ITEM(pair, 1, value);
    Py_XSETREF(it->pair, Py_NewRef(pair));
    return pair;
}

static PyObject *
iterator_next(PyObject *self)
{
    iterator_object *it = (iterator_object *)self;
    PyObject *stored, *value;
    if (it->mapping == NULL || !stoa__persist_next(it->version, &it->cursor, &stored, &value)) {
        return NULL;
    }
    it->left--;
    if (it->kind == KEYS) {
        return stoa__deliver(stored);
    }
    uint64_t number = it->cursor.next - 1;
    PyObject *key = stoa__deliver(stored);
    stoa_step where = {STOA_STEP_VALUE, 0, key, NULL};
    value = key == NULL ? NULL : stoa__late_value(it->mapping, number, value, &where);
    if (it->kind == VALUES || value == NULL) {
        Py_XDECREF(key);
        return value;
    }
    return give_pair(it, key, value);
}

static PyObject *
iterator_length_hint(PyObject *self, PyObject *Py_UNUSED(none))
{
    return PyLong_FromUnsignedLongLong(((iterator_object *)self)->left);
}

static PyMethodDef iterator_methods[] = {
    {"__length_hint__", iterator_length_hint, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_clear, iterator_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {Py_tp_methods, iterator_methods},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "stoa.PersistentMappingIterator",
    .basicsize = sizeof(iterator_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iterator_slots,
};

/* ---- the interpreter's state ------------------------------------------------------------------------------------- */

static void
free_state(void *kept)
{
    view_state *state = kept;
    Py_XDECREF(state->mapping);
    Py_XDECREF(state->iterator);
    PyMem_Free(state);
}

static PyObject *
make_state(void)
{
    view_state *state = PyMem_Calloc(1, sizeof(*state));
    if (state == NULL) {
        return PyErr_NoMemory();
    }
    state->mapping = (PyTypeObject *)stoa__late_type_new(&mapping_spec, "Mapping");
    state->iterator = state->mapping == NULL ? NULL : (PyTypeObject *)PyType_FromSpec(&iterator_spec);
    if (state->iterator == NULL) {
        free_state(state);
        return NULL;
    }
    return stoa__interpreter_state_new("stoa.persist", state, free_state);
}

static view_state *
get_state(void)
{
    return stoa__interpreter_state("stoa.persist", make_state);
}

PyTypeObject *
stoa__persist_type(void)
{
    view_state *state = get_state();
    return state == NULL ? NULL : state->mapping;
}

bool
stoa__is_persistent(PyObject *object)
{
    const stoa_late *late = stoa__late_of(object);
    return late != NULL && late->node->kind == STOA_NODE_PERSISTENT;
}

/* ---- the kind ---------------------------------------------------------------------------------------------------- */

static PyObject *
build_lazily(const stoa_node *node)
{
    view_state *state = get_state();
    const stoa_persist *version = stoa__persist_of_node((const PyObject *)node);
    return state == NULL ? NULL
                         : stoa__late_new(state->mapping, node, version->base_count + version->added_count);
}

static PyObject *
build(const stoa_node *node, PyObject *const *parts)
{
    (void)parts; /* the base, whose values are delivered when they are touched */
    return build_lazily(node);
}

const stoa_foreign_kind stoa__persist_kind = {
    .name = "persistent mapping", .build = build, .build_lazily = build_lazily};
