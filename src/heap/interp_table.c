#include "heap/interp_table.h"

#include "heap/error.h"
#include "heap/handle.h" /* the handles of an interpreter that is gone */
#include "heap/memory.h"
#include "heap/names.h" /* waiters and makers of an interpreter that closes */
#include "heap/process_struct.h"
#include "heap/region.h" /* what one that has ended leaves */
#include "heap/waiter.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NOT_LIVE STOA_INTERP_NOT_LIVE
#define SEALED STOA_INTERP_SEALED
#define ABANDONED STOA_INTERP_ABANDONED

static stoa_interps *
table(void)
{
    return &stoa__process->interps;
}

void
stoa__interps_init(stoa_interps *interps)
{
    memset(interps, 0, sizeof *interps);
    stoa__lock_init(&interps->lock, STOA_RANK_INTERPS);
}

/* ---- making ------------------------------------------------------------------------------------------------------- */

/* Room for one more in the list. Under the table's lock. */
static bool
grow(stoa_interps *t)
{
    if (t->count < t->capacity) {
        return true;
    }
    size_t capacity = t->capacity == 0 ? 16 : 2 * t->capacity;
    stoa_interp_record **records = stoa__alloc(capacity * sizeof *records);
    if (records == NULL) {
        return false;
    }
    if (t->count != 0) {
        memcpy(records, t->records, t->count * sizeof *records);
    }
    stoa__free(t->records);
    t->records = records;
    t->capacity = capacity;
    return true;
}

/* Under the table's lock. A used record keeps its lock word (free) and is filled in anew. */
static stoa_interp_record *
take_record(stoa_interps *t)
{
    stoa_interp_record *record = t->free_records;
    if (record != NULL) {
        t->free_records = record->next_free;
        return record;
    }
    record = stoa__alloc(sizeof *record);
    if (record != NULL) {
        stoa__lock_init(&record->lock, STOA_RANK_INTERP);
        stoa__mailbox_init(&record->mailbox);
        record->next = t->all_records;
        t->all_records = record;
    }
    return record;
}

