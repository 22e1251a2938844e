/* Waiting for a mutex: inside an interpreter as Python's threads do, else as a bare thread.
 *
 * What is more than waiting for a node: who waits without a time limit may close a circle of waits, which is found while the
 * edge is laid; and a mutex that comes when the wait has ended otherwise goes to the next.
 */
#ifndef STOA_PROXY_MUTEX_WAIT_H
#define STOA_PROXY_MUTEX_WAIT_H

#include <Python.h>

#include "sync/mutex.h"

/* The node is in the mutex's list. DONE: it is the waiter's. WAIT: the time is over. IS_BROKEN. STOPPED, with an exception:
 * Deadlock and what else ends a wait (proxy/wait.h). The caller holds a reference of the mutex. GIL. */
stoa_mutex_result stoa__mutex_wait(stoa_mutex *mutex, stoa_node *node, stoa_deadline deadline);

/* The same for a thread that is in no interpreter; STOPPED: *err says why (STOA_EDEADLOCK, STOA_EINTERRUPTED). No GIL. */
stoa_mutex_result
stoa__mutex_wait_outside(stoa_mutex *mutex, stoa_node *node, stoa_deadline deadline, stoa_err *err);

#endif
