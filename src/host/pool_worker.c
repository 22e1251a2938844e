/* The workers of a pool: their loop, how they get tasks, how they come and go. */
#include <stdio.h>
#include <stdlib.h>

#include "heap/error.h"
#include "heap/os.h"
#include "heap/fork.h"
#include "host/interp.h"
#include "host/message.h"
#include "host/pool_struct.h"
#include "proxy/errand.h"
#include "proxy/exception.h"
#include "proxy/interrupt.h"
#include "proxy/proxy.h"
#include "proxy/wait.h"

/* How long an idle worker looks for a task before it sleeps: as long as it takes to be worth it, and hardly where the last
 * sleep was long. */
#define SPIN_LONG_NS 40000
#define SPIN_SHORT_NS 1000

static _Thread_local stoa_worker *worker_here;

stoa_worker_cache *
stoa__pool_cache_here(void)
{
    return worker_here == NULL ? NULL : &worker_here->cache;
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

void
stoa__worker_wake(stoa_worker *worker)
{
    stoa_waiter *waiter = atomic_load(&worker->waiter);
    if (waiter != NULL) { /* else its thread has not looked at anything yet */
        stoa__waiter_wake(waiter);
    }
}

void
stoa__worker_not_idle(stoa_worker *worker)
{
    stoa_worker **link = &worker->pool->first_idle;
    while (*link != worker) {
        link = &(*link)->next_idle;
    }
    *link = worker->next_idle;
    worker->idle = false;
}

/* A proxy among the last task's arguments may have died here: its owner, who may have nothing else to do with this library,
 * is to let the object go now. */
static void
apply_releases(stoa_worker *worker)
{
    stoa_errand errand;
    stoa_interp_record *caller = worker->last_caller;
    worker->last_caller = NULL;
    if (caller == NULL) {
        return;
    }
    if (atomic_load(&caller->released) != 0 && stoa__errand_begin(caller, &errand) == STOA_OK) {
        stoa__side_apply_releases(caller);
        stoa__errand_end(&errand);
    }
    stoa__interp_unref(caller);
}

/* Before something else than a task, which may take long: who is idle is given the next task, and one that he has been given is
 * found by nobody while all others sleep. So he is not idle from now on, and what he has is for others. */
static void
pass_on(stoa_worker *worker)
{
    stoa_pool *pool = worker->pool;
    stoa_worker *more = NULL;
    stoa_task *task;
    stoa__lock(&pool->thing.lock);
    if (worker->idle) {
        stoa__worker_not_idle(worker);
    }
    while (pool->first_idle != NULL && (task = stoa__tasks_take(&worker->queue)) != NULL) {
        stoa_worker *heir = pool->first_idle;
        stoa__tasks_put(&heir->queue, task);
        stoa__worker_not_idle(heir);
        stoa__worker_wake(heir);
    }
    if (worker->queue.count > 0) {
        more = stoa__pool_add_worker(pool); /* takes it from us, as others do when they are free */
    }
    stoa__unlock(&pool->thing.lock);
    if (more != NULL) {
        stoa__worker_launch(more);
    }
}

/* Idle. Returns when there is news, or when it has seen to the last task's releases and is idle no more. */
static void
wait_for_news(stoa_worker *worker, stoa_waiter *self, uint32_t seen)
{
    int64_t start = stoa__now();
    do {
        for (int i = 0; i < 16; i++) {
            if (stoa__waiter_look(self) != seen) {
                return;
            }
            stoa__relax();
        }
    } while (stoa__now() < start + worker->spin_ns);
    if (worker->last_caller != NULL && atomic_load(&worker->last_caller->released) != 0) {
        pass_on(worker);
        apply_releases(worker);
        return;
    }
    apply_releases(worker); /* there are none: the caller is forgotten */
    (void)stoa__waiter_sleep(self, seen, STOA_FOREVER);
    worker->spin_ns = stoa__now() - start < 3 * SPIN_LONG_NS ? SPIN_LONG_NS : SPIN_SHORT_NS;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

/* Half of another's queue, its oldest tasks: the first is returned, the others go into ours. The pool's lock held. */
static stoa_task *
steal(stoa_pool *pool, stoa_worker *thief)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        stoa_worker *victim = pool->workers[(pool->next_turn + i) % pool->count];
        uint32_t wanted = victim == thief ? 0 : (atomic_load(&victim->queue.count) + 1) / 2;
        stoa_task *first = wanted == 0 ? NULL : stoa__tasks_take(&victim->queue);
        for (uint32_t n = 1; n < wanted && first != NULL; n++) {
            stoa_task *task = stoa__tasks_take(&victim->queue);
            if (task == NULL) {
                break;
            }
            stoa__tasks_put(&thief->queue, task);
        }
        if (first != NULL) {
            return first;
        }
    }
    return NULL;
}

