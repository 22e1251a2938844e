#include "heap/guard_chain.h"

#include "heap/error.h"
#include "heap/fault.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t
stoa__guard_thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

/* Was the signal raised by an instruction that will raise it again when tried again? */
static bool
comes_again(const siginfo_t *info)
{
    return info->si_code > 0 && !(info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO);
}

void
stoa__guard_take_default(int number, siginfo_t *info)
{
    struct sigaction end = {.sa_handler = SIG_DFL};
    sigaction(number, &end, NULL);
    if (!comes_again(info)) {
        syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)stoa__guard_thread_id(), number, info);
    }
}

/* So often may one fault come again in that many nanoseconds before the handler that was called and returned counts as
 * one that does nothing. One that repairs something may be called for one instruction and address many times, too; but
 * hardly so often without another fault of the thread between. */
#define PATIENCE 2000u
#define PATIENCE_TIME 1000000000

/* How many handlers have had their chance at this very fault. */
static uint32_t
worn_out(const stoa_guard *guard, const siginfo_t *info, const void *context)
{
    uint32_t me = stoa__guard_thread_id();
    unsigned i = me % STOA_GUARD_REPEATS;
    if (atomic_load(&guard->repeats[i].thread) != me ||
        atomic_load(&guard->repeats[i].pc) != stoa__fault_pc(context) ||
        atomic_load(&guard->repeats[i].address) != (uintptr_t)info->si_addr ||
        stoa__now() - atomic_load(&guard->repeats[i].since) > PATIENCE_TIME) {
        return 0;
    }
    return atomic_load(&guard->repeats[i].count) / PATIENCE;
}

/* A handler has returned, so the instruction is tried again. Threads that share a place only make each other patient. */
static void
note_return(stoa_guard *guard, uint32_t worn, const siginfo_t *info, uintptr_t pc)
{
    uint32_t me = stoa__guard_thread_id();
    unsigned i = me % STOA_GUARD_REPEATS;
    if (atomic_load(&guard->repeats[i].thread) == me && atomic_load(&guard->repeats[i].pc) == pc &&
        atomic_load(&guard->repeats[i].address) == (uintptr_t)info->si_addr &&
        (worn != 0 || stoa__now() - atomic_load(&guard->repeats[i].since) <= PATIENCE_TIME)) {
        atomic_fetch_add(&guard->repeats[i].count, 1);
        return;
    }
    atomic_store(&guard->repeats[i].thread, me);
    atomic_store(&guard->repeats[i].pc, pc);
    atomic_store(&guard->repeats[i].address, (uintptr_t)info->si_addr);
    atomic_store(&guard->repeats[i].since, stoa__now());
    atomic_store(&guard->repeats[i].count, 1);
}

/* Calls one of the handlers that were there before, as the kernel would have. */
static void
call_one(stoa_guard *guard, int number, siginfo_t *info, void *context, uint32_t depth, int saved)
{
    unsigned which = number == SIGBUS;
    uint32_t count = atomic_load_explicit(&guard->chain[which].count,
                                          memory_order_acquire); /* pairs with stoa__guard_step_in_front */
    if (count == 0) {
        stoa__guard_take_default(number, info);
        return;
    }
    uintptr_t pc = stoa__fault_pc(context); /* now: the handler may change the context */
    uint32_t worn = comes_again(info) ? worn_out(guard, info, context) : 0;
    uint32_t level = depth + worn < count ? count - 1 - depth - worn : 0;
    const struct sigaction *previous = &guard->chain[which].previous[level];
    uint32_t bit = 1u << level;
    if (previous->sa_handler == SIG_IGN && !comes_again(info)) { /* faults cannot be ignored */
        return;
    }
    if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN ||
        ((previous->sa_flags & (int)SA_RESETHAND) != 0 &&
         (atomic_fetch_or(&guard->chain[which].spent, bit) & bit) != 0)) {
        stoa__guard_take_default(number, info);
        return;
    }
    sigset_t mask = previous->sa_mask, before;
    if ((previous->sa_flags & SA_NODEFER) == 0) {
        sigaddset(&mask, number);
    }
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    errno = saved;
    if ((previous->sa_flags & SA_SIGINFO) != 0) {
        previous->sa_sigaction(number, info, context);
    }
    else {
        previous->sa_handler(number);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (comes_again(info)) {
        note_return(guard, worn, info, pc);
    }
}

