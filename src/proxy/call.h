/* Running something inside another interpreter: enter, post, home, serve.
 *
 * Entering costs a swap of thread states and needs no memory, but the caller's thread is then in there until the work is
 * done. That is not always allowed (an object that one thread alone may touch), nor always wanted (a caller whose time is
 * limited cannot leave a thread that blocks in C). So work that may be run by somebody else is a counted object of its own,
 * off the caller's stack, and takes one of these ways:
 *
 *   enter   the caller's thread goes inside (proxy/visit.h lets it in while the owner is busy). Most work.
 *   post    the thread that runs Python in the owner does it at its next bytecode boundary. It interrupts that thread like a
 *           signal handler: what it needs must not be a lock that the thread may be holding. A caller whose call is not
 *           begun within a millisecond takes it back and enters; an idle owner is entered at once.
 *   home    the one thread that may touch the object does it: while it waits in Stoa, at a bytecode boundary, or, if it is
 *           the interpreter's own thread, between jobs. On that thread itself: at once.
 *   served  with a deadline: a service thread goes inside, the caller waits and can leave. The code that runs too long gets
 *           an exception at its next bytecode; a C call ends when it ends; what comes of it is thrown away.
 *
 * Work is run exactly once, or not at all: whoever claims it first (heap/mailbox.h). Its results belong to the work until
 * the caller takes them, so a late one reaches nobody.
 */
#ifndef STOA_PROXY_CALL_H
#define STOA_PROXY_CALL_H

#include "heap/waiter.h"
#include "proxy/visit.h"

typedef enum stoa_via { STOA_VIA_AUTO, STOA_VIA_ENTER, STOA_VIA_POST } stoa_via;

/* How calls of a proxy go. Counted; const but for `refs`. */
typedef struct stoa_route {
    _Atomic uint32_t refs;
    stoa_via via;
    stoa_waiter *home; /* a reference; NULL: any thread */
    int64_t timeout;   /* nanoseconds for each call; < 0: none */
} stoa_route;

/* A new route with one reference; NULL: no memory. `home` may be NULL; a reference is taken. */
stoa_route *stoa__route_new(stoa_via via, stoa_waiter *home, int64_t timeout);
stoa_route *stoa__route_ref(stoa_route *route);
void stoa__route_unref(stoa_route *route); /* NULL: nothing */
/* When a call that begins now is out of time. */
stoa_deadline stoa__route_deadline(const stoa_route *route);

typedef struct stoa_work {
    stoa_posted call;          /* first */
    stoa_interp_record *owner; /* const: a reference */
    void (*inside)(struct stoa_work *); /* const: in the owner, its GIL; no exception set before and after; takes its time */
    void (*free)(struct stoa_work *); /* const: all it holds, and itself; any thread, with or without a GIL */
    stoa_err err;                     /* written before it is over: STOA_OK, or why `inside` was not called */
    stoa_waiter *runner;              /* a reference, written before `stop` first changes: who runs it */
    unsigned long thread;             /* the same: that thread as Python counts */
    stoa_interp_record *stopped_in;   /* written before STOPPED */
    struct stoa_work *outer;          /* its runner's own: the work in the midst of which this one is run */
    _Atomic uint32_t stop, wanted;    /* see call.c */
} stoa_work;

/* One reference for the caller. GIL or none. STOA_ENOMEM: this thread cannot wait. */
stoa_err stoa__work_init(stoa_work *work, stoa_interp_record *owner, void (*inside)(stoa_work *),
                         void (*free)(stoa_work *));
static inline void
stoa__work_unref(stoa_work *work)
{
    stoa__call_unref(&work->call);
}

/* Gets `work` done by `route` (NULL: auto, any thread), which takes no longer than `deadline`. From any thread, with a GIL or
 * none; a GIL is given up meanwhile and held again on return. The caller keeps its reference.
 * STOA_OK: it was run, and what it left in itself is the caller's to read.
 * Otherwise it was not run, or its results are not the caller's to touch: STOA_ETIMEDOUT; STOA_EGONE; STOA_EDEADLOCK;
 * STOA_ENOMEM; STOA_ESTATE: the C stack is used up; STOA_EPYTHON: an exception is set (a signal, interrupt()). */
stoa_err stoa__call_owner(const stoa_route *route, stoa_deadline deadline, stoa_work *work);

/* Raises what such a failure means. Always NULL. GIL. */
PyObject *stoa__call_failed(const stoa_interp_record *owner, stoa_err err, double seconds);

#endif
