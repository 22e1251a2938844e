#include "module/region.h"

#include "stoa/python.h"

typedef struct region_object {
    PyObject ob_base;
    stoa_region *region; /* const after new; a reference is held */
} region_object;

static void
region_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    stoa_region_free(((region_object *)self)->region);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
raise_last(PyObject *type)
{
    PyErr_SetString(type, stoa_error_message());
    return NULL;
}

/* `limit` as bytes; None: 0. -1 with an exception. */
static int
limit_argument(PyObject *limit, size_t *out)
{
    *out = 0;
    if (limit == NULL || limit == Py_None) {
        return 0;
    }
    PyObject *index = PyNumber_Index(limit);
    if (index == NULL) {
        return -1;
    }
    *out = PyLong_AsSize_t(index);
    Py_DECREF(index);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError)) {
        return -1;
    }
    if (PyErr_Occurred() || *out == 0) {
        PyErr_Format(PyExc_ValueError,
                     "limit must be a positive number of bytes below 2**64, or None, not %R", limit);
        return -1;
    }
    return 0;
}

static PyObject *
region_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "limit", NULL};
    PyObject *name = Py_None, *limit = Py_None;
    const char *text = NULL;
    size_t bytes;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$O:Region", names, &name, &limit)) {
        return NULL;
    }
    if (name != Py_None) {
        Py_ssize_t size;
        if (!PyUnicode_Check(name)) {
            return PyErr_Format(PyExc_TypeError, "name must be str or None, not %.100s",
                                Py_TYPE(name)->tp_name);
        }
        text = PyUnicode_AsUTF8AndSize(name, &size);
        if (text == NULL) {
            return NULL;
        }
        if (size > 63 || strlen(text) != (size_t)size) {
            return PyErr_Format(PyExc_ValueError,
                                "name must be at most 63 bytes of UTF-8 without zeros, not %R", name);
        }
    }
    if (limit_argument(limit, &bytes) < 0) {
        return NULL;
    }
    region_object *self = (region_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    stoa_err err = stoa_region_new(text, bytes, &self->region);
    if (err != STOA_OK) {
        Py_DECREF(self);
        return raise_last(err == STOA_ENOMEM ? PyExc_MemoryError : PyExc_RuntimeError);
    }
    return (PyObject *)self;
}

int
stoa__flag_argument(PyObject *argument, bool *out)
{
    int truth = argument == NULL ? *out : PyObject_IsTrue(argument);
    if (truth >= 0) {
        *out = truth != 0;
    }
    return truth < 0 ? -1 : 0;
}

static PyObject *
freeze_in(PyObject *self, PyObject *args, PyObject *kwargs, const char *format,
          PyObject *(*freezer)(PyObject *, stoa_region *, unsigned))
{
    static char *names[] = {"", "intern", NULL};
    PyObject *object, *intern_object = NULL;
    bool intern = true;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &object, &intern_object) ||
        stoa__flag_argument(intern_object, &intern) < 0) {
        return NULL;
    }
    return freezer(object, ((region_object *)self)->region, intern ? 0 : STOA_NO_INTERN);
}

static PyObject *
region_freeze(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return freeze_in(self, args, kwargs, "O|$O:freeze", stoa_freeze);
}

static PyObject *
region_share(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return freeze_in(self, args, kwargs, "O|$O:share", stoa_share);
}

static int
get_info(PyObject *self, stoa_region_info *info)
{
    info->size = sizeof(*info);
    if (stoa_region_get_info(((region_object *)self)->region, info) != STOA_OK) {
        raise_last(PyExc_RuntimeError);
        return -1;
    }
    return 0;
}

static PyObject *
limit_object(size_t limit)
{
    return limit == 0 ? Py_NewRef(Py_None) : PyLong_FromSize_t(limit);
}

