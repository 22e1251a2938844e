#include "host/home_struct.h"

#include <signal.h>
#include <stdlib.h>

#include "heap/error.h"
#include "heap/os.h"
#include "proxy/interrupt.h"
#include "proxy/wait.h"

static _Thread_local stoa_home *home_here;

static stoa_home *
home_new(stoa_interp_record *record)
{
    stoa_home *home = calloc(1, sizeof(*home));
    if (home != NULL) {
        home->refs = 1;
        stoa__lock_init(&home->lock, STOA_RANK_MESSAGE);
        home->record = record == NULL ? NULL : stoa__interp_ref(record);
    }
    return home;
}

void
stoa__home_unref(stoa_home *home)
{
    if (atomic_fetch_sub(&home->refs, 1) == 1) {
        if (home->record != NULL) {
            stoa__interp_unref(home->record);
        }
        if (home->waiter != NULL) {
            stoa__waiter_unref(home->waiter);
        }
        free(home);
    }
}

static void
set_phase(stoa_home *home, uint32_t phase)
{
    stoa__lock(&home->lock);
    home->phase = phase;
    stoa__unlock(&home->lock);
    stoa__futex_wake(&home->phase, INT32_MAX);
    stoa__waiters_wake_on(home);
}

/* Does nothing while the thread is starting: it has not looked yet. */
static void
wake_thread(stoa_home *home)
{
    stoa__lock(&home->lock);
    stoa_waiter *waiter = home->waiter == NULL ? NULL : stoa__waiter_ref(home->waiter);
    stoa__unlock(&home->lock);
    if (waiter != NULL) {
        stoa__waiter_wake(waiter);
        stoa__waiter_unref(waiter);
    }
}

/* Moves on, if it is where it is thought to be. */
static void
ask_for_phase(stoa_home *home, uint32_t from, uint32_t to)
{
    stoa__lock(&home->lock);
    bool change = home->phase == from;
    if (change) {
        home->phase = to;
        if (to == STOA_HOME_STOPPING && home->stoppable != NULL) {
            home->stoppable->stop(home->stoppable);
        }
    }
    stoa__unlock(&home->lock);
    wake_thread(home);
    stoa__futex_wake(&home->phase, INT32_MAX);
    stoa__waiters_wake_on(home);
}

/* The record's home with a reference, or NULL. */
static stoa_home *
home_of(stoa_interp_record *record)
{
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    stoa_home *home = member == NULL ? NULL : member->worker;
    if (home != NULL) {
        atomic_fetch_add(&home->refs, 1);
    }
    stoa__unlock(&record->lock);
    return home;
}

bool
stoa__home_is_here(const stoa_interp_record *record)
{
    return home_here != NULL && home_here->record == record;
}

