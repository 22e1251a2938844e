#include "heap/epoch.h"

#include "heap/process_struct.h"

stoa_err
stoa__epoch_init(stoa_epoch *epoch)
{
    *epoch = (stoa_epoch){.now = 1};
    stoa__lock_init(&epoch->lock, STOA_RANK_EPOCH);
    return STOA_OK;
}

void
stoa__epoch_enter(stoa_epoch_slot *slot)
{
    stoa_epoch *epoch = &stoa__process->epoch;
    stoa__lock(&epoch->lock);
    slot->began = epoch->now;
    slot->next = NULL;
    slot->prev = epoch->youngest;
    if (epoch->youngest != NULL) {
        epoch->youngest->next = slot;
    }
    else {
        epoch->oldest = slot;
    }
    epoch->youngest = slot;
    stoa__unlock(&epoch->lock);
}

/* Takes what has become due off the queue. The lock is held. */
static stoa_deferred *
take_due(stoa_epoch *epoch)
{
    stoa_deferred *due = epoch->first;
    stoa_deferred **end = &epoch->first;
    while (*end != NULL && (epoch->oldest == NULL || epoch->oldest->began > (*end)->since)) {
        end = &(*end)->next;
    }
    if (end == &epoch->first) {
        return NULL;
    }
    epoch->first = *end;
    *end = NULL;
    if (epoch->first == NULL) {
        epoch->last = NULL;
    }
    return due;
}

void
stoa__epoch_dispose(stoa_deferred *due)
{
    while (due != NULL) {
        stoa_deferred *next = due->next; /* the thing goes with what it lies in */
        due->dispose(due);
        due = next;
    }
}

void
stoa__epoch_leave(stoa_epoch_slot *slot)
{
    stoa_epoch *epoch = &stoa__process->epoch;
    stoa__lock(&epoch->lock);
    *(slot->prev != NULL ? &slot->prev->next : &epoch->oldest) = slot->next;
    *(slot->next != NULL ? &slot->next->prev : &epoch->youngest) = slot->prev;
    stoa_deferred *due = epoch->first != NULL ? take_due(epoch) : NULL;
    stoa__unlock(&epoch->lock);
    stoa__epoch_dispose(due);
}

void
stoa__epoch_defer(stoa_deferred *deferred)
{
    stoa_epoch *epoch = &stoa__process->epoch;
    stoa__lock(&epoch->lock);
    deferred->next = NULL;
    deferred->since = epoch->now++;
    bool wait = epoch->oldest != NULL;
    if (wait) {
        *(epoch->last != NULL ? &epoch->last->next : &epoch->first) = deferred;
        epoch->last = deferred;
    }
    stoa__unlock(&epoch->lock);
    if (!wait) {
        deferred->dispose(deferred);
    }
}

bool
stoa__epoch_check(void)
{
    stoa_epoch *epoch = &stoa__process->epoch;
    stoa__lock(&epoch->lock);
    bool good = (epoch->oldest == NULL) == (epoch->youngest == NULL) &&
                (epoch->first == NULL) == (epoch->last == NULL);
    for (stoa_epoch_slot *slot = epoch->oldest; slot != NULL && good; slot = slot->next) {
        good = slot->began <= epoch->now &&
               (slot->next != NULL ? slot->next->prev == slot && slot->next->began >= slot->began
                                   : slot == epoch->youngest);
    }
    for (stoa_deferred *one = epoch->first; one != NULL && good; one = one->next) {
        good = one->since < epoch->now &&
               (one->next != NULL ? one->next->since > one->since : one == epoch->last);
    }
    good = good &&
           (epoch->first == NULL || (epoch->oldest != NULL && epoch->oldest->began <= epoch->first->since));
    stoa__unlock(&epoch->lock);
    return good;
}

void
stoa__epoch_fork_prepare(stoa_epoch *epoch)
{
    stoa__lock(&epoch->lock);
}

void
stoa__epoch_fork_parent(stoa_epoch *epoch)
{
    stoa__unlock(&epoch->lock);
}

stoa_deferred *
stoa__epoch_fork_child(stoa_epoch *epoch)
{
    stoa_deferred *queue = epoch->first;
    stoa__lock_reset(&epoch->lock);
    epoch->oldest = epoch->youngest = NULL; /* the batches were the parent's */
    epoch->first = epoch->last = NULL;
    return queue;
}
