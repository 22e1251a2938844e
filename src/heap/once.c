#include "heap/once.h"

#include "heap/error.h"
#include "heap/memory.h"
#include "heap/names.h"
#include "heap/process_struct.h"

#include <string.h>
#include <unistd.h>

static stoa_once_state *
table(void)
{
    return &stoa__process->names.once;
}

typedef struct stoa_name_making {
    struct stoa_name_making *next;
    uint64_t maker;
    uint32_t thread; /* id of the thread that makes */
    uint32_t size;
    char where[sizeof((stoa_interp_record *)NULL)->name]; /* interpreter that makes, for the messages */
    char text[];
} stoa_name_making;

typedef struct stoa_name_waiting {
    struct stoa_name_waiting *next;
    uint32_t thread;
    const stoa_name_making *on; /* NULL when that making is over */
} stoa_name_waiting;

/* All of these: under lock. */
static stoa_name_making *
find_making(const stoa_name_key *key)
{
    stoa_name_making *making = table()->makings;
    while (making != NULL && (making->size != key->size || memcmp(making->text, key->text, key->size) != 0)) {
        making = making->next;
    }
    return making;
}

static stoa_name_making *
add_making(const stoa_name_key *key, const stoa_interp_record *receiver, uint64_t maker, uint32_t thread)
{
    stoa_name_making *making = stoa__alloc(sizeof *making + key->size);
    if (making != NULL) {
        making->maker = maker;
        making->thread = thread;
        making->size = (uint32_t)key->size;
        memcpy(making->where, receiver == NULL ? "" : receiver->name,
               receiver == NULL ? 1 : sizeof making->where);
        memcpy(making->text, key->text, key->size);
        making->next = table()->makings;
        table()->makings = making;
    }
    return making;
}

static void
drop_making(stoa_name_making **link)
{
    stoa_name_making *making = *link;
    for (stoa_name_waiting *w = table()->waitings; w != NULL; w = w->next) {
        if (w->on == making) {
            w->on = NULL;
        }
    }
    *link = making->next;
    stoa__free(making);
}

/* Would `thread`, waiting for `making`, wait for itself? Each thread waits for at most one making, so following from
 * maker to what it waits for is a walk along one line; nobody was let into a circle, so it ends. */
static bool
would_deadlock(const stoa_name_making *making, uint32_t thread)
{
    while (making != NULL) {
        if (making->thread == thread) {
            return true;
        }
        const stoa_name_waiting *w = table()->waitings;
        while (w != NULL && w->thread != making->thread) {
            w = w->next;
        }
        making = w == NULL ? NULL : w->on;
    }
    return false;
}

static void
drop_waiting(const stoa_name_waiting *waiting)
{
    stoa_name_waiting **link = &table()->waitings;
    while (*link != waiting) {
        link = &(*link)->next;
    }
    *link = waiting->next;
}

/* One look at a name: a value, our turn to make, or (STOA_OK, *what unset) `waiting` is listed and we must sleep. */
static stoa_err
look_or_make(stoa_name_shard *shard, const stoa_name_key *key, const stoa_interp_record *receiver,
             uint64_t maker, stoa_name_waiting *waiting, stoa_once *what, stoa_value *out, bool *settled)
{
    stoa_shown_name shown;
    stoa_err err;
    *settled = true;
    if (stoa__name_find(shard, key, receiver, out, &err)) {
        *what = STOA_ONCE_HAVE;
        return err;
    }
    stoa_name_making *making = find_making(key);
    if (making == NULL) {
        *what = STOA_ONCE_MAKE;
        if (add_making(key, receiver, maker, waiting->thread) == NULL) {
            return stoa__fail(STOA_ENOMEM, "no memory to make the name '%s'",
                              stoa__name_show(key->text, key->size, &shown));
        }
        return STOA_OK;
    }
    if (would_deadlock(making, waiting->thread)) {
        return stoa__fail(STOA_EDEADLOCK,
                          "waiting for the name '%s' would never end: its factory, in interpreter '%s', "
                          "waits for this thread; "
                          "a factory must not ask for what waits for its own name",
                          stoa__name_show(key->text, key->size, &shown), making->where);
    }
    waiting->on = making;
    waiting->next = table()->waitings;
    table()->waitings = waiting;
    *settled = false;
    return STOA_OK;
}

