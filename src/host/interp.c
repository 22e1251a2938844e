#include "host/interp.h"

#include <pthread.h>
#include <stdlib.h>

#include "heap/error.h"
#include "host/home.h"
#include "host/message.h"
#include "host/pool.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/cpython/interp_list.h"
#include "proxy/errand.h"
#include "proxy/home_post.h"
#include "proxy/wait.h"
#include "sync/bell.h"

/* At exit: how long calls under way may go on, how long after SystemExit was raised in them, how long ending may take. */
#define EXIT_PATIENCE 5.0
#define EXIT_AFTER_INTERRUPT 5.0
#define EXIT_ENDING 10.0

#define MAX_INSIDE 32

typedef struct closer {
    uint32_t target;
    uint32_t inside[MAX_INSIDE];
    size_t inside_count;
    struct closer *next;
} closer;

static stoa_lock closers_lock = STOA_LOCK_INIT(STOA_RANK_PROCESS);
static closer *closers; /* guarded by closers_lock */

/* ---- rings ------------------------------------------------------------------------------------------------------- */

static bool
is_inside(const closer *c, uint32_t serial)
{
    for (size_t i = 0; i < c->inside_count; i++) {
        if (c->inside[i] == serial) {
            return true;
        }
    }
    return false;
}

/* Would `mine` wait for itself? `steps` bounds the search by the number of closers. closers_lock held. */
static bool
completes_ring(const closer *mine, uint32_t target, int steps)
{
    if (is_inside(mine, target)) {
        return true;
    }
    for (const closer *c = closers; c != NULL && steps > 0; c = c->next) {
        if (is_inside(c, target) && c->target != target && completes_ring(mine, c->target, steps - 1)) {
            return true;
        }
    }
    return false;
}

static stoa_err
enter_closer(closer *mine, stoa_interp_record *record)
{
    mine->target = record->serial;
    mine->inside_count = stoa__thread_inside(mine->inside, MAX_INSIDE - 1);
    if (stoa__home_serial() != 0 && !is_inside(mine, stoa__home_serial())) {
        mine->inside[mine->inside_count++] = stoa__home_serial();
    }
    stoa__lock(&closers_lock);
    bool ring = completes_ring(mine, mine->target, MAX_INSIDE);
    if (!ring) {
        mine->next = closers;
        closers = mine;
    }
    stoa__unlock(&closers_lock);
    if (ring && is_inside(mine, record->serial)) {
        return stoa__fail(STOA_EDEADLOCK,
                          "interpreter '%s' cannot be closed from inside: this thread is in a call into "
                          "it; close it after that call, or from another thread",
                          record->name);
    }
    if (ring) {
        return stoa__fail(STOA_EDEADLOCK,
                          "closing interpreter '%s' would wait for this thread itself: it is inside an "
                          "interpreter that is being closed from '%s'",
                          record->name, record->name);
    }
    return STOA_OK;
}

static void
leave_closer(closer *mine)
{
    stoa__lock(&closers_lock);
    closer **link = &closers;
    while (*link != mine) {
        link = &(*link)->next;
    }
    *link = mine->next;
    stoa__unlock(&closers_lock);
}

/* ---- making and closing ------------------------------------------------------------------------------------------ */

stoa_err
stoa__interp_make(const char *name, bool shared_gil, const stoa_parcel *path, stoa_interp_record **out)
{
    stoa__host_ready();
    PyThreadState *state = stoa__current_state();
    if (state != NULL) {
        PyEval_SaveThread();
    }
    stoa_err err = stoa__home_make(name, shared_gil, path, out);
    if (state != NULL) {
        PyEval_RestoreThread(state);
    }
    return err;
}

static bool
is_decided(void *arg)
{
    return ((const stoa_interp_record *)arg)->state != STOA_INTERP_CLOSING;
}

static bool
is_empty(void *arg)
{
    return stoa__interp_seal(arg);
}