uint32_t
stoa__home_serial(void)
{
    return home_here == NULL || home_here->record == NULL ? 0 : home_here->record->serial;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static stoa_job *
take_job(stoa_home *home, uint32_t wanted_phase)
{
    stoa__lock(&home->lock);
    stoa_job *job = home->phase == wanted_phase ? home->first : NULL;
    if (job != NULL) {
        home->first = job->next;
        if (home->first == NULL) {
            home->last = NULL;
        }
        home->stoppable = wanted_phase == STOA_HOME_RUNNING && job->stop != NULL ? job : NULL;
    }
    stoa__unlock(&home->lock);
    return job;
}

/* All that is queued, as long as the home is in that phase. */
static void
refuse_all(stoa_home *home, uint32_t phase, const char *why)
{
    stoa_job *job;
    while ((job = take_job(home, phase)) != NULL) {
        job->refuse(job, why);
    }
}

static void
run_job(stoa_home *home, stoa_job *job)
{
    bool stoppable = job->stop != NULL; /* else it frees itself in run */
    home->early = NULL;
    home->stage = stoppable ? STOA_JOB_CALLS : STOA_JOB_TELLS;
    job->run(job, home->record);
    home->stage = STOA_JOB_NONE;
    if (stoppable) {
        stoa__lock(&home->lock);
        home->stoppable = NULL;
        stoa__unlock(&home->lock);
    }
}

static void *
home_main(void *arg)
{
    stoa_home *home = arg;
    home_here = home;
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        stoa__home_keep_message(home, STOA_ENOMEM);
    }
    else {
        stoa__lock(&home->lock);
        home->waiter = stoa__waiter_ref(self);
        stoa__unlock(&home->lock);
    }
    if (self == NULL || (home->record == NULL && stoa__home_make_here(home) != STOA_OK)) {
        set_phase(home, STOA_HOME_ENDED);
        refuse_all(home, STOA_HOME_ENDED, home->message);
        home_here = NULL;
        stoa__home_unref(home);
        return NULL;
    }
    set_phase(home, STOA_HOME_RUNNING);
    for (;;) {
        uint32_t seen = stoa__waiter_look(self);
        uint32_t phase = home->phase;
        stoa_job *job;
        if (stoa__mailbox_count(&self->home) > 0 && phase != STOA_HOME_ENDING) {
            home->stage = STOA_JOB_CALLS;
            stoa__serve_home(self); /* calls that only this thread may run */
            home->stage = STOA_JOB_NONE;
        }
        else if ((job = take_job(home, STOA_HOME_RUNNING)) != NULL) {
            run_job(home, job);
        }
        else if (phase == STOA_HOME_STOPPING) {
            refuse_all(home, STOA_HOME_STOPPING, NULL);
            ask_for_phase(home, STOA_HOME_STOPPING, STOA_HOME_STOPPED); /* unless the closer gave up */
        }
        else if (phase == STOA_HOME_ENDING) {
            refuse_all(home, STOA_HOME_ENDING, NULL); /* of those who were inside when it was STOPPED already */
            break;
        }
        else {
            (void)stoa__waiter_sleep(self, seen, STOA_FOREVER);
        }
    }
    if (home->initial != NULL) {
        stoa__home_end_here(home);
    }
    set_phase(home, STOA_HOME_ENDED);
    home_here = NULL;
    stoa__home_unref(home);
    return NULL;
}

/* Signals are for the threads of the program. */
static stoa_err
start_thread(stoa_home *home)
{
    atomic_fetch_add(&home->refs, 1);
    int os_error = stoa__os_thread_start(home_main, home);
    if (os_error != 0) {
        stoa__home_unref(home);
        return stoa__fail_os(os_error, "cannot start a thread for an interpreter");
    }
    return STOA_OK;
}

static stoa_home *
home_to_make(const char *name, bool shared_gil, const stoa_parcel *path)
{
    stoa_home *home = home_new(NULL);
    if (home == NULL) {
        stoa__fail(STOA_ENOMEM, "no memory for an interpreter");
        return NULL;
    }
    home->name = name;
    home->shared_gil = shared_gil;
    home->path = path;
    return home;
}

static void
wait_until_started(stoa_home *home)
{
    while (home->phase == STOA_HOME_STARTING) {
        (void)stoa__futex_wait(&home->phase, STOA_HOME_STARTING, STOA_FOREVER);
    }
}

stoa_err
stoa__home_make(const char *name, bool shared_gil, const stoa_parcel *path, stoa_interp_record **out)
{
    stoa_home *home = home_to_make(name, shared_gil, path);
    if (home == NULL) {
        return STOA_ENOMEM;
    }
    stoa_err err = start_thread(home);
    if (err == STOA_OK) {
        /* signals wait: there is no half-made interpreter to go back from, and making one takes 20 ms */
        wait_until_started(home);
        err = home->err;
        if (err != STOA_OK) {
            (void)stoa__fail(err, "%s", home->message);
        }
        else {
            *out = stoa__interp_ref(home->record);
        }
    }
    stoa__home_unref(home);
    return err;
}

