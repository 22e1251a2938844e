#include "host/inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "heap/error.h"
#include "host/data.h"
#include "immortal/cpython/gilstate.h"
#include "proxy/call.h"
#include "proxy/proxy.h"

/* ---- done by others -------------------------------------------------------------------------------------------- */

#define MESSAGE_SIZE 600

/* A copy of the caller's, which lives as long as somebody works on it. */
typedef struct limited {
    stoa_work work; /* first */
    stoa_inside inside;
    stoa_err err;
    char message[MESSAGE_SIZE]; /* of the thread that did it */
    stoa_noted noted;           /* the same */
} limited;

static void
free_limited(stoa_work *work)
{
    limited *l = (limited *)work;
    for (size_t i = 0; l->inside.args != NULL && i < l->inside.count; i++) {
        stoa_data_clear((stoa_data *)&l->inside.args[i]);
    }
    stoa_data_clear(&l->inside.result);
    stoa_exception_free(l->inside.exception);
    stoa__handle_unref(l->inside.target);
    free((void *)l->inside.args);
    free((void *)l->inside.name);
    free((void *)l->inside.label);
    free(l);
}

static void
work_inside(stoa_work *work)
{
    limited *l = (limited *)work;
    stoa__side_apply_releases(l->inside.record);
    stoa__exception_forget();
    l->err = l->inside.run(&l->inside);
    if (l->err != STOA_OK) {
        (void)snprintf(l->message, sizeof(l->message), "%s", stoa_error_message());
        stoa__exception_get_noted(&l->noted);
    }
}

/* Takes copies; what has been copied is freed by free_limited. */
static stoa_err
copy_inside(stoa_inside *to, const stoa_inside *from)
{
    stoa_err err = STOA_OK;
    *to = *from;
    to->args = NULL;
    to->name = from->name == NULL ? NULL : strdup(from->name);
    to->label = from->label == NULL ? NULL : strdup(from->label);
    stoa_data *args = from->count == 0 ? NULL : calloc(from->count, sizeof(*args));
    to->args = args;
    if ((from->name != NULL && to->name == NULL) || (from->label != NULL && to->label == NULL) ||
        (from->count > 0 && args == NULL)) {
        err = stoa__fail(STOA_ENOMEM, "no memory for a call with a time limit");
    }
    for (size_t i = 0; err == STOA_OK && i < from->count; i++) {
        err = stoa__data_copy(&from->args[i], &args[i]);
    }
    if (from->target != 0) {
        stoa_err held = stoa__handle_ref(from->target);
        to->target = held == STOA_OK ? from->target : 0;
        err = err == STOA_OK ? held : err;
    }
    return err;
}

/* "STOA_E…: text" of another thread becomes this one's. */
static stoa_err
fail_again(const limited *l)
{
    const char *text = strchr(l->message, ':');
    if (l->err == STOA_EPYTHON) {
        stoa__exception_set_noted(&l->noted);
    }
    return stoa__fail(l->err, "%s", text == NULL ? l->message : text + 1 + (text[1] == ' '));
}

/* By the home thread, or with a time limit. */
static stoa_err
call_owner(limited *l, double timeout, stoa_deadline deadline)
{
    stoa_waiter *home = l->inside.home;
    stoa_route *route = home == NULL ? NULL : stoa__route_new(STOA_VIA_AUTO, home, -1);
    if (home != NULL && route == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a call");
    }
    stoa_err err = stoa__call_owner(route, deadline, &l->work);
    stoa__route_unref(route);
    if (err == STOA_ETIMEDOUT) {
        (void)stoa__fail(err,
                         "a call into interpreter '%s' took longer than %g s; what runs there is interrupted",
                         l->inside.record->name, timeout);
    }
    return err;
}

static stoa_err
inside_by_others(stoa_inside *work, double timeout)
{
    stoa_deadline deadline = STOA_FOREVER;
    limited *l = calloc(1, sizeof(*l));
    if (l == NULL || (!(timeout < 0) && !stoa__deadline_in(timeout, &deadline))) {
        free(l);
        return l == NULL ? stoa__fail(STOA_ENOMEM, "no memory for a call")
                         : stoa__fail(STOA_EINVAL, "timeout is no number");
    }
    stoa_err err = stoa__work_init(&l->work, work->record, work_inside, free_limited);
    if (err != STOA_OK) {
        free(l);
        return err;
    }
    err = copy_inside(&l->inside, work);
    if (err == STOA_OK && (err = call_owner(l, timeout, deadline)) == STOA_OK) {
        err = l->err;
        work->result = l->inside.result;
        work->exception = l->inside.exception;
        work->ended = l->inside.ended;
        l->inside.result = stoa_data_none();
        l->inside.exception = NULL;
        if (err != STOA_OK) {
            (void)fail_again(l);
        }
    }
    else if (err == STOA_EPYTHON) { /* this thread was interrupted while it waited */
        err = stoa__exception_take(work->wants_exception ? &work->exception : NULL);
    }
    stoa__work_unref(&l->work);
    return err;
}

/* ---- inside ------------------------------------------------------------------------------------------------------ */

stoa_err
stoa__inside_outcome(stoa_inside *work, stoa_err err, PyObject *object)
{
    if (err == STOA_EPYTHON) {
        return stoa__exception_take(work->wants_exception ? &work->exception : NULL);
    }
    if (err == STOA_OK && work->wants_result) {
        stoa_waiter *before = stoa__exports_at(work->home); /* a cursor belongs where its connection does */
        err = stoa__data_from_python(object, work->flags, "the result", &work->result);
        (void)stoa__exports_at(before);
    }
    return err;
}

/* ---- either way -------------------------------------------------------------------------------------------------- */

stoa_err
stoa__inside(stoa_inside *work, double timeout)
{
    work->result = stoa_data_none();
    work->exception = NULL;
    if (!(timeout < 0) || (work->home != NULL && work->home != stoa__waiter_here())) { /* NaN, too */
        return inside_by_others(work, timeout);
    }
    stoa_visit visit;
    stoa_err err = stoa__visit(work->record, &visit);
    if (err == STOA_OK) {
        stoa__side_apply_releases(work->record);
        err = work->run(work);
        stoa__visit_end(&visit);
    }
    return err;
}

stoa_err
stoa__inside_and_give(stoa_inside *work, double timeout, stoa_data *out_result, stoa_exception **out_exception)
{
    work->wants_result = out_result != NULL;
    work->wants_exception = out_exception != NULL;
    stoa_err err = stoa__inside(work, timeout);
    if (err == STOA_OK && out_result != NULL) {
        *out_result = work->result;
    }
    if (err == STOA_EPYTHON && out_exception != NULL) {
        *out_exception = work->exception;
    }
    return err;
}

bool
stoa__inside_any(const char *function)
{
    if (stoa__current_state() != NULL) {
        return true;
    }
    (void)stoa__fail(STOA_ESTATE, "%s: this thread is in no interpreter; call stoa_interp_enter first",
                     function);
    return false;
}
