/* Thread states, one for each (thread, interpreter), kept.
 *
 * Making a thread state for a call costs 150 us, swapping to a kept one 50 ns, and only a kept one lets threading.local and
 * context variables survive. So a thread keeps a small table {interpreter serial -> PyThreadState}; the interpreter's
 * member struct keeps the list of all thread states made for it, because CPython 3.12 and 3.13 abort when one is left at its
 * end. A thread that Python itself gave a state for an interpreter uses that one there, never a second.
 *
 * Who takes one down: the thread when it ends (it enters, clears, deletes), or the closer of the interpreter (from inside,
 * for states no thread is in). The record's lock decides which; the loser finds the entry dead.
 * A thread may be inside several interpreters, one above the other (A -> B -> A): entries nest, the inner A uses the
 * same thread state as the outer one.
 *
 * Invariants
 *  1. kept->state is read by its thread only while that thread holds `inside` of a LIVE or CLOSING record, and changed by
 *     a closer only when nobody is inside: so the fast path needs no lock.
 *  2. kept->state != NULL  <=>  kept is in the member's list.
 *  3. On a thread with no current state, none of ours is what PyGILState_Ensure would find.
 */
#ifndef STOA_PROXY_THREAD_STATE_H
#define STOA_PROXY_THREAD_STATE_H

#include <Python.h>

#include "proxy/membership.h"

typedef struct stoa_entry {  /* on the caller's stack */
    PyThreadState *previous; /* what was current before: NULL on a thread without one */
    PyThreadState *entered;
    stoa_interp_record *record; /* `inside` is held */
    PyThreadState *remembered;  /* previous NULL: what PyGILState_Ensure would have found */
    struct stoa_entry *below;   /* the entry of this thread that this one stands on */
    uint64_t generation;        /* stoa__fork_generation at the time */
    struct stoa_stead *stead;   /* of the caller whom the thread stands in for; NULL: none */
} stoa_entry;

/* Makes `record`'s interpreter current on this thread: takes its GIL (and gives up the one held, if any). From any
 * thread, with or without a current thread state. STOA_EGONE, STOA_ENOMEM, STOA_ESTATE when the C stack is nearly used
 * up (stoa__enter_failed makes that a RecursionError); then nothing has changed.
 * PyGILState_Ensure on this thread gives this interpreter until the leave. */
stoa_err stoa__enter(stoa_interp_record *record, stoa_entry *entry);
/* The same where the caller holds `inside` already (stoa__interp_enter), which the leave gives up, and so
 * does a failure: works while CLOSING. */
stoa_err stoa__enter_held(stoa_interp_record *record, stoa_entry *entry);
/* Back to what was current before (its GIL taken again). Any Python exception must have been taken off before. */
void stoa__leave(stoa_entry *entry);

/* Raises what a failed stoa__enter means. Always NULL. GIL. */
PyObject *stoa__enter_failed(stoa_err err);

/* Is this thread inside the interpreter, anywhere on its stack (its native state included)? */
bool stoa__thread_is_inside(const stoa_interp_record *record);
/* Serials of the interpreters this thread is inside, the native one of its first entry included; at most `max`. */
size_t stoa__thread_inside(uint32_t *serials, size_t max);
/* The state of this thread for `interp` that an entry below stands on, or NULL. */
PyThreadState *stoa__thread_state_below(const PyInterpreterState *interp);

/* Inside the interpreter that is being closed (its GIL held, nobody else inside): clears and deletes all kept thread
 * states of it but the current one. `orphans_only`: just those whose thread has ended meanwhile. */
void stoa__thread_states_take_down(stoa_interp_record *record, bool orphans_only);

/* Raises `exception` (a class of the current interpreter) in the threads that are inside it by stoa__enter, but for the
 * calling one. Returns how many. GIL of the interpreter. */
int stoa__thread_states_interrupt(stoa_interp_record *record, PyObject *exception);

/* In a forked child: a record goes on if the forking thread is in its interpreter now; the states of all others, and of
 * other threads, are forgotten. A stoa_interp_fork_hook. */
bool stoa__thread_states_after_fork(stoa_interp_record *record, uint32_t *own);

#endif