/* Somebody else closes it: until it is GONE, or LIVE again. */
static stoa_err
wait_for_other(stoa_interp_record *record, stoa_deadline deadline)
{
    stoa_err err = stoa__wait_outside(is_decided, record, deadline, record, NULL);
    if (err == STOA_ETIMEDOUT) {
        return stoa__fail(err, "interpreter '%s' is still being closed by another thread", record->name);
    }
    return err == STOA_EINTERRUPTED ? stoa__fail(err, "waiting for interpreter '%s' to close", record->name)
                                    : err;
}

static stoa_err
wait_empty(stoa_interp_record *record, stoa_deadline deadline)
{
    stoa_err err = stoa__wait_outside(is_empty, record, deadline, record, NULL);
    if (err == STOA_ETIMEDOUT) {
        return stoa__fail(err, "interpreter '%s' still has %u call(s) under way", record->name,
                          stoa__interp_inside(record));
    }
    return err == STOA_EINTERRUPTED
               ? stoa__fail(err, "a signal came while waiting for interpreter '%s' to empty", record->name)
               : err;
}

/* CLOSING by us, no GIL. */
static stoa_err
close_started(stoa_interp_record *record, stoa_deadline deadline)
{
    stoa_err err = stoa__home_stop(record, deadline);
    if (err == STOA_OK) {
        err = wait_empty(record, deadline);
    }
    if (err == STOA_OK) {
        return stoa__home_end(record, deadline);
    }
    stoa__home_go_on(record);
    stoa__interp_reopen(record);
    stoa__home_remind(record); /* who reminded has stopped when the close began */
    return err;
}

static stoa_err
close_without_gil(stoa_interp_record *record, stoa_deadline deadline)
{
    for (;;) {
        if (record->state == STOA_INTERP_GONE) {
            return STOA_OK;
        }
        if (stoa__interp_start_close(record)) {
            stoa__bells_ring(record);
            return close_started(record, deadline);
        }
        stoa_err err = wait_for_other(record, deadline);
        if (err != STOA_OK) {
            return err;
        }
    }
}

static stoa_err
check_closable(stoa_interp_record *record)
{
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    bool ours = member == NULL || member->ours;
    bool is_main = member != NULL && member->interp == PyInterpreterState_Main();
    stoa__unlock(&record->lock);
    if (is_main) {
        return stoa__fail(STOA_ESTATE, "the main interpreter cannot be closed; it ends with the program");
    }
    if (!ours) {
        return stoa__fail(STOA_ESTATE, "interpreter '%s' was not made by Stoa; let whoever made it close it",
                          record->name);
    }
    return STOA_OK;
}

stoa_err
stoa__interp_close(stoa_interp_record *record, stoa_deadline deadline)
{
    if (record->state == STOA_INTERP_GONE) {
        return STOA_OK;
    }
    stoa_err err = check_closable(record);
    closer mine;
    if (err != STOA_OK || (err = enter_closer(&mine, record)) != STOA_OK) {
        return err;
    }
    PyThreadState *state = stoa__current_state();
    if (state != NULL) {
        PyEval_SaveThread();
    }
    err = close_without_gil(record, deadline);
    if (state != NULL) {
        PyEval_RestoreThread(state);
    }
    leave_closer(&mine);
    return err;
}

int
stoa__interp_interrupt(stoa_interp_record *record, PyObject *exception)
{
    stoa_errand errand;
    int raised = 0;
    if (stoa__interp_enter_occupied(record) == STOA_OK && stoa__errand_begin_held(record, &errand) == STOA_OK) {
        raised = stoa__thread_states_interrupt(record, exception) + stoa__home_interrupt(record, exception);
        stoa__errand_end(&errand);
        stoa__bells_ring(record); /* what is raised in a loop's thread that sleeps is heard when it is awake */
    }
    return raised;
}

/* ---- at exit ----------------------------------------------------------------------------------------------------- */

typedef struct record_list {
    stoa_interp_record **records;
    size_t count, room;
} record_list;

static void
collect(stoa_interp_record *record, void *arg)
{
    record_list *list = arg;
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    bool ours = member != NULL && member->ours && !member->left_open;
    stoa__unlock(&record->lock);
    if (!ours) {
        return;
    }
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 16 : list->room * 2;
        stoa_interp_record **records = realloc(list->records, room * sizeof(*records));
        if (records == NULL) {
            return;
        }
        list->records = records;
        list->room = room;
    }
    list->records[list->count++] = stoa__interp_ref(record);
}

