#include "host/task.h"

#include "heap/error.h"
#include "heap/fork.h"
#include "proxy/wait.h"

/* An answer of a warm worker takes a few microseconds; going to sleep and being woken costs 10 to 50. */
#define SPIN_NS 30000

void
stoa__task_init(stoa_task *task, const stoa_task_ops *ops, stoa_interp_record *caller)
{
    atomic_init(&task->state, STOA_TASK_PENDING);
    atomic_init(&task->refs, 1);
    atomic_init(&task->sleepers, 0);
    stoa__lock_init(&task->lock, STOA_RANK_TASKS);
    task->first_sleeper = NULL;
    task->next = NULL;
    task->ops = ops;
    task->caller = caller == NULL ? NULL : stoa__interp_ref(caller);
    task->pool = NULL;
    task->generation = stoa__fork_generation();
}

stoa_task *
stoa__task_ref(stoa_task *task)
{
    atomic_fetch_add(&task->refs, 1);
    return task;
}

void
stoa__task_unref(stoa_task *task)
{
    if (atomic_fetch_sub(&task->refs, 1) == 1) {
        if (task->caller != NULL) {
            stoa__interp_unref(task->caller);
        }
        task->ops->dispose(task);
    }
}

/* Changes the state part, if it is `from`; the flag stays. *old: what it was. */
static bool
change(stoa_task *task, uint32_t from, uint32_t to, uint32_t *old)
{
    uint32_t seen = atomic_load(&task->state);
    while ((seen & STOA_TASK_STATE) == from) {
        if (atomic_compare_exchange_weak(&task->state, &seen, (seen & ~STOA_TASK_STATE) | to)) {
            *old = seen;
            return true;
        }
    }
    return false;
}

/* seq_cst on both sides: a sleeper raises `sleepers` before it reads the state, we read it after changing the state. */
static void
wake(stoa_task *task)
{
    if (atomic_load(&task->sleepers) == 0) {
        return;
    }
    stoa__lock(&task->lock);
    for (stoa_sleeper *s = task->first_sleeper; s != NULL; s = s->next) {
        if (s->waiter != NULL) {
            stoa__waiter_wake(s->waiter);
        }
        else {
            stoa__ticket_ring(s->ticket);
        }
    }
    stoa__unlock(&task->lock);
}

bool
stoa__task_claim(stoa_task *task)
{
    uint32_t old;
    return change(task, STOA_TASK_PENDING, STOA_TASK_RUNNING, &old);
}

bool
stoa__task_cancel(stoa_task *task)
{
    uint32_t old;
    if (!change(task, STOA_TASK_PENDING, STOA_TASK_CANCELLED, &old)) {
        return false;
    }
    wake(task);
    return true;
}

bool
stoa__task_done(stoa_task *task)
{
    uint32_t old = 0;
    (void)change(task, STOA_TASK_RUNNING, STOA_TASK_DONE, &old);
    wake(task);
    return (old & STOA_TASK_WATCHED) != 0;
}

uint32_t
stoa__task_watch(stoa_task *task)
{
    return atomic_fetch_or(&task->state, STOA_TASK_WATCHED) & STOA_TASK_STATE;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

void
stoa__task_add_sleeper(stoa_task *task, stoa_sleeper *sleeper)
{
    stoa__lock(&task->lock);
    sleeper->next = task->first_sleeper;
    task->first_sleeper = sleeper;
    atomic_store(&task->sleepers, 1);
    stoa__unlock(&task->lock);
}

bool
stoa__task_remove_sleeper(stoa_task *task, stoa_sleeper *sleeper)
{
    stoa__lock(&task->lock);
    stoa_sleeper **link = &task->first_sleeper;
    while (*link != sleeper) {
        link = &(*link)->next;
    }
    *link = sleeper->next;
    bool last = task->first_sleeper == NULL;
    atomic_store(&task->sleepers, !last);
    stoa__unlock(&task->lock);
    return last;
}

static bool
spin(const stoa_task *task)
{
    int64_t until = stoa__now() + SPIN_NS;
    do {
        for (int i = 0; i < 16; i++) {
            if (stoa__task_over(task)) {
                return true;
            }
            stoa__relax();
        }
    } while (stoa__now() < until);
    return false;
}

static bool
is_over(void *task)
{
    return stoa__task_over(task);
}

stoa_err
stoa__task_check(const stoa_task *task)
{
    if (task->generation != stoa__fork_generation()) {
        return stoa__fail(STOA_EFORKED,
                          "this task was submitted before the process was forked, and its worker "
                          "is a thread of the parent: make a pool in the child");
    }
    return STOA_OK;
}

stoa_err
stoa__task_wait(stoa_task *task, stoa_deadline deadline)
{
    if (stoa__task_over(task)) {
        return STOA_OK;
    }
    stoa_err err = stoa__task_check(task);
    if (err != STOA_OK) {
        return err;
    }
    if (deadline <= stoa__now()) {
        return stoa__fail(STOA_ETIMEDOUT, "the task is not done yet");
    }
    if (spin(task)) {
        return STOA_OK;
    }
    stoa_sleeper sleeper = {.waiter = stoa__waiter_here()};
    if (sleeper.waiter == NULL) {
        return STOA_ENOMEM;
    }
    stoa__task_add_sleeper(task, &sleeper);
    err = stoa__wait_outside(is_over, task, deadline, NULL, NULL);
    (void)stoa__task_remove_sleeper(task, &sleeper);
    return err == STOA_ETIMEDOUT      ? stoa__fail(err, "the task is not done yet")
           : err == STOA_EINTERRUPTED ? stoa__fail(err, "a signal came while waiting for a task")
                                      : err;
}
