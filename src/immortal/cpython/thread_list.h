/* Thread states that CPython's own work at a fork would trip over.
 *
 * In the child of os.fork() CPython clears the states of all other threads of the main interpreter, and a debug build asserts
 * that none of them was cleared before. But a thread of another interpreter that imports an extension module, or crosses by
 * one of CPython's own ways, makes itself a state in the main interpreter for the time, and takes it down like this (3.13 to
 * 3.15): clear it, swap back, which gives the main interpreter's GIL up, delete it. A fork between the last two finds a
 * cleared state in the list. What clearing took is gone from it, so clearing it once more does nothing: such a state is
 * marked as not cleared, and CPython frees it with the others. Release builds do not look.
 */
#ifndef STOA_IMMORTAL_CPYTHON_THREAD_LIST_H
#define STOA_IMMORTAL_CPYTHON_THREAD_LIST_H

#include <Python.h>

/* In a forked child, its only thread, before CPython's own work: every state of `interp` may be cleared. */
void stoa__thread_list_let_clear(PyInterpreterState *interp);

#endif
