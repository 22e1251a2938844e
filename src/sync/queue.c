#include "sync/queue.h"

#include <string.h>

#include "heap/error.h"
#include "heap/memory.h"

#define SMALLEST 16u
#define KEPT_WHEN_EMPTY 4096u /* a larger ring is given back when the last item goes */

/* ---- the ring: lock held ------------------------------------------------------------------------------------------- */

static inline uint64_t
count_of(const stoa_queue *queue)
{
    return atomic_load_explicit(&queue->count, memory_order_relaxed); /* written under the lock, which we hold */
}

static inline void
set_count(stoa_queue *queue, uint64_t count)
{
    atomic_store_explicit(&queue->count, count, memory_order_relaxed); /* others take it as a hint */
}

/* Room for `more` beside what is in it and what may come back. */
static bool
make_room(stoa_queue *queue, uint64_t more)
{
    uint64_t count = count_of(queue), needed = count + atomic_load(&queue->promised) + more;
    if (needed <= queue->capacity) {
        return true;
    }
    uint64_t capacity = queue->capacity == 0 ? SMALLEST : queue->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    stoa_item *ring = capacity > SIZE_MAX / sizeof *ring ? NULL : stoa__alloc(capacity * sizeof *ring);
    if (ring == NULL) {
        return false;
    }
    size_t first = queue->capacity - queue->head; /* up to the end of the old ring */
    if (count <= first) {
        first = count;
    }
    if (count > 0) {
        memcpy(ring, queue->ring + queue->head, first * sizeof *ring);
        memcpy(ring + first, queue->ring, (count - first) * sizeof *ring);
    }
    stoa__free(queue->ring);
    queue->ring = ring;
    queue->capacity = capacity;
    queue->head = 0;
    return true;
}

/* An address that stays behind in an empty place would look like a holder's (heap/search.h), also in the part of an item that its
 * kind does not use: items are copied whole from stacks. */
static inline void
forget(stoa_item *empty)
{
    memset(empty, 0, sizeof *empty);
}

static inline void
push(stoa_queue *queue, stoa_item *item)
{
    uint64_t count = count_of(queue);
    queue->ring[(queue->head + count) & (queue->capacity - 1)] = *item;
    item->kind = STOA_ITEM_NOTHING;
    set_count(queue, count + 1);
}

static inline void
pop(stoa_queue *queue, stoa_item *out)
{
    *out = queue->ring[queue->head];
    forget(&queue->ring[queue->head]);
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    uint64_t count = count_of(queue) - 1;
    set_count(queue, count);
    if (count == 0 && queue->capacity > KEPT_WHEN_EMPTY && atomic_load(&queue->promised) == 0) {
        stoa__free(queue->ring);
        queue->ring = NULL;
        queue->capacity = queue->head = 0;
    }
}

static void
push_front(stoa_queue *queue, stoa_item *item)
{
    queue->head = (queue->head - 1) & (queue->capacity - 1);
    queue->ring[queue->head] = *item;
    item->kind = STOA_ITEM_NOTHING;
    set_count(queue, count_of(queue) + 1);
}

/* ---- the frame of every change ------------------------------------------------------------------------------------- */

static inline void
begin(stoa_queue *queue, stoa_wakes *wakes)
{
    stoa__wakes_init(wakes);
    stoa__lock(&queue->thing.lock);
}

static inline void
finish(stoa_queue *queue, stoa_wakes *wakes)
{
    stoa__unlock(&queue->thing.lock);
    stoa__wakes_do(wakes);
}

/* ---- putting and getting: lock held --------------------------------------------------------------------------------- */

static inline void
counted_put(stoa_queue *queue)
{
    queue->puts++;
    atomic_store_explicit(&queue->unfinished,
                          atomic_load_explicit(&queue->unfinished, memory_order_relaxed) + 1,
                          memory_order_relaxed); /* as count */
}

