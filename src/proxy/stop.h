/* Stopping work (proxy/call.h) whose caller waits no longer.
 *
 * The thread that does it gets an exception, by PyThreadState_SetAsyncExc: that is the only way into Python code that runs. But
 * such an exception is for the thread, and arrives at some bytecode later on, when the thread may be at something else. It must
 * hit this work only, so whoever sends it and whoever ends the work agree by `stop`:
 *   NOT_BEGUN -> RUNNING -> OVER                        nobody wanted it stopped
 *   NOT_BEGUN -> CANCELLED                              claimed, but it will not begin
 *                RUNNING -> STOPPING -> STOPPED -> OVER an exception is under way, or has arrived; the runner takes
 *                                                       back what has not
 * STOPPING lasts as long as one call into CPython, under the GIL of the interpreter that the runner is in.
 * A runner that waits may be in the midst of another work, which the exception must not hit: `wanted` stays then, and is
 * looked at when that one ends. The stopper writes `wanted` before it looks at the runner's innermost work, the runner
 * the other way round, so one of them sees the other.
 */
#ifndef STOA_PROXY_STOP_H
#define STOA_PROXY_STOP_H

#include "proxy/call.h"

enum {
    STOA_STOP_NOT_BEGUN,
    STOA_STOP_RUNNING,
    STOA_STOP_STOPPING,
    STOA_STOP_STOPPED,
    STOA_STOP_OVER,
    STOA_STOP_CANCELLED
};

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
