/* CPython 3.13: as 3.12, and the datetime types are process-wide (each interpreter must import _datetime first). */
#ifndef STOA_PY313_H
#define STOA_PY313_H

/* INCREF skips on low word == 0xFFFFFFFF exactly, DECREF on its sign bit. */
#define STOA_REFCNT_WORD UINT64_C(0xFFFFFFFF)
#define STOA_TUPLE_HAS_HASH 0
#define STOA_HAS_FROZENDICT 0
#define STOA_NATIVE_DATES 1
#define STOA_SINGLE_MODULES 0
#define STOA_LAST_SMALL_INT 256
#define STOA_INTERPS_ONE_AT_A_TIME 0
#define STOA_THREADING_KEEPS_FIRST 0

#endif
