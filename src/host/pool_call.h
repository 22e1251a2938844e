/* Calls of Python functions as tasks of a pool.
 *
 * What it takes to call a function elsewhere is packed once and shared by all tasks that call it (map, loops); a worker keeps
 * the function that it found for it last. Arguments cross by the rule of proxy/cross.h. A result outlives the worker, which
 * ends with the pool: so list, dict, set and bytearray in it cross as copies, as they do from the standard library's pools;
 * other mutable objects are proxies as long as the worker's interpreter lives.
 */
#ifndef STOA_HOST_POOL_CALL_H
#define STOA_HOST_POOL_CALL_H

#include "host/task.h"
#include "proxy/parcel.h"

typedef struct stoa_function stoa_function; /* a packed function; counted */

/* GIL. New reference, or NULL with TypeError, NotFreezable, … */
stoa_function *stoa__function_pack(PyObject *function);
stoa_function *stoa__function_ref(stoa_function *function);
void stoa__function_unref(stoa_function *function); /* anywhere */
/* Inside an interpreter: the function itself, new reference, or NULL with an exception. */
PyObject *stoa__function_here(const stoa_function *function);

enum stoa_outcome { STOA_OUTCOME_NONE, STOA_OUTCOME_RESULT, STOA_OUTCOME_RAISED, STOA_OUTCOME_REFUSED };

typedef struct stoa_call_task {
    stoa_task task;            /* first */
    stoa_function *function;   /* const: a reference */
    bool has_kwargs, chunk;    /* const: packed as (args, mapping); args is a tuple of argument tuples */
    enum stoa_outcome outcome; /* written by who has claimed it, before DONE */
    stoa_parcel parcel; /* the arguments, then the result or the exception. REFUSED: what the initializer raised, if anything */
    const char *why; /* REFUSED: lives as long as the pool */
    PyObject *watcher; /* under the caller's GIL: the future, a reference while the task is WATCHED and not told */
} stoa_call_task;

/* GIL of the caller. `args` a tuple; `kwargs` a dict or NULL. NULL with an exception. The function's reference is taken. */
stoa_call_task *stoa__call_task_new(const stoa_task_ops *ops, stoa_function *function, PyObject *args,
                                    PyObject *kwargs, bool chunk);

/* For `ops`. */
void stoa__call_task_run(stoa_task *task, stoa_interp_record *worker);
void stoa__call_task_refuse(stoa_task *task, const char *why, const stoa_parcel *raised);
void stoa__call_task_dispose(stoa_task *task);

/* In the caller, once it is DONE, as often as one likes: the result, or NULL with *exception set, both new. GIL. */
PyObject *stoa__call_task_take(const stoa_call_task *call, PyObject **exception);

#endif
