/* CPython 3.12: no tuple hash, no frozendict, dates per interpreter, interning is for ever. */
#ifndef STOA_PY312_H
#define STOA_PY312_H

/* INCREF skips on low word == 0xFFFFFFFF exactly, DECREF on its sign bit. */
#define STOA_REFCNT_WORD UINT64_C(0xFFFFFFFF)
#define STOA_TUPLE_HAS_HASH 0
#define STOA_HAS_FROZENDICT 0
#define STOA_NATIVE_DATES 0
#define STOA_SINGLE_MODULES 1
#define STOA_LAST_SMALL_INT 256
#define STOA_INTERPS_ONE_AT_A_TIME 1
#define STOA_THREADING_KEEPS_FIRST 1

#endif
