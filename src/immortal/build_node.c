#include "immortal/build_node.h"

#include "immortal/apart.h"
#include "immortal/array_kind.h"
#include "immortal/persist_view.h"

#include <stdatomic.h>

#include "immortal/cpython/cpython.h"
#include "immortal/function.h"
#include "immortal/meanings.h"
#include "immortal/names_of.h"
#include "immortal/reduce.h"
#include "immortal/sequence.h"

/* ---- containers ---------------------------------------------------------------------------------------------------- */

static PyObject *
tuple_of(PyObject *const *items, size_t count)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, Py_NewRef(items[i]));
    }
    return tuple;
}

static PyObject *
build_tuple(const stoa_node *node, PyObject *const *parts)
{
    return tuple_of(parts, node->count);
}

static PyObject *
build_mapping(const stoa_node *node, PyObject *const *parts)
{
    PyObject *dict = PyDict_New(), *mapping = NULL;
    int result = dict == NULL ? -1 : 0;
    for (size_t i = 0; result == 0 && i + 1 < node->count; i += 2) {
        result = PyDict_SetItem(dict, parts[i], parts[i + 1]);
    }
    if (result == 0) {
        mapping = stoa__frozendict_new(dict);
    }
    Py_XDECREF(dict);
    return mapping;
}

static PyObject *
build_frozenset(const stoa_node *node, PyObject *const *parts)
{
    PyObject *tuple = tuple_of(parts, node->count);
    PyObject *set = tuple == NULL ? NULL : PyFrozenSet_New(tuple);
    Py_XDECREF(tuple);
    return set;
}

static PyObject *
build_slice(const stoa_node *node, PyObject *const *parts)
{
    (void)node;
    return PySlice_New(parts[0], parts[1], parts[2]);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

static PyObject *
build_global(const stoa_node *node, PyObject *const *parts)
{
    (void)node;
    PyObject *module = stoa__find_module(parts[0]);
    PyObject *found = module == NULL ? NULL : stoa__follow(module, parts[1]);
    Py_XDECREF(module);
    if (found != NULL) {
        stoa__name_means(parts[0], parts[1], found);
    }
    return found;
}

static PyObject *
build_module(const stoa_node *node, PyObject *const *parts)
{
    (void)node;
    return stoa__find_module(parts[0]);
}

static PyObject *
build_member(const stoa_node *node, PyObject *const *parts)
{
    (void)node;
    return parts[1] != Py_None ? PyObject_GetItem(parts[0], parts[1]) : PyObject_CallOneArg(parts[0], parts[2]);
}

static PyObject *
build_named(const stoa_node *node, PyObject *const *parts)
{
    if (!PyType_Check(parts[0]) || !PyType_IsSubtype((PyTypeObject *)parts[0], &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "the class is no named tuple any more");
        return NULL;
    }
    PyObject *items = tuple_of(parts + 1, node->count - 1);
    PyObject *arguments = items == NULL ? NULL : PyTuple_Pack(1, items);
    PyObject *named = arguments == NULL ? NULL : PyTuple_Type.tp_new((PyTypeObject *)parts[0], arguments, NULL);
    Py_XDECREF(arguments);
    Py_XDECREF(items);
    return named;
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

static const stoa_foreign_kind tuple_kind = {"tuple", .build = build_tuple, .build_lazily = stoa__sequence_of};
static const stoa_foreign_kind mapping_kind = {"mapping", .build = build_mapping};
static const stoa_foreign_kind frozenset_kind = {"frozenset", .build = build_frozenset};
static const stoa_foreign_kind slice_kind = {"slice", .build = build_slice};
static const stoa_foreign_kind global_kind = {"name", .build = build_global};
static const stoa_foreign_kind module_kind = {"module", .build = build_module};
static const stoa_foreign_kind member_kind = {"member of an enumeration", .build = build_member};
static const stoa_foreign_kind shape_kind = {"class", .build = stoa__build_shape};
static const stoa_foreign_kind record_kind = {"object", .build = stoa__build_record};
static const stoa_foreign_kind named_kind = {"named tuple", .build = build_named};
static const stoa_foreign_kind call_kind = {"object", .build = stoa__build_call};
static const stoa_foreign_kind function_kind = {"function", .build = stoa__build_function};

/* Each written once, before use, by whoever loads the code of the kind; a second time with the same value. */
static const stoa_foreign_kind *_Atomic kinds[STOA_NODE_KINDS] = {
    [STOA_NODE_TUPLE] = &tuple_kind,         [STOA_NODE_MAPPING] = &mapping_kind,
    [STOA_NODE_FROZENSET] = &frozenset_kind, [STOA_NODE_SLICE] = &slice_kind,
    [STOA_NODE_GLOBAL] = &global_kind,       [STOA_NODE_MODULE] = &module_kind,
    [STOA_NODE_MEMBER] = &member_kind,       [STOA_NODE_SHAPE] = &shape_kind,
    [STOA_NODE_RECORD] = &record_kind,       [STOA_NODE_NAMED] = &named_kind,
    [STOA_NODE_CALL] = &call_kind,           [STOA_NODE_FUNCTION] = &function_kind,
    [STOA_NODE_ARRAY] = &stoa__array_kind,   [STOA_NODE_PERSISTENT] = &stoa__persist_kind,
    [STOA_NODE_SAME] = &stoa__ndarray_kind,  [STOA_NODE_IDENTITY] = &stoa__identity_kind,
};

void
stoa__foreign_set_kind(stoa_node_kind which, const stoa_foreign_kind *kind)
{
    kinds[which] = kind;
}

const stoa_foreign_kind *
stoa__foreign_kind(unsigned which)
{
    return which < STOA_NODE_KINDS ? kinds[which] : NULL;
}
