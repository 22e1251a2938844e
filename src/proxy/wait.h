/* Waiting, for any Python thread of any interpreter.
 *
 * A thread that sleeps in Stoa, for a lock, an item, a call's result, must meanwhile let the other threads of its interpreter
 * run, hear Ctrl-C in whichever interpreter it stands, be found by interrupt(), do what only it may do (calls to objects
 * whose home it is), notice that its interpreter is being closed, and not take part in a circle of waits. All of that is
 * done here, once: whoever has something to wait for says when it is there, and wakes the waiter after making it so:
 *
 *     waiting side:  self = stoa__waiter_here(); list `self` somewhere; stoa__wait_until(…); take it off
 *     other side:    make it ready; stoa__waiter_wake(waiter)        (reference held, or the lock that lists it)
 */
#ifndef STOA_PROXY_WAIT_H
#define STOA_PROXY_WAIT_H

#include <Python.h>

#include "heap/interp_table.h"
#include "heap/waiter.h"

/* Until ready(arg) is true. `ready` is called on this thread, with and without a GIL, any number of times: it touches no
 * Python object, does not block but for a short lock of rank below STOA_RANK_WAITS, and may take what it has found. It is
 * asked first of all, so what is there already costs nothing. `whom` (borrowed; may be NULL): the thread without which it
 * cannot become true; `what`: static text for messages, as in "a lock".
 * 0: ready. 1: `deadline` passed (a last look was taken). -1 with an exception: KeyboardInterrupt or what else a signal
 * handler or interrupt() raises, Deadlock when `whom` closes a circle, InterpreterGone when this interpreter is being closed,
 * MemoryError. GIL on entry and return, given up while asleep. */
int stoa__wait_until(bool (*ready)(void *), void *arg, stoa_deadline deadline, stoa_waiter *whom,
                     const char *what);

/* The same for a call that was posted: until it is over. No InterpreterGone: what is under way may finish. */
int stoa__wait_for_call(stoa_posted *call, stoa_deadline deadline);

/* For who waits with no GIL, in the midst of something that signals may not cut short anywhere: until ready(arg), which is called
 * here with no lock held. Whoever makes it true tells stoa__waiters_wake_on(topic) after. Calls that only this thread may run are
 * run. `whom` (borrowed; may be NULL): the thread that is waited for, looked at where there is no deadline.
 * STOA_OK; STOA_ETIMEDOUT, STOA_EINTERRUPTED (a signal handler ran): without a message; STOA_EDEADLOCK; STOA_ENOMEM. */
stoa_err stoa__wait_outside(bool (*ready)(void *), void *arg, stoa_deadline deadline, const void *topic,
                            stoa_waiter *whom);

/* -1 with InterpreterGone set when `record`, in which somebody would wait, is being closed; else 0. GIL. */
int stoa__wait_allowed(stoa_interp_record *record);

/* For a wait of another kind that was cut short: does what this thread is wanted for. -1 with an exception: a signal
 * handler's, or interrupt()'s. GIL. */
int stoa__wait_attend(void);

/* How far a sleep of such a wait, or of one of those above, may go at once: a signal that comes between the look for it and the
 * sleep, or to another thread, does not end the sleep, so the thread that runs signal handlers looks again now and then. Any
 * thread, with a GIL or none. */
stoa_deadline stoa__wait_slice(stoa_deadline deadline);
/* How such a wait until `until` ended: with `err`. Is it the end of a slice, or news, and is there to be another? */
static inline bool
stoa__wait_goes_on(stoa_err err, stoa_deadline until, stoa_deadline deadline)
{
    return err == STOA_EINTERRUPTED || (err == STOA_ETIMEDOUT && until != deadline);
}

/* Runs the calls that only this thread may run. GIL of any interpreter, which may be given up; no exception may be set. */
void stoa__serve_home(stoa_waiter *self);

#endif
