#include "heap/waiter.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap/error.h"
#include "heap/memory.h"
#include "heap/process_struct.h" // stoa__process->waits
#include "heap/thread_end.h"

#define CIRCLE_SHOWN 8 /* threads of a circle that the message names */

static _Thread_local stoa_waiter *waiter_here;

static void
end_of_thread(void *arg)
{
    stoa_waiter *self = arg;
    waiter_here = NULL;
    stoa__mailbox_close(&self->home);
    stoa__waiter_unref(self);
}

stoa_waiter *
stoa__waiter_here(void)
{
    stoa_waiter *self = waiter_here;
    if (self != NULL) {
        return self;
    }
    self = stoa__alloc(sizeof(*self));
    if (self == NULL) {
        stoa__fail(STOA_ENOMEM, "no memory to let this thread wait");
        return NULL;
    }
    atomic_init(&self->refs, 1);
    self->thread = (uint64_t)syscall(SYS_gettid);
    stoa__mailbox_init(&self->home);
    waiter_here = self;
    stoa__at_thread_end(end_of_thread, self);
    return self;
}

stoa_waiter *
stoa__waiter_ref(stoa_waiter *waiter)
{
    /* relaxed: who makes a reference has one */
    (void)atomic_fetch_add_explicit(&waiter->refs, 1, memory_order_relaxed);
    return waiter;
}

void
stoa__waiter_unref(stoa_waiter *waiter)
{
    /* acq_rel: pairs with itself; all uses happen before the free */
    if (atomic_fetch_sub_explicit(&waiter->refs, 1, memory_order_acq_rel) == 1) {
        stoa__free(waiter);
    }
}

stoa_wait_result
stoa__waiter_sleep(stoa_waiter *self, uint32_t seen, stoa_deadline deadline)
{
    atomic_store(&self->sleeping, 1);
    stoa_wait_result result = STOA_WOKEN;
    if (atomic_load(&self->news) == seen) {
        result = stoa__futex_wait(&self->news, seen, deadline);
    }
    atomic_store(&self->sleeping, 0);
    return result;
}

static inline void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

stoa_wait_result
stoa__waiter_spin_sleep(stoa_waiter *self, uint32_t seen, int64_t nanoseconds, stoa_deadline deadline)
{
    int64_t until = stoa__now() + nanoseconds;
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load(&self->news) != seen) {
                return STOA_WOKEN;
            }
            relax();
        }
    } while (stoa__now() < until);
    return stoa__waiter_sleep(self, seen, deadline);
}

void
stoa__waiter_wake(stoa_waiter *waiter)
{
    atomic_fetch_add(&waiter->news, 1);
    /* seq_cst on both sides: the sleeper raises `sleeping` before it reads `news`, we read it after the addition */
    if (atomic_load(&waiter->sleeping)) {
        stoa__futex_wake(&waiter->news, INT_MAX);
    }
}

void
stoa__waiter_interrupt(stoa_waiter *waiter)
{
    atomic_store(&waiter->interrupted, 1);
    stoa__waiter_wake(waiter);
}

bool
stoa__waiter_take_interrupt(stoa_waiter *self)
{
    return atomic_load(&self->interrupted) && atomic_exchange(&self->interrupted, 0);
}

/* Lock of the waits held. "thread 12 waits for a lock held by thread 13, …" */
static void
describe_circle(const stoa_waiter *self, const stoa_waiter *whom, const char *what, char *text, size_t size)
{
    size_t used = 0;
    const stoa_waiter *from = self, *to = whom;
    for (int i = 0; i < CIRCLE_SHOWN && used < size; i++) {
        int n = snprintf(text + used, size - used, "%sthread %llu waits for %s of thread %llu",
                         i > 0 ? ", " : "", (unsigned long long)from->thread, what,
                         (unsigned long long)to->thread);
        used += n > 0 ? (size_t)n : 0;
        if (to == self) {
            return;
        }
        from = to;
        what = from->for_what;
        to = from->for_whom;
    }
    if (used < size) {
        (void)snprintf(text + used, size - used, ", and so on back to thread %llu",
                       (unsigned long long)self->thread);
    }
}

stoa_err
stoa__waiter_waits_for(stoa_waiter *self, stoa_waiter *whom, const char *what)
{
    char circle[512] = "";
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    /* ends: there was no circle before this edge, so every chain does */
    const stoa_waiter *at = whom;
    while (at != NULL && at != self) {
        at = at->for_whom;
    }
    if (at == self) {
        describe_circle(self, whom, what, circle, sizeof(circle));
    }
    else {
        self->for_whom = stoa__waiter_ref(whom);
        self->for_what = what;
    }
    stoa__unlock(lock);
    return at != self ? STOA_OK
                      : stoa__fail(STOA_EDEADLOCK,
                                   "waiting would never end: %s; let one of them go first, or wait with "
                                   "a timeout",
                                   circle);
}

void
stoa__waiter_waits_no_more(stoa_waiter *self)
{
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    stoa_waiter *whom = self->for_whom;
    self->for_whom = NULL;
    self->for_what = NULL;
    stoa__unlock(lock);
    if (whom != NULL) {
        stoa__waiter_unref(whom);
    }
}

void
stoa__waiters_fork_prepare(void)
{
    stoa__lock(&stoa__process->waits);
}

void
stoa__waiters_fork_parent(void)
{
    stoa__unlock(&stoa__process->waits);
}

void
stoa__waiters_fork_child(void)
{
    stoa__lock_reset(&stoa__process->waits);
    stoa_waiter *self = waiter_here;
    if (self != NULL) {
        stoa__mailbox_fork_child(&self->home);
        self->for_whom = NULL;
        self->for_what = NULL;
    }
}
