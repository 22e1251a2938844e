/* Ctrl-C while the main thread runs code of another interpreter.
 *
 * CPython's signal handler only notes the signal; handlers written in Python run when the main thread runs bytecode of the
 * main interpreter. A main thread that is inside another interpreter does not, however long the code there runs. So
 * while it is inside, a ticker looks every 20 ms whether a signal waits. If one does at two looks in a row, a pending call
 * makes the thread go to the main interpreter at its next bytecode boundary, run the handlers there, and raise here what they
 * raised. Calls that are over sooner pay a load and a comparison.
 *
 * The ticker's thread ends a second after the last call, and is started by the next.
 */
#ifndef STOA_PROXY_TICKER_H
#define STOA_PROXY_TICKER_H

#include "heap/waiter.h"

extern _Atomic(stoa_waiter *) stoa__ticker_watched; /* whose thread it watches; NULL: there is no ticker */
void stoa__ticker_start(stoa_waiter *waiter);

/* The thread of `waiter`, which runs signal handlers, is inside another interpreter. Own thread. */
static inline void
stoa__ticker_watches(stoa_waiter *waiter)
{
    if (__builtin_expect(atomic_load_explicit(&stoa__ticker_watched, memory_order_relaxed) != waiter, 0)) {
        stoa__ticker_start(waiter);
    }
}

#endif
