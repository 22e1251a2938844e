#include "module/region.h"

#include "host/retire.h"
#include "immortal/exceptions.h"
#include "module/module.h"
#include "proxy/membership.h"

#include "stoa/python.h"

typedef struct region_object {
    PyObject ob_base;
    stoa_region *region;   /* a reference is held; NULL: retired */
    stoa_region_info last; /* of one that was retired: what it was */
} region_object;

static void
region_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    stoa_region_free(((region_object *)self)->region);
    type->tp_free(self);
    Py_DECREF(type);
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
    stoa__members_settle();
    region_object *self = (region_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    stoa_err err = stoa_region_new(text, bytes, &self->region);
    if (err != STOA_OK) {
        Py_DECREF(self);
        return stoa__raise_as(err == STOA_ENOMEM ? PyExc_MemoryError : PyExc_RuntimeError, err);
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
raise_closed(void)
{
    PyObject *error = stoa__exception(STOA_EXC_Error);
    if (error != NULL) {
        PyErr_SetString(error,
                        "the region was retired: nothing can be frozen into it any more; make a new one");
    }
    return NULL;
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
    stoa_region *region = ((region_object *)self)->region;
    return region == NULL ? raise_closed() : freezer(object, region, intern ? 0 : STOA_NO_INTERN);
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
    const region_object *object = (const region_object *)self;
    if (object->region == NULL) {
        *info = object->last;
        return 0;
    }
    info->size = sizeof(*info);
    stoa_err err = stoa_region_get_info(object->region, info);
    if (err != STOA_OK) {
        stoa__raise_as(PyExc_RuntimeError, err);
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
    stoa__members_settle();
    if (((region_object *)self)->region == NULL) {
        return raise_closed();
    }
    return get_info(self, &info) < 0 ? NULL : stoa__region_figures(&info);
}

PyDoc_STRVAR(
    retire_doc,
    "retire($self, /, timeout=None)\n--\n\n"
    "Ends the region now and gives its memory back. Raises stoa.Error when somebody still uses something\n"
    "of it; the message says who holds what. With a timeout (seconds) it tries again and again until\n"
    "then, and raises stoa.Timeout. Afterwards `closed` is True.");

static PyObject *
raise_held(stoa_err err, bool waited)
{
    if (PyErr_Occurred()) { /* of a signal handler */
        return NULL;
    }
    if (err != STOA_ESTATE && err != STOA_EGONE) {
        return stoa__raise(err);
    }
    PyObject *type = stoa__exception(waited && err == STOA_ESTATE ? STOA_EXC_Timeout : STOA_EXC_Error);
    if (type != NULL) {
        const char *text = stoa_error_message(), *colon = strstr(text, ": ");
        PyObject *message = PyUnicode_DecodeUTF8(
            colon != NULL ? colon + 2 : text, (Py_ssize_t)strlen(colon != NULL ? colon + 2 : text), "replace");
        if (message != NULL) {
            PyErr_SetObject(type, message);
            Py_DECREF(message);
        }
    }
    return NULL;
}

/* By vectorcall: the arguments lie in the caller's frame, and where they end its stack does. */
static PyObject *
region_retire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    region_object *object = (region_object *)self;
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    PyObject *timeout = Py_None;
    stoa_deadline deadline = 0;
    if (count + named > 1) {
        return PyErr_Format(PyExc_TypeError, "retire() takes at most 1 argument (%zd given)", count + named);
    }
    if (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "timeout") != 0) {
        return PyErr_Format(PyExc_TypeError, "retire() got an unexpected keyword argument %R",
                            PyTuple_GET_ITEM(names, 0));
    }
    if (count + named == 1) {
        timeout = args[0];
    }
    if (timeout != Py_None && stoa__module_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    stoa_region_info info;
    if (object->region == NULL) {
        return raise_closed();
    }
    if (get_info(self, &info) < 0) {
        return NULL;
    }
    stoa_err err = stoa__retire(object->region, deadline, __builtin_frame_address(0), args + count + named);
    if (err != STOA_OK) {
        return raise_held(err, timeout != Py_None);
    }
    object->region = NULL;
    info.used_bytes = 0;
    object->last = info;
    Py_RETURN_NONE;
}

static PyObject *
region_repr(PyObject *self)
{
    stoa_region_info info;
    if (get_info(self, &info) < 0) {
        return NULL;
    }
    if (((region_object *)self)->region == NULL) {
        return PyUnicode_FromFormat("<stoa.Region %s (id %u): retired>", info.name, (unsigned)info.id);
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
    {"retire", (PyCFunction)(void (*)(void))region_retire, METH_FASTCALL | METH_KEYWORDS, retire_doc},
    {"stats", region_stats, METH_NOARGS, "stats($self, /)\n--\n\nWhat the region holds, as a dict."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef region_fields[] = {
    {"name", region_get_name, NULL, "For people: messages and statistics.", NULL},
    {"id", region_get_id, NULL, "Number of the region in this process; 1 is the default region.", NULL},
    {"limit", region_get_limit, NULL, "Bytes that it may hold, or None.", NULL},
    {"closed", region_get_closed, NULL, "Was it retired, so that nothing can be frozen into it?", NULL},
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
    stoa_region *region = ((region_object *)argument)->region;
    if (region == NULL) {
        (void)raise_closed();
        return -1;
    }
    *out = stoa__region_ref(region);
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
