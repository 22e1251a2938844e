#include "proxy/interrupt.h"

#include <sched.h>
#include <stdlib.h>

#include "immortal/cpython/gilstate.h"
#include "immortal/cpython/raised.h"
#include "immortal/cpython/thread_values.h"
#include "immortal/exceptions.h"
#include "proxy/errand.h"
#include "proxy/service.h"
#include "proxy/stop.h"
#include "proxy/thread_table.h"
#include "sync/bell.h"

/* How long code is left alone before it is looked at again. */
#define PATIENCE_FIRST_NS INT64_C(10000000)
#define PATIENCE_LAST_NS INT64_C(500000000)
#define LOOKS_AT_IMPORTS 14 /* some four seconds */

static inline stoa_interrupt *
first(const stoa_waiter *waiter)
{
    return waiter->raises;
}

/* Lock held. */
static void
list(stoa_waiter *waiter, stoa_interrupt *interrupt)
{
    interrupt->next = waiter->raises;
    waiter->raises = interrupt;
    atomic_fetch_add(&waiter->to_raise, 1);
}

/* Lock held. Takes off all of which `is_over` says so; those of interrupt() are freed. */
static void
unlist(stoa_waiter *waiter, bool (*is_over)(const stoa_interrupt *, const void *), const void *arg)
{
    stoa_interrupt **link = (stoa_interrupt **)&waiter->raises;
    while (*link != NULL) {
        stoa_interrupt *interrupt = *link;
        if (!is_over(interrupt, arg)) {
            link = &interrupt->next;
            continue;
        }
        *link = interrupt->next;
        atomic_fetch_sub(&waiter->to_raise, 1);
        if (interrupt->work == NULL) {
            free(interrupt);
        }
    }
}

/* ---- what is set in a state -------------------------------------------------------------------------------------- */

static bool
was_raised(const stoa_interrupt *interrupt, const void *unused)
{
    (void)unused;
    return interrupt->sent && interrupt->work == NULL;
}

/* Lock held. It is set no more. */
static void
unset(stoa_waiter *waiter, bool raised)
{
    waiter->put_state = NULL;
    if (raised) {
        unlist(waiter, was_raised, NULL);
    }
    for (stoa_interrupt *i = first(waiter); i != NULL; i = i->next) {
        i->raised = i->raised || (raised && i->sent);
        i->sent = false;
    }
}

/* Lock held; GIL of the state. */
static bool
is_still_set(const stoa_waiter *waiter)
{
    return stoa__awaits_async_exception(waiter->put_state, waiter->put_class);
}

/* Lock held. Is the thread now at what is meant, or at work of others in the midst? */
static bool
is_in_reach(const stoa_waiter *waiter, const stoa_interrupt *interrupt)
{
    if (interrupt->work != NULL) {
        return atomic_load(&waiter->work) == interrupt->work;
    }
    return waiter->work_in == NULL || waiter->work_in == interrupt->record ||
           (interrupt->kept != NULL && interrupt->kept->depth > interrupt->kept->shadow);
}

/* Lock held, GIL of where the thread is. What is to be set next: a stop before others. */
static stoa_interrupt *
choose(const stoa_waiter *waiter)
{
    stoa_interrupt *chosen = NULL;
    bool shielded = atomic_load(&waiter->shielded); /* it looks itself, as soon as it is not */
    for (stoa_interrupt *i = shielded ? NULL : first(waiter); i != NULL; i = i->next) {
        if (!i->raised && is_in_reach(waiter, i) && (chosen == NULL || i->work != NULL)) {
            chosen = i;
        }
    }
    return chosen;
}

