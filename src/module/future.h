/* _stoa.Future: what stoa.Future adds to concurrent.futures.Future in C.
 *
 * A future of a pool's task asks the task: its worker writes the outcome down without taking this interpreter's GIL, and
 * whoever looks here finds it. All of concurrent.futures (wait, as_completed, callbacks, asyncio) goes through the
 * attribute _condition first; whoever asks for it makes the task watched, and from then on the base class's own code
 * runs, unchanged, on the fields below. A future without a task is one that somebody tells by those methods, too: what
 * they change last is _state, and who waits in result() is woken by that.
 *
 * Invariants, all under the interpreter's GIL
 *  1. task != NULL  =>  state is PENDING: it is the task that knows more.
 *  2. watched  =>  task != NULL, and the task holds a reference of the future until its worker has told us.
 */
#ifndef STOA_MODULE_FUTURE_H
#define STOA_MODULE_FUTURE_H

#include "host/pool_call.h"

typedef enum future_state { PENDING, RUNNING, CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED } future_state;

typedef struct future_object {
    PyObject_HEAD
    stoa_call_task *task; /* a reference, or NULL: not a pool's, or settled */
    bool watched;
    uint32_t awaiters; /* tasks of event loops that await it */
    future_state state;
    unsigned int thread;             /* number of the waiter without which it does not end; 0: not known */
    struct future_sleeper *sleepers; /* threads that wait for its state to change: future_wait.c */
    PyObject *condition, *waiters, *callbacks; /* made when asked for */
    PyObject *result, *exception;
} future_object;

/* Until it is over, as far as its task or its state tell: 0. -1 with an exception: TimeoutError, what a signal handler raised,
 * Deadlock, … Its thread serves calls that only it may run meanwhile. */
int stoa__future_wait(future_object *future, stoa_deadline deadline);
/* Its state has changed. */
void stoa__future_told(future_object *future);

/* A future of `type` for a task that is to be submitted: new reference. Takes over a reference of the task. */
PyObject *stoa__future_new(PyTypeObject *type, stoa_call_task *task);
extern const stoa_task_ops stoa__future_ops; /* of its tasks */

#endif
