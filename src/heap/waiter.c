#include "heap/waiter.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap/error.h"
#include "heap/memory.h"
#include "heap/os.h"             // stoa__os_cpu
#include "heap/process_struct.h" // stoa__process->waits
#include "heap/thread_end.h"

#define CIRCLE_SHOWN 8 /* threads of a circle that the message names */
#define CHAIN_MAX 100000

static _Thread_local stoa_waiter *waiter_here;

static void
enter_living(stoa_waiter *self)
{
    stoa_process *process = stoa__process;
    if (process == NULL) {
        return; /* nothing process-wide can be waited for yet */
    }
    stoa__lock(&process->waits);
    do {
        self->number = ++process->last_waiter;
    } while (self->number == 0);
    self->prev_living = NULL;
    self->next_living = process->living;
    if (self->next_living != NULL) {
        self->next_living->prev_living = self;
    }
    process->living = self;
    stoa__unlock(&process->waits);
}

static void
leave_living(stoa_waiter *self)
{
    stoa_process *process = stoa__process;
    if (self->number == 0) {
        return;
    }
    stoa__lock(&process->waits);
    if (self->prev_living != NULL) {
        self->prev_living->next_living = self->next_living;
    }
    else {
        process->living = self->next_living;
    }
    if (self->next_living != NULL) {
        self->next_living->prev_living = self->prev_living;
    }
    stoa__unlock(&process->waits);
}

static void
end_of_thread(void *arg)
{
    stoa_waiter *self = arg;
    stoa__waiter_end_waits(self);
    waiter_here = NULL;
    stoa__mailbox_close(&self->home);
    leave_living(self);
    stoa__waiter_unref(self);
}

stoa_waiter *
stoa__waiter_here(void)
{
    stoa_waiter *self = waiter_here;
    if (self != NULL) {
        if (self->number == 0) {
            enter_living(self); /* it was made before the process struct */
        }
        return self;
    }
    self = stoa__alloc(sizeof(*self));
    if (self == NULL) {
        stoa__fail(STOA_ENOMEM, "no memory to let this thread wait");
        return NULL;
    }
    atomic_init(&self->refs, 1);
    atomic_init(&self->loop_fd, -1);
    atomic_init(&self->waker_cpu, -1);
    self->thread = (uint64_t)syscall(SYS_gettid);
    stoa__mailbox_init(&self->home);
    stoa__lock_init(&self->raise_lock, STOA_RANK_MESSAGE);
    enter_living(self);
    waiter_here = self;
    stoa__at_thread_end(end_of_thread, self);
    return self;
}

stoa_waiter *
stoa__waiter_here_if_any(void)
{
    return waiter_here;
}

stoa_waiter *
stoa__waiter_of(uint32_t number)
{
    stoa__lock(&stoa__process->waits);
    stoa_waiter *found = number == 0 ? NULL : stoa__process->living;
    while (found != NULL && found->number != number) {
        found = found->next_living;
    }
    if (found != NULL) {
        stoa__waiter_ref(found);
    }
    stoa__unlock(&stoa__process->waits);
    return found;
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
        if (waiter->loop_fd >= 0) {
            (void)close(waiter->loop_fd);
        }
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
    if (atomic_load_explicit(&self->waker_cpu, memory_order_relaxed) == stoa__os_cpu()) {
        return stoa__waiter_sleep(self, seen, deadline);
    }
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
    atomic_store_explicit(&waiter->waker_cpu, stoa__os_cpu(), memory_order_relaxed); /* a hint */
    atomic_fetch_add(&waiter->news, 1);
    /* seq_cst on both sides: the sleeper raises `sleeping` before it reads `news`, we read it after the addition */
    if (atomic_load(&waiter->sleeping)) {
        stoa__futex_wake(&waiter->news, INT_MAX);
    }
}

static void
tell_loop(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one)); /* full: the loop has news enough */
}

void
stoa__waiter_call_home(stoa_waiter *waiter)
{
    stoa__waiter_wake(waiter);
    int fd = atomic_load(&waiter->loop_fd);
    if (fd >= 0) {
        tell_loop(fd);
    }
}

