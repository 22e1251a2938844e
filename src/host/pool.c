#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/error.h"
#include "heap/fork.h"
#include "host/interp.h"
#include "host/pool_struct.h"
#include "proxy/wait.h"

/* Of this copy of the library, with those that nobody outside holds any more while workers are at it: the end of the program
 * must find these, too. */
static stoa_lock pools_lock = STOA_LOCK_INIT(STOA_RANK_POOLS);
static stoa_pool *pools; /* guarded by pools_lock */

/* ---- life -------------------------------------------------------------------------------------------------------- */

stoa_thing *
stoa__pool_thing(stoa_pool *pool)
{
    return &pool->thing;
}

stoa_pool *
stoa__pool(stoa_thing *thing)
{
    return (stoa_pool *)thing;
}

static void
end(stoa_thing *thing)
{
    stoa__pool_shutdown(stoa__pool(thing), false);
    stoa__pool_drop(stoa__pool(thing));
}

static void
describe(stoa_thing *thing, stoa_thing_info *info)
{
    stoa_pool_figures figures;
    stoa__pool_figures(stoa__pool(thing), &figures);
    info->depth = figures.queued;
    info->broken = figures.shut || figures.broken;
}

static const stoa_thing_class pool_class = {.name = "Executor", .end = end, .describe = describe};

stoa_err
stoa__pool_new(const stoa_pool_plan *plan, stoa_pool **out)
{
    stoa__host_ready();
    stoa_pool *pool = calloc(1, sizeof(*pool));
    stoa_worker **workers = pool == NULL ? NULL : calloc(plan->max_workers, sizeof(stoa_worker *));
    if (workers == NULL) {
        free(pool);
        return stoa__fail(STOA_ENOMEM, "no memory for a pool");
    }
    pool->refs = 1;
    pool->plan = *plan;
    pool->workers = workers;
    pool->generation = stoa__fork_generation();
    (void)snprintf(pool->name, sizeof(pool->name), "%s", plan->name == NULL ? "pool" : plan->name);
    stoa__parcel_init(&pool->path);
    stoa__parcel_init(&pool->raised);
    stoa_err err = stoa__thing_open(&pool->thing, &pool_class, STOA_THING_EXECUTOR);
    if (err != STOA_OK) {
        free(workers);
        free(pool);
        return err;
    }
    if (plan->path != NULL) {
        stoa__parcel_move(&pool->path,
                          plan->path); /* now that it cannot fail; no worker reads it before a submit */
    }
    stoa__lock(&pools_lock);
    pool->next = pools;
    if (pools != NULL) {
        pools->prev = pool;
    }
    pools = pool;
    stoa__unlock(&pools_lock);
    *out = pool;
    return STOA_OK;
}

void
stoa__pool_drop(stoa_pool *pool)
{
    if (atomic_fetch_sub(&pool->refs, 1) != 1) {
        return;
    }
    if (pool->generation != stoa__fork_generation()) {
        return; /* the parent's list, the parent's workers: memory that this process leaves alone */
    }
    stoa__lock(&pools_lock);
    if (pool->prev != NULL) {
        pool->prev->next = pool->next;
    }
    else {
        pools = pool->next;
    }
    if (pool->next != NULL) {
        pool->next->prev = pool->prev;
    }
    stoa__unlock(&pools_lock);
    if (pool->plan.dispose != NULL) {
        pool->plan.dispose(pool->plan.arg);
    }
    stoa__parcel_abandon(&pool->path);
    stoa__parcel_abandon(&pool->raised);
    free(pool->workers);
    free(pool);
}

