/* \file stoa/value.h
 * \brief Reading shared objects from C, with no GIL and no interpreter.
 *
 * A shared object is a builtin object of Python (str, dict behind a read-only mapping, tuple, ...) in memory that nobody
 * can write to. C code of any thread may therefore read it at any time: nothing here takes a lock, counts a reference,
 * or enters an interpreter, and what a function lends (text, bytes, items) stays where it is as long as the object's
 * region lives: for the default region, as long as the process.
 *
 * Outcomes that all functions share: STOA_OK writes every out_ argument; any other code writes none and leaves a message
 * (stoa_error_message). An object of another kind than the function is for gives STOA_ETYPE; NULL gives STOA_EINVAL.
 * Threads: any, several at once on one object. Ownership: everything returned is shared, nothing is released.
 */
#ifndef STOA_VALUE_H
#define STOA_VALUE_H

#include "stoa/error.h"

STOA_BEGIN_DECLS

/* A shared object. Its address is the PyObject's in every interpreter (stoa/python.h goes between the two). */
typedef struct stoa_object stoa_object;

/* X(symbol, number, name) */
#define STOA_KIND_TABLE(X)                                                                    \
    X(STOA_KIND_OTHER, 0, "other") /* shared, but C has no view of it: a builtin type, … */ \
    X(STOA_KIND_NONE, 1, "none")                                                              \
    X(STOA_KIND_BOOL, 2, "bool")                                                              \
    X(STOA_KIND_INT, 3, "int")                                                                \
    X(STOA_KIND_FLOAT, 4, "float")                                                            \
    X(STOA_KIND_COMPLEX, 5, "complex")                                                        \
    X(STOA_KIND_TEXT, 6, "text") /* str */                                                    \
    X(STOA_KIND_BYTES, 7, "bytes")                                                            \
    X(STOA_KIND_TUPLE, 8, "tuple")                                                            \
    X(STOA_KIND_SET, 9, "set")          /* frozenset */                                       \
    X(STOA_KIND_MAPPING, 10, "mapping") /* mappingproxy, frozendict (3.15), or of evolve() */ \
    X(STOA_KIND_RANGE, 11, "range")                                                           \
    X(STOA_KIND_SLICE, 12, "slice")                                                           \
    X(STOA_KIND_DATETIME, 13, "datetime") /* date, time, datetime, timedelta, timezone.utc */ \
    X(STOA_KIND_ARRAY, 14, "array")       /* stoa/array.h */                                  \
    X(STOA_KIND_RECORD, 15, "record")     /* this one and those below: stoa/record.h */       \
    X(STOA_KIND_NAMED_TUPLE, 16, "named tuple")                                               \
    X(STOA_KIND_MEMBER, 17, "member of an enumeration")                                       \
    X(STOA_KIND_INSTANCE, 18, "instance")                                                     \
    X(STOA_KIND_GLOBAL, 19, "class or function")                                              \
    X(STOA_KIND_HANDLE, 20, "handle")     /* a proxy, a queue, a lock … */                  \
    X(STOA_KIND_FUNCTION, 21, "function") /* that no import finds */

typedef enum stoa_kind {
#define STOA_KIND_ENUM(symbol, number, name) symbol = number,
    STOA_KIND_TABLE(STOA_KIND_ENUM)
#undef STOA_KIND_ENUM
} stoa_kind;

/* The kind of a shared object; STOA_KIND_OTHER for NULL. */
STOA_API stoa_kind stoa_object_kind(const stoa_object *object);

/* "text", "mapping", …; "unknown" for a number that is no kind. Static storage. */
STOA_API const char *stoa_kind_name(stoa_kind kind);

/* Are two shared objects equal, as two items of Python lists are: the same object, or ==? Containers are compared to any
 * depth, without recursion; a mapping equals a mapping of the same pairs in any order. Objects of STOA_KIND_OTHER and those of
 * stoa/record.h, and containers with such inside, are equal when identical, which equal values frozen with interning are; so
 * are mappings of evolve(), of which each version is itself only. */
STOA_API bool stoa_object_equal(const stoa_object *a, const stoa_object *b);

/* ---- one value --------------------------------------------------------------------------------------------------- */

