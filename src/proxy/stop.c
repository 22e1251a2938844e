#include "proxy/stop.h"

#include <stdlib.h>

#include "proxy/interrupt.h"
#include "proxy/service.h"
#include "proxy/thread_table.h"

/* ---- the runner -------------------------------------------------------------------------------------------------- */

bool
stoa__stop_begins(stoa_work *work, PyThreadState *state)
{
    stoa_waiter *self = stoa__thread_table_here->waiter; /* it has entered the owner */
    work->runner = stoa__waiter_ref(self);
    work->thread = state->thread_id;
    uint32_t stage = STOA_STOP_NOT_BEGUN;
    if (!atomic_compare_exchange_strong(&work->stop, &stage, STOA_STOP_RUNNING)) {
        return false;
    }
    work->entry = stoa__thread_table_here->top;
    work->outer = atomic_load(&self->work);
    atomic_store(&self->work, work);
    stoa__interrupts_work_changed(self);
    return true;
}

void
stoa__stop_over(stoa_work *work)
{
    stoa_waiter *self = work->runner;
    uint32_t stage = STOA_STOP_RUNNING;
    if (!atomic_compare_exchange_strong(&work->stop, &stage, STOA_STOP_OVER)) {
        stoa__interrupts_work_over(self, work);
    }
    atomic_store(&self->work, work->outer);
    stoa__interrupts_work_changed(self);
}

/* ---- the caller -------------------------------------------------------------------------------------------------- */

typedef struct stopper {
    stoa_posted call;
    stoa_work *work; /* a reference */
} stopper;

/* On a service thread. */
static void
stop_work(stoa_posted *call)
{
    stoa__interrupt_work(((stopper *)call)->work);
}

static void
free_stopper(stoa_posted *call)
{
    stoa__work_unref(((stopper *)call)->work);
    free(call);
}

void
stoa__stop_ask(stoa_work *work)
{
    stopper *s;
    uint32_t stage = STOA_STOP_NOT_BEGUN;
    if (stoa__call_withdraw(&work->call) ||
        atomic_compare_exchange_strong(&work->stop, &stage, STOA_STOP_CANCELLED) ||
        stage != STOA_STOP_RUNNING || !atomic_compare_exchange_strong(&work->stop, &stage, STOA_STOP_STOPPED) ||
        (s = malloc(sizeof(*s))) == NULL) {
        return;
    }
    stoa__call_init(&s->call, NULL, stop_work, free_stopper);
    s->work = work;
    stoa__call_ref(&work->call);
    (void)stoa__serve(&s->call); /* else it runs on, and what comes of it is dropped */
    stoa__call_unref(&s->call);
}
