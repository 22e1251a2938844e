/* A pool: interpreters that wait for tasks.
 *
 * Each worker is an interpreter with its home thread (host/home.h), on which one long job runs: the worker's loop. Workers
 * are made when there is something to do and nobody idle, up to a limit; making one takes 20 ms, so nobody waits for it.
 *
 * One common queue would have all processors meet at one lock for each task. So every worker has a queue of its own. A
 * submitter gives the task to a worker that is idle and wakes exactly that one; where none is, to the workers in turn, or,
 * when it is itself a task of this pool, to its own worker. A worker whose queue is empty takes half of another's, the oldest
 * tasks first; it becomes idle in the same critical section in which it has found all queues empty, so no task is missed.
 *
 * A worker ends (and its interpreter with it, closed by a short-lived thread, since no thread can close the interpreter
 * whose job it runs) when the pool is shut down and all queues are empty, when it has done `max_tasks`, or when somebody
 * closes its interpreter; what was in its queue goes to the others.
 *
 * A pool is a thing of the process (heap/thing.h): any interpreter can have it, by argument, queue or name, and uses the same
 * workers. The interpreter that made it may be closed; the pool ends when the last one lets go of it. Its memory goes later,
 * with its last worker and task.
 *
 * Invariants
 *  1. A worker is in pool->workers  <=>  tasks may be put into its queue. Changed under the pool's lock.
 *  2. worker->idle  =>  it is in pool->workers and its queue is empty.
 *  3. pool->alive == workers started whose interpreters are not closed yet; 0 and shut down: over.
 */
#ifndef STOA_HOST_POOL_H
#define STOA_HOST_POOL_H

#include "heap/thing.h"
#include "host/home.h"
#include "host/task.h"

typedef struct stoa_worker stoa_worker;
typedef struct stoa_pool stoa_pool;

typedef struct stoa_pool_plan {
    uint32_t max_workers; /* 1 and up */
    uint64_t max_tasks;   /* a worker's; 0: no limit */
    const char *name;     /* of the interpreters: "name_0", …; copied; NULL: "pool" */
    stoa_parcel *path; /* packed sys.path of the workers; NULL: Python's default. Taken over on success, as `arg` is */
    /* Makes a worker ready, inside it, under its GIL. -1 with a Python exception: the pool is broken. NULL: nothing to do. */
    int (*prepare)(void *arg);
    /* `prepare` failed: to be told before anybody finds the pool broken. No GIL. */
    void (*broke)(void *arg, const stoa_parcel *raised);
    void (*dispose)(void *arg); /* the pool is freed. Any thread */
    void *arg;
} stoa_pool_plan;

/* What a pool looks like from outside, for statistics. */
typedef struct stoa_pool_figures {
    uint64_t id; /* of the thing */
    char name[48];
    uint32_t max_workers, workers, idle, alive;
    uint64_t queued, done;
    bool shut, broken;
} stoa_pool_figures;

/* No worker is started yet. *out: one reference. STOA_ENOMEM. */
stoa_err stoa__pool_new(const stoa_pool_plan *plan, stoa_pool **out);
stoa_thing *stoa__pool_thing(stoa_pool *pool);
/* The pool that a thing of kind STOA_THING_EXECUTOR is. */
stoa_pool *stoa__pool(stoa_thing *thing);
/* The last reference from outside: shuts down without waiting; tasks in the queues are still done. No lock held. */
void stoa__pool_unref(stoa_pool *pool);

/* Gives the task to a worker; takes over one reference on success. Any thread, with or without a GIL; never waits but for
 * short locks. STOA_EGONE: shut down. STOA_ESTATE: broken, the message says why. STOA_EFORKED. STOA_ENOMEM. */
stoa_err stoa__pool_submit(stoa_pool *pool, stoa_task *task);

/* No further tasks. `cancel`: those that have not begun are cancelled. Does not wait; idempotent. */
void stoa__pool_shutdown(stoa_pool *pool, bool cancel);
/* Until all its workers are closed, after a shutdown. No GIL; calls that only this thread may run are run. STOA_ETIMEDOUT;
 * STOA_EINTERRUPTED: call again, and before, if `heeds_interrupts`, stoa__wait_attend; STOA_EDEADLOCK: the calling thread is one
 * of its workers. */
stoa_err stoa__pool_wait(stoa_pool *pool, bool heeds_interrupts, stoa_deadline deadline);
/* Ends the wait of who waits to no purpose: raises SystemExit in workers that are still being made ready though no task
 * is left. No GIL. True: there are such workers, and no others. */
bool stoa__pool_interrupt_preparing(stoa_pool *pool);

/* Is it broken? The description of what the initializer raised (NULL: nothing), lent as long as the pool lives. */
bool stoa__pool_broken(stoa_pool *pool, const stoa_parcel **raised);
void stoa__pool_figures(stoa_pool *pool, stoa_pool_figures *out);

/* The calling thread is a worker of the task's pool, wherever it is inside now, and the task has not begun: does it here,
 * since waiting for it might wait for ever. GIL (given up meanwhile). True: it is over. */
bool stoa__pool_help(stoa_task *task);

/* Tells the watchers of a task that is over: for who cancelled a watched one, too. Takes over a reference. No GIL needed. */
void stoa__pool_deliver(stoa_pool *pool, stoa_task *task);

/* What a worker remembers for its tasks: the function that it called last. Inside the worker; NULL: not in a worker. */
typedef struct stoa_worker_cache {
    uint64_t function_id;
    PyObject *function;
} stoa_worker_cache;
stoa_worker_cache *stoa__pool_cache_here(void);

/* At the end of the program: all pools of this copy are shut down; `cancel`: what has not begun is cancelled. Any thread. */
void stoa__pools_stop(bool cancel);
/* In a forked child, its only thread: the pools are the parent's. */
void stoa__pools_fork_child(void);
/* Calls visit for each pool. No lock held meanwhile. */
void stoa__pools_each(void (*visit)(const stoa_pool_figures *, void *), void *arg);

#endif