/* Lock held; GIL of `state`, which is where the thread is. Is one set now? */
static bool
set_in(stoa_waiter *waiter, PyThreadState *state, PyObject *class_of_stops)
{
    if (waiter->put_state != NULL && !is_still_set(waiter)) {
        unset(waiter, true);
    }
    if (waiter->put_state == NULL) {
        stoa_interrupt *chosen = choose(waiter);
        PyObject *class = chosen == NULL ? NULL : chosen->work != NULL ? class_of_stops : chosen->class;
        if (class == NULL || PyThreadState_SetAsyncExc(state->thread_id, class) < 1) {
            return false;
        }
        waiter->put_state = state;
        waiter->put_class = class;
        chosen->sent = true;
    }
    for (stoa_interrupt *i = first(waiter); i != NULL; i = i->next) {
        /* those that mean the same are raised as one */
        i->sent = i->sent || (i->work == NULL && i->class == waiter->put_class && is_in_reach(waiter, i));
    }
    return true;
}

/* GIL. */
static PyObject *
class_of_stops(void)
{
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *class = stoa__exception_out_of_time();
    PyErr_SetRaisedException(raised);
    return class;
}

/* ---- the thread itself ------------------------------------------------------------------------------------------- */

static void
recall_here(stoa_waiter *self)
{
    stoa__lock(&self->raise_lock);
    PyThreadState *state = self->put_state;
    if (state != NULL &&
        state->interp == PyInterpreterState_Get()) { /* else C code has gone elsewhere by itself: it stays */
        bool raised = !is_still_set(self);
        if (!raised) {
            (void)PyThreadState_SetAsyncExc(state->thread_id, NULL);
        }
        unset(self, raised);
    }
    stoa__unlock(&self->raise_lock);
}

void
stoa__interrupts_recall(stoa_waiter *self)
{
    stoa__lock(&self->raise_lock);
    PyThreadState *state = self->put_state;
    stoa__unlock(&self->raise_lock);
    if (stoa__current_state() != NULL) {
        recall_here(self);
    }
    else if (state != NULL) { /* it was current until C code gave its GIL up */
        PyEval_RestoreThread(state);
        recall_here(self);
        (void)PyEval_SaveThread();
    }
}

static void
settle_here(stoa_waiter *self, PyThreadState *state)
{
    PyObject *stops = class_of_stops();
    stoa__lock(&self->raise_lock);
    bool set = set_in(self, state, stops);
    stoa__unlock(&self->raise_lock);
    if (set) {
        stoa__waiter_interrupt(self); /* it may be on its way to a wait */
    }
}

void
stoa__interrupts_settle(stoa_waiter *self, PyThreadState *lower)
{
    PyThreadState *state = stoa__current_state();
    if (state != NULL) {
        settle_here(self, state);
    }
    else if (lower != NULL && stoa__interrupts_wait(self)) {
        PyEval_RestoreThread(lower);
        settle_here(self, lower);
        (void)PyEval_SaveThread();
    }
}

static bool
has_left(const stoa_interrupt *interrupt, const void *top)
{
    const stoa_entry *entry = top;
    while (interrupt->work == NULL && entry != NULL && entry->record != interrupt->record) {
        entry = entry->below;
    }
    return entry == NULL;
}

void
stoa__interrupts_forget_left(stoa_waiter *self)
{
    stoa__lock(&self->raise_lock);
    unlist(self, has_left, stoa__thread_table_here->top);
    stoa__unlock(&self->raise_lock);
}

static bool
is_of(const stoa_interrupt *interrupt, const void *record)
{
    return interrupt->work == NULL && interrupt->record == record;
}

void
stoa__interrupts_forget(stoa_interp_record *record)
{
    stoa_waiter *self = stoa__waiter_here_if_any();
    if (self == NULL || !stoa__interrupts_wait(self)) {
        return;
    }
    stoa__interrupts_recall(self);
    stoa__lock(&self->raise_lock);
    unlist(self, is_of, record);
    stoa__unlock(&self->raise_lock);
    stoa__interrupts_settle(self, NULL);
}

