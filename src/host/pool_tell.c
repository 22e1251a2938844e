/* Telling those who watch a task that it is over, inside their interpreter. */
#include "host/pool_struct.h"
#include "proxy/errand.h"

/* Tells the tasks of the list that belong to the caller of the first one, inside it; returns the others. */
static stoa_task *
tell_one_caller(stoa_task *list, stoa_interp_record *caller)
{
    stoa_task *batch[64], *rest = NULL, **rest_end = &rest;
    size_t count = 0;
    while (list != NULL) {
        stoa_task *task = list;
        list = task->next;
        if (task->caller == caller && count < sizeof(batch) / sizeof(batch[0])) {
            batch[count++] = task;
        }
        else {
            task->next = NULL;
            *rest_end = task;
            rest_end = &task->next;
        }
    }
    const stoa_task_ops *ops = batch[0]->ops;
    ops->finish(batch, count);
    for (size_t i = 0; i < count; i++) {
        stoa__task_unref(batch[i]);
    }
    return rest;
}

static stoa_task *
take_deliveries(stoa_pool *pool)
{
    stoa__lock(&pool->thing.lock);
    stoa_task *list = pool->deliveries;
    pool->deliveries = pool->last_delivery = NULL;
    pool->delivering = false; /* who comes later goes in himself: what we are about to call may take long */
    stoa__unlock(&pool->thing.lock);
    return list;
}

/* Taking the caller's GIL may take milliseconds when it is busy: one goes in, for all that are over by then. */
void
stoa__pool_deliver(stoa_pool *pool, stoa_task *task)
{
    task->next = NULL;
    stoa__lock(&pool->thing.lock);
    if (pool->last_delivery != NULL) {
        pool->last_delivery->next = task;
    }
    else {
        pool->deliveries = task;
    }
    pool->last_delivery = task;
    bool go = !pool->delivering;
    pool->delivering = true;
    stoa_interp_record *caller = pool->deliveries->caller;
    if (go) {
        (void)stoa__interp_ref(caller);
    }
    stoa__unlock(&pool->thing.lock);
    stoa_task *list = NULL;
    while (go || list != NULL) {
        stoa_errand errand;
        bool inside = stoa__errand_to_tell(caller, &errand) == STOA_OK;
        if (go) {
            list = take_deliveries(pool);
            go = false;
        }
        stoa_task *rest = NULL, **rest_end = &rest;
        if (inside) {
            rest = tell_one_caller(list, caller);
            stoa__errand_end(&errand);
        }
        while (!inside && list != NULL) { /* the futures are gone with their interpreter */
            stoa_task *next = list->next;
            if (list->caller == caller) {
                stoa__task_unref(list);
            }
            else {
                list->next = NULL;
                *rest_end = list;
                rest_end = &list->next;
            }
            list = next;
        }
        stoa__interp_unref(caller);
        list = rest;
        if (list != NULL) {
            caller = stoa__interp_ref(list->caller);
        }
    }
}

void
stoa__task_finished(stoa_pool *pool, stoa_task *task)
{
    if (stoa__task_done(task) && task->caller != NULL && task->ops->finish != NULL) {
        stoa__pool_deliver(pool, task);
    }
    else {
        stoa__task_unref(task);
    }
}
