/* CPython 3.14: tuples cache their hash; flags stand in the upper half of the refcount word. */
#ifndef STOA_PY314_H
#define STOA_PY314_H

#if defined(Py_REF_DEBUG)
/* Debug builds die of a DECREF on a count close to 2^32. */
#define STOA_REFCNT_WORD ((uint64_t)_Py_STATIC_IMMORTAL_INITIAL_REFCNT)
#else
/* Not the header's own static value: INCREF of extensions that were built for the limited API with 3.12 or 3.13 headers
 * skips on a low word of 0xFFFFFFFF only. Flags: immortal 1, statically allocated 4. */
#define STOA_REFCNT_WORD UINT64_C(0x00050000FFFFFFFF)
#endif
#define STOA_TUPLE_HAS_HASH 1
#define STOA_TUPLE_HASH(tuple) (((PyTupleObject *)(tuple))->ob_hash)
#define STOA_HAS_FROZENDICT 0
#define STOA_NATIVE_DATES 1
#define STOA_SINGLE_MODULES 0
#define STOA_LAST_SMALL_INT 256
#define STOA_INTERPS_ONE_AT_A_TIME 0
#define STOA_THREADING_KEEPS_FIRST 0

#endif
