/* evolve() for Python: the C half of python/stoa/_evolve.py. */
#include "heap/region.h"
#include "immortal/canonical.h"
#include "immortal/exceptions.h"
#include "immortal/freeze.h"
#include "immortal/persist_view.h"
#include "immortal/source.h"
#include "module/module.h"
#include "module/region.h"
#include "proxy/membership.h"
#include "stoa/python.h"

#include <stdlib.h>
#include <string.h>

#define FLAGS (STOA_FREEZE_INTERN | STOA_FREEZE_CONVERT)
#define FEW \
    2 /* objects that are frozen one by one, for a single key: the tuple around more of them stays in the heap */

/* Shared objects or nodes; `items` is `few` or lies in the heap. */
typedef struct frozen_list {
    PyObject *const *items;
    size_t count;
    PyObject *few[FEW];
} frozen_list;

static void
step_of_change(void *arg, size_t i, stoa_step *out)
{
    (void)i;
    *out = *(const stoa_step *)arg;
}

/* A refusal names a place in the flat list, or (`index` >= 0) in the item of that number: it is to name one in the
 * mapping that the changes are. */
static void
place_in_mapping(PyObject *list, Py_ssize_t index)
{
    PyObject *raised = PyErr_GetRaisedException(), *type = stoa__exception(STOA_EXC_NotFreezable);
    PyObject *path = type != NULL && Py_IS_TYPE(raised, (PyTypeObject *)type)
                         ? PyObject_GetAttrString(raised, "path")
                         : NULL;
    PyObject *name = path == NULL ? NULL : PyObject_GetAttrString(raised, "type_name");
    PyObject *text = name == NULL ? NULL : PyObject_Str(raised);
    const char *rest = text == NULL ? NULL : PyUnicode_AsUTF8(path), *why = NULL, *names = NULL;
    if (rest != NULL && (names = PyUnicode_AsUTF8(name)) != NULL && (why = PyUnicode_AsUTF8(text)) != NULL) {
        why += strlen(rest) + strlen(": '") + strlen(names) + strlen("': ");
        rest++; /* behind the $ */
        if (index < 0) {
            char *end;
            index = (Py_ssize_t)strtoul(rest + 1, &end, 10);
            rest = end + 1;
        }
        stoa_step step = {STOA_STEP_KEY, (size_t)index / 2, NULL, NULL};
        if (index % 2 != 0) {
            step = (stoa_step){STOA_STEP_VALUE, 0, PyList_GetItem(list, index - 1), NULL};
        }
        stoa_path place = {NULL, 0, 0, false};
        stoa__path_write(&place, step_of_change, &step, 1);
        stoa__path_printf(&place, "%s", rest);
        stoa__raise_not_freezable(stoa__path_text(&place), names, why);
        stoa__path_clear(&place);
        PyObject *placed = PyErr_GetRaisedException();
        if (placed != NULL) {
            PyException_SetCause(placed, PyException_GetCause(raised));
            Py_SETREF(raised, placed);
        }
    }
    Py_XDECREF(path);
    Py_XDECREF(name);
    Py_XDECREF(text);
    PyErr_SetRaisedException(raised); /* in place of one that came up here */
}

/* Items of a list (NULL: none) as shared objects. -1 with an exception. */
static int
freeze_list(PyObject *list, stoa_region *region, bool pairs, frozen_list *out)
{
    out->items = out->few;
    out->count = list == NULL ? 0 : (size_t)PyList_GET_SIZE(list);
    if (out->count <= FEW) {
        for (size_t i = out->count; i-- > 0;) { /* the value first: of what is refused, it leaves no key behind */
            out->few[i] = stoa__freeze_to_heap(PyList_GET_ITEM(list, (Py_ssize_t)i), region, FLAGS);
            if (out->few[i] == NULL) {
                if (pairs) {
                    place_in_mapping(list, (Py_ssize_t)i);
                }
                return -1;
            }
        }
        return 0;
    }
    PyObject *frozen = stoa__freeze_to_heap(list, region, FLAGS);
    if (frozen == NULL) {
        if (pairs) {
            place_in_mapping(list, -1);
        }
        return -1;
    }
    if (stoa__is_node(frozen)) {
        out->items = ((stoa_node *)frozen)->parts;
    }
    else {
        out->items = &PyTuple_GET_ITEM(frozen, 0);
    }
    return 0;
}

static bool
is_shared_mapping(PyObject *object)
{
    return Py_IS_TYPE(object, &STOA_MAPPING_TYPE) && stoa__in_heap(object);
}

/* The version that `mapping` is, with what its holder has changed in its records; what is no shared mapping is frozen. -1 with
 * an exception. Persistent mappings and native ones are taken by pointer; for a short one with foreign nodes *pairs gets
 * what it consists of. */