stoa_err
stoa__home_start(const char *name, bool shared_gil, const stoa_parcel *path, stoa_job *job)
{
    stoa_home *home = home_to_make(name, shared_gil, path);
    if (home == NULL) {
        return STOA_ENOMEM;
    }
    job->next = NULL;
    home->first = home->last = job;
    stoa_err err = start_thread(home);
    stoa__home_unref(home);
    return err;
}

/* ---- from outside ------------------------------------------------------------------------------------------------ */

/* The home becomes the record's, unless another was quicker. */
static bool
publish(stoa_interp_record *record, stoa_home *home)
{
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    bool first = member->worker == NULL;
    if (first) {
        member->worker = home;
        atomic_fetch_add(&home->refs, 1);
    }
    stoa__unlock(&record->lock);
    return first;
}

/* A home thread for an interpreter that somebody else made. It runs before others know of it, so nobody's job is left with a
 * thread that cannot be started. `inside` is held. */
static stoa_err
start_for_member(stoa_interp_record *record)
{
    stoa_home *home = home_new(record);
    if (home == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a thread of interpreter '%s'", record->name);
    }
    stoa_err err = start_thread(home);
    if (err == STOA_OK) {
        wait_until_started(home);
        if ((err = home->err) != STOA_OK) {
            (void)stoa__fail(err, "%s", home->message);
        }
        else if (!publish(record, home)) {
            ask_for_phase(home, STOA_HOME_RUNNING, STOA_HOME_ENDING);
        }
    }
    stoa__home_unref(home);
    return err;
}

/* False: its thread ends, and takes no more. */
static bool
queue_job(stoa_home *home, stoa_job *job)
{
    job->next = NULL;
    stoa__lock(&home->lock);
    bool takes = home->phase < STOA_HOME_ENDING;
    if (takes && home->last != NULL) {
        home->last->next = job;
    }
    else if (takes) {
        home->first = job;
    }
    home->last = takes ? job : home->last;
    stoa__unlock(&home->lock);
    if (takes) {
        wake_thread(home);
    }
    return takes;
}

stoa_err
stoa__home_submit_held(stoa_interp_record *record, stoa_job *job)
{
    stoa_home *home = home_of(record);
    if (home == NULL) {
        stoa_err err = start_for_member(record);
        if (err != STOA_OK) {
            return err;
        }
        home = home_of(record); /* NULL again: it was closed meanwhile */
    }
    bool queued = home != NULL && queue_job(home, job);
    if (home != NULL) {
        stoa__home_unref(home);
    }
    return queued ? STOA_OK
                  : stoa__fail(STOA_EGONE, "interpreter '%s' is being closed: it takes no more calls",
                               record->name);
}

stoa_err
stoa__home_submit(stoa_interp_record *record, stoa_job *job)
{
    stoa_err err = stoa__interp_enter(record); /* so it does not go meanwhile */
    if (err == STOA_OK) {
        err = stoa__home_submit_held(record, job);
        stoa__interp_leave(record);
    }
    return err;
}

uint32_t
stoa__home_thread(stoa_interp_record *record)
{
    stoa_home *home = home_of(record);
    if (home == NULL) {
        return 0;
    }
    stoa__lock(&home->lock);
    uint32_t number = home->waiter == NULL ? 0 : home->waiter->number;
    stoa__unlock(&home->lock);
    stoa__home_unref(home);
    return number;
}

typedef struct phase_wanted {
    stoa_home *home;
    uint32_t phase;
} phase_wanted;

/* Or its end, if it never was one: no interpreter could be made. */
static bool
has_phase(void *arg)
{
    const phase_wanted *wanted = arg;
    uint32_t phase = wanted->home->phase;
    return phase == wanted->phase || phase == STOA_HOME_ENDED;
}