static void
hand_over(stoa_queue *queue, stoa_item *item, stoa_wakes *wakes)
{
    stoa_node *getter = queue->getters.first;
    getter->item = *item;
    item->kind = STOA_ITEM_NOTHING;
    queue->gets++;
    stoa__node_settle(getter, STOA_NODE_GIVEN, &queue->given, wakes);
}

static stoa_queue_result
put_one(stoa_queue *queue, stoa_item *item, stoa_wakes *wakes)
{
    if (queue->shut) {
        return STOA_QUEUE_SHUT;
    }
    if (queue->getters.first != NULL) {
        counted_put(queue);
        hand_over(queue, item, wakes);
        return STOA_QUEUE_DONE;
    }
    uint64_t limit = queue->limit;
    if (limit > 0 && count_of(queue) >= limit) {
        return STOA_QUEUE_WAIT;
    }
    if (!make_room(queue, 1)) {
        return STOA_QUEUE_NOMEM;
    }
    counted_put(queue);
    item->tag = 0;
    push(queue, item);
    return STOA_QUEUE_DONE;
}

/* An item has gone out: the first who waits to put comes in. */
static void
let_putter_in(stoa_queue *queue, stoa_wakes *wakes)
{
    uint64_t limit = queue->limit;
    while (queue->putters.first != NULL && (limit == 0 || count_of(queue) < limit) && make_room(queue, 1)) {
        stoa_node *putter = queue->putters.first;
        counted_put(queue);
        queue->last_tag += queue->last_tag == UINT32_MAX ? 2 : 1; /* never 0 */
        putter->count = putter->item.tag = queue->last_tag;
        push(queue, &putter->item);
        stoa__node_settle(putter, STOA_NODE_GIVEN, NULL, wakes);
    }
}

static stoa_queue_result
get_one(stoa_queue *queue, stoa_item *out, stoa_wakes *wakes)
{
    if (count_of(queue) == 0) {
        return queue->shut ? STOA_QUEUE_SHUT : STOA_QUEUE_WAIT;
    }
    pop(queue, out);
    queue->gets++;
    if (queue->putters.first != NULL) {
        let_putter_in(queue, wakes);
    }
    return STOA_QUEUE_DONE;
}

static void
give_back(stoa_queue *queue, stoa_node *node, stoa_wakes *wakes)
{
    queue->gets--;
    if (queue->getters.first != NULL) {
        hand_over(queue, &node->item, wakes);
    }
    else {
        push_front(queue, &node->item);
    }
}

/* ---- for everybody -------------------------------------------------------------------------------------------------- */

stoa_queue_result
stoa__queue_put(stoa_queue *queue, stoa_item *item, stoa_node *node)
{
    stoa_wakes wakes;
    begin(queue, &wakes);
    stoa_queue_result result = put_one(queue, item, &wakes);
    if (result == STOA_QUEUE_WAIT && node != NULL) {
        node->item = *item;
        item->kind = STOA_ITEM_NOTHING;
        stoa__node_append(&queue->putters, node);
    }
    finish(queue, &wakes);
    return result;
}

stoa_queue_result
stoa__queue_get(stoa_queue *queue, stoa_item *out, stoa_node *node)
{
    stoa_wakes wakes;
    begin(queue, &wakes);
    stoa_queue_result result = get_one(queue, out, &wakes);
    if (result == STOA_QUEUE_WAIT && node != NULL) {
        if (make_room(queue, 1)) {
            atomic_fetch_add(&queue->promised, 1);
            stoa__node_append(&queue->getters, node);
        }
        else {
            result = STOA_QUEUE_NOMEM;
        }
    }
    finish(queue, &wakes);
    return result;
}

stoa_queue_result
stoa__queue_put_many(stoa_queue *queue, stoa_item *items, size_t count, size_t *done)
{
    stoa_wakes wakes;
    stoa_queue_result result = STOA_QUEUE_DONE;
    *done = 0;
    begin(queue, &wakes);
    while (*done < count && (result = put_one(queue, &items[*done], &wakes)) == STOA_QUEUE_DONE) {
        ++*done;
    }
    finish(queue, &wakes);
    return result;
}

