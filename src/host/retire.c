#include "host/retire.h"

#include <Python.h>

#include <stdio.h>
#include <string.h>

#include "heap/error.h"
#include "heap/memory.h"
#include "heap/names.h"
#include "heap/retire.h"
#include "heap/search.h"
#include "heap/wipe.h"
#include "immortal/cpython/arenas.h"
#include "immortal/cpython/frames.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/holders.h"
#include "immortal/unused.h"
#include "proxy/errand.h"

#define MOST_NAMES 4
#define TRANSIENT_TRIES 40 /* for what an aborted freeze still holds */
#define TRANSIENT_PAUSE INT64_C(2000000)
#define UNEXPLAINED_TRIES 6
#define FIRST_PAUSE INT64_C(5000000)
#define MOST_PAUSE INT64_C(200000000)

/* One interpreter that received something of the region. */
typedef struct receiver {
    stoa_interp_record *record; /* a reference */
    stoa_pieces unused;         /* memory of its threads that holds no references */
} receiver;

typedef struct retirement {
    stoa_region *region;
    uint32_t id;
    const char *name;
    const void *stack, *top;
    receiver *receivers;
    size_t count, room;
    bool short_of_memory;
    const void *place, *target; /* the first address found */
    bool explained;             /* an interpreter's own structures hold it, or a name, or … */
    char text[1400];            /* who holds what */
} retirement;

/* ---- holders as a whole ------------------------------------------------------------------------------------------ */

typedef struct name_search {
    retirement *r;
    size_t count;
} name_search;

static bool
look_at_name(const char *name, size_t size, const stoa_value *value, void *arg)
{
    name_search *search = arg;
    stoa_shown_name shown;
    if (value->kind != STOA_VALUE_OBJECT || stoa__region_of(value->object) != search->r->id) {
        return true;
    }
    if (search->count++ < MOST_NAMES) {
        size_t length = strlen(search->r->text);
        snprintf(search->r->text + length, sizeof search->r->text - length, "%sthe name '%s'",
                 length == 0 ? "" : "; ", stoa__name_show(name, size, &shown));
    }
    return true;
}

/* Names, items of queues, open freezes: they hold the region itself. false: there are some, and they are told. */
static bool
is_unheld(retirement *r)
{
    uint32_t others = stoa__retire_others(r->region);
    for (int i = 0; i < TRANSIENT_TRIES && others != 0; i++) {
        name_search search = {r, 0};
        r->text[0] = '\0';
        (void)stoa__name_each(look_at_name, &search);
        if (search.count > MOST_NAMES) {
            size_t length = strlen(r->text);
            snprintf(r->text + length, sizeof r->text - length, "; %zu further names",
                     search.count - MOST_NAMES);
        }
        if (others > search.count) {
            size_t length = strlen(r->text);
            snprintf(r->text + length, sizeof r->text - length,
                     "%s%u holders of the region as a whole: items of queues, freezes or builders at work, a "
                     "C host's "
                     "handles",
                     length == 0 ? "" : "; ", (unsigned)(others - search.count));
        }
        if (search.count != 0) {
            break;
        }
        /* what an aborted freeze left is waiting for readers to leave */
        (void)stoa__sleep_until(stoa__now() + TRANSIENT_PAUSE);
        others = stoa__retire_others(r->region);
    }
    if (others == 0) {
        r->text[0] = '\0';
    }
    return others == 0;
}

/* ---- receivers --------------------------------------------------------------------------------------------------- */

static void
add_receiver(stoa_interp_record *record, void *arg)
{
    retirement *r = arg;
    if (!stoa__region_is_delivered(r->region, record->serial)) {
        return;
    }
    if (r->count == r->room) {
        size_t room = r->room == 0 ? 16 : 2 * r->room;
        receiver *more = stoa__alloc(room * sizeof *more);
        if (more == NULL) {
            r->short_of_memory = true;
            return;
        }
        if (r->count != 0) {
            memcpy(more, r->receivers, r->count * sizeof *more);
        }
        stoa__free(r->receivers);
        r->receivers = more;
        r->room = room;
    }
    r->receivers[r->count++] = (receiver){.record = stoa__interp_ref(record)};
}

