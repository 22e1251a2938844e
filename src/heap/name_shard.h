/* One shard of the names: its table, and how one waits for a change of it. Shared by names.c and once.c.
 *
 * Waiting without polling and without missing a change: a waiter counts itself, reads the event, then looks for what it
 * wants, and sleeps only while the event is still the same. Who changes something does so first, moves the event on
 * after it, and wakes when somebody is counted. All of it seq_cst: one of the two sees the other.
 */
#ifndef STOA_HEAP_NAME_SHARD_H
#define STOA_HEAP_NAME_SHARD_H

#include "heap/interp_table.h"
#include "heap/name_table.h"

typedef struct stoa_name_shard {
    stoa_name_table table;
    _Alignas(64) _Atomic uint32_t event; /* grows with each change that a waiter may wait for */
    _Atomic uint32_t waiters;            /* who sleeps on event, or is about to */
} stoa_name_shard;

/* A name for messages: cut, without control characters. */
typedef struct stoa_shown_name {
    char text[100];
} stoa_shown_name;
const char *stoa__name_show(const char *name, size_t size, stoa_shown_name *out); /* returns out->text */

/* May this be published, and so waited for? STOA_EINVAL, STOA_EUTF8. */
stoa_err stoa__name_check(const char *name, size_t size);
stoa_name_key stoa__name_key(const char *name, size_t size);
stoa_name_shard *stoa__name_shard_of(const stoa_name_key *key);

/* Takes what keeps a value alive while it has a name: a reference of its region or handle. STOA_EGONE, STOA_EINVAL. */
stoa_err stoa__name_hold(const stoa_value *value, stoa_held_value *out);
/* Gives it up. No lock of ours may be held: the last reference may free things. All zero: nothing. */
void stoa__name_let_go(const stoa_held_value *held);

/* True when the name has a value: then *err tells whether *out is it. Marks delivery, takes the handle's reference. */
bool stoa__name_find(stoa_name_shard *shard, const stoa_name_key *key, const stoa_interp_record *receiver,
                     stoa_value *out, stoa_err *err);
/* Enters a held value; on success *held is what was replaced (all zero: nothing). The caller wakes.
 * STOA_EEXIST, STOA_ENOMEM. */
stoa_err
stoa__name_enter(stoa_name_shard *shard, const stoa_name_key *key, stoa_held_value *held, bool may_replace);

void stoa__name_wake(stoa_name_shard *shard);
/* Begins a wait: the event as of before the caller looks for what it waits for. */
uint32_t stoa__name_start_wait(stoa_name_shard *shard);
void stoa__name_end_wait(stoa_name_shard *shard);
/* Sleeps until the event moves on. STOA_OK: look again. STOA_ETIMEDOUT: without a message. STOA_EINTERRUPTED: a
 * signal, a call for this thread, or stoa__waiter_interrupt (heap/waiter.h).
 * STOA_EGONE: the receiver (may be NULL) is not LIVE. */
stoa_err stoa__name_sleep(stoa_name_shard *shard, uint32_t event, const stoa_name_key *key,
                          const stoa_interp_record *receiver, stoa_deadline deadline);

#endif
