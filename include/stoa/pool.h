/* \file stoa/pool.h
 * \brief A pool of interpreters that do tasks: C callbacks entered into an interpreter, or Python functions by name.
 *
 *     stoa_pool *pool;
 *     stoa_pool_new(NULL, &pool);                                       // as many workers as processors
 *     stoa_data argument = stoa_data_int(16), result;
 *     stoa_task *task;
 *     stoa_pool_call(pool, "math:sqrt", &argument, 1, 0, &task);
 *     stoa_task_result(task, -1, &result, NULL);                        // result.as.real == 4.0
 *     stoa_task_free(task);
 *     stoa_pool_shutdown(pool, false, -1);
 *     stoa_pool_free(pool);
 *
 * Each worker is an interpreter with a GIL of its own and a thread of its own; it is made when there is something to do and
 * no worker idle (20 ms, for which nobody waits). Python's InterpreterPoolExecutor is the same pool.
 * Threads: any, also ones that Python has never seen, with or without a GIL (one that is held is given up while waiting);
 * several at once on one pool or task. A process that was forked cannot use its parent's pools: STOA_EFORKED.
 */
#ifndef STOA_POOL_H
#define STOA_POOL_H

#include "stoa/call.h"

STOA_BEGIN_DECLS

typedef struct stoa_pool stoa_pool;
typedef struct stoa_task stoa_task;

/* How a pool is to be; stoa_pool_options_init fills in the defaults. All that it points at is copied. */
typedef struct stoa_pool_options {
    size_t size;        /* sizeof(stoa_pool_options), set by _init */
    unsigned workers;   /* how many at most; 0: as many as processors this process may use */
    unsigned max_tasks; /* a worker that has done so many is closed, and another made; 0: no limit */
    const char *name; /* of the interpreters: "name_0", …; NULL: "pool"; at most 40 bytes of it are used */
    const char *initializer; /* "module:qualname", called once in each worker before its first task; NULL: none */
    const stoa_data *args; /* its arguments */
    size_t arg_count;
} stoa_pool_options;

STOA_API void stoa_pool_options_init(stoa_pool_options *options);

/* A pool without workers yet. `options` NULL: the defaults. *out_pool is owned: stoa_pool_free.
 * STOA_ESTATE: the runtime is not open; STOA_EINVAL: an option makes no sense, the message tells which; STOA_ENOMEM. */
STOA_API stoa_err stoa_pool_new(const stoa_pool_options *options, stoa_pool **out_pool);

/* What a C task does: runs on a worker's thread inside `interp` (borrowed), its GIL held, so all of Python's C API may be
 * used. What it returns is the outcome of the task; a Python exception that it leaves set makes that STOA_EPYTHON. */
typedef stoa_err (*stoa_pool_work)(stoa_interp *interp, void *arg);

/* Gives a C task to a worker. `arg` must live until the task is over. `out_task` NULL: nobody waits for it; else *out_task
 * is owned: stoa_task_free. STOA_EGONE: the pool is shut down. STOA_ESTATE: it is broken, since the initializer failed or no
 * interpreter can be made. STOA_EFORKED, STOA_ENOMEM. Does not wait. */
STOA_API stoa_err stoa_pool_run(stoa_pool *pool, stoa_pool_work work, void *arg, stoa_task **out_task);

/* Gives a call of "module:qualname" to a worker; arguments, which are copied, and `flags` as for stoa_call. Else as above;
 * STOA_EINVAL: no ':' in the name, no such kind of argument. */
STOA_API stoa_err stoa_pool_call(stoa_pool *pool, const char *function, const stoa_data *args, size_t count,
                                 unsigned flags, stoa_task **out_task);

/* Waits until the task is over, up to `timeout` seconds; negative: for ever. STOA_OK: it is done or cancelled.
 * STOA_ETIMEDOUT; STOA_EINTERRUPTED: a signal handler ran, call again; STOA_EINVAL: NaN. A task of the same pool that waits
 * for one that has not begun does it itself meanwhile. */
STOA_API stoa_err stoa_task_wait(stoa_task *task, double timeout);

/* Waits as above, and takes the outcome: that of stoa_call, or what the C task returned. STOA_ECANCELLED: it was cancelled.
 * STOA_ESTATE: the pool broke before the task began, or its outcome was taken before. `out_result` and `out_exception` may
 * be NULL; what is written is owned. */
STOA_API stoa_err stoa_task_result(stoa_task *task, double timeout, stoa_data *out_result,
                                   stoa_exception **out_exception);

/* Cancels a task that has not begun: true, and it never will. False: it has begun, or is over. */
STOA_API bool stoa_task_cancel(stoa_task *task);

/* Is it done or cancelled? */
STOA_API bool stoa_task_is_over(const stoa_task *task);

/* Gives up the caller's hold of a task, which goes on by itself. NULL: nothing happens. */
STOA_API void stoa_task_free(stoa_task *task);

/* No further tasks. `cancel`: those that have not begun are cancelled; else they are done. Then waits up to `timeout` seconds
 * (0: not at all; negative: for ever) until all workers are closed. Idempotent. STOA_OK: they are. STOA_ETIMEDOUT: they go
 * on closing; STOA_EINTERRUPTED: a signal handler ran, call again; STOA_EDEADLOCK: the caller is a task of the pool. */
STOA_API stoa_err stoa_pool_shutdown(stoa_pool *pool, bool cancel, double timeout);

/* Gives the pool up; one that was not shut down is, without waiting. NULL: nothing happens. */
STOA_API void stoa_pool_free(stoa_pool *pool);

STOA_END_DECLS

#endif /* STOA_POOL_H */
