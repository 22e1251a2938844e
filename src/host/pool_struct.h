/* What the files of a pool share. */
#ifndef STOA_HOST_POOL_STRUCT_H
#define STOA_HOST_POOL_STRUCT_H

#include "host/pool.h"

typedef struct stoa_task_queue {
    stoa_lock lock; /* STOA_RANK_TASKS; guards first, last */
    stoa_task *first, *last;
    _Atomic uint32_t count; /* changed under `lock`; without it, a hint */
} stoa_task_queue;

struct stoa_worker {
    stoa_job job;               /* first */
    stoa_pool *pool;            /* const: a reference from inside */
    stoa_interp_record *record; /* set by its thread before anybody else looks; a reference */
    stoa_task_queue queue;
    _Atomic(stoa_waiter *) waiter; /* its thread's, a reference; NULL before the thread runs */
    _Atomic bool stopping;         /* its interpreter is to be closed */
    _Atomic bool preparing;        /* in plan.prepare */
    bool idle;                     /* guarded by the pool's lock, as the next */
    stoa_worker *next_idle;
    _Atomic uint64_t done; /* written by its thread */
    int64_t spin_ns;       /* its thread's own: how long it looks before it sleeps */
    stoa_worker_cache cache;
    stoa_interp_record *last_caller; /* its thread's own: a reference, or NULL */
    char name[64];
};

struct stoa_pool {
    stoa_thing thing; /* first; its lock guards all below that is not const. Its handle: the references from outside */
    _Atomic uint32_t refs;  /* all references: one for all those, one a worker, one a task */
    _Atomic uint32_t alive; /* invariant 3 */
    stoa_pool_plan plan;    /* const */
    stoa_parcel path;       /* const */
    char name[48];          /* const */
    uint64_t generation;    /* const: stoa__fork_generation at the time */
    stoa_worker **workers;  /* room for max_workers */
    uint32_t count, next_turn;
    uint32_t named;       /* workers made so far */
    uint64_t done_before; /* tasks done by workers that are no more */
    stoa_worker *first_idle;
    _Atomic bool shut, broken;
    char why[256];      /* broken: set once before it */
    stoa_parcel raised; /* the same */
    bool has_raised;
    stoa_task *deliveries, *last_delivery; /* tasks that are over, watched, and not told yet */
    bool delivering;                       /* somebody is on the way in and will take the list */
    stoa_pool *next, *prev;                /* guarded by the list's lock */
};

/* At the end of the queue; takes over the reference. */
void stoa__tasks_put(stoa_task_queue *queue, stoa_task *task);
stoa_task *stoa__tasks_take(stoa_task_queue *queue);
/* All of it as a list by `next`, oldest first. */
stoa_task *stoa__tasks_take_all(stoa_task_queue *queue);

void stoa__pool_drop(stoa_pool *pool); /* one of `refs` */
/* The pool's lock held. A worker that is to be launched, in pool->workers already; NULL: no memory. */
stoa_worker *stoa__pool_add_worker(stoa_pool *pool);
/* No lock held. */
void stoa__worker_launch(stoa_worker *worker);
void stoa__worker_wake(stoa_worker *worker);
/* The pool's lock held: takes it out of the list of idle ones. */
void stoa__worker_not_idle(stoa_worker *worker);
/* No lock held: the pool is of no use any more; the tasks of all queues, and of `rest`, are refused. The exception's
 * description is taken over; NULL: none. */
void stoa__pool_break(stoa_pool *pool, const char *why, stoa_parcel *raised, stoa_task *rest);
/* A task has been run or refused: DONE, and told. Takes over the queue's reference. */
void stoa__task_finished(stoa_pool *pool, stoa_task *task);

#endif
