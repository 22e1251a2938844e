/* Thread states, one for each (thread, interpreter), kept.
 *
 * Making a thread state for a call costs 150 us, swapping to a kept one 50 ns, and only a kept one lets threading.local and
 * context variables survive. So a thread keeps a small table {interpreter serial -> PyThreadState}; the interpreter's
 * record keeps the list of all thread states made for it, because CPython 3.12 and 3.13 abort when one is left at its end.
 *
 * Who takes one down: the thread when it ends (it enters, clears, deletes), or the closer of the interpreter (from inside,
 * for states no thread is in). The record's lock decides which; the loser finds the entry dead.
 * A thread may be inside several interpreters, one above the other (A -> B -> A): entries nest, the inner A uses the
 * same thread state as the outer one.
 */
#ifndef STOA_PROXY_THREAD_STATE_H
#define STOA_PROXY_THREAD_STATE_H

#include <Python.h>

#include "heap/interp_table.h"

typedef struct stoa_entry { /* on the caller's stack */
    PyThreadState *previous; /* what was current before: NULL on a thread without one */
    PyThreadState *entered;
    stoa_interp_record *record; /* `inside` is held */
} stoa_entry;

/* Makes `record`'s interpreter current on this thread: takes its GIL (and gives up the one held, if any). From any
 * thread, with or without a current thread state. STOA_EGONE, STOA_ENOMEM; then nothing has changed.
 * PyGILState_Ensure on this thread gives this interpreter until the leave. */
stoa_err stoa__enter(stoa_interp_record *record, stoa_entry *entry);
/* Back to what was current before (its GIL taken again). Any Python exception must have been taken off before. */
void stoa__leave(stoa_entry *entry);

/* The record of the current interpreter (registered on first need). Borrowed. NULL with an exception. GIL. */
stoa_interp_record *stoa__current_record(void);

/* Inside the interpreter that is being closed: clears and deletes all kept thread states of it but the current one. */
void stoa__thread_states_take_down(stoa_interp_record *record);

#endif