stoa_queue_result
stoa__queue_get_many(stoa_queue *queue, stoa_item *items, size_t max, size_t *got)
{
    stoa_wakes wakes;
    stoa_queue_result result = STOA_QUEUE_DONE;
    *got = 0;
    begin(queue, &wakes);
    while (*got < max && (result = get_one(queue, &items[*got], &wakes)) == STOA_QUEUE_DONE) {
        ++*got;
    }
    finish(queue, &wakes);
    return *got > 0 ? STOA_QUEUE_DONE : result;
}

void
stoa__queue_set_limit(stoa_queue *queue, uint64_t limit)
{
    stoa_wakes wakes;
    begin(queue, &wakes);
    queue->limit = limit;
    let_putter_in(queue, &wakes);
    finish(queue, &wakes);
}

bool
stoa__queue_reserve(stoa_queue *queue, size_t count)
{
    stoa__lock(&queue->thing.lock);
    bool enough = true;
    if (!queue->shut) {
        uint64_t most = queue->limit == 0                ? count
                        : queue->limit > count_of(queue) ? queue->limit - count_of(queue)
                                                         : 0;
        enough = make_room(queue, most < count ? most : count);
    }
    stoa__unlock(&queue->thing.lock);
    return enough;
}

bool
stoa__queue_taken(stoa_queue *queue, stoa_node *node)
{
    if (node->waiter != NULL) {
        atomic_fetch_sub(&queue->promised, 1);
        return true;
    }
    stoa__lock(&queue->thing.lock);
    bool there = node->list == &queue->given;
    if (there) {
        stoa__node_remove(node);
        atomic_fetch_sub(&queue->promised, 1);
    }
    stoa__unlock(&queue->thing.lock);
    return there;
}

bool
stoa__queue_withdraw_put(stoa_queue *queue, stoa_node *node)
{
    stoa__lock(&queue->thing.lock);
    bool waiting = stoa__node_state(node) == STOA_NODE_WAITING;
    if (waiting) {
        stoa__node_remove(node);
        atomic_store(&node->state, STOA_NODE_WITHDRAWN);
    }
    stoa__unlock(&queue->thing.lock);
    return waiting;
}

/* Lock held. The item with this tag leaves the ring, if it is still there; those behind it move up. */
static bool
pull_out(stoa_queue *queue, uint64_t tag, stoa_item *out)
{
    size_t mask = queue->capacity - 1;
    uint64_t count = count_of(queue), i = count;
    while (i > 0 && queue->ring[(queue->head + i - 1) & mask].tag != tag) {
        i--; /* from the newest: it came in lately */
    }
    if (i == 0) {
        return false;
    }
    *out = queue->ring[(queue->head + i - 1) & mask];
    for (; i < count; i++) {
        queue->ring[(queue->head + i - 1) & mask] = queue->ring[(queue->head + i) & mask];
    }
    forget(&queue->ring[(queue->head + count - 1) & mask]);
    set_count(queue, count - 1);
    return true;
}

/* Lock held: `count` items that were put are to be worked on no more. */
static void
fewer_unfinished(stoa_queue *queue, uint64_t count, stoa_wakes *wakes)
{
    uint64_t unfinished = atomic_load(&queue->unfinished);
    atomic_store(&queue->unfinished, unfinished > count ? unfinished - count : 0);
    if (unfinished <= count) {
        stoa__nodes_settle_all(&queue->joiners, STOA_NODE_GIVEN, wakes);
    }
}

bool
stoa__queue_take_back(stoa_queue *queue, stoa_node *node)
{
    stoa_wakes wakes;
    begin(queue, &wakes);
    uint32_t state = stoa__node_state(node);
    bool mine = state == STOA_NODE_WAITING;
    if (mine) {
        stoa__node_remove(node);
    }
    else if (state == STOA_NODE_GIVEN && pull_out(queue, node->count, &node->item)) {
        mine = true;
        queue->puts--;
        fewer_unfinished(queue, 1, &wakes);
        let_putter_in(queue, &wakes);
    }
    if (mine) {
        atomic_store(&node->state, STOA_NODE_WITHDRAWN);
    }
    finish(queue, &wakes);
    return mine;
}

