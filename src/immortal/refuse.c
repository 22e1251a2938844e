/* What the walk says when it refuses: where, what, why, and what to do instead. */
#include "immortal/walk.h"

#include "immortal/described.h"
#include "immortal/foreign_walk.h"
#include "immortal/numbers.h"

#include <stdio.h>
#include <string.h>

static stoa_level
level_of(const void *arg, size_t i)
{
    const stoa_walk *walk = arg;
    const stoa_frame *frame = &walk->frames[i];
    return (stoa_level){frame->kind == STOA_FRAME_FOREIGN ? frame->node_kind : -1, frame->next - frame->base,
                        walk->slots + frame->base};
}

static void
step_of_frame(void *arg, size_t i, stoa_step *out)
{
    static const char *const slice_fields[] = {"start", "stop", "step"};
    const stoa_walk *walk = arg;
    const stoa_frame *frame = &walk->frames[i + 1]; /* the first is the root's own */
    size_t index = frame->next - frame->base;
    if (stoa__described_step(level_of, walk, i + 1, out)) {
        return;
    }
    switch ((stoa_frame_kind)frame->kind) {
    case STOA_FRAME_MAPPING:
        out->index = index / 2;
        out->kind = index % 2 == 0 ? STOA_STEP_KEY : STOA_STEP_VALUE;
        out->key = index % 2 == 0 ? NULL : stoa__slot_object(walk->slots[frame->next - 1]);
        break;
    case STOA_FRAME_SET:
        *out = (stoa_step){STOA_STEP_MEMBER, index, NULL, NULL};
        break;
    case STOA_FRAME_SLICE:
        *out = (stoa_step){STOA_STEP_ATTRIBUTE, 0, NULL, slice_fields[index]};
        break;
    case STOA_FRAME_FOREIGN:
        stoa__foreign_frame_step(walk, frame, out);
        break;
    default:
        *out = (stoa_step){STOA_STEP_INDEX, index, NULL, NULL};
        break;
    }
}

static void
start(stoa_walk *walk, const PyObject *object)
{
    stoa__path_write(&walk->message, step_of_frame, walk, walk->depth - 1);
    walk->path_size = walk->message.size;
    snprintf(walk->offender, sizeof(walk->offender), "%s", Py_TYPE((PyObject *)object)->tp_name);
    if (walk->offender[0] == '\0') {
        walk->offender[0] = '?'; /* a class may have any name, but "" means that nothing was refused */
        walk->offender[1] = '\0';
    }
}

void
stoa__refuse_raised(stoa_walk *walk)
{
    stoa__path_write(&walk->message, step_of_frame, walk, walk->depth - 1);
    walk->path_size = walk->message.size;
}

void
stoa__refuse_because(stoa_walk *walk, PyObject *object, const char *why)
{
    start(walk, object);
    stoa__path_printf(&walk->message, "%s", why);
}

void
stoa__refuse_failed(stoa_walk *walk, PyObject *object, const char *what)
{
    start(walk, object);
    stoa__path_printf(
        &walk->message,
        "%s; give others a proxy of it (stoa.proxy), or say with stoa.register() what of it is kept", what);
}

/* The builtin that an object's class was derived from, or NULL. */
static const char *
builtin_base(PyObject *object)
{
    static PyTypeObject *const types[] = {&PyUnicode_Type,   &PyLong_Type,    &PyDict_Type,     &PyList_Type,
                                          &PyTuple_Type,     &PyFloat_Type,   &PyBytes_Type,    &PySet_Type,
                                          &PyFrozenSet_Type, &PyComplex_Type, &PyByteArray_Type};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        if (PyType_IsSubtype(Py_TYPE(object), types[i])) {
            return types[i]->tp_name;
        }
    }
    return NULL;
}

void
stoa__refuse_type(stoa_walk *walk, PyObject *object)
{
    const char *base = builtin_base(object);
    if (base != NULL) {
        start(walk, object);
        stoa__path_printf(
            &walk->message,
            "its class is a subclass of %s and belongs to one interpreter; convert it with %s(...) first",
            base, base);
    }
    else if (PyType_Check(object)) {
        stoa__refuse_because(
            walk, object,
            "a class belongs to the interpreter that made it; pass 'module:qualname' as text instead");
    }
    else if (PyFunction_Check(object) || PyCFunction_Check(object)) {
        stoa__refuse_because(walk, object,
                             "a function belongs to one interpreter; pass 'module:qualname' as text instead");
    }
    else if (PyModule_Check(object)) {
        stoa__refuse_because(walk, object,
                             "a module belongs to one interpreter; pass its name and import it there");
    }
    else if (PyMemoryView_Check(object)) {
        stoa__refuse_because(walk, object,
                             "a memoryview is a view of other memory; freeze bytes(view) instead");
    }
    else if (strncmp(Py_TYPE(object)->tp_name, "_io.", 4) == 0) {
        stoa__refuse_because(
            walk, object, "an open file belongs to one interpreter; freeze its content or its name instead");
    }
    else if (PyIter_Check(object)) {
        stoa__refuse_because(walk, object, "an iterator is used up by reading; freeze tuple(iterator) instead");
    }
    else {
        stoa__refuse_because(
            walk, object,
            "objects of its type belong to one interpreter; convert it to builtin types first (text, "
            "numbers, tuples, dicts, for instance vars(obj)) and rebuild it where it is used, or register "
            "its "
            "class with stoa.register()");
    }
}

void
stoa__refuse_mutable(stoa_walk *walk, PyObject *object)
{
    start(walk, object);
    const char *name = Py_TYPE(object)->tp_name;
    const char *twin = PyList_Check(object)   ? "tuple"
                       : PySet_Check(object)  ? "frozenset"
                       : PyDict_Check(object) ? "types.MappingProxyType"
                                              : "bytes";
    stoa__path_printf(
        &walk->message,
        "a %s is mutable and share() changes no types; use freeze(), or convert it with %s(...) first", name,
        twin);
}

/* Paths: of the place where the container is met again, and of the container itself. */
void
stoa__refuse_cycle(stoa_walk *walk, PyObject *object, const PyObject *source)
{
    start(walk, object);
    size_t depth = 1;
    while (depth < walk->depth - 1 && walk->frames[depth].source != source) {
        depth++;
    }
    stoa__path_printf(&walk->message, "it is inside itself, being the same object as ");
    stoa__path_write(&walk->message, step_of_frame, walk, depth - 1);
    stoa__path_printf(&walk->message, "; break the cycle, for instance by storing an index or a key instead");
}
