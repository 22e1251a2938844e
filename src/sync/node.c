#include "sync/node.h"

#include <string.h>

#include "heap/error.h"

/* An answer from a thread that runs comes within this time; a sleep and its wake cost more. */
#define SPIN_NANOSECONDS 5000

void
stoa__node_init(stoa_node *node, stoa_waiter *waiter, uint32_t serial)
{
    memset(node, 0, sizeof *node);
    node->waiter = waiter;
    node->serial = serial;
}

void
stoa__wakes_do(stoa_wakes *wakes)
{
    for (uint32_t i = 0; i < wakes->count; i++) {
        stoa__waiter_wake(wakes->waiters[i]);
        stoa__waiter_unref(wakes->waiters[i]);
    }
    wakes->count = 0;
}

/* The reference: once the node is settled, its thread may go on, and end, before it is woken. */
static void
add_wake(stoa_wakes *wakes, stoa_waiter *waiter)
{
    if (wakes->count == STOA_WAKES) {
        stoa__wakes_do(wakes); /* under the lock, but a wake takes none */
    }
    wakes->waiters[wakes->count++] = stoa__waiter_ref(waiter);
}

void
stoa__node_append(stoa_node_list *list, stoa_node *node)
{
    node->list = list;
    node->next = NULL;
    node->previous = list->last;
    if (list->last != NULL) {
        list->last->next = node;
    }
    else {
        list->first = node;
    }
    list->last = node;
    list->count++;
}

void
stoa__node_remove(stoa_node *node)
{
    stoa_node_list *list = node->list;
    if (list == NULL) {
        return;
    }
    if (node->previous != NULL) {
        node->previous->next = node->next;
    }
    else {
        list->first = node->next;
    }
    if (node->next != NULL) {
        node->next->previous = node->previous;
    }
    else {
        list->last = node->previous;
    }
    list->count--;
    node->list = NULL;
}

void
stoa__node_settle(stoa_node *node, uint32_t state, stoa_node_list *given, stoa_wakes *wakes)
{
    stoa__node_remove(node);
    if (node->waiter != NULL) {
        add_wake(wakes, node->waiter);
    }
    else if (state == STOA_NODE_GIVEN && given != NULL) {
        stoa__node_append(given, node);
    }
    void (*ring)(stoa_node *) = node->ring;
    /* release: pairs with the acquire in stoa__node_state, for the item; a thread's node may be gone right after it */
    atomic_store_explicit(&node->state, state, memory_order_release);
    if (ring != NULL) {
        ring(node);
    }
}

void
stoa__nodes_settle_all(stoa_node_list *list, uint32_t state, stoa_wakes *wakes)
{
    while (list->first != NULL) {
        stoa__node_settle(list->first, state, NULL, wakes);
    }
}

void
stoa__nodes_withdraw(stoa_node_list *list, uint32_t serial, bool everybody)
{
    stoa_node *next;
    for (stoa_node *node = list->first; node != NULL; node = next) {
        next = node->next;
        if (everybody || node->serial == serial) {
            stoa__node_remove(node);
            atomic_store_explicit(&node->state, STOA_NODE_WITHDRAWN, memory_order_release); /* as in settle */
        }
    }
}

stoa_err
stoa__node_sleep(const stoa_node *node, stoa_deadline deadline)
{
    stoa_waiter *self = node->waiter;
    stoa__assert_no_locks("waiting with");
    for (;;) {
        uint32_t seen = stoa__waiter_look(self);
        if (stoa__node_state(node) != STOA_NODE_WAITING) {
            return STOA_OK;
        }
        switch (stoa__waiter_spin_sleep(self, seen, SPIN_NANOSECONDS, deadline)) {
        case STOA_WOKEN:
            break;
        case STOA_TIMED_OUT:
            return stoa__node_state(node) != STOA_NODE_WAITING
                       ? STOA_OK
                       : stoa__fail(STOA_ETIMEDOUT, "the time allowed ran out");
        case STOA_SIGNALLED:
            if (stoa__node_state(node) != STOA_NODE_WAITING) {
                return STOA_OK;
            }
            return stoa__fail(STOA_EINTERRUPTED, "a signal came while waiting");
        }
    }
}
