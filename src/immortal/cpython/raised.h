/* Exceptions of another thread, seen from outside: what is to be raised in it, and what its code is dealing with.
 *
 * There is no function for either; the fields are in the public struct.
 */
#ifndef STOA_IMMORTAL_CPYTHON_RAISED_H
#define STOA_IMMORTAL_CPYTHON_RAISED_H

#include <Python.h>

#include <stdbool.h>

/* Is this class of PyThreadState_SetAsyncExc on its way to `state`, and not raised yet? GIL of its interpreter, or its thread. */
static inline bool
stoa__awaits_async_exception(const PyThreadState *state, const void *class)
{
    return __atomic_load_n(&state->async_exc, __ATOMIC_RELAXED) == class;
}

/* Is an exception of `class` handled in `state` now: does it run an except or finally clause, an __exit__ for it, or for one that
 * was raised in the midst of that; or is it set? Code that swallowed one, or caught it and went on, does not. GIL of its
 * interpreter, the current one. */
bool stoa__is_handled(const PyThreadState *state, PyObject *class);
/* Does `state` import something? `innermost`: is it in the code of importlib itself, and not in that of the module? An exception
 * there can leave the lock of a module taken for ever, and then every later import of that hangs, in C. The same. */
bool stoa__is_importing(PyThreadState *state, bool innermost);
/* Does `state` run Python code now, or C code called by some? The same. */
bool stoa__runs_python(PyThreadState *state);

#endif
