/* What only the running interpreter can tell: see the struct in cpython.h. */
#include "immortal/cpython/cpython.h"

#include <stdio.h>

#include "immortal/exceptions.h"

#if STOA_NATIVE_DATES
#include <datetime.h>
#endif

/* CPython's hash secret: exported by every build, declared in public headers up to 3.12 only. */
#if PY_VERSION_HEX >= 0x030D0000
typedef union {
    struct {
        uint64_t k0, k1;
    } siphash;
    unsigned char bytes[24];
} stoa_hash_secret;
extern stoa_hash_secret _Py_HashSecret;
#endif

#ifndef _Py_TPFLAGS_STATIC_BUILTIN /* 3.12 to 3.15; some headers show it to CPython itself only */
#define _Py_TPFLAGS_STATIC_BUILTIN (1UL << 1)
#endif

stoa_runtime stoa__runtime; /* written by stoa__runtime_init under a GIL, const afterwards */

bool
stoa__runtime_fits(char *why, size_t size)
{
    const char *version = Py_GetVersion();
    int major = 0, minor = 0;
    if (sscanf(version, "%d.%d", &major, &minor) == 2 && major == 3 && minor == PY_MINOR_VERSION) {
        return true;
    }
    snprintf(
        why, size,
        "this Stoa was built for CPython 3.%d and the running one is %.30s; install the Stoa of that version",
        PY_MINOR_VERSION, version);
    return false;
}

bool
stoa__type_is_static(const PyTypeObject *type)
{
    return (type->tp_flags & (_Py_TPFLAGS_STATIC_BUILTIN | Py_TPFLAGS_HEAPTYPE)) == _Py_TPFLAGS_STATIC_BUILTIN;
}

static int
find_dates(void)
{
#if STOA_NATIVE_DATES
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL) {
        return -1;
    }
    stoa__runtime.utc_hash = PyObject_Hash(PyDateTimeAPI->TimeZone_UTC);
    if (stoa__runtime.utc_hash == -1) {
        return -1;
    }
    stoa__runtime.date = PyDateTimeAPI->DateType;
    stoa__runtime.time = PyDateTimeAPI->TimeType;
    stoa__runtime.datetime = PyDateTimeAPI->DateTimeType;
    stoa__runtime.timedelta = PyDateTimeAPI->DeltaType;
    stoa__runtime.utc = PyDateTimeAPI->TimeZone_UTC;
#endif
    return 0;
}

int
stoa__runtime_receive(void)
{
#if STOA_NATIVE_DATES
    /* makes the types ready in this interpreter: on 3.13 a date is a crash without it */
    PyObject *module = PyImport_ImportModule("_datetime");
    if (module == NULL) {
        return -1;
    }
    Py_DECREF(module); /* sys.modules keeps it */
#endif
    return 0;
}

int
stoa__runtime_init(void)
{
#if defined(Py_REF_DEBUG)
    bool debug = true;
#else
    bool debug = false;
#endif
    if (debug !=
        (PySys_GetObject("gettotalrefcount") != NULL)) { /* its DECREF dies of the release build's refcount */
        stoa__raise_unsupported(debug
                                    ? "this Stoa was built for a debug build of it, and it is a release build"
                                    : "it is a debug build, and this Stoa was built for a release build");
        return -1;
    }
    const PyHash_FuncDef *hash = PyHash_GetFuncDef();
    stoa__runtime.hash_bytes = hash->hash;
    stoa__runtime.siphash13 = hash->hash_bits == 64 && strcmp(hash->name, "siphash13") == 0;
    memcpy(stoa__runtime.secret, &_Py_HashSecret, sizeof stoa__runtime.secret);
    PyObject *target = PyFrozenSet_New(NULL);
    if (target == NULL) {
        return -1;
    }
    PyObject *ref = PyWeakref_NewRef(target, NULL);
    if (ref != NULL) {
        stoa__runtime.ref_vectorcall = ((PyWeakReference *)ref)->vectorcall;
        Py_DECREF(ref);
    }
    Py_DECREF(target);
    return ref == NULL ? -1 : find_dates();
}

/* ---- static strings ------------------------------------------------------------------------------------------------ */

/* The runtime's static strings lie one behind the other in the runtime struct, each a compact ASCII str padded to 8 bytes.
 * Their names differ from patch to patch and no API lists them; asking by interning a name would leak it on 3.12, where
 * interning is for ever. So: take one that every version has, and walk over its neighbours in both directions as long as
 * what lies there is such a str from head to terminating zero. */

#define MAX_STATIC 200 /* longest static string looked for */

static size_t
static_string_size(const char *at)
{
    const PyASCIIObject *str = (const PyASCIIObject *)(const void *)at;
    if (str->ob_base.ob_type != &PyUnicode_Type || str->length < 0 || str->length > MAX_STATIC ||
        str->state.interned != STOA_INTERNED_STATIC || str->state.kind != 1 || !str->state.compact ||
        !str->state.ascii) {
        return 0;
    }
    const char *data = at + sizeof(PyASCIIObject);
    if (strnlen(data, (size_t)str->length + 1) != (size_t)str->length) {
        return 0;
    }
    return (sizeof(PyASCIIObject) + (size_t)str->length + 1 + 7) & ~(size_t)7;
}

static const char *
static_string_before(const char *at)
{
    for (size_t size = sizeof(PyASCIIObject) + 8; size <= sizeof(PyASCIIObject) + MAX_STATIC + 8; size += 8) {
        if (static_string_size(at - size) == size) {
            return at - size;
        }
    }
    return NULL;
}

size_t
stoa__runtime_static_strings(void (*found)(PyObject *str, void *context), void *context)
{
    PyObject *known = PyUnicode_InternFromString("__len__");
    if (known == NULL) {
        PyErr_Clear();
        return 0;
    }
    const char *at = (const char *)known;
    Py_DECREF(known); /* static: stays */
    if (static_string_size(at) == 0) {
        return 0;
    }
    for (const char *before; (before = static_string_before(at)) != NULL;) {
        at = before;
    }
    size_t count = 0;
    for (size_t size; (size = static_string_size(at)) != 0; at += size, count++) {
        found((PyObject *)(uintptr_t)at, context);
    }
    return count;
}