enum next { RUN, WAIT, LEAVE };

/* The own queue is empty: somebody else's tasks, or idle, or the end. */
static enum next
look_around(stoa_worker *worker, stoa_task **out)
{
    stoa_pool *pool = worker->pool;
    enum next next = WAIT;
    stoa__lock(&pool->thing.lock);
    if ((*out = stoa__tasks_take(&worker->queue)) != NULL || (*out = steal(pool, worker)) != NULL) {
        next = RUN;
    }
    else if (pool->shut || pool->broken || worker->stopping) {
        next = LEAVE;
    }
    else if (!worker->idle) {
        worker->idle = true;
        worker->next_idle = pool->first_idle;
        pool->first_idle = worker;
    }
    if (next != WAIT && worker->idle) {
        stoa__worker_not_idle(worker);
    }
    stoa__unlock(&pool->thing.lock);
    return next;
}

/* Inside the worker. */
static void
run_task(stoa_worker *worker, stoa_task *task)
{
    if (stoa__task_claim(task)) {
        if (task->caller != NULL && worker->last_caller == NULL) {
            worker->last_caller = stoa__interp_ref(task->caller);
        }
        stoa__interrupts_forget(worker->record); /* of the task before */
        task->ops->run(task, worker->record);
        atomic_store_explicit(&worker->done, worker->done + 1, memory_order_relaxed); /* a figure */
        worker->job.rests = true; /* who watches it is told without being interrupted */
        stoa__interrupts_forget(worker->record);
        stoa__task_finished(worker->pool, task);
    }
    else {
        stoa__task_unref(task); /* cancelled, or done by who waited for it */
    }
}

bool
stoa__pool_help(stoa_task *task)
{
    stoa_worker *worker = worker_here;
    stoa_entry entry;
    if (worker == NULL || task->pool != worker->pool || stoa__task_state(task) != STOA_TASK_PENDING ||
        stoa__enter(worker->record, &entry) != STOA_OK) {
        return false;
    }
    bool mine = stoa__task_claim(task);
    if (mine) {
        task->ops->run(task, worker->record);
        atomic_store_explicit(&worker->done, worker->done + 1, memory_order_relaxed); /* a figure */
        stoa__task_finished(worker->pool, stoa__task_ref(task)); /* the queue's reference is still in the queue */
    }
    stoa__leave(&entry);
    return mine;
}

/* ---- coming ------------------------------------------------------------------------------------------------------ */

static bool
prepare(stoa_worker *worker)
{
    stoa_pool *pool = worker->pool;
    stoa_entry entry;
    if (pool->plan.prepare == NULL) {
        return true;
    }
    if (stoa__enter(worker->record, &entry) != STOA_OK) {
        return false;
    }
    worker->preparing = true;
    bool good = pool->plan.prepare(pool->plan.arg) == 0;
    worker->preparing = false;
    stoa_parcel raised;
    if (!good) {
        stoa__exception_pack(&raised);
    }
    stoa__leave(&entry);
    if (!good) {
        if (pool->plan.broke != NULL) {
            pool->plan.broke(pool->plan.arg, &raised);
        }
        stoa__pool_break(
            pool, "the initializer of a worker failed, so the pool of interpreters is not usable any more",
            &raised, NULL);
    }
    return good;
}

static void
free_worker(stoa_worker *worker)
{
    if (worker->record != NULL) {
        stoa__interp_unref(worker->record);
    }
    if (worker->waiter != NULL) {
        stoa__waiter_unref(worker->waiter);
    }
    free(worker);
}

/* One fewer: who waits for the last is told. Gives up the worker's reference. */
static void
leave_pool(stoa_pool *pool)
{
    if (atomic_fetch_sub(&pool->alive, 1) == 1) {
        stoa__waiters_wake_on(pool);
    }
    stoa__pool_drop(pool);
}

