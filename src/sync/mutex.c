#include "sync/mutex.h"

#include "heap/error.h"
#include "heap/memory.h"

#define CONTENDED ((uint64_t)STOA_MUTEX_CONTENDED)

static inline uint32_t
number_of(uint64_t word)
{
    return (uint32_t)(word >> 1);
}

static inline uint32_t
serial_of(uint64_t word)
{
    return (uint32_t)(word >> 33);
}

static inline bool
is_broken(uint64_t word)
{
    return word == STOA_MUTEX_BROKEN;
}

/* Lock held. The waiter's edge (if he has one for this mutex) stands for `fresh` from now on; NULL: he waits no more. */
static void
move_edge(stoa_node *node, stoa_waiter *fresh)
{
    if (node->whom != NULL) {
        stoa__waiter_waits_now_for(node->waiter, node->whom, fresh);
        stoa__waiter_unref(node->whom);
        node->whom = fresh == NULL ? NULL : stoa__waiter_ref(fresh);
    }
}

/* Lock held. No new circle can come of it: the thread that was just given the mutex waits for nobody. */
static void
tell_waiters(stoa_mutex *mutex, stoa_waiter *fresh)
{
    for (stoa_node *node = mutex->waiters.first; node != NULL; node = node->next) {
        move_edge(node, fresh);
    }
}

stoa_err
stoa__mutex_watch(stoa_mutex *mutex, stoa_node *node)
{
    stoa_err err = STOA_OK;
    stoa__lock(&mutex->thing.lock);
    if (stoa__node_state(node) == STOA_NODE_WAITING && node->whom == NULL) {
        /* the word is CONTENDED, so handing over needs the lock: the holder stays who he is while we look */
        stoa_waiter *holder = stoa__waiter_of(number_of(atomic_load(&mutex->word)));
        if (holder == node->waiter && !mutex->recursive) {
            stoa__waiter_unref(holder); /* another thread may let go of a Lock */
            holder = NULL;
        }
        if (holder != NULL) {
            err = stoa__waiter_waits_for(node->waiter, holder, "a lock");
            if (err == STOA_OK) {
                node->whom = holder;
            }
            else {
                stoa__waiter_unref(holder);
            }
        }
    }
    stoa__unlock(&mutex->thing.lock);
    return err;
}

/* Lock held, nobody waits any more: letting go is one compare-and-swap again. */
static void
uncontended(stoa_mutex *mutex)
{
    if (mutex->waiters.first == NULL && !is_broken(atomic_load(&mutex->word))) {
        atomic_fetch_and(&mutex->word, ~CONTENDED);
    }
}

static stoa_mutex_result
acquire_slowly(stoa_mutex *mutex, uint64_t owner, stoa_node *node)
{
    stoa_mutex_result result;
    stoa__lock(&mutex->thing.lock);
    uint64_t word = atomic_load(&mutex->word);
    for (;;) {
        if (is_broken(word)) {
            result = STOA_MUTEX_IS_BROKEN;
            break;
        }
        if (word == 0) {
            if (atomic_compare_exchange_weak(&mutex->word, &word, owner)) {
                result = STOA_MUTEX_DONE;
                break;
            }
        }
        else if (node == NULL) {
            result = STOA_MUTEX_WAIT;
            break;
        }
        else if ((word & CONTENDED) || atomic_compare_exchange_weak(&mutex->word, &word, word | CONTENDED)) {
            /* from here on letting go takes the lock, which we hold: the holder stays */
            stoa__node_append(&mutex->waiters, node);
            result = STOA_MUTEX_WAIT;
            break;
        }
    }
    stoa__unlock(&mutex->thing.lock);
    return result;
}

stoa_mutex_result
stoa__mutex_acquire(stoa_mutex *mutex, uint64_t owner, stoa_node *node)
{
    if (mutex->recursive && stoa__mutex_is_held_by(mutex, owner)) {
        mutex->depth++;
        return STOA_MUTEX_DONE;
    }
    stoa_mutex_result result = stoa__mutex_try(mutex, owner) ? STOA_MUTEX_DONE
                                                             : acquire_slowly(mutex, owner, node);
    if (result == STOA_MUTEX_DONE && mutex->recursive) {
        mutex->depth = node == NULL || node->count == 0 ? 1 : node->count;
    }
    return result;
}

