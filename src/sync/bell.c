#include "sync/bell.h"

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "heap/error.h"
#include "heap/fork.h"
#include "heap/memory.h"

stoa_err
stoa__bell_new(stoa_bell **out)
{
    stoa_bell *bell = stoa__alloc(sizeof *bell);
    if (bell == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for the bell of an event loop");
    }
    stoa__lock_init(&bell->lock, STOA_RANK_BELL);
    atomic_init(&bell->refs, 1);
    bell->generation = stoa__fork_generation();
    bell->tickets = NULL;
    bell->owner = NULL;
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd < 0) {
        int error = errno;
        stoa__free(bell);
        return stoa__fail_os(error, "no eventfd for an event loop");
    }
    *out = bell;
    return STOA_OK;
}

/* In a forked child the lock may be held by a thread of the parent for ever, and nobody else uses the bell. */
static bool
lock_bell(stoa_bell *bell)
{
    bool shared = bell->generation == stoa__fork_generation();
    if (shared) {
        stoa__lock(&bell->lock);
    }
    return shared;
}

static void
unlock_bell(stoa_bell *bell, bool locked)
{
    if (locked) {
        stoa__unlock(&bell->lock);
    }
}

void
stoa__bell_unref(stoa_bell *bell)
{
    /* acq_rel: pairs with itself; all uses happen before the free */
    if (atomic_fetch_sub_explicit(&bell->refs, 1, memory_order_acq_rel) == 1) {
        stoa__bell_close(bell);
        stoa__free(bell);
    }
}

void
stoa__bell_join(stoa_bell *bell, stoa_interp_record *owner)
{
    bell->owner = stoa__interp_ref(owner);
    stoa__lock(&owner->lock);
    bell->next_of_owner = owner->bells;
    owner->bells = bell;
    stoa__unlock(&owner->lock);
}

static void
leave_owner(stoa_bell *bell)
{
    stoa_interp_record *owner = bell->owner;
    if (owner == NULL) {
        return;
    }
    bell->owner = NULL;
    stoa__lock(&owner->lock);
    stoa_bell *before = owner->bells;
    if (before == bell) {
        owner->bells = bell->next_of_owner;
    }
    else {
        while (before->next_of_owner != bell) {
            before = before->next_of_owner;
        }
        before->next_of_owner = bell->next_of_owner;
    }
    stoa__unlock(&owner->lock);
    stoa__interp_unref(owner);
}

void
stoa__bell_close(stoa_bell *bell)
{
    leave_owner(bell);
    bool locked = lock_bell(bell);
    int fd = bell->fd;
    bell->fd = -1;
    unlock_bell(bell, locked);
    if (fd >= 0) {
        (void)close(fd);
    }
    stoa_ticket *ticket;
    while ((ticket = stoa__bell_take(bell)) != NULL) {
        stoa__ticket_unref(ticket); /* not the last reference of the bell: the caller has one */
    }
}

int
stoa__bell_fd(stoa_bell *bell)
{
    bool locked = lock_bell(bell);
    int fd = bell->fd;
    unlock_bell(bell, locked);
    return fd;
}

void
stoa__bell_heard(stoa_bell *bell)
{
    uint64_t rings;
    int saved = errno;
    ssize_t got = read(stoa__bell_fd(bell), &rings, sizeof rings); /* nothing there: somebody was quicker */
    (void)got;
    errno = saved;
}

stoa_ticket *
stoa__bell_take(stoa_bell *bell)
{
    bool locked = lock_bell(bell);
    stoa_ticket *ticket = bell->first;
    if (ticket != NULL) {
        bell->first = ticket->next;
        if (bell->first == NULL) {
            bell->last = NULL;
        }
        ticket->next = NULL;
    }
    unlock_bell(bell, locked);
    return ticket;
}

size_t
stoa__bell_users(stoa_bell *bell, void **users, size_t room)
{
    size_t count = 0;
    bool locked = lock_bell(bell);
    for (stoa_ticket *ticket = bell->tickets; ticket != NULL; ticket = ticket->next_of_bell) {
        if (count < room) {
            users[count] = ticket->user;
        }
        count++;
    }
    unlock_bell(bell, locked);
    return count;
}

static void
ring_node(stoa_node *node)
{
    stoa__ticket_ring((stoa_ticket *)((char *)node - offsetof(stoa_ticket, node)));
}

stoa_ticket *
stoa__ticket_new(stoa_bell *bell, uint32_t serial, void *user)
{
    stoa_ticket *ticket = stoa__alloc(sizeof *ticket);
    if (ticket == NULL) {
        return NULL;
    }
    stoa__node_init(&ticket->node, NULL, serial);
    ticket->node.ring = ring_node;
    atomic_init(&ticket->refs, 1);
    (void)atomic_fetch_add_explicit(&bell->refs, 1, memory_order_relaxed); /* who makes a reference has one */
    ticket->bell = bell;
    ticket->user = user;
    bool locked = lock_bell(bell);
    ticket->previous_of_bell = NULL;
    ticket->next_of_bell = bell->tickets;
    if (bell->tickets != NULL) {
        bell->tickets->previous_of_bell = ticket;
    }
    bell->tickets = ticket;
    unlock_bell(bell, locked);
    return ticket;
}

static stoa_ticket *
ticket_ref(stoa_ticket *ticket)
{
    (void)atomic_fetch_add_explicit(&ticket->refs, 1, memory_order_relaxed); /* as above */
    return ticket;
}

void
stoa__ticket_unref(stoa_ticket *ticket)
{
    if (atomic_fetch_sub_explicit(&ticket->refs, 1, memory_order_acq_rel) == 1) { /* as in stoa__bell_unref */
        bool locked = lock_bell(ticket->bell);
        if (ticket->next_of_bell != NULL) {
            ticket->next_of_bell->previous_of_bell = ticket->previous_of_bell;
        }
        if (ticket->previous_of_bell != NULL) {
            ticket->previous_of_bell->next_of_bell = ticket->next_of_bell;
        }
        else {
            ticket->bell->tickets = ticket->next_of_bell;
        }
        unlock_bell(ticket->bell, locked);
        stoa__bell_unref(ticket->bell);
        stoa__free(ticket);
    }
}

/* Locked, not closed. */
static void
write_bell(stoa_bell *bell)
{
    int saved = errno;
    uint64_t one = 1; /* under the lock, so that the fd is ours; it never blocks */
    ssize_t put = write(bell->fd, &one, sizeof one);
    (void)put; /* fails only when the counter is full: then it is readable */
    errno = saved;
}

void
stoa__bells_ring(stoa_interp_record *owner)
{
    stoa__lock(&owner->lock);
    for (stoa_bell *bell = owner->bells; bell != NULL; bell = bell->next_of_owner) {
        if (!lock_bell(bell)) {
            continue; /* it would ring in the parent */
        }
        if (bell->fd >= 0) {
            write_bell(bell);
        }
        stoa__unlock(&bell->lock);
    }
    stoa__unlock(&owner->lock);
}

void
stoa__ticket_ring(stoa_ticket *ticket)
{
    stoa_bell *bell = ticket->bell;
    if (!lock_bell(bell)) {
        return; /* it would ring in the parent */
    }
    if (bell->fd >= 0) {
        ticket_ref(ticket);
        bool silent = bell->first == NULL;
        ticket->next = NULL;
        if (silent) {
            bell->first = ticket;
        }
        else {
            bell->last->next = ticket;
        }
        bell->last = ticket;
        if (silent) {
            write_bell(bell);
        }
    }
    stoa__unlock(&bell->lock);
}