/* Notes that this thread is in the handler; how often it was already. An entry may be left over from a handler that
 * was left by siglongjmp: then the interrupted code does not run below that handler's frame, on its stack. */
static uint32_t
come_in(stoa_guard *guard, const void *context, uintptr_t frame, unsigned *out_slot)
{
    uint32_t me = stoa__guard_thread_id();
    unsigned slot = STOA_GUARD_THREADS;
    for (unsigned i = 0; i < STOA_GUARD_THREADS; i++) {
        uint32_t thread = atomic_load(&guard->inside[i].thread);
        if (thread == me) {
            slot = i;
            break;
        }
        if (thread == 0 && slot == STOA_GUARD_THREADS) {
            slot = i;
        }
    }
    *out_slot = slot;
    if (slot == STOA_GUARD_THREADS) {
        return 0; /* 64 threads in the handler: this one is not told from a first-timer */
    }
    uint32_t thread = atomic_load(&guard->inside[slot].thread);
    if (thread == 0 && atomic_compare_exchange_strong(&guard->inside[slot].thread, &thread, me)) {
        atomic_store(&guard->inside[slot].depth, 0);
    }
    else if (atomic_load(&guard->inside[slot].thread) != me) {
        *out_slot = STOA_GUARD_THREADS; /* somebody was quicker */
        return 0;
    }
    uintptr_t sp = stoa__fault_sp(context), outer = atomic_load(&guard->inside[slot].frame);
    if (sp >= outer || sp < outer - ((uintptr_t)1 << 20)) {
        atomic_store(&guard->inside[slot].depth, 0);
    }
    uint32_t depth = atomic_fetch_add(&guard->inside[slot].depth, 1);
    if (depth == 0) {
        atomic_store(&guard->inside[slot].frame, frame);
    }
    return depth;
}

static void
go_out(stoa_guard *guard, unsigned slot)
{
    if (slot < STOA_GUARD_THREADS && atomic_fetch_sub(&guard->inside[slot].depth, 1) == 1) {
        atomic_store(&guard->inside[slot].thread, 0);
    }
}

void
stoa__guard_call_previous(stoa_guard *guard, int number, siginfo_t *info, void *context, int saved)
{
    unsigned slot;
    uint32_t depth = come_in(guard, context, (uintptr_t)__builtin_frame_address(0), &slot);
    call_one(guard, number, info, context, depth, saved);
    go_out(guard, slot);
}

/* Makes our handler the first one. Under the lock. */
stoa_err
stoa__guard_step_in_front(stoa_guard *guard, int number)
{
    unsigned which = number == SIGBUS;
    struct sigaction now;
    struct sigaction ours = {.sa_sigaction = guard->handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    if (sigaction(number, NULL, &now) != 0) {
        return stoa__fail_os(errno, "cannot ask for the handler of signal %d", number);
    }
    if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == guard->handler) {
        return STOA_OK;
    }
    uint32_t count = atomic_load(&guard->chain[which].count);
    if (count == STOA_GUARD_CHAIN) { /* somebody goes to and fro: the latest counts */
        count--;
    }
    guard->chain[which].previous[count] = now;
    atomic_fetch_and(&guard->chain[which].spent, ~(1u << count));
    atomic_store_explicit(&guard->chain[which].count, count + 1, memory_order_release);
    sigemptyset(&ours.sa_mask);
    if (sigaction(number, &ours, NULL) != 0) {
        return stoa__fail_os(errno, "cannot install the write guard for signal %d", number);
    }
    return STOA_OK;
}
