/* Python code that no interrupt may break off: a future being told.
 *
 * A future is told by the methods of concurrent.futures, which is Python code on a lock, in the interpreter whose future it is.
 * An exception of interrupt(), or of a stop, that hits it there leaves a future that never ends, and a lock that nobody gives
 * back; and it is swallowed, since nobody called that code. So who tells raises a shield: meanwhile nothing is raised in this
 * thread, wherever it is; what was meant for the code below is set when the shield is down. The callbacks of a future are
 * the user's code, which may never end: for them the shield is down again (module/future.c).
 *
 * Who goes in to tell, and for nothing else, is on an errand (errand.h): with the shield up it is not found at work there.
 *
 * Rule: no shield over code that may wait for anybody but a lock of such code.
 */
#ifndef STOA_PROXY_SHIELD_H
#define STOA_PROXY_SHIELD_H

#include <stdbool.h>

/* Up or down for the calling thread; returns what it was, which is what it is to be afterwards. GIL. */
bool stoa__shield(bool up);

#endif