/* Lock held, word CONTENDED: to the first who waits. */
static void
hand_over(stoa_mutex *mutex, stoa_wakes *wakes)
{
    stoa_node *node = mutex->waiters.first;
    if (node == NULL) {
        atomic_store(&mutex->word, 0);
        return;
    }
    uint64_t owner = node->owner;
    if (mutex->recursive) {
        mutex->depth = node->count == 0 ? 1 : node->count;
    }
    stoa_waiter *fresh = node->waiter;
    move_edge(node, NULL);
    stoa__node_remove(node);
    atomic_store(&mutex->word, owner | (mutex->waiters.first != NULL ? CONTENDED : 0));
    tell_waiters(mutex, fresh);
    stoa__node_settle(node, STOA_NODE_GIVEN, &mutex->given, wakes);
}

static stoa_mutex_result
let_go(stoa_mutex *mutex, uint64_t owner)
{
    uint64_t word = atomic_load_explicit(&mutex->word, memory_order_relaxed);
    if (mutex->recursive && (word & ~CONTENDED) != owner && !is_broken(word)) {
        return STOA_MUTEX_NOT_HELD;
    }
    while ((word & CONTENDED) == 0) {
        if (word == 0) {
            return STOA_MUTEX_NOT_HELD;
        }
        /* release: pairs with the acquire of whoever takes it next */
        if (atomic_compare_exchange_weak_explicit(&mutex->word, &word, 0, memory_order_release,
                                                  memory_order_relaxed)) {
            return STOA_MUTEX_DONE;
        }
    }
    stoa_wakes wakes;
    stoa_mutex_result result = STOA_MUTEX_DONE;
    stoa__wakes_init(&wakes);
    stoa__lock(&mutex->thing.lock);
    word = atomic_load(&mutex->word);
    if (word == 0) { /* another thread was quicker */
        result = STOA_MUTEX_NOT_HELD;
    }
    else if (is_broken(word)) { /* put right */
        mutex->broke_in = 0;
        atomic_store(&mutex->word, 0);
    }
    else {
        hand_over(mutex, &wakes);
    }
    stoa__unlock(&mutex->thing.lock);
    stoa__wakes_do(&wakes);
    return result;
}

stoa_mutex_result
stoa__mutex_release(stoa_mutex *mutex, uint64_t owner)
{
    if (mutex->recursive && mutex->depth > 1 && stoa__mutex_is_held_by(mutex, owner)) {
        mutex->depth--;
        return STOA_MUTEX_DONE;
    }
    return let_go(mutex, owner);
}

stoa_mutex_result
stoa__mutex_release_save(stoa_mutex *mutex, uint64_t owner, uint64_t *depth)
{
    if (mutex->recursive && !stoa__mutex_is_held_by(mutex, owner)) {
        return STOA_MUTEX_NOT_HELD;
    }
    *depth = mutex->recursive ? mutex->depth : 1;
    return let_go(mutex, owner);
}

/* Lock held. What was given to a task that will not take it. */
static void
pass_on(stoa_mutex *mutex, stoa_node *node, stoa_wakes *wakes)
{
    stoa__node_remove(node);
    atomic_store(&node->state, STOA_NODE_WITHDRAWN);
    hand_over(mutex, wakes);
}

bool
stoa__mutex_withdraw(stoa_mutex *mutex, stoa_node *node)
{
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&mutex->thing.lock);
    uint32_t state = stoa__node_state(node);
    if (state == STOA_NODE_WAITING) {
        move_edge(node, NULL);
        stoa__node_remove(node);
        uncontended(mutex);
        atomic_store(&node->state, STOA_NODE_WITHDRAWN);
    }
    else if (state == STOA_NODE_GIVEN && (node->waiter != NULL || node->list == &mutex->given)) {
        pass_on(mutex, node, &wakes);
    }
    stoa__unlock(&mutex->thing.lock);
    stoa__wakes_do(&wakes);
    return state == STOA_NODE_WAITING;
}

