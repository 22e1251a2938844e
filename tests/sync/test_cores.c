/* The cores of queues and locks without Python: handing over, withdrawing, closing, many threads at once. */
#include "sync/bell.h"
#include "sync/event.h"
#include "sync/mutex.h"
#include "sync/queue.h"
#include "sync/semaphore.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "support/process.h"

#define THREADS 4
#define ROUNDS 3000

static stoa_item
number(int64_t value)
{
    return (stoa_item){.kind = STOA_ITEM_INT, .as = {.integer = value}};
}

typedef struct shared {
    stoa_queue *queue;
    stoa_mutex *mutex;
    stoa_semaphore *semaphore;
    uint64_t plain; /* guarded by mutex */
    _Atomic uint64_t sum;
} shared;

static void *
put_many(void *arg)
{
    shared *s = arg;
    for (int i = 1; i <= ROUNDS; i++) {
        stoa_node node;
        stoa_item item = number(i);
        stoa__node_init(&node, stoa__waiter_here(), 0);
        if (stoa__queue_put(s->queue, &item, &node) == STOA_QUEUE_WAIT) {
            (void)stoa__node_sleep(&node, STOA_FOREVER);
        }
    }
    return NULL;
}

/* Gets with a deadline that often passes just when an item comes. */
static void *
get_many(void *arg)
{
    shared *s = arg;
    for (int got = 0; got < ROUNDS;) {
        stoa_node node;
        stoa_item item;
        stoa__node_init(&node, stoa__waiter_here(), 0);
        stoa_queue_result result = stoa__queue_get(s->queue, &item, &node);
        if (result == STOA_QUEUE_WAIT) {
            stoa_deadline deadline = stoa__now() + 20000;
            if (stoa__node_sleep(&node, deadline) != STOA_OK) {
                (void)stoa__queue_withdraw_get(s->queue, &node); /* what it was given goes back */
                continue;
            }
            (void)stoa__queue_taken(s->queue, &node);
            item = node.item;
        }
        atomic_fetch_add(&s->sum, (uint64_t)item.as.integer);
        got++;
    }
    return NULL;
}

static void
run(void *(*one)(void *), void *(*two)(void *), shared *s)
{
    pthread_t threads[2 * THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[2 * i], NULL, one, s), 0);
        assert_int_equal(pthread_create(&threads[2 * i + 1], NULL, two, s), 0);
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void
queue_loses_and_doubles_nothing(void **state)
{
    (void)state;
    shared s = {0};
    assert_int_equal(stoa__queue_new(3, &s.queue), STOA_OK);
    run(put_many, get_many, &s);
    assert_true(atomic_load(&s.sum) == (uint64_t)THREADS * ROUNDS * (ROUNDS + 1) / 2);
    assert_int_equal(s.queue->count, 0);
    assert_int_equal(s.queue->promised, 0);
    stoa__thing_unref(&s.queue->thing);
}

static int64_t
get_now(stoa_queue *queue)
{
    stoa_item item;
    assert_int_equal(stoa__queue_get(queue, &item, NULL), STOA_QUEUE_DONE);
    return item.as.integer;
}

/* What a waiting putter brought, and nobody has got yet, can be taken back: from the midst of others. */
static void
queue_gives_a_put_back(void **state)
{
    (void)state;
    stoa_queue *queue;
    stoa_node nodes[3], joiner;
    assert_int_equal(stoa__queue_new(1, &queue), STOA_OK);
    stoa_item item = number(0);
    assert_int_equal(stoa__queue_put(queue, &item, NULL), STOA_QUEUE_DONE);
    for (int i = 0; i < 3; i++) {
        stoa__node_init(&nodes[i], stoa__waiter_here(), 0);
        item = number(i + 1);
        assert_int_equal(stoa__queue_put(queue, &item, &nodes[i]), STOA_QUEUE_WAIT);
    }
    stoa__queue_set_limit(queue, 3); /* 1 and 2 come in, 3 waits on */
    assert_true(stoa__queue_take_back(queue, &nodes[0]));
    assert_int_equal(nodes[0].item.as.integer, 1);
    assert_int_equal(stoa__node_state(&nodes[0]), STOA_NODE_WITHDRAWN);
    assert_int_equal(stoa__node_state(&nodes[2]), STOA_NODE_GIVEN); /* there was room then */
    assert_int_equal(queue->unfinished, 3);
    assert_int_equal(get_now(queue), 0);
    assert_int_equal(get_now(queue), 2);
    assert_false(stoa__queue_take_back(queue, &nodes[1])); /* somebody has it */
    stoa__node_init(&joiner, stoa__waiter_here(), 0);
    assert_int_equal(stoa__queue_join(queue, &joiner), STOA_QUEUE_WAIT);
    assert_true(stoa__queue_task_done(queue) && stoa__queue_task_done(queue));
    assert_int_equal(stoa__node_state(&joiner), STOA_NODE_WAITING);
    assert_true(stoa__queue_take_back(queue, &nodes[2])); /* nothing is left to be done */
    assert_int_equal(stoa__node_state(&joiner), STOA_NODE_GIVEN);
    assert_int_equal(queue->count, 0);
    assert_int_equal(queue->puts, 2);
    stoa__thing_unref(&queue->thing);
}

