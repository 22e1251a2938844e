#include "module/module.h"

#include "heap/libraries.h"
#include "heap/process_struct.h" /* stoa__process->space */
#include "immortal/cpython/cpython.h"
#include "stoa/version.h"

static PyObject *
layout(void)
{
    return Py_BuildValue("{s:K,s:n,s:n,s:n,s:s,s:O}", "refcount_word", (unsigned long long)STOA_REFCNT_WORD,
                         "str_offset", (Py_ssize_t)sizeof(PyASCIIObject), "bytes_offset",
                         (Py_ssize_t)STOA_BYTES_HEAD, "tuple_offset",
                         (Py_ssize_t)offsetof(PyTupleObject, ob_item), "mapping",
                         STOA_HAS_FROZENDICT ? "frozendict" : "mappingproxy", "native_dates",
                         STOA_NATIVE_DATES ? Py_True : Py_False);
}

static PyObject *
limits(void)
{
    const stoa_space *space = &stoa__process->space;
    return Py_BuildValue("{s:K,s:K,s:K,s:K}", "base_address", (unsigned long long)space->public_base,
                         "reserved_bytes", (unsigned long long)space->reserved, "limit_bytes",
                         (unsigned long long)space->limit, "granule_bytes", (unsigned long long)STOA_GRANULE);
}

PyDoc_STRVAR(build_info_doc,
             "build_info($module, /)\n--\n\n"
             "What the library was built for and from, how it lays out objects, and the heap's limits.");

static PyObject *
build_info(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    char jemalloc[64], xxhash[64];
    stoa__jemalloc_version(jemalloc, sizeof(jemalloc));
    stoa__xxhash_version(xxhash, sizeof(xxhash));
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:s,s:N,s:N}", "library", STOA_VERSION_STRING, "built_for",
                         PY_VERSION, "compiler", __VERSION__, "jemalloc", jemalloc, "xxhash", xxhash,
                         "layout", layout(), "limits", limits());
}

static PyMethodDef methods[] = {
    {"build_info", build_info, METH_NOARGS, build_info_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_build_info(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