/* Lock held. */
static bool
withdraw_get(stoa_queue *queue, stoa_node *node, stoa_wakes *wakes)
{
    uint32_t state = stoa__node_state(node);
    if (state == STOA_NODE_WAITING || (node->waiter == NULL && node->list == &queue->given)) {
        stoa__node_remove(node);
    }
    else if (node->waiter == NULL || state != STOA_NODE_GIVEN) {
        return false; /* it has nothing any more */
    }
    if (state == STOA_NODE_GIVEN && node->item.kind != STOA_ITEM_NOTHING) {
        give_back(queue, node, wakes);
    }
    atomic_store(&node->state, STOA_NODE_WITHDRAWN);
    atomic_fetch_sub(&queue->promised, 1);
    return state == STOA_NODE_WAITING;
}

bool
stoa__queue_withdraw_get(stoa_queue *queue, stoa_node *node)
{
    stoa_wakes wakes;
    begin(queue, &wakes);
    bool waiting = withdraw_get(queue, node, &wakes);
    finish(queue, &wakes);
    return waiting;
}

void
stoa__queue_put_back(stoa_queue *queue, stoa_item *items, size_t count)
{
    stoa_wakes wakes;
    begin(queue, &wakes);
    while (count > 0 && (queue->getters.first != NULL || make_room(queue, 1))) {
        queue->gets--;
        if (queue->getters.first != NULL) { /* they wait, so the queue is empty: the oldest goes first */
            hand_over(queue, items++, &wakes);
            count--;
        }
        else {
            push_front(queue, &items[--count]);
        }
    }
    finish(queue, &wakes);
    while (count > 0) {
        stoa__item_drop(&items[--count]);
    }
}

bool
stoa__queue_task_done(stoa_queue *queue)
{
    stoa_wakes wakes;
    begin(queue, &wakes);
    uint64_t unfinished = atomic_load(&queue->unfinished);
    if (unfinished > 0) {
        fewer_unfinished(queue, 1, &wakes);
    }
    finish(queue, &wakes);
    return unfinished > 0;
}

stoa_queue_result
stoa__queue_join(stoa_queue *queue, stoa_node *node)
{
    stoa__lock(&queue->thing.lock);
    bool wait = atomic_load(&queue->unfinished) > 0;
    if (wait) {
        stoa__node_append(&queue->joiners, node);
    }
    stoa__unlock(&queue->thing.lock);
    return wait ? STOA_QUEUE_WAIT : STOA_QUEUE_DONE;
}

void
stoa__queue_withdraw_join(stoa_queue *queue, stoa_node *node)
{
    stoa__lock(&queue->thing.lock);
    stoa__node_remove(node);
    stoa__unlock(&queue->thing.lock);
}

/* Lock held. What is in it is thrown away: the caller drops the ring's items and frees it, without the lock. */
static stoa_item *
take_all(stoa_queue *queue, size_t *capacity, size_t *head, uint64_t *count)
{
    stoa_item *ring = queue->ring;
    *capacity = queue->capacity;
    *head = queue->head;
    *count = count_of(queue);
    queue->ring = NULL;
    queue->capacity = queue->head = 0;
    set_count(queue, 0);
    return ring;
}

static void
drop_all(stoa_item *ring, size_t capacity, size_t head, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        stoa__item_drop(&ring[(head + i) & (capacity - 1)]);
    }
    stoa__free(ring);
}