int
stoa__waiter_loop_fd(stoa_waiter *self)
{
    int fd = atomic_load(&self->loop_fd);
    if (fd < 0) {
        fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        atomic_store(&self->loop_fd, fd);
        /* seq_cst on both sides: who posted before and found no file is in the count, who posts later finds it */
        if (fd >= 0 && stoa__mailbox_count(&self->home) > 0) {
            tell_loop(fd);
        }
    }
    return fd;
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

/* ---- who waits for whom ------------------------------------------------------------------------------------------ */

static inline stoa_waiter *
whom_of(const stoa_waiter *waiter)
{
    return waiter->top == NULL ? NULL : waiter->top->whom;
}

static int
describe_link(const stoa_waiter *from, const stoa_wait_edge *edge, const stoa_waiter *to, const char *what,
              bool first, char *text, size_t size)
{
    bool known = edge != NULL && edge->where != NULL;
    return snprintf(text, size, "%sthread %llu%s%s%s waits for %s of thread %llu", first ? "" : ", ",
                    (unsigned long long)from->thread, known ? " in interpreter '" : "",
                    known ? edge->where : "", known ? "'" : "", what, (unsigned long long)to->thread);
}

/* Lock of the waits held. "thread 12 waits for a lock of thread 13, thread 13 …" */
static void
describe_circle(const stoa_waiter *self, const stoa_waiter *whom, const char *what, char *text, size_t size)
{
    size_t used = 0;
    const stoa_waiter *from = self, *to = whom;
    for (int i = 0; i < CIRCLE_SHOWN && used < size; i++) {
        int n = describe_link(from, from->top, to, what, i == 0, text + used, size - used);
        used += n > 0 ? (size_t)n : 0;
        if (to == self) {
            return;
        }
        from = to;
        what = from->top->what;
        to = from->top->whom;
    }
    if (used < size) {
        (void)snprintf(text + used, size - used, ", and so on back to thread %llu",
                       (unsigned long long)self->thread);
    }
}

void
stoa__waiter_push(stoa_waiter *self, stoa_wait_edge *edge, const char *where)
{
    stoa__waiter_push_on(self, edge, where, NULL);
}

void
stoa__waiter_push_on(stoa_waiter *self, stoa_wait_edge *edge, const char *where, const void *topic)
{
    stoa_lock *lock = &stoa__process->waits;
    *edge = (stoa_wait_edge){.where = where, .topic = topic};
    stoa__lock(lock);
    edge->below = self->top;
    self->top = edge;
    if (self->waits++ == 0) {
        self->prev_asleep = NULL;
        self->next_asleep = stoa__process->asleep;
        if (self->next_asleep != NULL) {
            self->next_asleep->prev_asleep = self;
        }
        stoa__process->asleep = self;
    }
    stoa__unlock(lock);
}

/* Lock of the waits held. */
static void
leave_list(stoa_waiter *self)
{
    if (self->prev_asleep != NULL) {
        self->prev_asleep->next_asleep = self->next_asleep;
    }
    else {
        stoa__process->asleep = self->next_asleep;
    }
    if (self->next_asleep != NULL) {
        self->next_asleep->prev_asleep = self->prev_asleep;
    }
    self->next_asleep = self->prev_asleep = NULL;
}

void
stoa__waiter_end_waits(stoa_waiter *self)
{
    if (self->waits == 0) {
        return;
    }
    stoa__lock(&stoa__process->waits);
    self->top = NULL;
    self->waits = 0;
    leave_list(self);
    stoa__unlock(&stoa__process->waits);
}

static void
unref_if(stoa_waiter *waiter)
{
    if (waiter != NULL) {
        stoa__waiter_unref(waiter);
    }
}

void
stoa__waiter_pop(stoa_waiter *self, stoa_wait_edge *edge)
{
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    stoa_waiter *whom = edge->whom;
    self->top = edge->below;
    if (--self->waits == 0) {
        leave_list(self);
    }
    stoa__unlock(lock);
    unref_if(whom);
}

/* Lock of the waits held. Does `whom` wait, through any number of others, for `self`? */
static bool
leads_to(const stoa_waiter *whom, const stoa_waiter *self)
{
    /* ends: there was no circle before this edge, so every chain does */
    const stoa_waiter *at = whom;
    for (int steps = 0; at != NULL && at != self && steps < CHAIN_MAX; steps++) {
        at = whom_of(at);
    }
    return at == self;
}

static stoa_err
deadlock(const char *circle)
{
    return stoa__fail(STOA_EDEADLOCK,
                      "waiting would never end: %s; let one of them go first, or wait with a timeout", circle);
}

stoa_err
stoa__waiter_waits_for(stoa_waiter *self, stoa_waiter *whom, const char *what)
{
    char circle[768] = "";
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    stoa_waiter *before = self->top->whom;
    bool closed = leads_to(whom, self);
    if (closed) {
        describe_circle(self, whom, what, circle, sizeof(circle));
    }
    self->top->whom = closed ? NULL : stoa__waiter_ref(whom);
    self->top->what = what;
    stoa__unlock(lock);
    unref_if(before);
    return closed ? deadlock(circle) : STOA_OK;
}

/* One look under the lock: an edge put back after its call was over would make circles that are none. */
stoa_err
stoa__waiter_still_waits(stoa_waiter *self)
{
    char circle[768] = "";
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    stoa_waiter *whom = whom_of(self);
    bool closed = whom != NULL && leads_to(whom, self);
    if (closed) {
        describe_circle(self, whom, self->top->what, circle, sizeof(circle));
        self->top->whom = NULL;
    }
    stoa__unlock(lock);
    if (closed) {
        stoa__waiter_unref(whom);
    }
    return closed ? deadlock(circle) : STOA_OK;
}

void
stoa__waiter_waits_now_for(stoa_waiter *waiter, stoa_waiter *old, stoa_waiter *fresh)
{
    stoa_lock *lock = &stoa__process->waits;
    size_t changed = 0;
    stoa__lock(lock);
    for (stoa_wait_edge *edge = waiter->top; edge != NULL; edge = edge->below) {
        if (edge->whom == old && old != NULL) {
            edge->whom = fresh == NULL ? NULL : stoa__waiter_ref(fresh);
            changed++;
        }
    }
    stoa__unlock(lock);
    for (; changed > 0; changed--) {
        stoa__waiter_unref(old);
    }
}

void
stoa__waiter_waits_for_call(stoa_posted *call, stoa_wait_edge *edge)
{
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    call->edge = edge;
    if (edge != NULL && call->runner != NULL) { /* claimed on the way here */
        edge->whom = stoa__waiter_ref(call->runner);
        edge->what = "a call";
    }
    stoa__unlock(lock);
}

void
stoa__waiter_runs(stoa_waiter *self, stoa_posted *call)
{
    if (call->sender == NULL) {
        return;
    }
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    call->runner = self;
    if (call->edge != NULL) { /* no circle: this thread runs now */
        call->edge->whom = stoa__waiter_ref(self);
        call->edge->what = "a call";
    }
    stoa__unlock(lock);
}

void
stoa__waiter_ran(stoa_posted *call)
{
    if (call->sender == NULL) {
        return;
    }
    stoa_lock *lock = &stoa__process->waits;
    stoa_waiter *whom = NULL;
    stoa__lock(lock);
    call->runner = NULL;
    if (call->edge != NULL) {
        whom = call->edge->whom;
        call->edge->whom = NULL;
    }
    stoa__unlock(lock);
    unref_if(whom);
}

void
stoa__waiters_wake_on(const void *topic)
{
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    for (stoa_waiter *waiter = stoa__process->asleep; waiter != NULL; waiter = waiter->next_asleep) {
        if (waiter->top->topic == topic) {
            stoa__waiter_wake(waiter);
        }
    }
    stoa__unlock(lock);
}

void
stoa__waiters_wake_all(void)
{
    stoa_lock *lock = &stoa__process->waits;
    stoa__lock(lock);
    for (stoa_waiter *waiter = stoa__process->asleep; waiter != NULL; waiter = waiter->next_asleep) {
        stoa__waiter_wake(waiter);
    }
    stoa__unlock(lock);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

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
    for (stoa_waiter *waiter = stoa__process->living; waiter != NULL; waiter = waiter->next_living) {
        if (waiter != self) { /* its thread has ended, as it were: nobody would take what is posted to it */
            stoa__mailbox_fork_child(&waiter->home);
            stoa__mailbox_close(&waiter->home);
            stoa__lock_init(&waiter->raise_lock, STOA_RANK_MESSAGE);
        }
    }
    stoa__process->living = self == NULL || self->number == 0 ? NULL : self;
    if (self != NULL) {
        self->next_living = self->prev_living = NULL;
        stoa__mailbox_fork_child(&self->home);
        /* the parent's: not closed, a loop that was left behind knows its number */
        atomic_store(&self->loop_fd, -1);
        stoa__lock_reset(&self->raise_lock);
        self->raises = self->put_state = NULL; /* whoever wanted to raise them is not here */
        atomic_store(&self->to_raise, 0);
        for (stoa_wait_edge *edge = self->top; edge != NULL; edge = edge->below) {
            edge->whom = NULL; /* a thread of the parent, most likely; its waiter is left alone */
        }
        self->next_asleep = self->prev_asleep = NULL;
        stoa__process->asleep = self->waits > 0 ? self : NULL;
        self->thread = (uint64_t)syscall(SYS_gettid);
    }
    else {
        stoa__process->asleep = NULL;
    }
}
