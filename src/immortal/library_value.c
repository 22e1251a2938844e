#include "immortal/library_value.h"

#include <string.h>

#include "immortal/names_of.h"
#include "immortal/reduce.h"

/* The functions are stoa._library's. Results of urllib.parse that are plain named tuples (up to 3.14) do not come here. */
static const struct known_class {
    const char *module, *name, *function;
} known[] = {
    {"typing", "ForwardRef", "forward_ref"},
    {"annotationlib", "ForwardRef", "forward_ref"},
    {"posix", "sched_param", "scheduling"},
    {"sys", "flags", "flags"},
    {"sys", "version_info", "version"},
    {"codecs", "CodecInfo", "codec"},
    {"functools", "partialmethod", "partial_method"},
    {"urllib.parse", "DefragResult", "parsed_url"},
    {"urllib.parse", "DefragResultBytes", "parsed_url"},
    {"urllib.parse", "SplitResult", "parsed_url"},
    {"urllib.parse", "SplitResultBytes", "parsed_url"},
    {"urllib.parse", "ParseResult", "parsed_url"},
    {"urllib.parse", "ParseResultBytes", "parsed_url"},
};

static bool
is_text(PyObject *text, const char *expected)
{
    return text != NULL && PyUnicode_CompareWithASCIIString(text, expected) == 0;
}

/* The last part of a class's name as C has it, which many are told apart by before any object is made. */
static bool
ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

static const struct known_class *
find(PyTypeObject *type)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(known); i++) {
        const struct known_class *k = &known[i];
        if (!ends_with(type->tp_name, k->name)) {
            continue;
        }
        PyObject *module = stoa__text_attribute((PyObject *)type, "__module__"),
                 *name = stoa__text_attribute((PyObject *)type, "__qualname__");
        bool same = is_text(module, k->module) && is_text(name, k->name);
        PyErr_Clear();
        Py_XDECREF(module);
        Py_XDECREF(name);
        if (same) {
            return k;
        }
    }
    return NULL;
}

bool
stoa__library_amends(PyTypeObject *type)
{
    return find(type) != NULL;
}

PyObject *
stoa__library_apart(PyObject *object, unsigned flags)
{
    const struct known_class *k = find(Py_TYPE(object));
    PyObject *module = k == NULL ? NULL : PyImport_ImportModule("stoa._library");
    PyObject *reduced = module == NULL ? NULL : PyObject_CallMethod(module, k->function, "(O)", object);
    Py_XDECREF(module);
    if (k == NULL) {
        return stoa__reduce(object, flags); /* the class was renamed meanwhile */
    }
    return reduced == NULL ? NULL : stoa__reduce_as(object, reduced, flags);
}
