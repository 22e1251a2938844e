/* result() and exception() wait here and not on the base class's condition: as everybody who waits in Stoa, a thread that does
 * runs the calls that only it may run, hears signals and interrupt(), and is found in circles. */
#include "heap/error.h"
#include "host/pool.h"
#include "immortal/exceptions.h"
#include "module/future.h"
#include "proxy/wait.h"

/* On the stack of the thread that waits; listed, and told, under the GIL of its interpreter. */
typedef struct future_sleeper {
    stoa_waiter *waiter;
    _Atomic bool over; /* looked at with no GIL, too */
    struct future_sleeper *next;
} future_sleeper;

static bool
task_over(void *arg)
{
    return stoa__task_over(arg);
}

static bool
sleeper_over(void *arg)
{
    return ((const future_sleeper *)arg)->over;
}

static int
no_waiter(void)
{
    stoa__raise(STOA_ENOMEM);
    return -1;
}

/* Nobody watches: its runner tells nobody but the task. As stoa__wait_until. */
static int
wait_for_task(stoa_task *task, stoa_deadline deadline)
{
    stoa_err err = stoa__task_check(task);
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    stoa_sleeper sleeper = {.waiter = stoa__waiter_here()};
    if (sleeper.waiter == NULL) {
        return no_waiter();
    }
    stoa__task_add_sleeper(task, &sleeper);
    int result = stoa__wait_until(task_over, task, deadline, NULL, "the result of a task");
    (void)stoa__task_remove_sleeper(task, &sleeper);
    return result;
}

/* Somebody enters this interpreter and tells the future. As stoa__wait_until. */
static int
wait_to_be_told(future_object *future, stoa_deadline deadline)
{
    future_sleeper sleeper = {.waiter = stoa__waiter_here(), .next = future->sleepers};
    if (sleeper.waiter == NULL) {
        return no_waiter();
    }
    stoa_waiter *whom = future->thread == 0 || deadline != STOA_FOREVER ? NULL
                                                                        : stoa__waiter_of(future->thread);
    future->sleepers = &sleeper;
    int result = stoa__wait_until(sleeper_over, &sleeper, deadline, whom, "a submitted call");
    future_sleeper **link = &future->sleepers;
    while (*link != &sleeper) {
        link = &(*link)->next;
    }
    *link = sleeper.next;
    if (whom != NULL) {
        stoa__waiter_unref(whom);
    }
    return result;
}

void
stoa__future_told(future_object *future)
{
    if (future->state >= CANCELLED) {
        for (future_sleeper *sleeper = future->sleepers; sleeper != NULL; sleeper = sleeper->next) {
            sleeper->over = true;
            stoa__waiter_wake(sleeper->waiter);
        }
    }
}

int
stoa__future_wait(future_object *future, stoa_deadline deadline)
{
    int result;
    if (future->task != NULL && !future->watched) {
        stoa_task *task = &future->task->task;
        stoa__task_ref(task); /* others may settle the future meanwhile */
        result = stoa__task_over(task) || stoa__pool_help(task) ? 0 : wait_for_task(task, deadline);
        stoa__task_unref(task);
    }
    else {
        result = wait_to_be_told(future, deadline);
    }
    if (result == 1) {
        PyErr_SetNone(PyExc_TimeoutError);
        return -1;
    }
    return result;
}
