/* A task: something that a pool will do, and the place where its outcome is found.
 *
 * concurrent.futures lets the worker take the submitter's GIL for each result, wake a Condition, and so on: two GIL
 * hand-offs and a dozen Python calls for an answer that nobody may be waiting for yet. Here the outcome is written into the
 * task (plain memory, no interpreter needed) and `state` says so; who waits for it sleeps on his own waiter and unpacks it
 * himself. Only a task that is *watched* (somebody wants to be told inside an interpreter: callbacks, concurrent.futures'
 * wait, asyncio) makes its runner go there.
 *
 * States: PENDING -> RUNNING -> DONE, or PENDING -> CANCELLED. Whoever changes PENDING has the task to himself: a worker,
 * a waiter that is a worker of the same pool itself (it does the task instead of waiting for it), or the one who cancels.
 * What the runner wrote is published by the change to DONE (seq_cst) and read after seeing DONE.
 *
 * Invariants
 *  1. ops->finish runs exactly once for each task that is DONE and was WATCHED before it was.
 *  2. A queue holds one reference of each task in it, the submitter (future, host) another.
 */
#ifndef STOA_HOST_TASK_H
#define STOA_HOST_TASK_H

#include "heap/interp_table.h"
#include "heap/waiter.h"
#include "sync/bell.h"

#define STOA_TASK_PENDING 0u
#define STOA_TASK_RUNNING 1u
#define STOA_TASK_DONE 2u
#define STOA_TASK_CANCELLED 3u
#define STOA_TASK_STATE 0xFFu    /* mask */
#define STOA_TASK_WATCHED 0x100u /* ops->finish is to be called */

typedef struct stoa_task stoa_task;
struct stoa_parcel;

typedef struct stoa_task_ops {
    /* Does it, inside the worker's interpreter, under its GIL; leaves no exception set. */
    void (*run)(stoa_task *task, stoa_interp_record *worker);
    /* It will never be run: the outcome is an error. `raised`: a description of what the initializer raised, or NULL. No GIL
     * or any. */
    void (*refuse)(stoa_task *task, const char *why, const struct stoa_parcel *raised);
    /* Tells the watchers of `count` tasks of one caller, inside the caller, under its GIL. NULL: nobody watches these. */
    void (*finish)(stoa_task **tasks, size_t count);
    /* The last reference is gone. Any thread, with or without a GIL. */
    void (*dispose)(stoa_task *task);
} stoa_task_ops;

/* Who is to be woken when the task is over: a thread, or an event loop by one of its tickets. */
typedef struct stoa_sleeper {
    stoa_waiter *waiter; /* NULL: the other one */
    stoa_ticket *ticket; /* rung once */
    struct stoa_sleeper *next;
} stoa_sleeper;

struct stoa_task {
    _Atomic uint32_t state; /* STOA_TASK_*, and WATCHED */
    _Atomic uint32_t refs;
    _Atomic uint32_t sleepers; /* 1: the list is not empty; seq_cst against `state` */
    stoa_lock lock;            /* STOA_RANK_TASKS; guards first_sleeper */
    stoa_sleeper *first_sleeper;
    stoa_task *next;            /* guarded by the lock of the queue that it is in */
    const stoa_task_ops *ops;   /* const */
    stoa_interp_record *caller; /* const: where finish runs; a reference, or NULL */
    struct stoa_pool *pool;     /* const once submitted: a reference, or NULL */
    uint64_t generation;        /* const: stoa__fork_generation at the time */
};

/* PENDING, one reference. `caller` may be NULL. */
void stoa__task_init(stoa_task *task, const stoa_task_ops *ops, stoa_interp_record *caller);
stoa_task *stoa__task_ref(stoa_task *task);
void stoa__task_unref(stoa_task *task);

/* Inside a loop that waits for another processor. */
static inline void
stoa__relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

static inline uint32_t
stoa__task_state(const stoa_task *task)
{
    return atomic_load(&task->state) & STOA_TASK_STATE;
}

static inline bool
stoa__task_over(const stoa_task *task)
{
    return stoa__task_state(task) >= STOA_TASK_DONE;
}

/* PENDING -> RUNNING; false: somebody else has it. */
bool stoa__task_claim(stoa_task *task);
/* PENDING -> CANCELLED, and wakes; false: it has begun, or is over. */
bool stoa__task_cancel(stoa_task *task);
/* RUNNING -> DONE, and wakes. True: it is watched, so finish is to be called. */
bool stoa__task_done(stoa_task *task);
/* Asks for finish. The state as it was: when that is over already, nobody will call it. */
uint32_t stoa__task_watch(stoa_task *task);

/* Until it is over. No GIL held; calls that only this thread may run are run. Looks for a few microseconds before it sleeps.
 * STOA_ETIMEDOUT; STOA_EINTERRUPTED: a signal handler ran, call again; STOA_EFORKED: its worker is a thread of the parent
 * process. */
stoa_err stoa__task_wait(stoa_task *task, stoa_deadline deadline);

/* What stoa__task_wait is made of, for who waits in another way (proxy/wait.h, an event loop). A sleeper is woken when the
 * task is over; who adds one looks afterwards whether it was over already. remove: was it the last one? check: STOA_EFORKED,
 * as above. */
void stoa__task_add_sleeper(stoa_task *task, stoa_sleeper *sleeper);
bool stoa__task_remove_sleeper(stoa_task *task, stoa_sleeper *sleeper);
stoa_err stoa__task_check(const stoa_task *task);

#endif
