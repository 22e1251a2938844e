/* Ctrl-C while this thread is inside another interpreter.
 *
 * CPython runs signal handlers only in the main interpreter's main thread, so a wait that a signal cuts short has to go and
 * ask there, wherever the thread stands, and bring back what the handler raised.
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

#endif