bool
stoa__mutex_taken(stoa_mutex *mutex, stoa_node *node)
{
    stoa__lock(&mutex->thing.lock);
    bool there = node->list == &mutex->given;
    stoa__node_remove(node);
    stoa__unlock(&mutex->thing.lock);
    return there;
}

uint32_t
stoa__mutex_broke_in(stoa_mutex *mutex)
{
    stoa__lock(&mutex->thing.lock);
    uint32_t serial = mutex->broke_in;
    stoa__unlock(&mutex->thing.lock);
    return serial;
}

/* ---- the thing ------------------------------------------------------------------------------------------------------ */

static void
end_mutex(stoa_thing *thing)
{
    stoa__free(thing);
}

/* Lock held. The holder will never let go. */
static void
break_it(stoa_mutex *mutex, uint64_t word, stoa_wakes *wakes)
{
    do {
        if (word == 0 || is_broken(word)) {
            return; /* a Lock that another thread has let go meanwhile */
        }
    } while (!atomic_compare_exchange_weak(&mutex->word, &word, STOA_MUTEX_BROKEN));
    mutex->broke_in = serial_of(word);
    tell_waiters(mutex, NULL);
    stoa__nodes_settle_all(&mutex->waiters, STOA_NODE_BROKEN, wakes);
}

static void
interp_gone(stoa_thing *thing, uint32_t serial)
{
    stoa_mutex *mutex = stoa__mutex(thing);
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__lock(&thing->lock);
    stoa__nodes_withdraw(&mutex->waiters, serial, false);
    stoa_node *next;
    for (stoa_node *node = mutex->given.first; node != NULL; node = next) {
        next = node->next;
        if (node->serial == serial) {
            pass_on(mutex, node, &wakes); /* it never saw what the mutex guards */
        }
    }
    uint64_t word = atomic_load(&mutex->word);
    if (word != 0 && !is_broken(word) && serial_of(word) == serial) {
        break_it(mutex, word, &wakes);
    }
    uncontended(mutex);
    stoa__unlock(&thing->lock);
    stoa__wakes_do(&wakes);
}

static void
fork_child(stoa_thing *thing, uint32_t self)
{
    stoa_mutex *mutex = stoa__mutex(thing);
    stoa_wakes wakes;
    stoa__wakes_init(&wakes);
    stoa__nodes_withdraw(&mutex->waiters, 0, true);
    stoa__nodes_withdraw(&mutex->given, 0, true);
    uint64_t word = atomic_load(&mutex->word);
    if (word != 0 && !is_broken(word) && number_of(word) != self) {
        break_it(mutex, word, &wakes); /* its holder is a thread of the parent */
    }
    uncontended(mutex);
}

static void
describe(stoa_thing *thing, stoa_thing_info *info)
{
    stoa_mutex *mutex = stoa__mutex(thing);
    stoa__lock(&thing->lock);
    uint64_t word = atomic_load(&mutex->word);
    info->broken = is_broken(word);
    info->holder = info->broken ? 0 : number_of(word);
    info->holder_in = info->broken ? mutex->broke_in : serial_of(word);
    info->depth = word != 0;
    info->waiters = mutex->waiters.count;
    stoa__unlock(&thing->lock);
}

static const stoa_thing_class lock_class = {
    .name = "Lock", .end = end_mutex, .interp_gone = interp_gone, .fork_child = fork_child, .describe = describe};
static const stoa_thing_class rlock_class = {.name = "RLock",
                                             .end = end_mutex,
                                             .interp_gone = interp_gone,
                                             .fork_child = fork_child,
                                             .describe = describe};

stoa_err
stoa__mutex_new(bool recursive, stoa_mutex **out)
{
    stoa_mutex *mutex = stoa__alloc(sizeof *mutex);
    if (mutex == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a lock");
    }
    mutex->recursive = recursive;
    stoa_err err = stoa__thing_open(&mutex->thing, recursive ? &rlock_class : &lock_class,
                                    recursive ? STOA_THING_RLOCK : STOA_THING_LOCK);
    if (err != STOA_OK) {
        stoa__free(mutex);
        return err;
    }
    *out = mutex;
    return STOA_OK;
}