void
stoa__pool_unref(stoa_pool *pool)
{
    stoa__thing_unref(&pool->thing);
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

static stoa_err
refuse(stoa_pool *pool)
{
    if (pool->generation != stoa__fork_generation()) {
        return stoa__fail(STOA_EFORKED,
                          "this pool belongs to the process this one was forked from, and so do its "
                          "threads: make a pool in the child");
    }
    if (pool->broken) {
        return stoa__fail(STOA_ESTATE, "%s", pool->why);
    }
    return pool->shut ? stoa__fail(STOA_EGONE, "cannot schedule new futures after shutdown") : STOA_OK;
}

static stoa_worker *
choose_worker(stoa_pool *pool, stoa_worker **to_launch)
{
    stoa_worker *worker = pool->first_idle;
    if (worker != NULL) {
        stoa__worker_not_idle(worker);
        return worker;
    }
    if (pool->count < pool->plan.max_workers && (*to_launch = stoa__pool_add_worker(pool)) != NULL) {
        return *to_launch;
    }
    stoa_worker_cache *cache = stoa__pool_cache_here();
    for (uint32_t i = 0; cache != NULL && i < pool->count; i++) {
        if (&pool->workers[i]->cache == cache) {
            return pool->workers[i];
        }
    }
    return pool->count == 0 ? NULL : pool->workers[pool->next_turn++ % pool->count];
}

stoa_err
stoa__pool_submit(stoa_pool *pool, stoa_task *task)
{
    stoa_err err = refuse(pool);
    if (err != STOA_OK) {
        return err;
    }
    stoa_worker *to_launch = NULL;
    stoa__lock(&pool->thing.lock);
    stoa_worker *worker = NULL;
    bool was_idle = pool->first_idle != NULL;
    if (!pool->shut && !pool->broken && (worker = choose_worker(pool, &to_launch)) != NULL) {
        task->pool = pool;
        atomic_fetch_add(&pool->refs, 1);
        stoa__tasks_put(&worker->queue, task);
    }
    if (worker != NULL && was_idle) {
        stoa__worker_wake(worker); /* under the lock: a worker that is not in the list may end */
    }
    stoa__unlock(&pool->thing.lock);
    if (to_launch != NULL) {
        stoa__worker_launch(to_launch);
    }
    if (worker == NULL) {
        err = refuse(pool);
        return err != STOA_OK ? err : stoa__fail(STOA_ENOMEM, "no memory for a worker");
    }
    return STOA_OK;
}

/* ---- shutting down ----------------------------------------------------------------------------------------------- */

/* Lock held. Every task that waits for its turn. */
static stoa_task *
take_queued(stoa_pool *pool)
{
    stoa_task *taken = NULL;
    for (uint32_t i = 0; i < pool->count; i++) {
        stoa_task *list = stoa__tasks_take_all(&pool->workers[i]->queue);
        while (list != NULL) {
            stoa_task *next = list->next;
            list->next = taken;
            taken = list;
            list = next;
        }
    }
    return taken;
}

/* Lock held. Workers that have nothing to do see that the pool ends. */
static void
wake_idle(stoa_pool *pool)
{
    while (pool->first_idle != NULL) {
        stoa_worker *worker = pool->first_idle;
        stoa__worker_not_idle(worker);
        stoa__worker_wake(worker);
    }
}

static void
cancel_list(stoa_pool *pool, stoa_task *list)
{
    while (list != NULL) {
        stoa_task *task = list;
        list = task->next;
        if (stoa__task_cancel(task) && (atomic_load(&task->state) & STOA_TASK_WATCHED) &&
            task->caller != NULL && task->ops->finish != NULL) {
            stoa__pool_deliver(pool, task);
        }
        else {
            stoa__task_unref(task);
        }
    }
}

void
stoa__pool_shutdown(stoa_pool *pool, bool cancel)
{
    if (pool->generation != stoa__fork_generation()) {
        return; /* its locks may be held by threads that are not here */
    }
    stoa__lock(&pool->thing.lock);
    pool->shut = true;
    stoa_task *cancelled = cancel ? take_queued(pool) : NULL;
    wake_idle(pool);
    stoa__unlock(&pool->thing.lock);
    cancel_list(pool, cancelled);
}

typedef struct end_wanted {
    const stoa_pool *pool;
    const stoa_waiter *heeding; /* or when this one is interrupted; NULL: never */
} end_wanted;

static bool
is_over(void *arg)
{
    const end_wanted *wanted = arg;
    return wanted->pool->alive == 0 || (wanted->heeding != NULL && wanted->heeding->interrupted);
}

/* As everybody who waits in Stoa, it runs the calls that only this thread may run: a task may be at one. */
static stoa_err
wait_for_end(stoa_pool *pool, bool heeds_interrupts, stoa_deadline deadline)
{
    end_wanted wanted = {pool, heeds_interrupts ? stoa__waiter_here() : NULL};
    stoa_err err = stoa__wait_outside(is_over, &wanted, deadline, pool, NULL);
    if (err == STOA_OK && pool->alive != 0) {
        err = STOA_EINTERRUPTED;
    }
    return err == STOA_ETIMEDOUT
               ? stoa__fail(err, "pool '%s' still has %u workers", pool->name, (unsigned)pool->alive)
           : err == STOA_EINTERRUPTED ? stoa__fail(err, "waiting for pool '%s'", pool->name)
                                      : err;
}

stoa_err
stoa__pool_wait(stoa_pool *pool, bool heeds_interrupts, stoa_deadline deadline)
{
    if (pool->generation != stoa__fork_generation()) {
        return STOA_OK;
    }
    stoa_worker_cache *cache = stoa__pool_cache_here();
    stoa__lock(&pool->thing.lock);
    for (uint32_t i = 0; cache != NULL && i < pool->count; i++) {
        if (&pool->workers[i]->cache == cache) {
            stoa__unlock(&pool->thing.lock);
            return stoa__fail(STOA_EDEADLOCK,
                              "a task of pool '%s' waits for the pool to end, and so for itself: "
                              "shut it down with wait=False, or from outside",
                              pool->name);
        }
    }
    stoa__unlock(&pool->thing.lock);
    return wait_for_end(pool, heeds_interrupts, deadline);
}

void
stoa__pool_break(stoa_pool *pool, const char *why, stoa_parcel *raised, stoa_task *rest)
{
    stoa_task *lists[2] = {rest, NULL};
    stoa__lock(&pool->thing.lock);
    bool first = !pool->broken;
    if (first) {
        (void)snprintf(pool->why, sizeof(pool->why), "%s", why);
        pool->has_raised = raised != NULL;
        if (raised != NULL) {
            stoa__parcel_move(&pool->raised, raised);
        }
        pool->broken = true;
    }
    lists[1] = take_queued(pool);
    wake_idle(pool);
    stoa__unlock(&pool->thing.lock);
    if (raised != NULL) {
        stoa__parcel_abandon(raised);
    }
    for (int i = 0; i < 2; i++) {
        while (lists[i] != NULL) {
            stoa_task *task = lists[i];
            lists[i] = task->next;
            if (stoa__task_claim(task)) {
                task->ops->refuse(task, pool->why, pool->has_raised ? &pool->raised : NULL);
                stoa__task_finished(pool, task);
            }
            else {
                stoa__task_unref(task);
            }
        }
    }
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

bool
stoa__pool_broken(stoa_pool *pool, const stoa_parcel **raised)
{
    *raised = pool->broken && pool->has_raised ? &pool->raised : NULL;
    return pool->broken;
}

void
stoa__pool_figures(stoa_pool *pool, stoa_pool_figures *out)
{
    memset(out, 0, sizeof(*out));
    out->id = pool->thing.id;
    out->shut = pool->shut;
    out->broken = pool->broken;
    memcpy(out->name, pool->name, sizeof(out->name));
    out->max_workers = pool->plan.max_workers;
    out->alive = pool->alive;
    if (pool->generation != stoa__fork_generation()) {
        return;
    }
    stoa__lock(&pool->thing.lock);
    out->workers = pool->count;
    out->done = pool->done_before;
    for (uint32_t i = 0; i < pool->count; i++) {
        out->queued += pool->workers[i]->queue.count;
        out->done += pool->workers[i]->done;
        out->idle += pool->workers[i]->idle;
    }
    stoa__unlock(&pool->thing.lock);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* The next pool after `pool` (NULL: the first), with a reference; gives up the one of `pool`. */
static stoa_pool *
next_pool(stoa_pool *pool)
{
    stoa__lock(&pools_lock);
    stoa_pool *next = pool == NULL ? pools : pool->next;
    while (next != NULL) {
        uint32_t refs = atomic_load(&next->refs);
        while (refs != 0 && !atomic_compare_exchange_weak(&next->refs, &refs, refs + 1)) {
        }
        if (refs != 0) {
            break; /* else it is on its way out of the list */
        }
        next = next->next;
    }
    stoa__unlock(&pools_lock);
    if (pool != NULL) {
        stoa__pool_drop(pool);
    }
    return next;
}

void
stoa__pools_stop(bool cancel)
{
    for (stoa_pool *pool = next_pool(NULL); pool != NULL; pool = next_pool(pool)) {
        stoa__pool_shutdown(pool, cancel);
    }
}

void
stoa__pools_each(void (*visit)(const stoa_pool_figures *, void *), void *arg)
{
    for (stoa_pool *pool = next_pool(NULL); pool != NULL; pool = next_pool(pool)) {
        stoa_pool_figures figures;
        stoa__pool_figures(pool, &figures);
        visit(&figures, arg);
    }
}

void
stoa__pools_fork_child(void)
{
    stoa__lock_reset(&pools_lock);
    pools = NULL; /* who still holds one finds that it is the parent's, by its generation */
}