/* The last that happens to a worker. */
static void
gone(stoa_worker *worker)
{
    stoa_pool *pool = worker->pool;
    free_worker(worker);
    leave_pool(pool);
}

static void *
close_worker(void *arg)
{
    stoa_worker *worker = arg;
    stoa_err err;
    while ((err = stoa__interp_close(worker->record, STOA_FOREVER)) == STOA_EINTERRUPTED) {
    }
    if (err != STOA_OK) {
        stoa__say(STOA_PROBLEM, "interpreter '%s' of pool '%s' is left open: %s", worker->record->name,
                  worker->pool->name, stoa_error_message());
    }
    gone(worker);
    return NULL;
}

/* On the home thread, which must return from the job before the interpreter can be closed. */
static void
close_from_elsewhere(stoa_worker *worker)
{
    if (stoa__os_thread_start(close_worker, worker) != 0) {
        /* it stays open until the program ends; the worker's memory with it: the home still knows the job */
        leave_pool(worker->pool);
    }
}

/* The pool's lock held: out of pool->workers; its tasks go to others. The tasks that nobody is left for: a list. */
static stoa_task *
worker_remove(stoa_worker *worker)
{
    stoa_pool *pool = worker->pool;
    uint32_t i = 0;
    while (pool->workers[i] != worker) {
        i++;
    }
    pool->workers[i] = pool->workers[--pool->count];
    if (worker->idle) {
        stoa__worker_not_idle(worker);
    }
    pool->done_before += worker->done;
    stoa_task *list = stoa__tasks_take_all(&worker->queue);
    for (uint32_t turn = 0; list != NULL && pool->count > 0; turn++) {
        stoa_task *next = list->next;
        stoa_worker *heir = pool->first_idle != NULL ? pool->first_idle : pool->workers[turn % pool->count];
        stoa__tasks_put(&heir->queue, list);
        if (heir->idle) {
            stoa__worker_not_idle(heir);
            stoa__worker_wake(heir);
        }
        list = next;
    }
    return list;
}

/* Takes the worker out; its tasks go on elsewhere. No lock, not inside. */
static void
retire(stoa_worker *worker, const char *why)
{
    stoa_pool *pool = worker->pool;
    stoa_worker *successor = NULL;
    stoa__lock(&pool->thing.lock);
    stoa_task *rest = worker_remove(worker);
    bool lonely = rest != NULL;
    if (lonely && why == NULL && (successor = stoa__pool_add_worker(pool)) != NULL) {
        while (rest != NULL) {
            stoa_task *next = rest->next;
            stoa__tasks_put(&successor->queue, rest);
            rest = next;
        }
    }
    stoa__unlock(&pool->thing.lock);
    if (successor != NULL) {
        stoa__worker_launch(successor);
    }
    else if (lonely) {
        stoa__pool_break(pool, why == NULL ? "no memory for a worker" : why, NULL, rest);
    }
}

static void
drop_cache(stoa_worker *worker)
{
    stoa_entry entry;
    if (worker->cache.function != NULL && stoa__enter(worker->record, &entry) == STOA_OK) {
        Py_CLEAR(worker->cache.function);
        stoa__leave(&entry);
    }
}

/* Calls that only this thread may run: objects whose home it is. Not inside. */
static void
serve_home(stoa_worker *worker, stoa_waiter *self, stoa_entry *entry, bool *inside)
{
    if (stoa__mailbox_count(&self->home) > 0) {
        if (*inside) {
            stoa__leave(entry);
            *inside = false;
        }
        pass_on(worker);
        stoa__serve_home(self);
    }
}

