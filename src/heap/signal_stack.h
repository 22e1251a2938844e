/* An alternate stack for signal handlers, one a thread.
 *
 * A handler that names an object and writes two stack traces needs more room than an overflowing stack has left, so the
 * kernel must have another stack to run it on; each thread has to ask for its own.
 */
#ifndef STOA_HEAP_SIGNAL_STACK_H
#define STOA_HEAP_SIGNAL_STACK_H

/* Gives the calling thread one, with a page below it that nobody may touch; unless it has one, ours or anybody's. Freed
 * when the thread ends. Without memory for it nothing happens: handlers run on the thread's own stack. Keeps errno. */
void stoa__signal_stack(void);

#endif
