#include "proxy/home_post.h"

#include <stdlib.h>

#include "proxy/errand.h"
#include "proxy/service.h"

/* Between two looks. */
#define FIRST_NS INT64_C(1000000)
#define LAST_NS INT64_C(100000000)

/* Saturates: a forked child begins with 0, and may still have a call of the parent's on its stack. */
static void
count_down(_Atomic uint32_t *count)
{
    uint32_t before = *count;
    while (before > 0 && !atomic_compare_exchange_weak(count, &before, before - 1)) {
    }
}

stoa_err
stoa__home_post(stoa_waiter *home, stoa_work *work)
{
    bool summon;
    atomic_fetch_add(&work->owner->at_home, 1);
    atomic_store(&work->at_home, true);
    stoa_err err = stoa__mailbox_post(&home->home, &work->call, &summon);
    if (err != STOA_OK) {
        stoa__home_post_over(work);
        return err;
    }
    stoa__waiter_call_home(home);
    stoa__summon_once(work->owner);
    return STOA_OK;
}

void
stoa__home_post_over(stoa_work *work)
{
    if (atomic_exchange(&work->at_home, false)) {
        count_down(&work->owner->at_home);
    }
}

/* ---- reminding --------------------------------------------------------------------------------------------------- */

typedef struct reminder {
    stoa_posted call;           /* first */
    stoa_interp_record *record; /* a reference */
} reminder;

/* false: the interpreter is being closed. */
static bool
leave_word(stoa_interp_record *record)
{
    stoa_entry entry;
    if (stoa__enter(record, &entry) != STOA_OK) {
        return false;
    }
    stoa__summon_once(record);
    stoa__leave(&entry);
    return true;
}

static void
remind_until_begun(stoa_interp_record *record)
{
    int64_t pause = FIRST_NS;
    bool lives = true;
    while (lives && atomic_load(&record->at_home) > 0) {
        if (stoa__is_summoned(record)) {
            pause = pause < LAST_NS / 2 ? pause * 2 : LAST_NS;
            (void)stoa__sleep_until(stoa__now() + pause);
        }
        else {
            pause = FIRST_NS;
            lives = leave_word(record);
        }
    }
}

static void
remind(stoa_posted *call)
{
    stoa_interp_record *record = ((reminder *)call)->record;
    stoa_waiter *self = stoa__waiter_here();
    (void)stoa__errand_is(self, record);
    do {
        remind_until_begun(record);
        record->reminded = 0; /* before the last look: who posts later finds nobody */
    } while (record->state == STOA_INTERP_LIVE && record->at_home > 0 &&
             atomic_exchange(&record->reminded, 1) == 0);
    (void)stoa__errand_is(self, NULL);
}

static void
free_reminder(stoa_posted *call)
{
    stoa__interp_unref(((reminder *)call)->record);
    free(call);
}

void
stoa__home_remind(stoa_interp_record *record)
{
    if (record->at_home == 0 || atomic_exchange(&record->reminded, 1) != 0) {
        return;
    }
    reminder *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        record->reminded = 0; /* who waits asks again */
        return;
    }
    stoa__call_init(&r->call, NULL, remind, free_reminder);
    r->record = stoa__interp_ref(record);
    if (stoa__serve(&r->call) != STOA_OK) {
        record->reminded = 0;
    }
    stoa__call_unref(&r->call);
}
