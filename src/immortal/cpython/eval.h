/* What the evaluation loop of another interpreter is doing, and how to get a word in.
 *
 * Whether an interpreter's GIL is held is a word in a private struct; so are the main thread and whether a signal waits.
 * They are read where the headers of the build say they are, after stoa__eval_init has checked those places against what
 * the public functions say; where they do not agree (another patch release), the answers below are the careful ones.
 */
#ifndef STOA_IMMORTAL_CPYTHON_EVAL_H
#define STOA_IMMORTAL_CPYTHON_EVAL_H

#include <Python.h>

#include <stdbool.h>

/* GIL of any interpreter. Idempotent. */
void stoa__eval_init(void);

/* The word that is 1 while somebody holds the GIL of `interp`, for stoa__gil_is_held; NULL: unknown. It lasts as long as
 * the interpreter; interpreters that share a GIL have one word. No GIL. */
const int *stoa__gil_word(PyInterpreterState *interp);
/* A glance, without any order: somebody has it now. Careful answer: false. */
static inline bool
stoa__gil_is_held(const int *word)
{
    return word != NULL && __atomic_load_n(word, __ATOMIC_RELAXED) != 0;
}

/* `function(arg)` at the next bytecode boundary of whichever thread runs Python in `interp`; kept until one does. false: the
 * queue is full. The interpreter must live. Any thread, with or without a GIL. */
bool stoa__pending_call(PyInterpreterState *interp, int (*function)(void *), void *arg);

/* In a pending call: others of the interpreter are done meanwhile, on other threads, and on this one when it runs Python. CPython
 * does none until the one under way has returned, and so nobody could get a word in while that runs code, or waits for somebody
 * who needs the word. GIL of `interp`. */
void stoa__pending_calls_go_on(PyInterpreterState *interp);

/* Is this the thread on which CPython runs signal handlers? No GIL. */
bool stoa__is_signal_thread(void);
/* Has a signal come that no handler has seen yet? Careful answer: true. No GIL. */
bool stoa__signal_waits(void);

#endif