/* How often each state was entered before the work began that is in the way. */
static void
note_shadows(stoa_thread_table *table, const stoa_entry *below)
{
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i] != NULL) {
            table->slots[i]->shadow = 0;
        }
    }
    for (const stoa_entry *entry = below; entry != NULL; entry = entry->below) {
        stoa_kept *kept = entry->entered == entry->previous ? NULL
                                                            : stoa__kept_find(table, entry->record->serial);
        if (kept != NULL && kept->state == entry->entered) {
            kept->shadow++;
        }
    }
}

void
stoa__interrupts_work_changed(stoa_waiter *self)
{
    /* a callback is done for the code that waits here, as its own calls are */
    const stoa_work *work = atomic_load(&self->work);
    while (work != NULL && work->called_back) {
        work = work->outer;
    }
    stoa_interp_record *in = work == NULL ? NULL : work->owner;
    const stoa_entry *below = work == NULL ? NULL : work->entry->below;
    if (self->work_in != NULL || below != NULL) {
        note_shadows(stoa__thread_table_here, below);
    }
    self->work_in = in;
    if (stoa__interrupts_wait(self)) {
        stoa__interrupts_recall(self);
        stoa__interrupts_settle(self, NULL);
    }
}

static bool
is_this_work(const stoa_interrupt *interrupt, const void *work)
{
    return interrupt->work == work;
}

void
stoa__interrupts_work_over(stoa_waiter *self, stoa_work *work)
{
    stoa__interrupts_recall(self);
    stoa__lock(&self->raise_lock);
    unlist(self, is_this_work, work);
    atomic_store(&work->stop, STOA_STOP_OVER); /* now it cannot be listed any more */
    stoa__unlock(&self->raise_lock);
    stoa__futex_wake(&work->stop, 1);
}

/* ---- others ------------------------------------------------------------------------------------------------------ */

typedef enum found_there {
    MOVED_ON, /* the thread is elsewhere */
    IN_IMPORTS, /* in importlib's own code, whose locks an interrupt there could leave taken for ever: not now */
    SEEN_TO
} found_there;

/* Under the GIL of `there`. `again`: a stop, which may have been raised; NULL: interrupts. `hasty`: wherever it is. */
static found_there
set_there(stoa_waiter *waiter, unsigned long thread, stoa_interp_record *there, stoa_interrupt *again,
          bool hasty)
{
    PyThreadState *state = stoa__thread_values_find(thread);
    PyObject *stops = class_of_stops();
    bool set = false, imports = false, ends = false;
    bool later = again == NULL && !hasty && state != NULL && stoa__is_importing(state, true);
    if (again != NULL && state != NULL) {
        imports = stoa__is_importing(state, again->hasty);
        ends = imports || stoa__is_handled(state, stops);
    }
    stoa__lock(&waiter->raise_lock);
    bool is_there = atomic_load(&waiter->innermost) == there;
    if (is_there && state != NULL && !later) {
        if (again != NULL) {
            again->raised = again->raised ? ends || again->dealt_with : imports;
        }
        set = set_in(waiter, state, stops);
    }
    stoa__unlock(&waiter->raise_lock);
    if (set) {
        stoa__waiter_interrupt(waiter); /* it may be waiting */
        stoa__bells_ring(there);
    }
    return !is_there ? MOVED_ON : later ? IN_IMPORTS : SEEN_TO;
}

/* To where the thread is, whose GIL may take long to come by. Not the thread itself. */
static void
follow(stoa_waiter *waiter, unsigned long thread, stoa_interrupt *again)
{
    int64_t pause = PATIENCE_FIRST_NS;
    int looks = 0;
    found_there found = MOVED_ON;
    while (found != SEEN_TO && atomic_load(&waiter->to_raise) != 0) {
        stoa_interp_record *there = atomic_load(&waiter->innermost);
        stoa_errand errand;
        if (there == NULL) {
            return;
        }
        if (stoa__interp_enter_occupied(there) != STOA_OK) {
            (void)sched_yield(); /* it has left that meanwhile */
            continue;
        }
        if (stoa__errand_begin_held(there, &errand) != STOA_OK) {
            return;
        }
        found = set_there(waiter, thread, there, again, looks > LOOKS_AT_IMPORTS);
        stoa__errand_end(&errand);
        if (found == IN_IMPORTS) {
            (void)stoa__sleep_until(stoa__now() + pause);
            pause = pause < PATIENCE_LAST_NS ? pause * 2 : pause;
            looks++;
        }
    }
}

