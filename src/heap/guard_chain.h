/* The handlers that were there before the guard's, and those that came after and were stepped in front of.
 *
 * Calling "the one before" is not enough: faulthandler, when it is the one before and had found us before it, puts us
 * back and raises the signal again; giving it that would go round for ever. So the handlers found are kept in a stack,
 * the latest on top, and a thread that comes back to us from within one of them gets the one below. Whether a thread
 * comes back is known by its id, and by where it runs: a handler may be left by siglongjmp, and then has not come back.
 */
#ifndef STOA_HEAP_GUARD_CHAIN_H
#define STOA_HEAP_GUARD_CHAIN_H

#include "heap/guard.h"

/* Makes guard->handler the first one for signal `number`; what was there goes on top of the stack. Under guard->lock.
 * STOA_EOS. */
stoa_err stoa__guard_step_in_front(stoa_guard *guard, int number);

/* The rest: in the handler, async-signal-safe. */

/* Treats the signal as the handler found there would have been called by the kernel. `saved` is the errno to show. */
void stoa__guard_call_previous(stoa_guard *guard, int number, siginfo_t *info, void *context, int saved);
/* Sees to it that the process ends by this signal, at the instruction that caused it (when that comes again). */
void stoa__guard_take_default(int number, siginfo_t *info);
uint32_t stoa__guard_thread_id(void);

#endif