static stoa_err
wait_for_phase(stoa_home *home, uint32_t phase, stoa_deadline deadline, const char *what)
{
    phase_wanted wanted = {home, phase};
    stoa_err err = stoa__wait_outside(has_phase, &wanted, deadline, home, home->waiter);
    return err == STOA_ETIMEDOUT || err == STOA_EINTERRUPTED ? stoa__fail(err, "%s", what) : err;
}

stoa_err
stoa__home_stop(stoa_interp_record *record, stoa_deadline deadline)
{
    stoa_home *home = home_of(record);
    if (home == NULL) {
        return STOA_OK;
    }
    wait_until_started(home);
    ask_for_phase(home, STOA_HOME_RUNNING, STOA_HOME_STOPPING);
    stoa_err err = wait_for_phase(home, STOA_HOME_STOPPED, deadline, "a submitted call is still running in it");
    stoa__home_unref(home);
    return err;
}

void
stoa__home_go_on(stoa_interp_record *record)
{
    stoa_home *home = home_of(record);
    if (home != NULL) {
        ask_for_phase(home, STOA_HOME_STOPPING, STOA_HOME_RUNNING);
        ask_for_phase(home, STOA_HOME_STOPPED, STOA_HOME_RUNNING);
        stoa__home_unref(home);
    }
}

stoa_err
stoa__home_end(stoa_interp_record *record, stoa_deadline deadline)
{
    stoa_home *home = home_of(record);
    if (home == NULL) {
        return STOA_OK;
    }
    if (home->initial == NULL) { /* the thread goes, the interpreter stays */
        stoa__lock(&record->lock);
        stoa__member(record)->worker = NULL;
        stoa__unlock(&record->lock);
        stoa__home_unref(home);
    }
    ask_for_phase(home, STOA_HOME_STOPPED, STOA_HOME_ENDING);
    stoa_err err = wait_for_phase(home, STOA_HOME_ENDED, deadline,
                                  "threads that Python code started are still running in it");
    stoa__home_unref(home);
    return err;
}

static bool
is_at_work(stoa_home *home)
{
    stoa__lock(&home->lock);
    bool rests = home->stoppable != NULL && home->stoppable->rests;
    stoa__unlock(&home->lock);
    return home->stage != STOA_JOB_NONE && !rests;
}

static stoa_home *
home_of_job(const stoa_interp_record *record, stoa_job_stage stage)
{
    return home_here != NULL && home_here->record == record && home_here->stage == stage ? home_here : NULL;
}

void
stoa__home_job_reads(const stoa_interp_record *record)
{
    stoa_home *home = home_of_job(record, STOA_JOB_TELLS);
    if (home != NULL) {
        home->stage = STOA_JOB_READS;
    }
}

bool
stoa__home_job_begins(stoa_interp_record *record)
{
    stoa_home *home = home_of_job(record, STOA_JOB_READS);
    if (home == NULL) {
        return true;
    }
    home->stage = STOA_JOB_CALLS;
    PyObject *class = atomic_exchange(&home->early, NULL);
    if (class != NULL) {
        stoa__interrupts_forget(record); /* it is raised here, and not once more */
        PyErr_SetNone(class);
    }
    return class == NULL;
}

void
stoa__home_job_over(void)
{
    if (home_here != NULL) {
        home_here->stage = STOA_JOB_NONE;
    }
}

int
stoa__home_interrupt(stoa_interp_record *record, PyObject *exception)
{
    stoa_home *home = home_of(record);
    int raised = 0;
    if (home != NULL && home->initial != NULL && is_at_work(home) && !stoa__home_is_here(record)) {
        stoa_job_stage stage = home->stage;
        if (stage == STOA_JOB_TELLS || stage == STOA_JOB_READS) {
            home->early = exception;
            raised = 1;
        }
        if (stage != STOA_JOB_TELLS && atomic_load(&home->waiter->innermost) != NULL) {
            raised |= stoa__interrupt_thread(home->waiter, home->thread_id, record, NULL, exception);
        }
    }
    if (home != NULL) {
        stoa__home_unref(home);
    }
    return raised;
}
