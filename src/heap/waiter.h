/* A waiter: one thread's place to sleep and to be told news.
 *
 * A thread that waits may have to be woken for different reasons: the call it posted is done, somebody posted a call that
 * only this thread may run, a lock it queues for is its own now, it is to be interrupted. A futex word per reason cannot
 * be slept on together. So each thread has one event count, `news`; whoever changes something the thread looks at, bumps
 * it afterwards. Use (no lock, no GIL held over the sleep):
 *     for (;;) {
 *         uint32_t seen = stoa__waiter_look(self);
 *         if (what I wait for is there) break;
 *         stoa__waiter_sleep(self, seen, deadline);
 *     }
 * The look is a seq_cst load before the test, the wake a seq_cst addition after the change: either the test sees the
 * change, or the sleep sees another number and returns at once.
 *
 * Who waits for whom is written down while it waits, so that a circle is found when it closes. A thread that waits may run
 * calls meanwhile, in which it waits again, so it has a stack of edges; what holds it up is the innermost, and an edge
 * without `whom` says that it runs, or that nobody in particular can end the wait. Whom a posted call waits for is known
 * only when somebody has claimed it: the claimer fills in the sender's edge and empties it again when the call is over.
 *
 * A waiter outlives its thread as long as somebody holds a reference; waking an ended thread's does nothing.
 */
#ifndef STOA_HEAP_WAITER_H
#define STOA_HEAP_WAITER_H

#include "heap/lock.h"
#include "heap/mailbox.h"
#include "stoa/error.h"

typedef struct stoa_waiter {
    _Atomic uint32_t news;     /* event count; futex */
    _Atomic int32_t waker_cpu; /* relaxed, a hint: on which processor the last who woke it ran */
    _Atomic uint32_t sleeping; /* 1: in, or about to enter, the futex; spares the wakers a system call */
    _Atomic uint32_t refs;
    _Atomic uint32_t interrupted; /* set by stoa__waiter_interrupt, taken by the thread */
    uint64_t thread;              /* const but for a fork: the system's thread id, for messages */
    uint32_t number;   /* const: >= 1, of the process's own: names the thread where a word must hold it */
    stoa_mailbox home; /* calls that only this thread may run */
    _Atomic(struct stoa_interp_record *) innermost; /* relaxed, a hint for others: what this thread entered last */
    _Atomic(struct stoa_interp_record *) errand; /* where it is, or is about to be, on an errand: proxy/errand.h */
    _Atomic bool shielded; /* written by the thread, under a GIL: nothing is raised in it now. proxy/shield.h */
    _Atomic uint32_t to_raise; /* how many there are in `raises`; the thread glances at it on each crossing */
    _Atomic int loop_fd; /* -1, or what an event loop of this thread watches: written to when it is called home */
    _Atomic(void *) work; /* written by the thread: the innermost work (proxy/call.h) that it runs */
    stoa_lock raise_lock; /* STOA_RANK_MESSAGE: guards to_raise, raises, put_*: proxy/interrupt.h */
    void *raises, *put_state, *put_class;
    void *work_in; /* under the GIL of where the thread is: the owner of the innermost work of others, or NULL */
    struct stoa_wait_edge *top; /* guarded by the lock of rank STOA_RANK_WAITS: the innermost edge */
    struct stoa_waiter *next_asleep, *prev_asleep; /* the same lock: in the list of all that wait, once */
    struct stoa_waiter *next_living, *prev_living; /* the same lock: in the list of all whose thread lives */
    uint32_t waits;                                /* own thread only: how many waits are open */
} stoa_waiter;

/* On the stack of the waiting thread. All guarded by the lock of rank STOA_RANK_WAITS. */
typedef struct stoa_wait_edge {
    struct stoa_waiter *whom; /* a reference; NULL: nobody, or not known yet */
    const char *what;         /* static text */
    const void *topic;        /* for stoa__waiters_wake_on; NULL: none */
    const char *where;        /* name of the interpreter it waits in: of a record, so it lasts; or NULL */
    struct stoa_wait_edge *below;
} stoa_wait_edge;

