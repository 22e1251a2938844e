/* Stopping work (proxy/call.h) whose caller waits no longer.
 *
 * The thread that does it gets an exception (proxy/interrupt.h), which must hit this work only. So whoever has it sent and
 * whoever ends the work agree by `stop`:
 *   NOT_BEGUN -> RUNNING -> OVER              nobody wanted it stopped
 *   NOT_BEGUN -> CANCELLED                    claimed, but it will not begin
 *                RUNNING -> STOPPED -> OVER   the caller has left; the runner takes back what has not been raised
 * A service thread raises it again while the work goes on as if nothing had happened, and sleeps on `stop` in between.
 */
#ifndef STOA_PROXY_STOP_H
#define STOA_PROXY_STOP_H

#include "proxy/call.h"

enum { STOA_STOP_NOT_BEGUN, STOA_STOP_RUNNING, STOA_STOP_STOPPED, STOA_STOP_OVER, STOA_STOP_CANCELLED };

/* The runner, in the owner, under its GIL: `work` begins, in the midst of whatever else this thread does. False: it is not to. */
bool stoa__stop_begins(stoa_work *work, PyThreadState *state);
/* The same, when it is over: no exception that was meant for it comes any more. */
void stoa__stop_over(stoa_work *work);
/* The caller leaves: takes it back, or has it stopped. GIL or none. */
void stoa__stop_ask(stoa_work *work);

/* It runs, and its caller waits. */
static inline bool
stoa__stop_is_away(const stoa_work *work)
{
    return atomic_load(&work->stop) == STOA_STOP_RUNNING;
}

#endif