static stoa_err
close_patiently(stoa_interp_record *record, double seconds)
{
    stoa_deadline deadline;
    stoa_err err;
    (void)stoa__deadline_in(seconds, &deadline);
    while ((err = close_without_gil(record, deadline)) == STOA_EINTERRUPTED) {
    }
    return err;
}

/* EXIT_PATIENCE, or what the environment says. */
static double
exit_patience(void)
{
    const char *text = getenv("STOA_EXIT_PATIENCE");
    char *end = NULL;
    double seconds = text == NULL ? EXIT_PATIENCE : strtod(text, &end);
    return text == NULL || (end != text && *end == '\0' && seconds >= 0) ? seconds : EXIT_PATIENCE;
}

/* Calls under way get some time, then SystemExit, then some more; what is left then is named and left alone. */
stoa_err
stoa__interp_close_all(void)
{
    stoa_err outcome = STOA_OK;
    record_list list = {NULL, 0, 0};
    stoa__pools_stop(true); /* they would make new ones */
    (void)stoa__interp_each(collect, &list);
    PyThreadState *state = PyEval_SaveThread();
    double patience = exit_patience();
    double after_interrupt = patience < EXIT_AFTER_INTERRUPT ? patience : EXIT_AFTER_INTERRUPT;
    for (size_t i = 0; i < list.count; i++) {
        stoa_interp_record *record = list.records[i];
        stoa_err err = close_patiently(record, patience);
        if (err == STOA_ETIMEDOUT && record->state != STOA_INTERP_GONE) { /* CLOSING: somebody waits in close() */
            patience = patience < 0.5 ? patience : 0.5; /* the others had their time while we waited */
            (void)stoa__interp_interrupt(record, PyExc_SystemExit);
            err = close_patiently(record, after_interrupt);
        }
        if (err == STOA_ETIMEDOUT && record->state == STOA_INTERP_CLOSING) {
            err = close_patiently(record, EXIT_ENDING);
        }
        if (err != STOA_OK) {
            outcome = err;
            stoa__say(STOA_PROBLEM, "interpreter '%s' is left open at the end: %s", record->name,
                      stoa_error_message());
        }
        stoa__interp_unref(record);
    }
    free(list.records);
    PyEval_RestoreThread(state);
    return outcome;
}

/* A thread sits in there, in C code that nobody can interrupt: CPython would abort over it. */
static void
hide_left_open(stoa_interp_record *record, void *arg)
{
    (void)arg;
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    PyInterpreterState *interp = member != NULL && member->ours && !member->left_open ? member->interp : NULL;
    if (interp != NULL) {
        member->left_open = true;
    }
    stoa__unlock(&record->lock);
    if (interp != NULL) {
        (void)stoa__interp_start_close(record); /* for good: nobody enters it any more, threads that end neither */
        stoa__interp_abandon(record);
        (void)stoa__interp_list_hide(interp);
    }
}

static void
main_leaving(void)
{
    if (stoa__interp_close_all() != STOA_OK) {
        (void)stoa__interp_each(hide_left_open, NULL);
    }
}

static void
member_leaving(stoa_interp_record *record, stoa_deadline deadline)
{
    PyThreadState *state = PyEval_SaveThread();
    stoa_err err;
    while ((err = stoa__home_stop(record, deadline)) == STOA_EINTERRUPTED) {
    }
    if (err == STOA_OK) {
        while (stoa__home_end(record, deadline) == STOA_EINTERRUPTED) {
        }
    }
    PyEval_RestoreThread(state);
}

/* Those who were closing are threads of the parent. */
static void
forget_closers(void)
{
    stoa__lock_reset(&closers_lock);
    closers = NULL;
    stoa__pools_fork_child();
}

static void
hook_once(void)
{
    stoa__member_leaving = member_leaving;
    stoa__main_leaving = main_leaving;
    (void)pthread_atfork(
        NULL, NULL, forget_closers); /* fails for want of memory only; then fork while closing is unsafe */
}

void
stoa__host_ready(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, hook_once);
}