static void
forget_receivers(retirement *r)
{
    for (size_t i = 0; i < r->count; i++) {
        stoa__pieces_free(&r->receivers[i].unused);
        stoa__interp_unref(r->receivers[i].record);
    }
    stoa__free(r->receivers);
    r->receivers = NULL;
    r->count = r->room = 0;
}

static void
add_piece(uintptr_t start, uintptr_t end, void *arg)
{
    stoa__pieces_add(arg, start, end);
}

/* Inside a receiver. */
static void
note_unused(const retirement *r, receiver *here)
{
    here->unused.count = 0;
    stoa__frames_unused(PyInterpreterState_Get(), r->top, add_piece, &here->unused);
}

/* In each of them: what nobody will miss goes. Those that are being closed are left out: they take their memory with them. */
static void
tidy_receivers(retirement *r)
{
    for (size_t i = 0; i < r->count; i++) {
        stoa_errand errand;
        if (stoa__errand_begin(r->receivers[i].record, &errand) == STOA_OK) {
            stoa__give_up_unused();
            note_unused(r, &r->receivers[i]);
            stoa__errand_end(&errand);
        }
    }
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static bool
note_found(const void *place, const void *target, void *arg)
{
    retirement *r = arg;
    r->place = place;
    r->target = target;
    return false;
}

/* Asks all receivers who of them holds something; r->place is known. */
static void
tell_holders(retirement *r)
{
    size_t told = 0;
    r->text[0] = '\0';
    for (size_t i = 0; i < r->count; i++) {
        stoa_errand errand;
        char who[1000] = "";
        if (stoa__errand_begin(r->receivers[i].record, &errand) != STOA_OK) {
            continue;
        }
        if (stoa__holders_tell(r->id, who, sizeof who) != 0) {
            size_t length = strlen(r->text);
            snprintf(r->text + length, sizeof r->text - length, "%sin interpreter '%s': %s",
                     told == 0 ? "" : "; ", r->receivers[i].record->name, who);
            told++;
        }
        stoa__errand_end(&errand);
    }
    r->explained = told != 0;
    if (told == 0) {
        char held[160];
        stoa__holders_name(r->target, held, sizeof held);
        snprintf(
            r->text,
            sizeof r->text, "the memory at %p points at %s (a C extension's, or a class's: names of attributes are kept there)",
            r->place, held);
    }
}

/* Looks through memory, under the GIL (if `inside` one) of receiver `here` (NULL: of none). *out_found: somebody holds
 * something. */
static stoa_err
look(retirement *r, bool inside, receiver *here, bool *out_found)
{
    stoa_pieces skip = {NULL, 0, 0, false};
    if (here != NULL) {
        stoa__wipe_free_blocks();
        note_unused(r, here);
    }
    if (inside) {
        stoa__arenas_left_over(add_piece, &skip);
    }
    for (size_t i = 0; i < r->count; i++) {
        const stoa_pieces *unused = &r->receivers[i].unused;
        for (size_t k = 0; k < unused->count; k++) {
            stoa__pieces_add(&skip, unused->at[k].start, unused->at[k].end);
        }
    }
    r->place = NULL;
    stoa_err err = stoa__search(r->region, &skip, r->stack, note_found, r);
    stoa__pieces_free(&skip);
    *out_found = r->place != NULL;
    return err;
}

/* No receiver is left: the main interpreter, if there is one, knows which memory others have left behind. */
static stoa_err
look_from_main(retirement *r, bool *out_found)
{
    stoa_errand errand;
    stoa_interp_record *record = stoa__main_record();
    bool inside = record != NULL && stoa__errand_begin(record, &errand) == STOA_OK;
    stoa_err err = look(r, inside, NULL, out_found);
    if (inside) {
        stoa__errand_end(&errand);
    }
    if (record != NULL) {
        stoa__interp_unref(record);
    }
    return err;
}

static stoa_err
look_everywhere(retirement *r, bool *out_found)
{
    stoa_err err = STOA_OK;
    bool looked = false;
    *out_found = false;
    for (size_t i = 0; i < r->count && err == STOA_OK && !*out_found; i++) {
        stoa_errand errand;
        if (stoa__errand_begin(r->receivers[i].record, &errand) == STOA_OK) {
            err = look(r, true, &r->receivers[i], out_found);
            stoa__errand_end(&errand);
            looked = true;
        }
    }
    if (!looked && err == STOA_OK) {
        err = look_from_main(r, out_found);
    }
    if (err == STOA_OK && *out_found) {
        tell_holders(r);
    }
    r->place = r->target = NULL; /* others who look meanwhile would take this for a holder */
    stoa__wipe_stack();
    return err;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* STOA_OK: the region is no more. STOA_ESTATE: held, r->text says by whom. Before and after it the region may be no more, for
 * somebody else has retired it; only its number is known. */
static stoa_err
try_once(retirement *r)
{
    uint64_t mark;
    stoa_err err = stoa__retire_begin(r->id, r->name, &mark);
    if (err != STOA_OK) {
        return err;
    }
    bool found = true;
    r->explained = true;
    if (is_unheld(r)) {
        err = stoa__interp_each(add_receiver, r);
        if (err == STOA_OK && r->short_of_memory) {
            err = stoa__fail(STOA_ENOMEM, "no memory to look for who holds something of a region");
        }
        if (err == STOA_OK) {
            tidy_receivers(r);
            err = look_everywhere(r, &found);
        }
        forget_receivers(r);
        if (err == STOA_OK && !found) {
            if (stoa__retire_finish(r->region, mark)) {
                return STOA_OK;
            }
            snprintf(r->text, sizeof r->text,
                     "something was frozen into it, or handed to an interpreter, just now");
        }
    }
    stoa__retire_cancel(r->region);
    return err != STOA_OK ? err : STOA_ESTATE;
}

stoa_err
stoa__retire(stoa_region *region, stoa_deadline deadline, const void *stack, const void *top)
{
    stoa_region_stats stats;
    stoa__region_get_stats(region, &stats);
    retirement r = {
        .region = region, .id = stoa__region_id(region), .name = stats.name, .stack = stack, .top = top};
    int64_t pause = FIRST_PAUSE;
    int tries = 0;
    for (;;) {
        stoa_err err = try_once(&r);
        if (err != STOA_ESTATE) {
            return err;
        }
        int64_t now = stoa__now();
        if (!r.explained && tries++ < UNEXPLAINED_TRIES && deadline < now + pause) {
            deadline = now + pause; /* it may be the stack of a thread that is just ending */
        }
        if (now >= deadline) {
            break;
        }
        stoa_deadline until = deadline - now < pause ? deadline : now + pause;
        PyThreadState *state = stoa__current_state() != NULL ? PyEval_SaveThread() : NULL;
        stoa_wait_result result = stoa__sleep_until(until);
        if (state != NULL) {
            PyEval_RestoreThread(state);
        }
        if (state != NULL ? PyErr_CheckSignals() < 0
                          : result == STOA_SIGNALLED) { /* it may have come before the wait */
            return stoa__fail(STOA_EINTERRUPTED, "retiring region '%s' was interrupted", stats.name);
        }
        pause = 2 * pause < MOST_PAUSE ? 2 * pause : MOST_PAUSE;
    }
    return stoa__fail(STOA_ESTATE, "region '%s' cannot be retired: it is still in use: %s", stats.name, r.text);
}

stoa_err
stoa_region_retire(stoa_region *region, double timeout)
{
    stoa_deadline deadline = STOA_FOREVER;
    if (region == NULL) {
        return stoa__fail(STOA_EINVAL,
                          "the default region lives as long as the process: it cannot be retired");
    }
    if (!(timeout < 0) && !stoa__deadline_in(timeout, &deadline)) {
        return stoa__fail(STOA_EINVAL, "stoa_region_retire: the timeout is not a number");
    }
    return stoa__retire(region, deadline, __builtin_frame_address(0), NULL);
}