typedef struct follower {
    stoa_posted call;
    stoa_waiter *waiter; /* a reference */
    unsigned long thread;
} follower;

static void
run_follower(stoa_posted *call)
{
    follower *f = (follower *)call;
    follow(f->waiter, f->thread, NULL);
}

static void
free_follower(stoa_posted *call)
{
    stoa__waiter_unref(((follower *)call)->waiter);
    free(call);
}

/* Without memory or thread for it the thread sees to it itself, at the next crossing. */
static void
send_follower(stoa_waiter *waiter, unsigned long thread)
{
    follower *f = malloc(sizeof(*f));
    if (f != NULL) {
        stoa__call_init(&f->call, NULL, run_follower, free_follower);
        f->waiter = stoa__waiter_ref(waiter);
        f->thread = thread;
        (void)stoa__serve(&f->call);
        stoa__call_unref(&f->call);
    }
}

bool
stoa__interrupt_thread(stoa_waiter *waiter, unsigned long thread, stoa_interp_record *record,
                       const stoa_kept *kept, PyObject *class)
{
    stoa_interrupt *interrupt = malloc(sizeof(*interrupt));
    if (interrupt == NULL) {
        return false;
    }
    *interrupt = (stoa_interrupt){.record = record, .kept = kept, .class = class};
    stoa__lock(&waiter->raise_lock);
    list(waiter, interrupt);
    stoa__unlock(&waiter->raise_lock);
    if (set_there(waiter, thread, record, NULL, false) != SEEN_TO) {
        send_follower(waiter, thread);
    }
    return true;
}

/* The code of the work itself waits for a call into another interpreter, while it deals with its end. */
static bool
is_dealt_with(const stoa_work *work)
{
    stoa_errand errand;
    bool dealt_with = false;
    if (atomic_load(&work->runner->innermost) != work->owner &&
        stoa__interp_enter_occupied(work->owner) == STOA_OK &&
        stoa__errand_begin_held(work->owner, &errand) == STOA_OK) {
        PyThreadState *state = stoa__thread_values_find(work->thread);
        dealt_with = state != NULL && stoa__is_handled(state, class_of_stops());
        stoa__errand_end(&errand);
    }
    return dealt_with;
}

void
stoa__interrupt_work(stoa_work *work)
{
    stoa_waiter *waiter = work->runner;
    stoa_interrupt stop = {.work = work};
    stoa__lock(&waiter->raise_lock);
    bool begun = atomic_load(&work->stop) == STOA_STOP_STOPPED;
    if (begun) {
        list(waiter, &stop);
    }
    stoa__unlock(&waiter->raise_lock);
    int64_t pause = PATIENCE_FIRST_NS;
    for (int looks = 0; begun && atomic_load(&work->stop) == STOA_STOP_STOPPED; looks++) {
        bool dealt_with = is_dealt_with(work);
        stoa__lock(&waiter->raise_lock);
        stop.dealt_with = dealt_with;
        stop.hasty = looks > LOOKS_AT_IMPORTS;
        stoa__unlock(&waiter->raise_lock);
        follow(waiter, work->thread, &stop);
        (void)stoa__futex_wait(&work->stop, STOA_STOP_STOPPED, stoa__now() + pause);
        pause = pause < PATIENCE_LAST_NS ? pause * 2 : pause;
    }
}
