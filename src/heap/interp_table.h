/* Records of the interpreters that take part, process-wide.
 *
 * CPython's interpreter pointers die with the interpreter and its ids are per runtime. So each interpreter gets a
 * `serial`, never used twice in the process, and a record that outlives it. The heap layer knows no PyInterpreterState:
 * `cookie` is for the host layer.
 *
 * Life: LIVE -> CLOSING (new entries refused; those inside go on) -> GONE. `inside` counts threads that the library has
 * put into the interpreter; closing waits for it to become 0.
 */
#ifndef STOA_HEAP_INTERP_TABLE_H
#define STOA_HEAP_INTERP_TABLE_H

#include "heap/lock.h"
#include "stoa/error.h"

#define STOA_INTERP_LIVE 1u
#define STOA_INTERP_CLOSING 2u
#define STOA_INTERP_GONE 3u

typedef struct stoa_interp_record {
    uint32_t serial;          /* const, >= 1 */
    uint32_t domain;          /* const, 0 = primary */
    int64_t python_id;        /* const: PyInterpreterState_GetID in its domain */
    char name[64];            /* const after registration */
    _Atomic uint32_t state;   /* STOA_INTERP_*; changed under `lock`, read anywhere */
    _Atomic uint32_t inside;  /* threads put into it by the library; futex word for the closer */
    _Atomic uint32_t refs;    /* who holds the record; the table itself holds one until GONE */
    stoa_lock lock;           /* STOA_RANK_INTERP: guards the host layer's lists behind `cookie` */
    void *cookie;             /* guarded by `lock`: the host layer's struct, NULL when GONE */
} stoa_interp_record;

stoa_err stoa__interp_register(int64_t python_id, uint32_t domain, const char *name, stoa_interp_record **out);
stoa_interp_record *stoa__interp_ref(stoa_interp_record *record);
void stoa__interp_unref(stoa_interp_record *record);
/* New reference, or NULL. */
stoa_interp_record *stoa__interp_find(uint32_t serial);
stoa_interp_record *stoa__interp_find_python(int64_t python_id, uint32_t domain);
/* inside += 1, unless not LIVE: STOA_EGONE with a message that names the interpreter. */
stoa_err stoa__interp_enter(stoa_interp_record *record);
void stoa__interp_leave(stoa_interp_record *record);
/* LIVE -> CLOSING; false when somebody else is closing or has closed it. */
bool stoa__interp_start_close(stoa_interp_record *record);
/* Waits until `inside` is at most `own` (the closer's own entries). STOA_ETIMEDOUT, STOA_EINTERRUPTED. */
stoa_err stoa__interp_wait_empty(stoa_interp_record *record, uint32_t own, stoa_deadline deadline);
/* CLOSING -> LIVE again after a close that gave up. */
void stoa__interp_reopen(stoa_interp_record *record);
/* -> GONE; the table gives up its reference. */
void stoa__interp_gone(stoa_interp_record *record);
/* Calls visit for every record that is not GONE (references held during the call, no lock held). */
void stoa__interp_each(void (*visit)(stoa_interp_record *, void *), void *arg);

#endif
