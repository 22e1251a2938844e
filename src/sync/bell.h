/* The bell of an event loop: how those who complete something tell the tasks that await it.
 *
 * A task cannot sleep on a futex, and a helper thread for each await would cost what the task saves. So each event loop has
 * one bell: an eventfd that the loop watches, and a list. A task that waits leaves a ticket with the thing (its node is in
 * the thing's list of waiters like a thread's); who settles it hangs the ticket on its bell, and rings only if the
 * list was empty. The loop takes the whole list at once.
 *
 *   loop's thread:  ticket = stoa__ticket_new(bell, serial, user);  thing's function with &ticket->node
 *                   … the eventfd is readable:  while ((t = stoa__bell_take(bell)) != NULL) { …; stoa__ticket_unref(t); }
 *                   the task is over: it has taken, or withdrawn, what the node was given (the thing's functions)
 *                   stoa__ticket_unref(ticket)
 *   what is no thing: stoa__ticket_ring(ticket), once, by whoever completes it, from any thread.
 *
 * A loop sleeps in the system's poll, where nothing reaches it but its descriptors. So whoever closes or interrupts its
 * interpreter rings all bells of that, without a ticket: the loop's thread comes to a bytecode, and looks whom it has to tell.
 *
 * Invariants
 *  1. A ticket is on the list at most once in its life, with a reference, while rung.
 *  2. The eventfd is readable  <=  the list is not empty.
 *  3. A ticket is in `tickets` from its making to its last reference.
 */
#ifndef STOA_SYNC_BELL_H
#define STOA_SYNC_BELL_H

#include "heap/interp_table.h"
#include "sync/node.h"

typedef struct stoa_bell {
    stoa_lock lock; /* STOA_RANK_BELL; guards first, last, tickets, fd (-1: closed) */
    _Atomic uint32_t refs;
    int fd;
    uint64_t generation; /* const: of fork: the child's writes would ring in the parent */
    struct stoa_ticket *first, *last;
    struct stoa_ticket *tickets;     /* all there are */
    stoa_interp_record *owner;       /* a reference, from join to close; the loop's thread's */
    struct stoa_bell *next_of_owner; /* owner->lock */
} stoa_bell;

typedef struct stoa_ticket {
    stoa_node node;
    _Atomic uint32_t refs;
    stoa_bell *bell;                                     /* const: a reference */
    struct stoa_ticket *next;                            /* the bell's lock */
    struct stoa_ticket *next_of_bell, *previous_of_bell; /* the bell's lock */
    void *user;                                          /* the loop's thread's, under its GIL */
} stoa_ticket;

stoa_err stoa__bell_new(stoa_bell **out); /* STOA_ENOMEM, STOA_EOS */
void stoa__bell_unref(stoa_bell *bell);
/* It is one of the interpreter's bells until it is closed. Once, by who made it. */
void stoa__bell_join(stoa_bell *bell, stoa_interp_record *owner);
/* Rings all bells of an interpreter, without a ticket. Any thread; no lock of a rank above STOA_RANK_INTERP is held. */
void stoa__bells_ring(stoa_interp_record *owner);
/* The loop is over: nothing rings any more, what hangs on it is given up. The fd is closed. Idempotent. */
void stoa__bell_close(stoa_bell *bell);
int stoa__bell_fd(stoa_bell *bell); /* -1: closed */
/* The fd was readable: the next one rings anew. Before the takes. */
void stoa__bell_heard(stoa_bell *bell);
/* The oldest that rang, with its reference for the caller; NULL: none. */
stoa_ticket *stoa__bell_take(stoa_bell *bell);
/* How many tickets it has; writes the `user`s of at most `room` of them. GIL of the loop, under which these stay what
 * they are. */
size_t stoa__bell_users(stoa_bell *bell, void **users, size_t room);

/* One reference. NULL: no memory. `serial`: the interpreter of the loop. */
stoa_ticket *stoa__ticket_new(stoa_bell *bell, uint32_t serial, void *user);
void stoa__ticket_unref(stoa_ticket *ticket);
void stoa__ticket_ring(stoa_ticket *ticket); /* locks below STOA_RANK_BELL may be held */

#endif