static int
find_version(PyObject *mapping, stoa_region *region, stoa_persist *version, frozen_list *pairs, PyObject **heap)
{
    *heap = stoa__delivered_node(mapping) != NULL ? stoa__delivered_to_heap(mapping)
            : is_shared_mapping(mapping)          ? mapping
                                                  : NULL;
    if (*heap == NULL && PyErr_Occurred()) {
        return -1;
    }
    if (*heap == NULL) {
        if (!PyMapping_Check(mapping) || PySequence_Check(mapping)) {
            PyErr_Format(PyExc_TypeError, "evolve() takes a mapping, not %.100s", Py_TYPE(mapping)->tp_name);
            return -1;
        }
        *heap = stoa__freeze_to_heap(mapping, region, FLAGS);
        if (*heap == NULL) {
            return -1;
        }
    }
    pairs->items = pairs->few;
    pairs->count = 0;
    if (is_shared_mapping(*heap)) {
        stoa__persist_begin(version, *heap);
        return 0;
    }
    const stoa_node *found = (const stoa_node *)*heap;
    if (stoa__is_node(*heap) && found->kind == STOA_NODE_PERSISTENT) {
        *version = *stoa__persist_of_node(*heap);
        return 0;
    }
    if (stoa__is_node(*heap) && found->kind == STOA_NODE_MAPPING) {
        version->base = NULL;
        pairs->items = found->parts;
        pairs->count = found->count;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "evolve() takes a mapping, not %.100s", Py_TYPE(mapping)->tp_name);
    return -1;
}

static PyObject *
fail(stoa_err err, PyObject *removed, size_t missing)
{
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (err == STOA_ENOTFOUND && removed != NULL) {
        PyObject *key = PyList_GetItem(removed, (Py_ssize_t)missing);
        if (key != NULL) {
            PyErr_SetObject(PyExc_KeyError, key);
        }
        return NULL;
    }
    return stoa__raise(err);
}

/* An empty base for what is laid out anew. */
static stoa_err
begin_empty(stoa_batch *batch, stoa_persist *version)
{
    PyObject *empty = stoa__make_mapping(batch, NULL, 0);
    if (empty == NULL) {
        return batch->err;
    }
    stoa__persist_begin(version, empty);
    return STOA_OK;
}

/* _evolve(mapping, changes, removed, region): changes is a list of key, value, key, value …; removed a list or None. */
static PyObject *
evolve(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    stoa_region *region = NULL;
    frozen_list pairs, removed, old;
    stoa_persist version;
    stoa_batch batch;
    PyObject *heap, *node = NULL, *evolved = NULL;
    size_t missing = 0;
    if (count != 4 || !PyList_Check(args[1]) || stoa__region_argument(args[3], &region) < 0) {
        return PyErr_Occurred()
                   ? NULL
                   : PyErr_Format(PyExc_TypeError, "_evolve(mapping, list, list or None, region)");
    }
    PyObject *removed_list = args[2] == Py_None ? NULL : args[2];
    if (find_version(args[0], region, &version, &old, &heap) < 0) {
        goto done;
    }
    bool same = PyList_GET_SIZE(args[1]) == 0 && (removed_list == NULL || PyList_GET_SIZE(removed_list) == 0);
    if (region == NULL) {
        region = stoa__region_ref_of(heap);
    }
    else if (!stoa__region_reaches(region, stoa__region_of(heap))) {
        PyErr_SetString(PyExc_ValueError,
                        "the mapping lies in another region, which may end earlier than the one that "
                        "is named; evolve it in its own, or freeze a copy first");
        goto done;
    }
    if (same && stoa__is_node(heap) && ((const stoa_node *)heap)->kind == STOA_NODE_PERSISTENT) {
        node = heap;
    }
    else if (freeze_list(args[1], region, true, &pairs) == 0 &&
             freeze_list(removed_list, region, false, &removed) == 0) {
        stoa_err err = stoa__batch_begin(&batch, region, STOA_BATCH_INTERN);
        if (err == STOA_OK) {
            if (version.base == NULL) {
                err = begin_empty(&batch, &version);
                err = err != STOA_OK
                          ? err
                          : stoa__persist_evolve(&batch, &version, old.items, old.count / 2, NULL, 0, &missing);
            }
            err = err != STOA_OK ? err
                                 : stoa__persist_evolve(&batch, &version, pairs.items, pairs.count / 2,
                                                        removed.items, removed.count, &missing);
            node = err == STOA_OK ? stoa__persist_node(&batch, &version) : NULL;
            err = err == STOA_OK && node == NULL ? batch.err : err;
            if (node != NULL) {
                stoa__batch_commit(&batch);
                err = batch.err;
            }
            else {
                stoa__batch_abort(&batch);
            }
        }
        if (err != STOA_OK) {
            node = NULL;
            fail(err, removed_list, missing);
        }
    }
    evolved = node == NULL ? NULL : stoa__receive(node);
done:
    stoa__region_unref(region);
    return evolved;
}

static PyMethodDef functions[] = {
    {"_evolve", (PyCFunction)(void (*)(void))evolve, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_evolve(PyObject *module)
{
    PyTypeObject *type = stoa__persist_type();
    return type == NULL ? -1
           : PyModule_AddObjectRef(module, "PersistentMapping", (PyObject *)type) < 0
               ? -1
               : PyModule_AddFunctions(module, functions);
}
