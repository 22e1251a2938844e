/* How CPython lays out the objects that Stoa makes: the contract between this folder and the rest.
 *
 * All knowledge of layouts, private symbols and versions is in this folder; everybody else asks for a field or a constant
 * by the names below and contains no version test. One minor version is chosen here, at compile time: its header says what
 * is particular to it, and an unknown minor does not compile. Three nets catch a layout that is not what we think:
 * _Static_asserts against CPython's own (also internal) headers (layout.c), the minor of the running interpreter compared
 * with that of the headers, and probes at import that build a real object of each kind and compare (probe.h).
 *
 * Needs: 64-bit, little-endian, default (GIL) build; release or debug.
 */
#ifndef STOA_CPYTHON_H
#define STOA_CPYTHON_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(Py_GIL_DISABLED)
#error "Stoa does not support the free-threaded build of CPython; use the default build"
#endif
#if defined(Py_TRACE_REFS)
#error "Stoa does not support builds of CPython with Py_TRACE_REFS"
#endif
#if SIZEOF_VOID_P != 8 || !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Stoa needs a 64-bit little-endian machine"
#endif

#include "immortal/cpython/minor.h"

/* ---- header of every object ---------------------------------------------------------------------------------------- */

/* What CPython keeps before an object of a gc type. All zero: not tracked, not in a collection. */
typedef struct stoa_gc_head {
    uintptr_t next, prev;
} stoa_gc_head;

/* `object`: writable address. */
static inline void
stoa__lay_head(void *object, const PyTypeObject *type)
{
    uint64_t *words = object;
    words[0] = STOA_REFCNT_WORD;
    words[1] = (uint64_t)(uintptr_t)type;
}

static inline bool
stoa__has_shared_refcount(const void *object)
{
    uint64_t word;
    memcpy(&word, object, sizeof word);
    return word == STOA_REFCNT_WORD;
}

/* ---- str ----------------------------------------------------------------------------------------------------------- */

#define STOA_INTERNED_STATIC \
    3 /* "interned, immortal, static": nobody interns, promotes or frees it (W4-W6) */

/* The characters; hash and UTF-8 are fields of the public structs. */
static inline void *
stoa__str_data(const void *str)
{
    const PyASCIIObject *s = str;
    return (char *)str + (s->state.ascii ? sizeof(PyASCIIObject) : sizeof(PyCompactUnicodeObject));
}

static inline void
stoa__lay_str(PyASCIIObject *str, int kind, bool ascii, Py_ssize_t length, Py_hash_t hash)
{
    stoa__lay_head(str, &PyUnicode_Type);
    str->length = length;
    str->hash = hash;
    str->state.interned = STOA_INTERNED_STATIC;
    str->state.kind = (unsigned)kind & 7;
    str->state.compact = 1;
    str->state.ascii = ascii;
    str->state.statically_allocated = 1; /* debug builds insist on the pair */
}

/* Is this a str in one block whose characters we can read? Subclasses' are not. */
static inline bool
stoa__str_is_compact(const PyObject *str)
{
    return ((const PyASCIIObject *)str)->state.compact;
}

