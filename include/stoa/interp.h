/* \file stoa/interp.h
 * \brief Interpreters: making, finding, entering, leaving, closing them, from any thread.
 *
 * A stoa_interp stands for one Python interpreter of the process and outlives it: using it after the interpreter is closed
 * gives STOA_EGONE. It is counted: what is returned as owned is given up with stoa_interp_free, which does not close.
 */
#ifndef STOA_INTERP_H
#define STOA_INTERP_H

#include "stoa/error.h"

STOA_BEGIN_DECLS

typedef struct stoa_interp stoa_interp;

/* A new interpreter.
 *
 * `name`: 1 to 63 bytes of UTF-8, for people; NULL: one is made up. `shared_gil` false: it runs in parallel with all
 * others, and takes only extension modules that support that; true: it shares the main interpreter's GIL and takes most.
 * It finds modules where the main interpreter does at this moment (sys.path).
 * Outcomes: STOA_OK, *out_interp is owned. STOA_EINVAL: the name. STOA_ESTATE: the runtime is not open. STOA_EPYTHON:
 * Python could not make one. STOA_EGONE: Python is ending. STOA_ENOMEM.
 * Threads: any; a GIL that is held is given up meanwhile (20 ms). */
STOA_API stoa_err stoa_interp_new(const char *name, bool shared_gil, stoa_interp **out_interp);

/* The main interpreter. *out_interp is owned. STOA_ESTATE: the runtime is not open. Any thread. */
STOA_API stoa_err stoa_interp_main(stoa_interp **out_interp);

/* The interpreter that the calling thread is in. *out_interp is owned. STOA_ESTATE: it is in none. */
STOA_API stoa_err stoa_interp_current(stoa_interp **out_interp);

/* The oldest open interpreter of that name. *out_interp is owned. STOA_ENOTFOUND. Any thread. */
STOA_API stoa_err stoa_interp_find(const char *name, stoa_interp **out_interp);

/* Gives up the caller's hold; the interpreter stays as it is. NULL: nothing happens. Any thread. */
STOA_API void stoa_interp_free(stoa_interp *interp);

/* Name, Python's number of it, and whether close has begun. Any thread. The name is borrowed from `interp`. */
STOA_API const char *stoa_interp_name(const stoa_interp *interp);
STOA_API int64_t stoa_interp_id(const stoa_interp *interp);
STOA_API bool stoa_interp_is_closed(const stoa_interp *interp);

/* Where a thread was before it entered; lies in the caller's frame. Private. */
typedef struct stoa_scope {
    void *private_[8];
} stoa_scope;

/* Puts the calling thread into the interpreter: takes its GIL, and gives up the one that is held.
 *
 * Between this and stoa_interp_leave the thread may use all of Python's C API; PyGILState_Ensure gives this interpreter.
 * The thread keeps one thread state for each interpreter, so threading.local and context variables survive from one visit
 * to the next. Visits nest, also of one interpreter inside another and back (A, B, A); leave in reverse order.
 * Outcomes: STOA_OK. STOA_EGONE: closed or closing. STOA_ESTATE: nested so deep that the stack is nearly used up.
 * STOA_ENOMEM. On failure nothing has changed. Threads: any, also one that Python has never seen. */
STOA_API stoa_err stoa_interp_enter(stoa_interp *interp, stoa_scope *scope);

/* Back to where the thread was. A Python exception that is set is discarded with a message to the hook. */
STOA_API void stoa_interp_leave(stoa_scope *scope);

/* Closes an interpreter that Stoa made: nobody enters any more, calls under way finish, then it ends.
 *
 * `timeout` in seconds; negative: waits for ever. Does not free `interp`.
 * Outcomes: STOA_OK: it is closed, by this call or before. STOA_ETIMEDOUT: calls under way did not finish; it stays open.
 * STOA_EDEADLOCK: the calling thread is inside it, or in an interpreter that waits for this one to close. STOA_ESTATE: the
 * main interpreter, or one that others made. STOA_EINTERRUPTED: a signal came; call again to go on waiting.
 * Threads: any; a GIL that is held is given up meanwhile. */
STOA_API stoa_err stoa_interp_close(stoa_interp *interp, double timeout);

/* Raises KeyboardInterrupt in the Python code that runs in it on other threads by Stoa's doing, or in what that code has
 * called in another interpreter. `out_count` (may be NULL):
 * on how many threads; 0: it is idle, or closed. STOA_EINVAL: NULL. Threads: any; waits for the interpreter's GIL. */
STOA_API stoa_err stoa_interp_interrupt(stoa_interp *interp, size_t *out_count);

STOA_END_DECLS

#endif /* STOA_INTERP_H */
