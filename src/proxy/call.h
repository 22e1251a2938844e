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
 *           an exception at its next bytecode; a C call ends when it ends; what comes of it is thrown away. The service
 *           thread stands for the caller's: it has that one's context variables and threading.local there meanwhile, and what
 *           it calls in interpreters that the caller is inside of, a callback, the caller's thread does itself.
 *
 * Work is run exactly once, or not at all: whoever claims it first (heap/mailbox.h). Its results belong to the work until
 * the caller takes them, so a late one reaches nobody.
 */
#ifndef STOA_PROXY_CALL_H
#define STOA_PROXY_CALL_H

#include "proxy/route.h"
#include "proxy/visit.h"

#define STOA_CALLER_INSIDE 8

typedef struct stoa_work {
    stoa_posted call;          /* first */
    stoa_interp_record *owner; /* const: a reference */
    void (*inside)(struct stoa_work *); /* const: in the owner, its GIL; no exception set before and after; takes its time */
    void (*free)(struct stoa_work *); /* const: all it holds, and itself; any thread, with or without a GIL */
    stoa_err err;                     /* written before it is over: STOA_OK, or why `inside` was not called */
    stoa_waiter *runner;              /* a reference, written before `stop` first changes: who runs it */
    unsigned long thread;             /* the same: that thread as Python counts */
    struct stoa_entry *entry;         /* its runner's own: by which that one is in the owner */
    struct stoa_work *outer;          /* its runner's own: the work in the midst of which this one is run */
    struct stoa_work *beneath; /* const once served: the served work in the midst of which it was sent, a reference; or NULL */
    unsigned long caller; /* const once served: the outermost caller's thread as Python counts, who all of this is done for */
    stoa_deadline served_until;                 /* const once served; 0: not served */
    uint32_t caller_inside[STOA_CALLER_INSIDE]; /* the same: serials of the interpreters the caller is in; 0: none */
    _Atomic bool at_home;  /* posted to its home thread and not begun: counted in the owner's record */
    _Atomic bool late;     /* its caller's time was up while he could not leave */
    bool called_back;      /* const: the caller's thread is asked, who waits for the work that asks */
    _Atomic uint32_t stop; /* proxy/stop.h; futex of who stops it */
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

extern _Atomic uint32_t stoa__works_served; /* how many there are now: a hint */
stoa_waiter *stoa__caller_served(const stoa_interp_record *owner, stoa_deadline *out_deadline);

/* If this thread does served work, and its caller is inside `owner`, or who sent the work in the midst of which it was sent, and
 * so on: that caller, borrowed, and how long all of them wait. What is to be done in `owner` is to be done by him: make it
 * called_back work with him as its home. Else NULL. */
static inline stoa_waiter *
stoa__caller_in(const stoa_interp_record *owner, stoa_deadline *out_deadline)
{
    if (__builtin_expect(atomic_load_explicit(&stoa__works_served, memory_order_relaxed) == 0, 1)) {
        return NULL; /* relaxed: who serves one counted it himself */
    }
    return stoa__caller_served(owner, out_deadline);
}

/* Raises what such a failure means. Always NULL. GIL. */
PyObject *stoa__call_failed(const stoa_interp_record *owner, stoa_err err, double seconds);

#endif
