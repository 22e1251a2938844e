/* A worker's queue of tasks. */
#include "host/pool_struct.h"

void
stoa__tasks_put(stoa_task_queue *queue, stoa_task *task)
{
    task->next = NULL;
    stoa__lock(&queue->lock);
    if (queue->last != NULL) {
        queue->last->next = task;
    }
    else {
        queue->first = task;
    }
    queue->last = task;
    atomic_store(&queue->count, queue->count + 1);
    stoa__unlock(&queue->lock);
}

stoa_task *
stoa__tasks_take(stoa_task_queue *queue)
{
    if (atomic_load(&queue->count) == 0) {
        return NULL; /* who puts one in later finds its worker idle, or makes it look again */
    }
    stoa__lock(&queue->lock);
    stoa_task *task = queue->first;
    if (task != NULL) {
        queue->first = task->next;
        if (queue->first == NULL) {
            queue->last = NULL;
        }
        atomic_store(&queue->count, queue->count - 1);
    }
    stoa__unlock(&queue->lock);
    return task;
}

stoa_task *
stoa__tasks_take_all(stoa_task_queue *queue)
{
    stoa__lock(&queue->lock);
    stoa_task *first = queue->first;
    queue->first = queue->last = NULL;
    atomic_store(&queue->count, 0);
    stoa__unlock(&queue->lock);
    return first;
}
