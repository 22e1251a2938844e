/* Ctrl-C while this thread is inside another interpreter.
 *
 * CPython runs signal handlers only in the main interpreter's main thread, so a wait that a signal cuts short has to go and
 * ask there, wherever the thread stands, and bring back what the handler raised.
 *
 * Other interpreters cannot install handlers, but CPython shows them the main one's: signal.getsignal() hands out an object of
 * another interpreter, without its GIL, and 3.12 makes its repr. asyncio.run() asks each time, and so two of them at once, one of
 * them the main interpreter's, end the process now and then. So an interpreter with a GIL of its own is told None, which says
 * "not installed from Python".
 */
#ifndef STOA_PROXY_SIGNALS_H
#define STOA_PROXY_SIGNALS_H

#include <Python.h>

#include <stdbool.h>

/* Runs pending signal handlers if this is the main thread. -1 with what they raised, as an exception of the current
 * interpreter. GIL. */
int stoa__check_signals(void);
/* Is this the thread that runs signal handlers, wherever it stands now? GIL. */
bool stoa__handles_signals(void);
/* This interpreter, which is not the main one and has a GIL of its own, is shown no handlers of others any more. -1 with an
 * exception. */
int stoa__signals_hide(void);

#endif
