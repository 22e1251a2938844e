#include "sync/queue_wait.h"

stoa_queue_end
stoa__queue_at_once(stoa_queue_result result)
{
    switch (result) {
    case STOA_QUEUE_DONE:
        return STOA_QUEUE_END_DONE;
    case STOA_QUEUE_WAIT:
        return STOA_QUEUE_END_TIME;
    case STOA_QUEUE_SHUT:
        return STOA_QUEUE_END_SHUT;
    case STOA_QUEUE_NOMEM:
        break;
    }
    return STOA_QUEUE_END_NOMEM;
}

/* How the put ended, from what became of its node. */
static stoa_queue_end
end_of_put(stoa_queue *queue, stoa_node *node, int waited)
{
    if (waited < 0 && stoa__queue_take_back(queue, node)) {
        return STOA_QUEUE_END_STOPPED;
    }
    if (waited > 0) {
        (void)stoa__queue_withdraw_put(queue, node); /* or it came in at the last moment */
    }
    switch (stoa__node_state(node)) {
    case STOA_NODE_GIVEN:
        return waited < 0 ? STOA_QUEUE_END_TOO_LATE : STOA_QUEUE_END_DONE;
    case STOA_NODE_SHUT:
        return waited < 0 ? STOA_QUEUE_END_STOPPED : STOA_QUEUE_END_SHUT;
    default:
        return waited < 0 ? STOA_QUEUE_END_STOPPED : STOA_QUEUE_END_TIME;
    }
}

stoa_queue_end
stoa__queue_put_wait(stoa_queue *queue, stoa_item *item, const stoa_patience *patience)
{
    stoa_node node;
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        return STOA_QUEUE_END_NOMEM;
    }
    stoa__node_init(&node, self, patience->serial);
    stoa_queue_result result = stoa__queue_put(queue, item, &node);
    if (result != STOA_QUEUE_WAIT) {
        return stoa__queue_at_once(result);
    }
    int waited = patience->wait(&node, patience->deadline, "room in a queue", patience->arg);
    stoa_queue_end end = end_of_put(queue, &node, waited);
    *item = node.item; /* NOTHING when it is in */
    return end;
}

stoa_queue_end
stoa__queue_get_wait(stoa_queue *queue, stoa_item *out, const stoa_patience *patience)
{
    stoa_node node;
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        return STOA_QUEUE_END_NOMEM;
    }
    stoa__node_init(&node, self, patience->serial);
    stoa_queue_result result = stoa__queue_get(queue, out, &node);
    if (result != STOA_QUEUE_WAIT) {
        return stoa__queue_at_once(result);
    }
    int waited = patience->wait(&node, patience->deadline, "an item of a queue", patience->arg);
    if (waited < 0) {
        (void)stoa__queue_withdraw_get(queue, &node); /* what it was given goes back in front, or to the next */
        return STOA_QUEUE_END_STOPPED;
    }
    if (waited > 0 && stoa__node_state(&node) == STOA_NODE_WAITING && stoa__queue_withdraw_get(queue, &node)) {
        return STOA_QUEUE_END_TIME;
    }
    switch (stoa__node_state(&node)) {
    case STOA_NODE_GIVEN:
        (void)stoa__queue_taken(queue, &node);
        *out = node.item;
        return STOA_QUEUE_END_DONE;
    case STOA_NODE_SHUT:
        return STOA_QUEUE_END_SHUT;
    default: /* it came at the last moment, and went back in front */
        return stoa__queue_at_once(stoa__queue_get(queue, out, NULL));
    }
}
