#include "heap/name_shard.h"

#include "heap/error.h"
#include "heap/handle.h" /* a name holds a reference of its handle */
#include "heap/process_struct.h"
#include "heap/waiter.h"
#include "heap/utf8.h"

#include <limits.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static stoa_names *
table(void)
{
    return &stoa__process->names;
}

/* ---- keys --------------------------------------------------------------------------------------------------------- */

const char *
stoa__name_show(const char *name, size_t size, stoa_shown_name *out)
{
    size_t length = size;
    if (length > sizeof out->text - 4) {
        length = stoa__utf8_cut(name, sizeof out->text - 4);
    }
    for (size_t i = 0; i < length; i++) {
        out->text[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7F ? '?' : name[i];
    }
    strcpy(out->text + length, length < size ? "..." : "");
    return out->text;
}

stoa_name_key
stoa__name_key(const char *name, size_t size)
{
    return (stoa_name_key){name, size, XXH3_64bits_withSeed(name, size, table()->seed)};
}

/* The top bits choose the shard, the low ones the slot. */
stoa_name_shard *
stoa__name_shard_of(const stoa_name_key *key)
{
    return &table()->shards[key->hash >> 58];
}

_Static_assert(STOA_NAME_SHARDS == 1u << (64 - 58), "shard_of takes six bits");

/* What may be published, and so waited for. */
stoa_err
stoa__name_check(const char *name, size_t size)
{
    stoa_shown_name shown;
    size_t at;
    if (size == 0) {
        return stoa__fail(STOA_EINVAL, "a name must not be empty");
    }
    if (size > STOA_NAME_MAX) {
        return stoa__fail(STOA_EINVAL, "the name '%s' has %zu bytes; at most %u are allowed",
                          stoa__name_show(name, size, &shown), size, STOA_NAME_MAX);
    }
    if (!stoa__utf8_valid(name, size, &at)) {
        return stoa__fail(STOA_EUTF8, "a name of %zu bytes is not UTF-8: byte 0x%02x at index %zu", size,
                          (unsigned char)name[at], at);
    }
    return STOA_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

/* Takes what keeps a value alive while it has a name. */
stoa_err
stoa__name_hold(const stoa_value *value, stoa_held_value *out)
{
    out->value = *value;
    out->region = NULL;
    switch (value->kind) {
    case STOA_VALUE_OBJECT:
        if (value->object == NULL) {
            return stoa__fail(STOA_EINVAL, "no object to publish");
        }
        out->region = stoa__region_ref_of(value->object);
        return STOA_OK;
    case STOA_VALUE_HANDLE:
        return stoa__handle_ref(value->handle);
    }
    return stoa__fail(STOA_EINVAL, "%d is no kind of value", (int)value->kind);
}

/* No lock of ours may be held: the last reference may free things. */
void
stoa__name_let_go(const stoa_held_value *held)
{
    if (held->value.kind == STOA_VALUE_HANDLE) {
        stoa__handle_unref(held->value.handle);
    }
    else if (held->region != NULL) {
        stoa__region_unref(held->region);
    }
}

/* Finds under the lock what needs something done before the name can go: delivery of a region, a handle's reference. */
static bool
find_and_deliver(stoa_name_shard *shard, const stoa_name_key *key, const stoa_interp_record *receiver,
                 stoa_held_value *out, stoa_err *err)
{
    uint64_t failed = 0; /* a handle that gave no reference */
    for (;;) {
        stoa__lock(&shard->table.lock);
        bool found = stoa__name_table_find_locked(&shard->table, key, out);
        if (found && out->region != NULL) {
            stoa__region_mark_delivered(out->value.object, receiver == NULL ? 0 : receiver->serial);
        }
        stoa__unlock(&shard->table.lock);
        if (!found || out->value.kind != STOA_VALUE_HANDLE) {
            return found;
        }
        if (out->value.handle == failed) {
            stoa_interp_record *owner; /* the memory of a record is never given back */
            void *object;
            bool known = stoa__handle_get_held(failed, &owner, &object) == STOA_OK;
            *err = stoa__fail(
                STOA_EGONE, "interpreter '%s', which owns what the name stands for, is closed; replace or unpublish the name",
                known ? owner->name : "?");
            return true;
        }
        if (stoa__handle_ref(out->value.handle) == STOA_OK) {
            return true;
        }
        failed = out->value.handle; /* its owner is closed; or the name was given another value since: look again */
    }
}

/* True when the name has a value: then *err tells whether *out is it. */
bool
stoa__name_find(stoa_name_shard *shard, const stoa_name_key *key, const stoa_interp_record *receiver,
                stoa_value *out, stoa_err *err)
{
    stoa_held_value held;
    *err = STOA_OK;
    if (!stoa__name_table_find(&shard->table, key, &held)) {
        return false;
    }
    if ((held.region != NULL || held.value.kind == STOA_VALUE_HANDLE) &&
        !find_and_deliver(shard, key, receiver, &held, err)) {
        return false;
    }
    *out = held.value;
    return true;
}

/* ---- entering ----------------------------------------------------------------------------------------------------- */

/* Enters a held value; on success *held is what was replaced (value.kind 0: nothing). The caller wakes. */
stoa_err
stoa__name_enter(stoa_name_shard *shard, const stoa_name_key *key, stoa_held_value *held, bool may_replace)
{
    stoa_held_value old;
    memset(&old, 0, sizeof old);
    stoa_err err = STOA_OK;
    stoa__lock(&shard->table.lock);
    if (!stoa__name_table_find_locked(&shard->table, key, &old)) {
        err = stoa__name_table_add(&shard->table, key, held) ? STOA_OK : STOA_ENOMEM;
    }
    else if (may_replace) {
        stoa__name_table_set(&shard->table, key, held);
    }
    else {
        err = STOA_EEXIST;
    }
    stoa__unlock(&shard->table.lock);
    if (err == STOA_OK) {
        *held = old;
        STOA_COUNT(&stoa__process->counters, publishes);
        return STOA_OK;
    }
    stoa_shown_name shown;
    stoa__name_show(key->text, key->size, &shown);
    return err == STOA_EEXIST
               ? stoa__fail(err, "the name '%s' is in use; replace it, or unpublish it first", shown.text)
               : stoa__fail(err, "no memory to publish the name '%s'", shown.text);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------ */

/* Something changed in a shard: after the change, and seq_cst, so that either this sees the waiter, or the waiter (who
 * counts himself before he reads the event) sees the new event. */
void
stoa__name_wake(stoa_name_shard *shard)
{
    atomic_fetch_add(&shard->event, 1);
    if (atomic_load(&shard->waiters) != 0) {
        stoa__waiters_wake_on(shard);
    }
}

/* Begins a wait: the event as of before the caller looks for what it waits for. */
uint32_t
stoa__name_start_wait(stoa_name_shard *shard)
{
    atomic_fetch_add(&shard->waiters, 1);
    return atomic_load(&shard->event);
}

void
stoa__name_end_wait(stoa_name_shard *shard)
{
    atomic_fetch_sub(&shard->waiters, 1);
}

/* Sleeps until the event moves on. STOA_OK: look again. STOA_ETIMEDOUT without a message. */
stoa_err
stoa__name_sleep(stoa_name_shard *shard, uint32_t event, const stoa_name_key *key,
                 const stoa_interp_record *receiver, stoa_deadline deadline)
{
    stoa_shown_name shown;
    if (receiver != NULL && atomic_load(&receiver->state) != STOA_INTERP_LIVE) {
        return stoa__fail(STOA_EGONE, "interpreter '%s' is being closed while it waits for the name '%s'",
                          receiver->name, stoa__name_show(key->text, key->size, &shown));
    }
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        return STOA_ENOMEM;
    }
    stoa__assert_no_locks("waiting for a name with");
    stoa_wait_edge edge;
    stoa_wait_result result = STOA_WOKEN;
    bool called = false;
    stoa__waiter_push_on(self, &edge, receiver == NULL ? NULL : receiver->name, shard);
    while (result == STOA_WOKEN) {
        uint32_t seen = stoa__waiter_look(self);
        called = stoa__mailbox_count(&self->home) > 0 || atomic_load(&self->interrupted);
        if (called || atomic_load(&shard->event) != event ||
            (receiver != NULL && atomic_load(&receiver->state) != STOA_INTERP_LIVE)) {
            break;
        }
        result = stoa__waiter_sleep(self, seen, deadline);
    }
    stoa__waiter_pop(self, &edge);
    if (result == STOA_TIMED_OUT) {
        return STOA_ETIMEDOUT;
    }
    if (result == STOA_WOKEN && !called) {
        return STOA_OK;
    }
    return stoa__fail(STOA_EINTERRUPTED, "the wait for the name '%s' was interrupted",
                      stoa__name_show(key->text, key->size, &shown));
}
