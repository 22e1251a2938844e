/* Posting to one thread of an interpreter: its home.
 *
 * A thread that waits in Stoa, or in an event loop, is told. One that runs Python, or comes back to it, can only be told by a
 * pending call, and CPython gives that to whichever thread of the interpreter comes to a bytecode boundary first: another
 * one that is busy takes them all. So while something that was posted is not begun, a service thread reminds: it stands in the
 * queue for the interpreter's GIL like anybody, leaves a pending call while it has it, and hands it on. The next in the queue
 * finds that call; a home that has come back and wants its GIL stands there, too. Nothing is left while one is still unread:
 * then nobody has run Python in there since.
 */
#ifndef STOA_PROXY_HOME_POST_H
#define STOA_PROXY_HOME_POST_H

#include "heap/waiter.h"
#include "proxy/call.h"

/* Posts `work` to `home`, a thread of its owner, and tells it once. `inside` of the owner is held, or its GIL. STOA_EGONE: the
 * thread has ended. */
stoa_err stoa__home_post(stoa_waiter *home, stoa_work *work);
/* It is begun, or never will be. Idempotent, any thread. */
void stoa__home_post_over(stoa_work *work);
/* Has it reminded of until all that is posted to threads of `record` is begun. Returns at once; no GIL needed. */
void stoa__home_remind(stoa_interp_record *record);

#endif
