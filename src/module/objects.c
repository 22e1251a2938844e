#include "module/objects.h"

#include "heap/region.h"
#include "immortal/foreign.h"
#include "immortal/sequence.h"
#include "module/region.h"
#include "stoa/python.h"

typedef PyObject *(*freezer)(PyObject *object, stoa_region *region, unsigned flags);

static int
parse_keyword(PyObject *name, PyObject *value, const char *function, stoa_region **region, bool *intern)
{
    if (PyUnicode_CompareWithASCIIString(name, "region") == 0) {
        return stoa__region_argument(value, region);
    }
    if (PyUnicode_CompareWithASCIIString(name, "intern") == 0) {
        return stoa__flag_argument(value, intern);
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function, name);
    return -1;
}

static PyObject *
call_freezer(freezer f, const char *function, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    stoa_region *region = NULL;
    bool intern = true, good = true;
    if (count != 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes exactly one positional argument (%zd given)", function,
                     count);
        return NULL;
    }
    for (Py_ssize_t i = 0; good && names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        good = parse_keyword(PyTuple_GET_ITEM(names, i), args[1 + i], function, &region, &intern) == 0;
    }
    PyObject *frozen = good ? f(args[0], region, intern ? 0 : STOA_NO_INTERN) : NULL;
    stoa__region_unref(region);
    return frozen;
}

static PyObject *
py_freeze(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_freezer(stoa_freeze, "freeze", args, count, names);
}

static PyObject *
py_share(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_freezer(stoa_share, "share", args, count, names);
}

static PyObject *
py_thaw(PyObject *Py_UNUSED(module), PyObject *object)
{
    return stoa_thaw(object);
}

static PyObject *
py_is_shared(PyObject *Py_UNUSED(module), PyObject *object)
{
    return PyBool_FromLong(stoa_is_shared(object) || stoa__delivered_node(object) != NULL);
}

PyDoc_STRVAR(
    freeze_doc,
    "freeze($module, obj, /, *, region=None, intern=True)\n--\n\n"
    "The frozen twin of obj, in memory that every interpreter of the process reads.\n\n"
    "list becomes tuple, dict a read-only mapping, set frozenset, bytearray bytes; immutable values stay "
    "what\n"
    "they are. What is frozen already is returned as it is. Raises NotFreezable, with the path of the first\n"
    "offender, for what cannot be frozen and for cycles; MemoryError when a limit is hit. A freeze that "
    "fails\n"
    "leaves nothing behind. intern=False does not look for equal values, but for strings that came a moment\n"
    "before in the same call: faster, larger.");
PyDoc_STRVAR(
    share_doc,
    "share($module, obj, /, *, region=None, intern=True)\n--\n\n"
    "As freeze(), but nothing changes its type: the first mutable object inside raises NotFreezable.");
PyDoc_STRVAR(thaw_doc, "thaw($module, obj, /)\n--\n\n"
                       "A private, mutable deep copy: mapping becomes dict, tuple list, frozenset set.\n\n"
                       "Dict keys and set members stay as they are. One object met twice becomes one copy.");
PyDoc_STRVAR(
    is_shared_doc,
    "is_shared($module, obj, /)\n--\n\n"
    "Can obj be used by pointer in every interpreter: is it in the shared heap, or one of Python's own\n"
    "process-wide objects?");

static PyMethodDef functions[] = {
    {"freeze", (PyCFunction)(void (*)(void))py_freeze, METH_FASTCALL | METH_KEYWORDS, freeze_doc},
    {"share", (PyCFunction)(void (*)(void))py_share, METH_FASTCALL | METH_KEYWORDS, share_doc},
    {"thaw", py_thaw, METH_O, thaw_doc},
    {"is_shared", py_is_shared, METH_O, is_shared_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_objects(PyObject *module)
{
    PyObject *type = (PyObject *)stoa__sequence_type();
    return type == NULL ? -1
           : PyModule_AddObjectRef(module, "SharedSequence", type) < 0
               ? -1
               : PyModule_AddFunctions(module, functions);
}
