/* Layout facts held against CPython's own headers, the internal ones included, at compile time. No code. */
#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_dict.h>
#include <internal/pycore_gc.h>
#include <internal/pycore_long.h>
#include <internal/pycore_object.h>
#include <internal/pycore_unicodeobject.h>

#include "immortal/cpython/cpython.h"

#define SAME_OFFSET(ours, field, theirs, their_field)                      \
    _Static_assert(offsetof(ours, field) == offsetof(theirs, their_field), \
                   #ours "." #field " is not where CPython has it")
#define SAME_SIZE(ours, theirs) \
    _Static_assert(sizeof(ours) == sizeof(theirs), #ours " has not the size of " #theirs)

SAME_SIZE(stoa_gc_head, PyGC_Head);
SAME_OFFSET(stoa_gc_head, next, PyGC_Head, _gc_next);
SAME_OFFSET(stoa_gc_head, prev, PyGC_Head, _gc_prev);

SAME_OFFSET(stoa_keys, refcnt, struct _dictkeysobject, dk_refcnt);
SAME_OFFSET(stoa_keys, log2_size, struct _dictkeysobject, dk_log2_size);
SAME_OFFSET(stoa_keys, log2_index_bytes, struct _dictkeysobject, dk_log2_index_bytes);
SAME_OFFSET(stoa_keys, kind, struct _dictkeysobject, dk_kind);
SAME_OFFSET(stoa_keys, version, struct _dictkeysobject, dk_version);
SAME_OFFSET(stoa_keys, usable, struct _dictkeysobject, dk_usable);
SAME_OFFSET(stoa_keys, nentries, struct _dictkeysobject, dk_nentries);
SAME_OFFSET(stoa_keys, indices, struct _dictkeysobject, dk_indices);
SAME_SIZE(stoa_entry, PyDictKeyEntry);
SAME_OFFSET(stoa_entry, hash, PyDictKeyEntry, me_hash);
SAME_OFFSET(stoa_entry, key, PyDictKeyEntry, me_key);
SAME_OFFSET(stoa_entry, value, PyDictKeyEntry, me_value);
SAME_SIZE(stoa_str_entry, PyDictUnicodeEntry);
SAME_OFFSET(stoa_str_entry, key, PyDictUnicodeEntry, me_key);
SAME_OFFSET(stoa_str_entry, value, PyDictUnicodeEntry, me_value);
_Static_assert((int)STOA_KEYS_GENERAL == (int)DICT_KEYS_GENERAL && (int)STOA_KEYS_STR == (int)DICT_KEYS_UNICODE,
               "kinds of dict keys are numbered otherwise");
_Static_assert(STOA_INDEX_EMPTY == DKIX_EMPTY, "constants of dict differ");
_Static_assert(sizeof(PyDictObject) == 48 && offsetof(PyDictObject, ma_keys) == 32 &&
                   offsetof(PyDictObject, ma_values) == 40,
               "PyDictObject is laid out otherwise");
#if STOA_HAS_FROZENDICT
SAME_SIZE(stoa_frozendict, PyFrozenDictObject);
SAME_OFFSET(stoa_frozendict, hash, PyFrozenDictObject, ma_hash);
#endif

_Static_assert(sizeof(PyASCIIObject) == 40 && sizeof(PyCompactUnicodeObject) == 56 &&
                   offsetof(PyASCIIObject, length) == 16 && offsetof(PyASCIIObject, hash) == 24 &&
                   offsetof(PyASCIIObject, state) == 32 && offsetof(PyCompactUnicodeObject, utf8_length) == 40 &&
                   offsetof(PyCompactUnicodeObject, utf8) == 48,
               "str is laid out otherwise");
_Static_assert(STOA_INTERNED_STATIC == SSTATE_INTERNED_IMMORTAL_STATIC,
               "the states of interning are numbered otherwise");

_Static_assert(STOA_BYTES_HEAD == 32 && sizeof(PyVarObject) == 24, "bytes is laid out otherwise");
_Static_assert(STOA_INT_HEAD == 24 && sizeof(digit) == 4 && PyLong_SHIFT == 30, "int is laid out otherwise");
#ifdef NON_SIZE_BITS
_Static_assert(STOA_INT_SHIFT == NON_SIZE_BITS, "int keeps its size elsewhere");
#endif
_Static_assert(STOA_INT_SHIFT == _PyLong_NON_SIZE_BITS && STOA_INT_SIGN == _PyLong_SIGN_MASK,
               "int keeps its sign elsewhere");
_Static_assert(sizeof(PyFloatObject) == 24 && offsetof(PyFloatObject, ob_fval) == 16,
               "float is laid out otherwise");
_Static_assert(sizeof(PyComplexObject) == 32 && offsetof(PyComplexObject, cval) == 16,
               "complex is laid out otherwise");
_Static_assert(offsetof(PyTupleObject, ob_item) == (STOA_TUPLE_HAS_HASH ? 32 : 24),
               "tuple is laid out otherwise");
_Static_assert(sizeof(PySliceObject) == 40 && offsetof(PySliceObject, start) == 16,
               "slice is laid out otherwise");
_Static_assert(sizeof(PySetObject) == 200 && PySet_MINSIZE == 8 && offsetof(PySetObject, smalltable) == 64 &&
                   offsetof(PySetObject, weakreflist) == 192 && sizeof(setentry) == 16,
               "set is laid out otherwise");
_Static_assert(sizeof(PyWeakReference) == 64, "weakref is laid out otherwise");

/* attributes of instances (instance.c) */
#if PY_MINOR_VERSION == 12
_Static_assert(sizeof(PyDictOrValues) == sizeof(void *), "the word of an instance's dict is another");
#else
_Static_assert(MANAGED_DICT_OFFSET == -3 * (Py_ssize_t)sizeof(PyObject *) &&
                   offsetof(struct _dictvalues, capacity) == 0 && offsetof(struct _dictvalues, size) == 1 &&
                   offsetof(struct _dictvalues, valid) == 3 && offsetof(struct _dictvalues, values) == 8,
               "the attributes of an instance are laid out otherwise");
#endif