PyObject *
stoa__region_figures(const stoa_region_info *info)
{
    return Py_BuildValue(
        "{s:I,s:s,s:N,s:n,s:n,s:n,s:K,s:K,s:K,s:K,s:K,s:K}", "id", info->id, "name", info->name, "limit",
        limit_object(info->limit), "used_bytes", (Py_ssize_t)info->used_bytes, "chunk_bytes",
        (Py_ssize_t)info->chunk_bytes, "intern_bytes", (Py_ssize_t)info->intern_bytes, "objects",
        (unsigned long long)info->objects, "intern_entries", (unsigned long long)info->intern_entries,
        "intern_hits", (unsigned long long)info->intern_hits, "intern_misses",
        (unsigned long long)info->intern_misses, "freezes", (unsigned long long)info->freezes, "aborts",
        (unsigned long long)info->aborts);
}

static PyObject *
region_stats(PyObject *self, PyObject *Py_UNUSED(unused))
{
    stoa_region_info info;
    return get_info(self, &info) < 0 ? NULL : stoa__region_figures(&info);
}

static PyObject *
region_repr(PyObject *self)
{
    stoa_region_info info;
    if (get_info(self, &info) < 0) {
        return NULL;
    }
    return PyUnicode_FromFormat("<stoa.Region %s (id %u): %zu bytes used>", info.name, (unsigned)info.id,
                                info.used_bytes);
}

static PyObject *
region_get_name(PyObject *self, void *Py_UNUSED(unused))
{
    stoa_region_info info;
    return get_info(self, &info) < 0 ? NULL : PyUnicode_FromString(info.name);
}

static PyObject *
region_get_id(PyObject *self, void *Py_UNUSED(unused))
{
    stoa_region_info info;
    return get_info(self, &info) < 0 ? NULL : PyLong_FromUnsignedLong(info.id);
}

static PyObject *
region_get_limit(PyObject *self, void *Py_UNUSED(unused))
{
    stoa_region_info info;
    return get_info(self, &info) < 0 ? NULL : limit_object(info.limit);
}

static PyObject *
region_get_closed(PyObject *self, void *Py_UNUSED(unused))
{
    return PyBool_FromLong(((region_object *)self)->region == NULL);
}

static PyMethodDef region_methods[] = {
    {"freeze", (PyCFunction)(void (*)(void))region_freeze, METH_VARARGS | METH_KEYWORDS,
     "freeze($self, obj, /, *, intern=True)\n--\n\nstoa.freeze(obj) into this region."},
    {"share", (PyCFunction)(void (*)(void))region_share, METH_VARARGS | METH_KEYWORDS,
     "share($self, obj, /, *, intern=True)\n--\n\nstoa.share(obj) into this region."},
    {"stats", region_stats, METH_NOARGS, "stats($self, /)\n--\n\nWhat the region holds, as a dict."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef region_fields[] = {
    {"name", region_get_name, NULL, "For people: messages and statistics.", NULL},
    {"id", region_get_id, NULL, "Number of the region in this process; 1 is the default region.", NULL},
    {"limit", region_get_limit, NULL, "Bytes that it may hold, or None.", NULL},
    {"closed", region_get_closed, NULL, "Is it gone, so that nothing can be frozen into it?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot region_slots[] = {
    {Py_tp_doc, "Region(name=None, *, limit=None)\n--\n\n"
                "A part of the shared heap with a lifetime and a memory limit (in bytes) of its own."},
    {Py_tp_new, region_new},
    {Py_tp_dealloc, region_dealloc},
    {Py_tp_repr, region_repr},
    {Py_tp_methods, region_methods},
    {Py_tp_getset, region_fields},
    {0, NULL},
};

static PyType_Spec region_spec = {
    .name = "stoa.Region",
    .basicsize = sizeof(region_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = region_slots,
};

/* Each interpreter (and each reload of the module) has a type of its own; the destructor tells them all. */
static bool
is_region(PyObject *object)
{
    return Py_TYPE(object)->tp_dealloc == region_dealloc;
}

int
stoa__region_argument(PyObject *argument, stoa_region **out)
{
    if (argument == NULL || argument == Py_None) {
        *out = NULL;
        return 0;
    }
    if (!is_region(argument)) {
        PyErr_Format(PyExc_TypeError, "region must be a stoa.Region or None, not %.100s",
                     Py_TYPE(argument)->tp_name);
        return -1;
    }
    *out = ((region_object *)argument)->region;
    return 0;
}

int
stoa__module_add_region(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &region_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}
