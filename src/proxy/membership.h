/* Which interpreters take part, and what the library keeps for each.
 *
 * The heap layer's record of an interpreter knows no Python. Its `cookie` is a stoa_member: the PyInterpreterState, the
 * thread states made for it, and what the host layer hangs on it. An interpreter becomes a member when Stoa makes it, or
 * when it first uses Stoa (`import stoa`, or a call from C), whoever made it. It stops being one in its own atexit
 * phase: CPython checks for left-over thread states right after that, and ends the process (3.12, 3.13) if it finds one.
 *
 * Valid from registration until stoa__interp_gone; whoever has `inside` (stoa__interp_enter) may use it without a lock.
 */
#ifndef STOA_PROXY_MEMBERSHIP_H
#define STOA_PROXY_MEMBERSHIP_H

#include <Python.h>

#include "heap/interp_table.h"

typedef struct stoa_kept stoa_kept; /* thread_state.c */

typedef struct stoa_member {
    PyInterpreterState *interp; /* const */
    const int *gil;             /* const: its GIL's word for stoa__gil_is_held, or NULL */
    PyThreadState *initial; /* the keeper's own state in an interpreter that Stoa made, else NULL; const */
    bool ours;              /* made by Stoa, so ended by Stoa; const */
    bool shared_gil;        /* const */
    bool left_open;         /* the program ends without it; guarded by the record's lock */
    stoa_kept *kept;        /* guarded by the record's lock */
    void *worker;           /* the host layer's thread for submitted work; guarded by the record's lock */
    struct stoa_side *side; /* proxy/proxy.h; guarded by the interpreter's GIL */
} stoa_member;

/* What the host layer does when an interpreter reaches its atexit phase, before it stops being a member. The record is
 * CLOSING; GIL of the interpreter held. Set once, before the first registration. */
extern void (*stoa__member_leaving)(stoa_interp_record *record, stoa_deadline deadline);
/* The same for the main interpreter: closes what Stoa made. Called twice: while it is LIVE, and, CLOSING, when all have left
 * it: who was making an interpreter meanwhile has it by then. */
extern void (*stoa__main_leaving)(void);

/* Opens the process struct, fills the tables of the runtime, installs the guard. GIL. Idempotent. */
stoa_err stoa__ready(void);

/* The record of the current interpreter, registered on first need. Borrowed: lives as long as the interpreter.
 * NULL with a Python exception set. GIL. */
stoa_interp_record *stoa__current_record(void);

/* Makes the current interpreter a member under `name` (NULL: one is made up). GIL. -1 with an exception. `worker`: of one that
 * Stoa makes, which from now on others may find and close. */
int stoa__member_register(const char *name, bool ours, bool shared_gil, PyThreadState *initial, void *worker);

/* The record of the main interpreter of this runtime: new reference, or NULL (message set). No GIL. */
stoa_interp_record *stoa__main_record(void);

static inline stoa_member *
stoa__member(stoa_interp_record *record)
{
    return record->cookie;
}

/* CLOSING -> GONE: names being made, handles, the member itself. The caller has taken down all thread states. */
void stoa__member_gone(stoa_interp_record *record);

/* Interpreters that others made, and have taken down since they left: what only they could have used goes. GIL. */
void stoa__members_settle(void);

/* An object of the heap has been made here, or has come: what stands for it in this interpreter (immortal/foreign.h), and its
 * region, if that can end, is told. New reference, or NULL with an exception. GIL; may run Python code. */
PyObject *stoa__receive(PyObject *object);

/* The object is about to be read by somebody who cannot be told of, perhaps when this interpreter has ended: a region
 * that can end stays from now on. No lock, no GIL. */
void stoa__let_go_anywhere(const void *object);
/* The same for an object that is read on this thread, in an interpreter that it is inside. */
void stoa__let_go_below(const void *object);

#endif
