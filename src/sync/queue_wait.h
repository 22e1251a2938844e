/* A put or a get that waits: what is the same for Python's threads and a host's.
 *
 * How one waits differs (with a GIL to give up, signals and interrupts to hear, or without all that), what must be done
 * when the wait ends does not: an item that came at the last moment is neither lost nor got twice, whatever ended the wait.
 * So the caller brings the way of waiting, and is told how it ended.
 */
#ifndef STOA_SYNC_QUEUE_WAIT_H
#define STOA_SYNC_QUEUE_WAIT_H

#include "sync/queue.h"

typedef struct stoa_patience {
    uint32_t serial; /* interpreter on whose behalf; 0: none */
    stoa_deadline deadline;
    /* Until the node is settled: 0. 1: the deadline passed. -1: something else ended it, which the caller knows. */
    int (*wait)(stoa_node *node, stoa_deadline deadline, const char *what, void *arg);
    void *arg;
} stoa_patience;

typedef enum stoa_queue_end {
    STOA_QUEUE_END_DONE,
    STOA_QUEUE_END_TIME,
    STOA_QUEUE_END_SHUT,
    STOA_QUEUE_END_NOMEM,   /* of the queue, or of the thread's waiter (message set) */
    STOA_QUEUE_END_STOPPED, /* wait() gave -1, and nothing was put, or got */
    STOA_QUEUE_END_TOO_LATE, /* a put: wait() gave -1, but the item has come in and somebody has got it already */
} stoa_queue_end;

/* How a put or a get ends that does not wait, or not again: WAIT is the end of its TIME. */
stoa_queue_end stoa__queue_at_once(stoa_queue_result result);

/* The caller holds a reference of the queue. The item is taken over by DONE and TOO_LATE; it is the caller's else. */
stoa_queue_end stoa__queue_put_wait(stoa_queue *queue, stoa_item *item, const stoa_patience *patience);
/* DONE: *out is the caller's. */
stoa_queue_end stoa__queue_get_wait(stoa_queue *queue, stoa_item *out, const stoa_patience *patience);

#endif
