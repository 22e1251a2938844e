/* Interpreters that CPython's own work at a fork, and at the end, must not see.
 *
 * After os.fork() CPython clears all interpreters but the main one, with no thread state: every version crashes over it
 * (3.12 to 3.15, as soon as one other interpreter exists). None of them can go on in the child anyway: so they are taken out
 * of the runtime's list before CPython looks, and their memory is left as it is. There is no function for it; the
 * list's head is found by what stands beside it, and what was done is checked by asking PyInterpreterState_Head.
 *
 * Likewise at the end of the program: 3.13 and later end the interpreters that are left, and abort when a thread is still in
 * one, say in a system call that nobody can interrupt.
 */
#ifndef STOA_IMMORTAL_CPYTHON_INTERP_LIST_H
#define STOA_IMMORTAL_CPYTHON_INTERP_LIST_H

#include <Python.h>

#include <stdbool.h>

/* Finds the list. GIL. Idempotent; where it is not found, stoa__interp_list_keep_main does nothing. */
void stoa__interp_list_init(void);
/* In a forked child, its only thread, before CPython's own work: the main interpreter is the only one. */
void stoa__interp_list_keep_main(void);

/* The main interpreter's GIL, while it ends: takes one other out of the list, so that the end leaves it alone; its threads
 * stop when they ask for its GIL. false: not possible. */
bool stoa__interp_list_hide(PyInterpreterState *interp);

/* Is there an interpreter of this id? Ids are used once. GIL of any interpreter. Leaves no exception. */
bool stoa__interp_lives(int64_t id);

#endif