static void *
lock_many(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        stoa_node node;
        stoa_waiter *self = stoa__waiter_here();
        uint64_t owner = stoa__mutex_owner(self, 0);
        stoa__node_init(&node, self, 0);
        node.owner = owner;
        if (stoa__mutex_acquire(s->mutex, owner, &node) == STOA_MUTEX_WAIT &&
            stoa__node_sleep(&node, i % 3 == 0 ? stoa__now() + 10000 : STOA_FOREVER) != STOA_OK) {
            (void)stoa__mutex_withdraw(s->mutex, &node);
            continue;
        }
        s->plain++;
        atomic_fetch_add(&s->sum, 1);
        (void)stoa__mutex_release(s->mutex, owner);
    }
    return NULL;
}

static void
mutex_lets_one_in(void **state)
{
    (void)state;
    shared s = {0};
    assert_int_equal(stoa__mutex_new(false, &s.mutex), STOA_OK);
    run(lock_many, lock_many, &s);
    assert_true(s.plain == atomic_load(&s.sum));
    assert_int_equal(s.mutex->word, 0);
    stoa__thing_unref(&s.mutex->thing);
}

static void *
take_and_give(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        stoa_node node;
        stoa__node_init(&node, stoa__waiter_here(), 0);
        if (!stoa__semaphore_acquire(s->semaphore, &node) &&
            stoa__node_sleep(&node, i % 2 ? stoa__now() + 10000 : STOA_FOREVER) != STOA_OK) {
            (void)stoa__semaphore_withdraw(s->semaphore, &node);
            continue;
        }
        (void)stoa__semaphore_release(s->semaphore, 1);
    }
    return NULL;
}

static void
semaphore_keeps_its_value(void **state)
{
    (void)state;
    shared s = {0};
    assert_int_equal(stoa__semaphore_new(2, true, &s.semaphore), STOA_OK);
    run(take_and_give, take_and_give, &s);
    assert_int_equal(stoa__semaphore_value(s.semaphore), 2);
    assert_false(stoa__semaphore_release(s.semaphore, 1));
    stoa__thing_unref(&s.semaphore->thing);
}

static void
closed_holder_breaks_the_mutex(void **state)
{
    (void)state;
    stoa_mutex *mutex;
    stoa_node node;
    stoa_waiter *self = stoa__waiter_here();
    uint64_t owner = stoa__mutex_owner(self, 77), mine = stoa__mutex_owner(self, 0);
    assert_int_equal(stoa__mutex_new(false, &mutex), STOA_OK);
    assert_int_equal(stoa__mutex_acquire(mutex, owner, NULL), STOA_MUTEX_DONE);
    stoa__node_init(&node, self, 0);
    node.owner = mine;
    assert_int_equal(stoa__mutex_acquire(mutex, mine, &node), STOA_MUTEX_WAIT);
    stoa__things_interp_gone(76);
    assert_int_equal(stoa__node_state(&node), STOA_NODE_WAITING);
    stoa__things_interp_gone(77);
    assert_int_equal(stoa__node_state(&node), STOA_NODE_BROKEN);
    assert_int_equal(stoa__mutex_acquire(mutex, mine, NULL), STOA_MUTEX_IS_BROKEN);
    assert_int_equal(stoa__mutex_broke_in(mutex), 77);
    assert_int_equal(stoa__mutex_release(mutex, mine), STOA_MUTEX_DONE);
    assert_int_equal(stoa__mutex_acquire(mutex, mine, NULL), STOA_MUTEX_DONE);
    stoa__thing_unref(&mutex->thing);
}

