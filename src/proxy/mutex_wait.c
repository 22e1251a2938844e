#include "proxy/mutex_wait.h"

#include "immortal/exceptions.h"
#include "proxy/wait.h"

typedef struct mutex_wait {
    stoa_mutex *mutex;
    stoa_node *node;
    bool for_ever; /* counts in circles */
    int looks;
    bool circle;
} mutex_wait;

static bool
is_ours(void *arg)
{
    mutex_wait *w = arg;
    if (stoa__node_state(w->node) != STOA_NODE_WAITING || w->circle) {
        return true;
    }
    /* the first look is before this thread has an edge for the wait, the second after */
    if (w->for_ever && w->looks++ == 1) {
        w->circle = stoa__mutex_watch(w->mutex, w->node) == STOA_EDEADLOCK;
    }
    return w->circle;
}

/* How it ended, from what became of the node. */
static stoa_mutex_result
end_of(stoa_mutex *mutex, stoa_node *node, bool stopped)
{
    if (stopped || stoa__node_state(node) == STOA_NODE_WAITING) {
        (void)stoa__mutex_withdraw(mutex, node); /* given at the last moment: the next gets it */
    }
    if (stopped) {
        return STOA_MUTEX_STOPPED;
    }
    switch (stoa__node_state(node)) {
    case STOA_NODE_GIVEN:
        return STOA_MUTEX_DONE;
    case STOA_NODE_BROKEN:
        return STOA_MUTEX_IS_BROKEN;
    default:
        return STOA_MUTEX_WAIT;
    }
}

stoa_mutex_result
stoa__mutex_wait(stoa_mutex *mutex, stoa_node *node, stoa_deadline deadline)
{
    mutex_wait w = {.mutex = mutex, .node = node, .for_ever = deadline == STOA_FOREVER};
    int waited = stoa__wait_until(is_ours, &w, deadline, NULL, "a lock");
    if (w.circle) {
        stoa__raise(STOA_EDEADLOCK);
    }
    return end_of(mutex, node, w.circle || waited < 0);
}

stoa_mutex_result
stoa__mutex_wait_outside(stoa_mutex *mutex, stoa_node *node, stoa_deadline deadline, stoa_err *err)
{
    stoa_wait_edge edge;
    stoa__waiter_push(node->waiter, &edge, NULL);
    *err = deadline == STOA_FOREVER ? stoa__mutex_watch(mutex, node) : STOA_OK;
    if (*err == STOA_OK) {
        *err = stoa__node_sleep(node, deadline);
    }
    stoa_mutex_result result = end_of(mutex, node, *err != STOA_OK && *err != STOA_ETIMEDOUT);
    stoa__waiter_pop(node->waiter, &edge);
    return result;
}