/* Character number `at`; no assertions, so that a damaged str can be shown. */
static inline uint32_t
stoa__str_read(unsigned kind, const void *data, Py_ssize_t at)
{
    return kind == 1   ? ((const uint8_t *)data)[at]
           : kind == 2 ? ((const uint16_t *)data)[at]
           : kind == 4 ? ((const uint32_t *)data)[at]
                       : '?';
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

#define STOA_BYTES_HEAD offsetof(PyBytesObject, ob_sval)

/* The field is marked deprecated for outsiders; it sits right after ob_size in all versions (layout.c). */
static inline Py_hash_t *
stoa__bytes_hash(void *bytes)
{
    return (Py_hash_t *)((char *)bytes + sizeof(PyVarObject));
}

/* ---- int ----------------------------------------------------------------------------------------------------------- */

#define STOA_INT_HEAD (offsetof(PyLongObject, long_value) + offsetof(_PyLongValue, ob_digit))
#define STOA_INT_SHIFT 3 /* lv_tag = count << 3 | reserved << 2 | sign: 0 positive, 1 zero, 2 negative */
#define STOA_INT_SIGN 3u

static inline size_t
stoa__int_digit_count(const PyObject *integer)
{
    return ((const PyLongObject *)integer)->long_value.lv_tag >> STOA_INT_SHIFT;
}

static inline bool
stoa__int_is_negative(const PyObject *integer)
{
    return (((const PyLongObject *)integer)->long_value.lv_tag & STOA_INT_SIGN) == 2;
}

static inline const digit *
stoa__int_digits(const PyObject *integer)
{
    return ((const PyLongObject *)integer)->long_value.ob_digit;
}

static inline uintptr_t
stoa__int_tag(bool negative, size_t digit_count)
{
    return (uintptr_t)digit_count << STOA_INT_SHIFT | (digit_count == 0 ? 1u : negative ? 2u : 0u);
}

/* ---- range, slice, mappingproxy: not in public headers -------------------------------------------------------------- */

typedef struct stoa_range {
    PyObject ob_base;
    PyObject *start, *stop, *step, *length;
} stoa_range;

typedef struct stoa_proxy {
    PyObject ob_base;
    PyObject *mapping;
} stoa_proxy;

/* ---- dict ---------------------------------------------------------------------------------------------------------- */

typedef struct stoa_keys {
    Py_ssize_t refcnt;
    uint8_t log2_size;        /* of the index table, in slots */
    uint8_t log2_index_bytes; /* of the index table, in bytes */
    uint8_t kind;
    uint32_t version;
    Py_ssize_t usable;   /* entries that may still be added */
    Py_ssize_t nentries; /* entries in use */
    char indices[];      /* 1, 2, 4 or 8 bytes each; then the entries */
} stoa_keys;

typedef struct stoa_entry { /* a key is not a str */
    Py_hash_t hash;
    PyObject *key, *value;
} stoa_entry;

typedef struct stoa_str_entry { /* all keys are str: their hash is in them */
    PyObject *key, *value;
} stoa_str_entry;

enum { STOA_KEYS_GENERAL = 0, STOA_KEYS_STR = 1 };
#define STOA_KEYS_LOG2_MIN 3
#define STOA_INDEX_EMPTY (-1)
#define STOA_DICT_PERTURB 5

static inline size_t
stoa__keys_usable(int log2_size)
{
    return ((size_t)1 << log2_size) * 2 / 3;
}

static inline int
stoa__keys_log2_index_bytes(int log2_size)
{
    return log2_size < 8    ? log2_size
           : log2_size < 16 ? log2_size + 1
           : log2_size < 32 ? log2_size + 2
                            : log2_size + 3;
}

static inline void *
stoa__keys_entries(const stoa_keys *keys)
{
    return (char *)keys + sizeof(stoa_keys) + ((size_t)1 << keys->log2_index_bytes);
}

/* One entry of either table. */
static inline void
stoa__keys_entry(const stoa_keys *keys, Py_ssize_t at, PyObject **key, PyObject **value)
{
    if (keys->kind == STOA_KEYS_GENERAL) {
        const stoa_entry *entry = (const stoa_entry *)stoa__keys_entries(keys) + at;
        *key = entry->key;
        *value = entry->value;
    }
    else {
        const stoa_str_entry *entry = (const stoa_str_entry *)stoa__keys_entries(keys) + at;
        *key = entry->key;
        *value = entry->value;
    }
}

static inline Py_ssize_t
stoa__keys_index(const stoa_keys *keys, size_t slot)
{
    switch (keys->log2_index_bytes - keys->log2_size) {
    case 0:
        return ((const int8_t *)keys->indices)[slot];
    case 1:
        return ((const int16_t *)(const void *)keys->indices)[slot];
    case 2:
        return ((const int32_t *)(const void *)keys->indices)[slot];
    default:
        return (Py_ssize_t)((const int64_t *)(const void *)keys->indices)[slot];
    }
}

/* The dict inside a shared mapping. */
#if STOA_HAS_FROZENDICT
typedef struct stoa_frozendict {
    PyDictObject dict;
    Py_hash_t hash;
} stoa_frozendict;
#define STOA_MAPPING_TYPE PyFrozenDict_Type
static inline const PyDictObject *
stoa__mapping_dict(const PyObject *mapping)
{
    return (const PyDictObject *)mapping;
}
#else
#define STOA_MAPPING_TYPE PyDictProxy_Type
static inline const PyDictObject *
stoa__mapping_dict(const PyObject *mapping)
{
    return (const PyDictObject *)((const stoa_proxy *)mapping)->mapping;
}
#endif

static inline const stoa_keys *
stoa__dict_keys(const PyDictObject *dict)
{
    return (const stoa_keys *)dict->ma_keys;
}

/* ---- frozenset and weak reference ---------------------------------------------------------------------------------- */

#define STOA_SET_LINEAR_PROBES 9
#define STOA_SET_PERTURB 5

/* ---- found at run time (runtime.c), const after stoa__runtime_init -------------------------------------------------- */

typedef struct stoa_runtime {
    vectorcallfunc ref_vectorcall; /* of an exact weakref.ref */
    Py_hash_t utc_hash;
    PyObject *utc;                                    /* timezone.utc where it is process-wide, else NULL */
    PyTypeObject *date, *time, *datetime, *timedelta; /* NULL where they are not process-wide */
    bool siphash13;     /* the hash of str and bytes is the SipHash-1-3 that hash.h has inline */
    uint64_t secret[2]; /* its key: one a process */
    Py_hash_t (*hash_bytes)(const void *, Py_ssize_t); /* any other algorithm */
} stoa_runtime;

extern stoa_runtime stoa__runtime;

/* Is the running interpreter one of the minor we were compiled for? Else false, and the reason in `why`. No GIL. */
bool stoa__runtime_fits(char *why, size_t size);

/* Fills stoa__runtime, once. GIL. 0, or -1 with an exception set. */
int stoa__runtime_init(void);

/* Makes this interpreter ready to be given shared objects: imports _datetime where the types of dates need it. GIL.
 * 0, or -1 with an exception set. */
int stoa__runtime_receive(void);

/* Calls `found` for each static string of the runtime (one address in all interpreters), in order of address. Interns
 * nothing and leaks nothing. GIL. Returns how many there were. */
size_t stoa__runtime_static_strings(void (*found)(PyObject *str, void *context), void *context);

/* A static builtin type: one address in all interpreters of the process, made ready in each? No GIL. */
bool stoa__type_is_static(const PyTypeObject *type);

/* ---- frozendict ---------------------------------------------------------------------------------------------------- */

static inline bool
stoa__is_frozendict(const PyObject *object)
{
#if STOA_HAS_FROZENDICT
    return Py_IS_TYPE(object, &PyFrozenDict_Type);
#else
    (void)object;
    return false;
#endif
}

/* New reference, or NULL with an exception. GIL. Where there is no frozendict, none was packed: a mapping stands in. */
static inline PyObject *
stoa__frozendict_new(PyObject *dict)
{
#if STOA_HAS_FROZENDICT
    return PyFrozenDict_New(dict);
#else
    return PyDictProxy_New(dict);
#endif
}

#endif
