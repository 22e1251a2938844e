#include "immortal/keys.h"

#include "heap/error.h"
#include "immortal/apart.h"
#include "immortal/numbers.h"

#define DEPTH_MAX 100 /* of tuples in tuples in a key */

/* The container that the frame was opened for; see enter_proxy in step.c. */
static PyObject *
container_of(const stoa_frame *frame)
{
    return (PyObject *)((uintptr_t)frame->source & ~(uintptr_t)1);
}

static bool
has_foreign_key(const stoa_walk *walk, const stoa_frame *frame, stoa_node_kind kind, stoa_shared *const *parts)
{
    size_t count = walk->top - frame->base, step = kind == STOA_NODE_MAPPING ? 2 : 1;
    for (size_t i = 0; i < count; i += step) {
        if (stoa__slot_is_node(parts[i])) {
            return true;
        }
    }
    return false;
}

/* One of its keys has refused: [text, exception, key, index]. */
static void
refuse(stoa_walk *walk, const stoa_frame *frame, stoa_node_kind kind, PyObject *failure)
{
    size_t at = frame->base +
                PyLong_AsSize_t(PyList_GET_ITEM(failure, 3)) * (kind == STOA_NODE_MAPPING ? 2 : 1);
    walk->frames[walk->depth - 1].next = at < walk->top ? at
                                                        : frame->base; /* it may have become smaller since */
    const char *text = PyUnicode_AsUTF8(PyList_GET_ITEM(failure, 0));
    PyErr_Clear();
    stoa__refuse_failed(walk, PyList_GET_ITEM(failure, 2), text != NULL ? text : "cannot be a key");
    walk->cause = PyList_GET_ITEM(failure, 1); /* `apart` keeps it */
}

bool
stoa__keys_note(stoa_walk *walk, const stoa_frame *frame, stoa_node_kind kind, stoa_shared *const *parts)
{
    if (frame->kind == STOA_FRAME_FOREIGN || !has_foreign_key(walk, frame, kind, parts)) {
        return true;
    }
    PyObject *container = container_of(frame);
    PyObject *failure = stoa__apart_find(walk->apart, container);
    if (failure != NULL) {
        refuse(walk, frame, kind, failure);
        return false;
    }
    if (walk->apart == NULL) {
        walk->apart = stoa__apart_new(walk->batch.region);
    }
    if (walk->keys == NULL && walk->apart != NULL) {
        walk->keys = PyList_New(0);
    }
    PyObject *keys = walk->keys == NULL ? NULL : PySequence_List(container); /* of an exact type */
    bool noted = keys != NULL && PyList_Append(walk->keys, container) == 0 &&
                 PyList_Append(walk->keys, keys) == 0;
    Py_XDECREF(keys);
    if (!noted) {
        PyErr_Clear();
        walk->batch.err = stoa__fail(STOA_ENOMEM, "no memory to try the keys of a mapping");
    }
    return noted;
}

/* A tuple may know its hash, and delivery makes another one, which does not. So tuples are tried as copies. */
static PyObject *
unhashed(PyObject *key, int depth)
{
    if (!PyTuple_CheckExact(key) || depth == DEPTH_MAX) {
        return Py_NewRef(key);
    }
    PyObject *copy = PyTuple_New(PyTuple_GET_SIZE(key));
    for (Py_ssize_t i = 0; copy != NULL && i < PyTuple_GET_SIZE(key); i++) {
        PyObject *item = unhashed(PyTuple_GET_ITEM(key, i), depth + 1);
        if (item == NULL) {
            Py_CLEAR(copy);
            break;
        }
        PyTuple_SET_ITEM(copy, i, item);
    }
    return copy;
}

/* Builds a set of them, one by one, as delivery will of their twins. false: an exception is set, about keys[*out_index], or about
 * none (-1). */
static bool
try_keys(PyObject *keys, Py_ssize_t *out_index)
{
    PyObject *set = PySet_New(NULL);
    *out_index = -1;
    for (Py_ssize_t i = 0; set != NULL && i < PyList_GET_SIZE(keys); i++) {
        PyObject *key = unhashed(PyList_GET_ITEM(keys, i), 0);
        int result = key == NULL ? -1 : PySet_Add(set, key);
        Py_XDECREF(key);
        if (result < 0) {
            *out_index = i;
            break;
        }
    }
    PyObject *raised = PyErr_GetRaisedException();
    Py_XDECREF(set);
    PyErr_SetRaisedException(raised);
    return raised == NULL;
}

int
stoa__keys_try(stoa_walk *walk)
{
    for (Py_ssize_t i = 0; walk->keys != NULL && i + 1 < PyList_GET_SIZE(walk->keys); i += 2) {
        PyObject *container = PyList_GET_ITEM(walk->keys, i);
        PyObject *keys = PyList_GET_ITEM(walk->keys, i + 1);
        Py_ssize_t index;
        if (!try_keys(keys, &index)) {
            return index < 0 ||
                           stoa__apart_refused(walk->apart, container, PyList_GET_ITEM(keys, index), index) < 0
                       ? -1
                       : 0;
        }
    }
    return 1;
}