/* The calling thread's; made on first need. NULL: no memory (message set). Borrowed, for this thread's use. */
stoa_waiter *stoa__waiter_here(void);
stoa_waiter *stoa__waiter_here_if_any(void); /* NULL: it has none yet */
/* That of the thread of this number: a reference, or NULL when it has ended. */
stoa_waiter *stoa__waiter_of(uint32_t number);
stoa_waiter *stoa__waiter_ref(stoa_waiter *waiter);
void stoa__waiter_unref(stoa_waiter *waiter);

static inline uint32_t
stoa__waiter_look(const stoa_waiter *self)
{
    return atomic_load(&self->news);
}

/* Until news after `seen`, or the deadline. STOA_SIGNALLED: a signal handler ran. Own thread only. */
stoa_wait_result stoa__waiter_sleep(stoa_waiter *self, uint32_t seen, stoa_deadline deadline);
/* As stoa__waiter_sleep, after looking for about `nanoseconds` without sleeping: for answers that come in microseconds. Not
 * where the last answer came from this same processor: who answers cannot run there while we look. */
stoa_wait_result
stoa__waiter_spin_sleep(stoa_waiter *self, uint32_t seen, int64_t nanoseconds, stoa_deadline deadline);
/* News for the thread. Any thread. */
void stoa__waiter_wake(stoa_waiter *waiter);
void stoa__waiter_interrupt(stoa_waiter *waiter);
/* The thread has a call in its mailbox: news, and a word to its event loop. Any thread. */
void stoa__waiter_call_home(stoa_waiter *waiter);
/* What an event loop is to watch for that; made on first need, and then it tells of what has come before. -1: there is none to
 * be had. Own thread only. */
int stoa__waiter_loop_fd(stoa_waiter *self);
/* Was it interrupted since the last call? Own thread only. */
bool stoa__waiter_take_interrupt(stoa_waiter *self);

/* This thread begins to wait, or to run something while it waits: a new innermost edge, without `whom`. From now until the
 * pop stoa__waiters_wake_all wakes it. Own thread only, in pairs. */
void stoa__waiter_push(stoa_waiter *self, stoa_wait_edge *edge, const char *where);
void stoa__waiter_push_on(stoa_waiter *self, stoa_wait_edge *edge, const char *where, const void *topic);
void stoa__waiter_pop(stoa_waiter *self, stoa_wait_edge *edge);
/* This thread ends in the midst of its waits: CPython 3.12 and 3.13 end a daemon thread that asks for the GIL once Python is
 * being finalized. Its edges lie on a stack that is unwound, and soon unmapped: nobody looks at them from now on, and what they
 * hold references of stays. Own thread only, among the first that happens at its end. */
void stoa__waiter_end_waits(stoa_waiter *self);
/* The innermost edge waits until `whom` acts, and nobody else can end it. STOA_EDEADLOCK when `whom` waits, through any
 * number of others, for this thread: the message names the circle; nothing is noted then. `what`: static text. */
stoa_err stoa__waiter_waits_for(stoa_waiter *self, stoa_waiter *whom, const char *what);
/* The same test for the innermost edge as it stands: after something was run above it. */
stoa_err stoa__waiter_still_waits(stoa_waiter *self);
/* What `waiter` waits for has passed from `old` to `fresh` (NULL: nobody known): its edges for `old` follow. Any thread. A
 * lock that is handed on tells those who go on waiting, or they would seem to wait for who is not in the way. */
void stoa__waiter_waits_now_for(stoa_waiter *waiter, stoa_waiter *old, stoa_waiter *fresh);
/* The sender of `call` waits by `edge` of his until it is over; NULL: no more. Own thread of the sender, who then asks
 * stoa__waiter_still_waits: whoever runs it may be waiting for him already. */
void stoa__waiter_waits_for_call(stoa_posted *call, stoa_wait_edge *edge);
/* `self` has claimed `call` and runs it; and has run it (before stoa__call_done). */
void stoa__waiter_runs(stoa_waiter *self, stoa_posted *call);
void stoa__waiter_ran(stoa_posted *call);
/* News for all threads whose innermost edge has this topic. */
void stoa__waiters_wake_on(const void *topic);
/* News for all threads that wait: something has changed that each should look at, such as an interpreter's closing. */
void stoa__waiters_wake_all(void);

/* Fork, at the place in rank order. */
void stoa__waiters_fork_prepare(void);
void stoa__waiters_fork_parent(void);
void stoa__waiters_fork_child(void);

#endif
