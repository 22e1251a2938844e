/* Which thread state PyGILState_Ensure finds on this thread.
 *
 * CPython remembers for each thread the state that was current last, also after it was swapped out. A kept state of ours
 * that stays remembered on a thread without a current one is a trap: PyGILState_Ensure would enter an interpreter that
 * nobody asked for, and whoever closes the interpreter frees the state while the thread still points at it. There is no
 * function to forget it. The memory is a thread-specific key (3.12 to 3.14) or a thread-local variable (3.15); both are
 * found by looking for the value and proved by changing it and asking PyGILState_GetThisThreadState.
 */
#ifndef STOA_IMMORTAL_CPYTHON_GILSTATE_H
#define STOA_IMMORTAL_CPYTHON_GILSTATE_H

#include <Python.h>

#include <stdbool.h>

#include "stoa/error.h"

/* Finds the place. GIL of any interpreter. Idempotent. STOA_EVERSION when it is not to be found. */
stoa_err stoa__gilstate_init(void);

/* Makes this thread remember `state` (of this thread, or NULL). No GIL; no thread state may be current. */
void stoa__gilstate_set(PyThreadState *state);

/* The current thread state, or NULL. No GIL. */
static inline PyThreadState *
stoa__current_state(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

#endif