static void
bell_rings_once_for_many(void **state)
{
    (void)state;
    stoa_bell *bell;
    stoa_queue *queue;
    stoa_item item;
    assert_int_equal(stoa__bell_new(&bell), STOA_OK);
    assert_int_equal(stoa__queue_new(0, &queue), STOA_OK);
    stoa_ticket *one = stoa__ticket_new(bell, 5, NULL), *two = stoa__ticket_new(bell, 6, NULL), *heard;
    assert_int_equal(stoa__queue_get(queue, &item, &one->node), STOA_QUEUE_WAIT);
    assert_int_equal(stoa__queue_get(queue, &item, &two->node), STOA_QUEUE_WAIT);
    for (int i = 1; i <= 2; i++) {
        item = number(i);
        assert_int_equal(stoa__queue_put(queue, &item, NULL), STOA_QUEUE_DONE);
    }
    struct pollfd poller = {.fd = stoa__bell_fd(bell), .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 0), 1);
    stoa__bell_heard(bell);
    assert_int_equal(poll(&poller, 1, 0), 0);
    assert_ptr_equal(heard = stoa__bell_take(bell), one);
    stoa__ticket_unref(heard);
    assert_ptr_equal(heard = stoa__bell_take(bell), two);
    stoa__ticket_unref(heard);
    assert_null(stoa__bell_take(bell));
    assert_true(stoa__queue_taken(queue, &two->node));
    stoa__things_interp_gone(5); /* the first one's item comes back */
    assert_false(stoa__queue_taken(queue, &one->node));
    assert_int_equal(stoa__queue_get(queue, &item, NULL), STOA_QUEUE_DONE);
    assert_int_equal(item.as.integer, 1);
    stoa__ticket_unref(one);
    stoa__ticket_unref(two);
    stoa__bell_unref(bell);
    stoa__thing_unref(&queue->thing);
}

static bool
is_readable(stoa_bell *bell)
{
    struct pollfd poller = {.fd = stoa__bell_fd(bell), .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

static void *
ring_all(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        stoa__bells_ring(arg);
    }
    return NULL;
}

/* While loops, and waits in them, come and go. */
static void
an_interpreter_rings_all_its_bells(void **state)
{
    (void)state;
    stoa_interp_record *owner = make_owner("loops"), *neighbour = make_owner("neighbour");
    stoa_bell *first, *second, *other;
    assert_int_equal(stoa__bell_new(&first), STOA_OK);
    assert_int_equal(stoa__bell_new(&second), STOA_OK);
    assert_int_equal(stoa__bell_new(&other), STOA_OK);
    stoa__bell_join(first, owner);
    stoa__bell_join(second, owner);
    stoa__bell_join(other, neighbour);
    stoa__bells_ring(owner);
    assert_true(is_readable(first) && is_readable(second));
    assert_false(is_readable(other));
    assert_null(stoa__bell_take(first));

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ring_all, owner), 0);
    for (int i = 0; i < ROUNDS; i++) {
        stoa_bell *passing;
        void *users[2] = {NULL, NULL};
        assert_int_equal(stoa__bell_new(&passing), STOA_OK);
        stoa__bell_join(passing, owner);
        stoa_ticket *one = stoa__ticket_new(passing, 5, &i), *two = stoa__ticket_new(passing, 5, owner);
        stoa__ticket_unref(one);
        assert_int_equal(stoa__bell_users(passing, users, 2), 1);
        assert_ptr_equal(users[0], owner);
        stoa__bell_close(passing);
        stoa__bell_unref(passing);
        stoa__ticket_unref(two); /* outlives the loop */
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    stoa__bell_unref(second); /* the last reference closes it */
    stoa__bell_heard(first);
    stoa__bells_ring(owner);
    assert_true(is_readable(first));
    end_owner(owner);
    end_owner(neighbour);
    stoa__bell_unref(first);
    stoa__bell_unref(other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_loses_and_doubles_nothing),
        cmocka_unit_test(mutex_lets_one_in),
        cmocka_unit_test(semaphore_keeps_its_value),
        cmocka_unit_test(closed_holder_breaks_the_mutex),
        cmocka_unit_test(an_interpreter_rings_all_its_bells),
        cmocka_unit_test(bell_rings_once_for_many),
        cmocka_unit_test(queue_gives_a_put_back),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