stoa_err
stoa__name_once(const char *name, size_t size, const stoa_interp_record *receiver, uint64_t maker,
                stoa_deadline deadline, stoa_once *what, stoa_value *out)
{
    stoa_err err = stoa__name_check(name, size);
    if (err != STOA_OK) {
        return err;
    }
    stoa_name_key key = stoa__name_key(name, size);
    stoa_name_shard *shard = stoa__name_shard_of(&key);
    STOA_COUNT(&stoa__process->counters, lookups);
    if (stoa__name_find(shard, &key, receiver, out, &err)) {
        *what = STOA_ONCE_HAVE;
        return err;
    }
    stoa_name_waiting waiting = {.thread = (uint32_t)gettid()};
    stoa_err slept = STOA_OK;
    for (;;) {
        bool settled;
        uint32_t event = stoa__name_start_wait(shard);
        stoa__lock(&table()->lock);
        err = look_or_make(shard, &key, receiver, maker, &waiting, what, out, &settled);
        stoa__unlock(&table()->lock);
        if (!settled) {
            if (slept == STOA_OK) {
                slept = stoa__name_sleep(shard, event, &key, receiver, deadline);
            }
            else { /* the time ran out, and a last look has found it still being made */
                stoa_shown_name shown;
                err = stoa__fail(slept, "the name '%s' was not made in time",
                                 stoa__name_show(name, size, &shown));
                settled = true;
            }
            stoa__lock(&table()->lock);
            drop_waiting(&waiting);
            stoa__unlock(&table()->lock);
            if (slept != STOA_OK && slept != STOA_ETIMEDOUT) {
                err = slept;
                settled = true;
            }
        }
        stoa__name_end_wait(shard);
        if (settled) {
            return err;
        }
    }
}

stoa_err
stoa__name_once_done(const char *name, size_t size, uint64_t maker, const stoa_value *value)
{
    stoa_name_key key = stoa__name_key(name, size);
    stoa_name_shard *shard = stoa__name_shard_of(&key);
    stoa_held_value held;
    memset(&held, 0, sizeof held);
    stoa_err err = value == NULL ? STOA_OK : stoa__name_hold(value, &held);
    bool have = value != NULL && err == STOA_OK;
    if (value != NULL && !have) {
        memset(&held, 0, sizeof held);
    }
    stoa__lock(&table()->lock);
    stoa_name_making **link = &table()->makings;
    while (*link != NULL &&
           ((*link)->maker != maker || (*link)->size != size || memcmp((*link)->text, name, size) != 0)) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        stoa_shown_name shown;
        err = stoa__fail(STOA_ESTATE, "the name '%s' is not being made by this maker: it was given up",
                         stoa__name_show(name, size, &shown));
    }
    else {
        drop_making(link);
        if (have) {
            err = stoa__name_enter(shard, &key, &held, false);
        }
    }
    stoa__unlock(&table()->lock);
    stoa__name_wake(shard);
    stoa__name_let_go(&held);
    return err;
}

void
stoa__name_once_abandon(uint32_t serial)
{
    bool any = false;
    stoa__lock(&table()->lock);
    for (stoa_name_making **link = &table()->makings; *link != NULL;) {
        if (*link != NULL && (*link)->maker >> 32 == serial) {
            drop_making(link);
            any = true;
        }
        else {
            link = &(*link)->next;
        }
    }
    stoa__unlock(&table()->lock);
    if (any) {
        stoa__names_wake_all();
    }
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

void
stoa__once_init(stoa_once_state *once)
{
    memset(once, 0, sizeof *once);
    stoa__lock_init(&once->lock, STOA_RANK_ONCE);
}

void
stoa__once_fork_prepare(stoa_once_state *once)
{
    stoa__lock(&once->lock);
    once->forking_thread = (uint32_t)gettid();
}

void
stoa__once_fork_parent(stoa_once_state *once)
{
    stoa__unlock(&once->lock);
}

void
stoa__once_fork_child(stoa_once_state *once)
{
    stoa__lock_reset(&once->lock);
    once->waitings = NULL; /* they lay on the stacks of others */
    for (stoa_name_making **link = &once->makings; *link != NULL;) {
        if ((*link)->thread == once->forking_thread) {
            (*link)->thread = (uint32_t)gettid();
            link = &(*link)->next;
        }
        else {
            drop_making(link);
        }
    }
}
