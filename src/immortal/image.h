/* Images: laying out builtin objects in the shared heap.
 *
 * Freezing starts from Python objects, the builder from C data; both end here, so that there is one place that knows how
 * a shared str or dict looks. Nothing here needs a GIL, an interpreter or a thread state: hashes are computed by
 * immortal/hash.h, static objects of the runtime come from the canonical table (immortal/canonical.h) that was filled once.
 *
 * Each make_* function: (1) returns the runtime's own object where one exists (canonical), else (2) with interning on,
 * the equal object already in the heap, else (3) lays out a new one: immortal refcount, zero gc header, hash and UTF-8
 * filled in (hazards W1-W11), interned state 3 + statically_allocated for str, and enters it into the table.
 * Result: address of an object usable by every interpreter of the domain once the batch is committed; NULL: batch->err
 * and the message are set. Children passed in must be shared already: canonical, sealed in a reachable region, or made
 * in the same batch. Thread: the batch's.
 */
#ifndef STOA_IMMORTAL_IMAGE_H
#define STOA_IMMORTAL_IMAGE_H

#include <Python.h>

#include "heap/intern.h"

/* Children's array elements are shared objects; typed apart in debug builds would be PyObject's remote twin. */
typedef PyObject stoa_shared;
struct stoa_keys; /* the table of a dict: immortal/cpython/cpython.h */

/* Text in PEP 393 form: `kind` 1, 2 or 4 bytes a character, the narrowest that fits (ascii: all < 128). `hash` -1: computed. */
stoa_shared *stoa__make_str(stoa_batch *batch, int kind, bool ascii, const void *characters,
                            Py_ssize_t length, Py_hash_t hash);
/* Text from UTF-8 (validated; STOA_EUTF8 with the offset in the message). */
stoa_shared *stoa__make_str_utf8(stoa_batch *batch, const char *utf8, size_t size);
stoa_shared *stoa__make_bytes(stoa_batch *batch, const void *bytes, size_t size, Py_hash_t hash);
stoa_shared *stoa__make_int64(stoa_batch *batch, int64_t value);
/* Digits of PyLong_SHIFT bits, least significant first, normalised. */
stoa_shared *stoa__make_int_digits(stoa_batch *batch, bool negative, const digit *digits, size_t count);
/* Two's complement little-endian bytes of any length. */
stoa_shared *stoa__make_int_bytes(stoa_batch *batch, const void *bytes, size_t size, bool is_signed);
stoa_shared *stoa__make_float(stoa_batch *batch, double value);
/* Ones that are known to be new, and are not entered where there is interning. Not the runtime's small ints. */
stoa_shared *stoa__new_float(stoa_batch *batch, double value);
stoa_shared *stoa__new_int(stoa_batch *batch, bool negative, const digit *digits, size_t count);
stoa_shared *stoa__make_complex(stoa_batch *batch, double real, double imag);

/* Keys ahead of time. Interning spends most of its time waiting for the table's slot; who knows the next few leaves can
 * compute their keys early, ask for the slots (stoa__intern_places), and pass the keys when it makes them. */
stoa_key stoa__key_of_str(int kind, bool ascii, const void *characters, Py_ssize_t length);
stoa_key stoa__key_of_int(bool negative, const digit *digits, size_t count);
stoa_key stoa__key_of_tuple(stoa_shared *const *items, Py_ssize_t count); /* none of them a number */
/* As without `_keyed`; `key` is what key_of said of the same value, NULL: not known. */
stoa_shared *stoa__make_str_keyed(stoa_batch *batch, const stoa_key *key, int kind, bool ascii,
                                  const void *characters, Py_ssize_t length, Py_hash_t hash);

stoa_shared *stoa__make_tuple(stoa_batch *batch, stoa_shared *const *items, Py_ssize_t count);
/* In two steps, for who has pending numbers (immortal/content.h): the equal one that there is, or NULL; *key is set. Then
 * one that is known to be new, without pending numbers. `count` > 0. The key is of use where there is interning. */
struct stoa_content;
stoa_shared *stoa__find_tuple(stoa_batch *batch, const struct stoa_content *content, stoa_key *key);
stoa_shared *stoa__new_tuple(stoa_batch *batch, stoa_key key, stoa_shared *const *items, Py_ssize_t count);
stoa_shared *stoa__make_range(stoa_batch *batch, stoa_shared *start, stoa_shared *stop, stoa_shared *step,
                              stoa_shared *length);
stoa_shared *stoa__make_slice(stoa_batch *batch, stoa_shared *start, stoa_shared *stop, stoa_shared *step);
/* Items: hashable, doubles (identical or equal) are dropped. */
stoa_shared *stoa__make_frozenset(stoa_batch *batch, stoa_shared *const *items, Py_ssize_t count);
/* mappingproxy over a dict (<= 3.14) or frozendict (>= 3.15). Insertion order; a later equal key replaces the value of
 * the earlier one, as in dict(). pairs: key, value, key, value … */
stoa_shared *stoa__make_mapping(stoa_batch *batch, stoa_shared *const *pairs, Py_ssize_t count);
/* In two steps, as with tuples. `like` is the table of a dict of these pairs, with all its entries in this order; NULL: there
 * is none. */
stoa_shared *stoa__find_mapping(stoa_batch *batch, const struct stoa_content *content, stoa_key *key);
stoa_shared *stoa__new_mapping(stoa_batch *batch, stoa_key key, stoa_shared *const *pairs, Py_ssize_t count,
                               const struct stoa_keys *like);
/* date, time, datetime, timedelta from a live exact instance (3.13+), naive or UTC: copies its fields. GIL (C code only
 * runs). STOA_ETYPE with the remedy in the message: another time zone, or Python 3.12. */
stoa_shared *stoa__make_datetime_like(stoa_batch *batch, PyObject *source);

/* Hash of a shared object, without a GIL; false with the message set: unhashable (a mapping inside, on versions where that
 * is so). More about hashes in hash.h, about finding things in tables in lookup.h. */
bool stoa__shared_hash(const stoa_shared *object, Py_hash_t *out);
/* Equality of two shared native objects of types that can be keys, without a GIL, iterative. */
bool stoa__shared_equal(const stoa_shared *a, const stoa_shared *b);

#endif