void
stoa__queue_shutdown(stoa_queue *queue, bool immediate)
{
    stoa_wakes wakes;
    stoa_item *ring = NULL;
    size_t capacity = 0, head = 0;
    uint64_t count = 0;
    begin(queue, &wakes);
    queue->shut = true;
    /* with items that may come back there must be a ring: then they are dropped one by one */
    if (immediate && atomic_load(&queue->promised) == queue->getters.count) {
        ring = take_all(queue, &capacity, &head, &count);
    }
    atomic_fetch_sub(&queue->promised, queue->getters.count);
    stoa__nodes_settle_all(&queue->getters, STOA_NODE_SHUT, &wakes);
    stoa__nodes_settle_all(&queue->putters, STOA_NODE_SHUT, &wakes);
    while (immediate && ring == NULL && count_of(queue) > 0) {
        stoa_item item;
        pop(queue, &item);
        stoa__unlock(&queue->thing.lock);
        stoa__item_drop(&item);
        stoa__lock(&queue->thing.lock);
        count++;
    }
    if (immediate) {
        fewer_unfinished(queue, count, &wakes);
    }
    finish(queue, &wakes);
    if (ring != NULL) {
        drop_all(ring, capacity, head, count);
    }
}

bool
stoa__queue_is_shut(stoa_queue *queue)
{
    stoa__lock(&queue->thing.lock);
    bool shut = queue->shut;
    stoa__unlock(&queue->thing.lock);
    return shut;
}

/* ---- the thing ------------------------------------------------------------------------------------------------------ */

static void
end_queue(stoa_thing *thing)
{
    stoa_queue *queue = stoa__queue(thing);
    drop_all(queue->ring, queue->capacity, queue->head, count_of(queue));
    stoa__free(queue);
}

/* Tasks, and threads that CPython has stopped for ever, do not withdraw by themselves. */
static void
interp_gone(stoa_thing *thing, uint32_t serial)
{
    stoa_queue *queue = stoa__queue(thing);
    stoa_wakes wakes;
    begin(queue, &wakes);
    uint32_t before = queue->getters.count;
    stoa__nodes_withdraw(&queue->getters, serial, false);
    atomic_fetch_sub(&queue->promised, before - queue->getters.count);
    stoa__nodes_withdraw(&queue->putters, serial, false);
    stoa__nodes_withdraw(&queue->joiners, serial, false);
    stoa_node *next;
    for (stoa_node *node = queue->given.first; node != NULL; node = next) {
        next = node->next;
        if (node->serial == serial) {
            (void)withdraw_get(queue, node, &wakes);
        }
    }
    finish(queue, &wakes);
}

static void
fork_child(stoa_thing *thing, uint32_t self)
{
    (void)self; /* it is forking, so it is not waiting; its tasks wait in the parent */
    stoa_queue *queue = stoa__queue(thing);
    stoa__nodes_withdraw(&queue->getters, 0, true);
    stoa__nodes_withdraw(&queue->putters, 0, true);
    stoa__nodes_withdraw(&queue->joiners, 0, true);
    stoa__nodes_withdraw(&queue->given, 0, true); /* the parent has those items */
    atomic_store(&queue->promised, 0);
}

static void
describe(stoa_thing *thing, stoa_thing_info *info)
{
    stoa_queue *queue = stoa__queue(thing);
    stoa__lock(&thing->lock);
    info->depth = count_of(queue);
    info->limit = queue->limit;
    info->waiters = queue->getters.count + queue->putters.count + queue->joiners.count;
    info->broken = queue->shut;
    stoa__unlock(&thing->lock);
}

static const stoa_thing_class queue_class = {.name = "Queue",
                                             .end = end_queue,
                                             .interp_gone = interp_gone,
                                             .fork_child = fork_child,
                                             .describe = describe};

stoa_err
stoa__queue_new(uint64_t limit, stoa_queue **out)
{
    stoa_queue *queue = stoa__alloc(sizeof *queue);
    if (queue == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a queue");
    }
    queue->limit = limit;
    stoa_err err = stoa__thing_open(&queue->thing, &queue_class, STOA_THING_QUEUE);
    if (err != STOA_OK) {
        stoa__free(queue);
        return err;
    }
    *out = queue;
    return STOA_OK;
}