static void
work(stoa_worker *worker)
{
    stoa_waiter *self = worker->waiter;
    uint64_t limit = worker->pool->plan.max_tasks;
    stoa_entry entry;
    bool inside = false;
    while (!worker->stopping && (limit == 0 || worker->done < limit)) {
        uint32_t seen = stoa__waiter_look(self);
        serve_home(worker, self, &entry, &inside);
        stoa_task *task = stoa__tasks_take(&worker->queue);
        enum next next = task != NULL ? RUN : look_around(worker, &task);
        if (next == RUN && !inside && !(inside = stoa__enter(worker->record, &entry) == STOA_OK)) {
            stoa__tasks_put(&worker->queue, task); /* it is being closed: for the others */
            break;
        }
        if (next == RUN) {
            worker->job.rests = false;
            run_task(worker, task);
            worker->job.rests = true;
            continue;
        }
        if (inside) {
            stoa__leave(&entry);
            inside = false;
        }
        if (next == LEAVE) {
            break;
        }
        wait_for_news(worker, self, seen);
    }
    if (inside) {
        stoa__leave(&entry);
    }
    pass_on(worker); /* what comes before it is taken out may take long, too */
}

static void
run_worker(stoa_job *job, stoa_interp_record *record)
{
    stoa_worker *worker = (stoa_worker *)job;
    worker->record = stoa__interp_ref(record);
    worker->waiter = stoa__waiter_ref(stoa__waiter_here()); /* the home thread has made it */
    worker_here = worker;
    if (prepare(worker)) {
        worker->job.rests = true;
        work(worker);
    }
    drop_cache(worker);
    apply_releases(worker);
    worker_here = NULL;
    retire(worker, NULL);
    close_from_elsewhere(worker);
}

/* Its interpreter could not be made; or somebody was quick to close it, which another worker makes up for, as later. */
static void
refuse_worker(stoa_job *job, const char *why)
{
    stoa_worker *worker = (stoa_worker *)job;
    char text[256];
    if (why != NULL) {
        (void)snprintf(text, sizeof(text), "a pool of interpreters could not make one: %s", why);
    }
    retire(worker, why == NULL ? NULL : text);
    gone(worker);
}

/* Any thread, under the home's lock. */
static void
stop_worker(stoa_job *job)
{
    stoa_worker *worker = (stoa_worker *)job;
    worker->stopping = true;
    stoa__worker_wake(worker);
}

stoa_worker *
stoa__pool_add_worker(stoa_pool *pool)
{
    stoa_worker *worker = pool->count == pool->plan.max_workers ? NULL : calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return NULL;
    }
    worker->job = (stoa_job){.run = run_worker, .refuse = refuse_worker, .stop = stop_worker};
    worker->pool = pool;
    worker->spin_ns = SPIN_LONG_NS;
    stoa__lock_init(&worker->queue.lock, STOA_RANK_TASKS);
    (void)snprintf(worker->name, sizeof(worker->name), "%s_%u", pool->name, (unsigned)pool->named++);
    atomic_fetch_add(&pool->refs, 1);
    atomic_fetch_add(&pool->alive, 1);
    pool->workers[pool->count++] = worker;
    return worker;
}

void
stoa__worker_launch(stoa_worker *worker)
{
    stoa_pool *pool = worker->pool;
    if (stoa__home_start(worker->name, false, pool->path.size == 0 ? NULL : &pool->path, &worker->job) !=
        STOA_OK) {
        refuse_worker(&worker->job, stoa_error_message());
    }
}

static bool
has_pending(stoa_task_queue *queue)
{
    bool found = false;
    stoa__lock(&queue->lock);
    for (stoa_task *task = queue->first; task != NULL && !found; task = task->next) {
        found = stoa__task_state(task) == STOA_TASK_PENDING;
    }
    stoa__unlock(&queue->lock);
    return found;
}

bool
stoa__pool_interrupt_preparing(stoa_pool *pool)
{
    if (pool->generation != stoa__fork_generation()) {
        return false;
    }
    stoa_interp_record *records[64];
    size_t count = 0;
    bool wanted = false;
    stoa__lock(&pool->thing.lock);
    bool alone = pool->count > 0 && pool->alive == pool->count;
    for (uint32_t i = 0; i < pool->count; i++) {
        stoa_worker *worker = pool->workers[i];
        wanted = wanted || has_pending(&worker->queue);
        alone = alone && worker->preparing;
        if (worker->preparing && count < 64) {
            records[count++] = stoa__interp_ref(worker->record);
        }
    }
    stoa__unlock(&pool->thing.lock);
    for (size_t i = 0; i < count; i++) {
        if (!wanted) {
            (void)stoa__interp_interrupt(records[i], PyExc_SystemExit);
        }
        stoa__interp_unref(records[i]);
    }
    return alone && !wanted;
}
