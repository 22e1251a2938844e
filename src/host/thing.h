/* Things (queues, locks, events, …) for C hosts: what their functions share.
 *
 * A host's thread may be one that Python has never seen, one between two visits, or one inside an interpreter: then it must
 * wait as Python's threads do, hear interrupts, and hold what it takes on that interpreter's behalf. All that is decided
 * here, once.
 */
#ifndef STOA_HOST_THING_H
#define STOA_HOST_THING_H

#include "heap/thing.h"
#include "stoa/handle.h"
#include "sync/node.h"

/* STOA_EINVAL: `given` is NULL. STOA_ESTATE: the runtime was never open. */
stoa_err stoa__host_check(const void *given, const char *name);
/* Seconds as in stoa/queue.h: negative waits for ever. STOA_EINVAL: no number. */
stoa_err stoa__host_deadline(double timeout, stoa_deadline *out);

/* What a handle must stand for: a bit (1 << kind) for each kind that will do, and a name for them. */
typedef struct stoa_host_kind {
    uint32_t kinds;
    const char *what;
} stoa_host_kind;

/* The thing that a host's handle stands for, with a reference for the caller. STOA_ETYPE, STOA_EGONE, STOA_ESTATE. */
stoa_err stoa__host_thing(stoa_handle handle, stoa_host_kind kind, stoa_thing **out);

/* How long a host will wait: in seconds as it gave them, and until when that is. */
typedef struct stoa_host_limit {
    double timeout;
    stoa_deadline deadline;
} stoa_host_limit;

/* Does what may have to wait with the thing that a handle stands for: the act's result, or that of stoa__host_deadline or
 * stoa__host_thing. `arg` is the act's. */
typedef stoa_err (*stoa_host_act)(stoa_thing *thing, const stoa_host_limit *limit, void *arg);
stoa_err
stoa__host_within(stoa_handle handle, stoa_host_kind kind, double timeout, stoa_host_act act, void *arg);

/* A host's handle for a new thing, whose reference it takes over, in failure too. */
stoa_err stoa__host_hold(stoa_thing *thing, stoa_handle *out_handle);

/* Runs what only Python can do, in the interpreter that the thread is in, else in the main one: run()'s result, STOA_ESTATE or
 * what else hinders entering. run() leaves no exception set. */
stoa_err stoa__host_inside(stoa_err (*run)(void *arg), void *arg);

/* Serial of the interpreter that this thread is inside; 0: of none. */
uint32_t stoa__host_serial(void);
/* A node of this thread. STOA_ENOMEM. */
stoa_err stoa__host_node(stoa_node *node);
/* Until the node is settled: STOA_OK, STOA_ETIMEDOUT, STOA_EINTERRUPTED, STOA_EPYTHON (inside an interpreter; taken for the
 * host to fetch). `what`: static text. */
stoa_err stoa__host_wait(stoa_node *node, stoa_deadline deadline, const char *what);

#endif