/* True or False. */
STOA_API stoa_err stoa_get_bool(const stoa_object *object, bool *out_value);

/* An int (True and False count as 1 and 0). STOA_EINVAL when it does not fit. */
STOA_API stoa_err stoa_get_int64(const stoa_object *object, int64_t *out_value);
STOA_API stoa_err stoa_get_uint64(const stoa_object *object, uint64_t *out_value);

/* An int of any size as two's complement, little-endian, in exactly `size` bytes. `out_needed` (may be NULL) is written
 * on success and on STOA_EINVAL: the smallest size that holds the value as a signed number. STOA_EINVAL: too small. */
STOA_API stoa_err stoa_get_int_bytes(const stoa_object *object, void *buffer, size_t size, size_t *out_needed);

/* A float, or an int that a double holds within rounding. STOA_EINVAL: the int is too large for a double. */
STOA_API stoa_err stoa_get_double(const stoa_object *object, double *out_value);

STOA_API stoa_err stoa_get_complex(const stoa_object *object, double *out_real, double *out_imag);

/* Text as UTF-8: borrowed, NUL-terminated, `out_size` (may be NULL) bytes without the NUL; the text may contain NULs.
 * STOA_EUTF8: it holds lone surrogates, which UTF-8 has no form for. */
STOA_API stoa_err stoa_get_text(const stoa_object *object, const char **out_utf8, size_t *out_size);

/* Bytes: borrowed, followed by a NUL. */
STOA_API stoa_err stoa_get_bytes(const stoa_object *object, const void **out_bytes, size_t *out_size);

/* ---- containers -------------------------------------------------------------------------------------------------- */

/* Items of a tuple, attributes of a record, members of a set, pairs of a mapping, characters of a text, bytes of bytes. */
STOA_API stoa_err stoa_get_length(const stoa_object *object, size_t *out_length);

/* Item `index` of a tuple, also a named one; start, stop, step (0, 1, 2) of a range or slice. STOA_ENOTFOUND: no such index. */
STOA_API stoa_err stoa_tuple_item(const stoa_object *tuple, size_t index, const stoa_object **out_item);

/* All items of a tuple as an array: borrowed. */
STOA_API stoa_err stoa_tuple_items(const stoa_object *tuple, const stoa_object *const **out_items,
                                   size_t *out_count);

/* The value of a key, found by the mapping's own hash table: as fast as in Python. `key` is any shared object, text as
 * UTF-8, or a number. 1, 1.0 and True are one key, as in Python. A mapping with objects of classes inside has no hash table in
 * C: its keys are compared one by one. STOA_ENOTFOUND (then no message is left, since
 * asking is not a failure); STOA_ETYPE: no mapping, or the key is unhashable; STOA_EUTF8: no UTF-8. */
STOA_API stoa_err stoa_mapping_get(const stoa_object *mapping, const stoa_object *key,
                                   const stoa_object **out_value);
STOA_API stoa_err stoa_mapping_get_text(const stoa_object *mapping, const char *utf8, size_t size,
                                        const stoa_object **out_value);
STOA_API stoa_err stoa_mapping_get_int(const stoa_object *mapping, int64_t key, const stoa_object **out_value);

/* Pairs in insertion order. Start with *position 0 and go on while it returns true; `out_key`, `out_value` may be NULL.
 * False at the end, and (with nothing left to say) for what is no mapping. */
STOA_API bool stoa_mapping_next(const stoa_object *mapping, size_t *position, const stoa_object **out_key,
                                const stoa_object **out_value);

/* Membership of a set. STOA_OK: it is in; else as for stoa_mapping_get. */
STOA_API stoa_err stoa_set_contains(const stoa_object *set, const stoa_object *member);
STOA_API stoa_err stoa_set_contains_text(const stoa_object *set, const char *utf8, size_t size);
STOA_API stoa_err stoa_set_contains_int(const stoa_object *set, int64_t member);

/* Members in the order in which Python iterates over this set; use as stoa_mapping_next. */
STOA_API bool stoa_set_next(const stoa_object *set, size_t *position, const stoa_object **out_member);

STOA_END_DECLS

#endif /* STOA_VALUE_H */