/* Copies a name so that it fits, without half a UTF-8 sequence at its end. */
static void
set_name(stoa_interp_record *record, const char *name)
{
    if (name == NULL) {
        snprintf(record->name, sizeof record->name, "interpreter %lld", (long long)record->python_id);
        return;
    }
    size_t size = strnlen(name, sizeof record->name);
    if (size == sizeof record->name) {
        size--;
        while (size > 0 && ((unsigned char)name[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    memset(record->name, 0, sizeof record->name);
    memcpy(record->name, name, size);
}

static stoa_interp_record *
find_python_locked(const stoa_interps *t, int64_t python_id, uint32_t domain)
{
    for (size_t i = t->count; i-- > 0;) { /* the newest are asked for most */
        if (t->records[i]->python_id == python_id && t->records[i]->domain == domain) {
            return t->records[i];
        }
    }
    return NULL;
}

static stoa_err
register_locked(stoa_interps *t, int64_t python_id, uint32_t domain, const char *name, void *cookie,
                stoa_interp_record **out)
{
    const stoa_interp_record *other = find_python_locked(t, python_id, domain);
    if (other != NULL) {
        return stoa__fail(STOA_EEXIST,
                          "interpreter %lld of domain %u is registered already, as '%s' (serial %u)",
                          (long long)python_id, domain, other->name, other->serial);
    }
    if (t->last_serial == UINT32_MAX) {
        return stoa__fail(STOA_ENOMEM, "this process has had %u interpreters; start a new one", UINT32_MAX);
    }
    stoa_interp_record *record = grow(t) ? take_record(t) : NULL;
    if (record == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for the record of interpreter %lld", (long long)python_id);
    }
    record->serial = ++t->last_serial;
    record->domain = domain;
    record->python_id = python_id;
    set_name(record, name);
    atomic_store(&record->released_rest, 0);
    atomic_store(&record->errand, 0);
    atomic_store(&record->at_home, 0);
    atomic_store(&record->reminded, 0);
    record->cookie = cookie;
    record->bells = NULL;
    record->next_free = NULL;
    stoa__mailbox_reopen(&record->mailbox);
    atomic_store(&record->refs, 2);
    atomic_store(&record->state, STOA_INTERP_LIVE);
    record->left_behind = false;
    atomic_store(&record->released, 0);
    atomic_store(&record->inside, 0);
    t->records[t->count++] = record;
    *out = record;
    return STOA_OK;
}

stoa_err
stoa__interp_register(int64_t python_id, uint32_t domain, const char *name, void *cookie,
                      stoa_interp_record **out)
{
    stoa_interps *t = table();
    stoa__lock(&t->lock);
    stoa_err err = register_locked(t, python_id, domain, name, cookie, out);
    stoa__unlock(&t->lock);
    if (err == STOA_OK) {
        STOA_COUNT(&stoa__process->counters, interpreters_made);
    }
    return err;
}

/* ---- holding and finding ------------------------------------------------------------------------------------------ */

stoa_interp_record *
stoa__interp_ref(stoa_interp_record *record)
{
    /* relaxed: whoever refs holds one already, or the table's lock */
    atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
    return record;
}

void
stoa__interp_unref(stoa_interp_record *record)
{
    if (record == NULL || atomic_fetch_sub(&record->refs, 1) != 1) {
        return;
    }
    stoa_interps *t = table();
    stoa__lock(&t->lock);
    record->next_free = t->free_records;
    t->free_records = record;
    stoa__unlock(&t->lock);
}

/* Index of the first record with at least this serial. Under the table's lock. */
static size_t
position(const stoa_interps *t, uint32_t serial)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->records[middle]->serial < serial) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low;
}

stoa_interp_record *
stoa__interp_find(uint32_t serial)
{
    stoa_interps *t = table();
    stoa__lock(&t->lock);
    size_t i = position(t, serial);
    stoa_interp_record *found = NULL;
    if (i < t->count && t->records[i]->serial == serial) {
        found = stoa__interp_ref(t->records[i]);
    }
    stoa__unlock(&t->lock);
    return found;
}

stoa_interp_record *
stoa__interp_find_python(int64_t python_id, uint32_t domain)
{
    stoa_interps *t = table();
    stoa__lock(&t->lock);
    stoa_interp_record *found = find_python_locked(t, python_id, domain);
    if (found != NULL) {
        stoa__interp_ref(found);
    }
    stoa__unlock(&t->lock);
    return found;
}

stoa_err
stoa__interp_each(void (*visit)(stoa_interp_record *, void *), void *arg)
{
    stoa_interps *t = table();
    stoa_interp_record **copy = NULL;
    size_t room = 0, count;
    for (;;) { /* the list may grow while the copy's memory is fetched without the lock */
        stoa__lock(&t->lock);
        count = t->count;
        if (count <= room) {
            break;
        }
        stoa__unlock(&t->lock);
        stoa__free(copy);
        room = count + 8;
        copy = stoa__alloc(room * sizeof *copy);
        if (copy == NULL) {
            return stoa__fail(STOA_ENOMEM, "no memory for a list of %zu interpreters", count);
        }
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = stoa__interp_ref(t->records[i]);
    }
    stoa__unlock(&t->lock);
    for (size_t i = 0; i < count; i++) {
        visit(copy[i], arg);
        stoa__interp_unref(copy[i]);
    }
    stoa__free(copy);
    return STOA_OK;
}

/* ---- entering ----------------------------------------------------------------------------------------------------- */

stoa_err
stoa__interp_refuse(const stoa_interp_record *record)
{
    const char *how = record->left_behind ? "did not come along when this process was forked"
                      : atomic_load(&record->state) == STOA_INTERP_GONE ? "is closed"
                                                                        : "is being closed";
    return stoa__fail(STOA_EGONE, "interpreter '%s' (serial %u) %s: make another one", record->name,
                      record->serial, how);
}

/* The count goes up first and is looked at after: the closer sets the flag first and looks at the count after. One of
 * the two sees the other, since both are read-modify-writes of one word. */
stoa_err
stoa__interp_enter(stoa_interp_record *record)
{
    if ((atomic_fetch_add(&record->inside, 1) & NOT_LIVE) == 0) {
        return STOA_OK;
    }
    stoa__interp_leave(record);
    return stoa__interp_refuse(record);
}

void
stoa__interp_leave(stoa_interp_record *record)
{
    if ((atomic_fetch_sub(&record->inside, 1) & NOT_LIVE) != 0) {
        /* The record may be freed by now: only its address is used, and the closer tolerates a stray wake. */
        stoa__futex_wake(&record->inside, INT_MAX);
        stoa__waiters_wake_on(record);
    }
}

stoa_err
stoa__interp_enter_occupied(stoa_interp_record *record)
{
    uint32_t seen = atomic_load(&record->inside);
    do {
        if ((seen & SEALED) || seen == NOT_LIVE) {
            return STOA_EGONE;
        }
    } while (!atomic_compare_exchange_weak(&record->inside, &seen, seen + 1));
    return STOA_OK;
}

uint32_t
stoa__interp_inside(const stoa_interp_record *record)
{
    return atomic_load(&record->inside) & ~STOA_INTERP_FLAGS;
}

/* ---- closing ------------------------------------------------------------------------------------------------------ */

/* from -> to, keeping invariant 1. Under record->lock. */
static bool
change_state(stoa_interp_record *record, uint32_t from, uint32_t to)
{
    if (atomic_load(&record->state) != from) {
        return false;
    }
    atomic_store(&record->state, to);
    if (to == STOA_INTERP_LIVE) {
        atomic_fetch_and(&record->inside, ~(NOT_LIVE | SEALED));
    }
    else {
        atomic_fetch_or(&record->inside, to == STOA_INTERP_GONE ? NOT_LIVE | SEALED : NOT_LIVE);
    }
    return true;
}

/* It is decided whether it goes: who waits for that, or for it to become empty, looks again. */
static void
tell_closers(stoa_interp_record *record)
{
    stoa__futex_wake(&record->inside, INT_MAX);
    stoa__waiters_wake_on(record);
}

bool
stoa__interp_start_close(stoa_interp_record *record)
{
    stoa__lock(&record->lock);
    bool mine = change_state(record, STOA_INTERP_LIVE, STOA_INTERP_CLOSING);
    stoa__unlock(&record->lock);
    if (mine) {
        stoa__mailbox_close(&record->mailbox);
        stoa__names_wake_all();
        stoa__waiters_wake_all();
    }
    return mine;
}

/* Empty but for `own` entries of the caller's: then it is in the same step that nobody comes to those any more. `*seen` gets what
 * was there: nothing else than the word itself tells whether it is empty. One that is refused counts for a moment, too: so a few
 * looks may be needed, and a caller that waits is woken for the next. */
static bool
seal(stoa_interp_record *record, uint32_t own, uint32_t *seen)
{
    *seen = atomic_load(&record->inside);
    while ((*seen & STOA_INTERP_FLAGS) == NOT_LIVE && (*seen & ~STOA_INTERP_FLAGS) <= own) {
        if (atomic_compare_exchange_weak(&record->inside, seen, *seen | SEALED)) {
            return true;
        }
    }
    return (*seen & (SEALED | ABANDONED)) == SEALED; /* before, or it is gone, with whoever is still inside */
}

bool
stoa__interp_seal(stoa_interp_record *record)
{
    uint32_t seen;
    return seal(record, 0, &seen);
}

void
stoa__interp_abandon(stoa_interp_record *record)
{
    atomic_fetch_or(&record->inside, SEALED | ABANDONED);
}

stoa_err
stoa__interp_wait_empty(stoa_interp_record *record, uint32_t own, stoa_deadline deadline)
{
    stoa__assert_no_locks("waiting for an interpreter to empty with");
    for (;;) {
        uint32_t seen;
        if (seal(record, own, &seen)) {
            return STOA_OK;
        }
        /* It sleeps on a word that was not empty: whoever makes it so changes that word and wakes. (Sleeping on an empty one,
         * seen before somebody who is refused came and went, nobody would wake.) */
        switch (stoa__futex_wait(&record->inside, seen, deadline)) {
        case STOA_WOKEN:
            break;
        case STOA_SIGNALLED:
            return stoa__fail(STOA_EINTERRUPTED, "a signal came while waiting for interpreter '%s' to empty",
                              record->name);
        case STOA_TIMED_OUT:
            if (seal(record, own, &seen)) {
                return STOA_OK;
            }
            seen &= ~STOA_INTERP_FLAGS;
            return stoa__fail(STOA_ETIMEDOUT, "interpreter '%s' (serial %u) still has %u call(s) under way",
                              record->name, record->serial, seen > own ? seen - own : 0);
        }
    }
}

void
stoa__interp_reopen(stoa_interp_record *record)
{
    stoa__lock(&record->lock);
    bool mine = (atomic_load(&record->inside) & ABANDONED) == 0 &&
                change_state(record, STOA_INTERP_CLOSING, STOA_INTERP_LIVE);
    if (mine) {
        stoa__mailbox_reopen(&record->mailbox);
    }
    stoa__unlock(&record->lock);
    if (mine) {
        stoa__handle_ring_again(record); /* who came meanwhile was turned away, and does not come again by himself */
        tell_closers(record);
    }
}

/* Under the table's lock. Without memory it is as if it never ended. */
static void
add_leaving(stoa_interps *t, const stoa_interp_record *record)
{
    size_t count = atomic_load(&t->leaving_count);
    if (count == t->leaving_room) {
        size_t room = count == 0 ? 16 : 2 * count;
        stoa_leaving *more = stoa__alloc(room * sizeof *more);
        if (more == NULL) {
            return;
        }
        if (count != 0) {
            memcpy(more, t->leaving, count * sizeof *more);
        }
        stoa__free(t->leaving);
        t->leaving = more;
        t->leaving_room = room;
    }
    t->leaving[count] = (stoa_leaving){record->serial, record->domain, record->python_id};
    atomic_store(&t->leaving_count, count + 1);
}

/* Takes a record off the list; false when it was not there. */
static bool
take_off(stoa_interps *t, const stoa_interp_record *record)
{
    stoa__lock(&t->lock);
    size_t i = position(t, record->serial);
    bool listed = i < t->count && t->records[i] == record;
    if (listed) {
        t->count--;
        memmove(t->records + i, t->records + i + 1, (t->count - i) * sizeof *t->records);
        add_leaving(t, record);
    }
    stoa__unlock(&t->lock);
    return listed;
}

void
stoa__interp_gone(stoa_interp_record *record)
{
    stoa__lock(&record->lock);
    if (!change_state(record, STOA_INTERP_CLOSING, STOA_INTERP_GONE)) {
        change_state(record, STOA_INTERP_LIVE, STOA_INTERP_GONE);
    }
    stoa__unlock(&record->lock);
    if (!take_off(table(), record)) {
        return;
    }
    stoa__mailbox_close(&record->mailbox);
    stoa__handle_owner_gone(record);
    stoa__name_once_abandon(record->serial);
    stoa__names_wake_all();
    stoa__things_interp_gone(record->serial);
    tell_closers(record);
    STOA_COUNT(&stoa__process->counters, interpreters_closed);
    stoa__interp_unref(record);
}

void
stoa__interp_ended(uint32_t serial)
{
    stoa_interps *t = table();
    stoa__lock(&t->lock);
    size_t count = atomic_load(&t->leaving_count), i = 0;
    while (i < count && t->leaving[i].serial != serial) {
        i++;
    }
    bool known = i < count && stoa__serials_add(&t->ended, serial); /* no memory: it may be tried again */
    if (known) {
        t->leaving[i] = t->leaving[count - 1];
        atomic_store(&t->leaving_count, count - 1);
    }
    stoa__unlock(&t->lock);
    if (known) {
        stoa__regions_end_deserted();
    }
}

size_t
stoa__interps_leaving(stoa_leaving *out, size_t room)
{
    stoa_interps *t = table();
    if (atomic_load(&t->leaving_count) == 0) {
        return 0;
    }
    stoa__lock(&t->lock);
    size_t count = atomic_load(&t->leaving_count);
    count = count < room ? count : room;
    if (count != 0) {
        memcpy(out, t->leaving, count * sizeof *out);
    }
    stoa__unlock(&t->lock);
    return count;
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

void
stoa__interps_set_fork_hook(stoa_interp_fork_hook hook)
{
    stoa_interps *t = table();
    stoa__lock(&t->lock);
    t->fork_hook = hook;
    stoa__unlock(&t->lock);
}

/* All records ever made: one that is GONE may still be held, and its lock taken. */
void
stoa__interps_fork_prepare(stoa_interps *interps)
{
    stoa__lock(&interps->lock);
    for (stoa_interp_record *record = interps->all_records; record != NULL; record = record->next) {
        stoa__lock_another(&record->lock);
    }
}

void
stoa__interps_fork_parent(stoa_interps *interps)
{
    for (stoa_interp_record *record = interps->all_records; record != NULL; record = record->next) {
        stoa__unlock(&record->lock);
    }
    stoa__unlock(&interps->lock);
}

void
stoa__interps_fork_child_locks(stoa_interps *interps)
{
    for (stoa_interp_record *record = interps->all_records; record != NULL; record = record->next) {
        stoa__lock_reset(&record->lock);
        stoa__mailbox_fork_child(&record->mailbox);
    }
    stoa__lock_reset(&interps->lock);
}

void
stoa__interps_fork_child_records(stoa_interps *interps)
{
    for (size_t i = interps->count; i-- > 0;) { /* backwards: gone takes records off */
        stoa_interp_record *record = interps->records[i];
        uint32_t own = 0;
        bool keep = interps->fork_hook != NULL && interps->fork_hook(record, &own);
        /* the threads that were inside are not here to leave */
        atomic_store(&record->inside, own | (atomic_load(&record->inside) & STOA_INTERP_FLAGS));
        atomic_store(&record->errand, 0);
        atomic_store(&record->at_home, 0); /* nor those it was posted to */
        atomic_store(&record->reminded, 0);
        if (!keep) {
            record->left_behind = true;
            stoa__interp_gone(record);
        }
    }
}
