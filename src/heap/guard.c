#include "heap/guard.h"

#include "heap/error.h"
#include "heap/fault.h"
#include "heap/guard_report.h"
#include "heap/process_struct.h"
#include "heap/signal_stack.h"

#include <errno.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int signals[2] = {SIGSEGV, SIGBUS};

static stoa_guard *
state(void)
{
    return &stoa__process->guard;
}

void
stoa__guard_init(stoa_guard *guard)
{
    memset(guard, 0, sizeof *guard);
    stoa__lock_init(&guard->lock, STOA_RANK_MESSAGE);
    atomic_init(&guard->mode, STOA_GUARD_TOLERATE);
    guard->page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
}

/* Whoever was installing is not here: what he left half done, the next install does again. */
void
stoa__guard_fork_child(stoa_guard *guard)
{
    stoa__lock_reset(&guard->lock);
    atomic_store(&guard->reporting, 0);
    for (unsigned i = 0; i < STOA_GUARD_THREADS; i++) {
        atomic_store(&guard->inside[i].thread, 0);
    }
}

/* ---- letting a refcount write through ----------------------------------------------------------------------------- */

/* In front of [page, page + size): memory of this process alone with the same content. The move replaces the mapping in
 * one step: no thread can see the range without its content. */
static bool
make_private(char *page, size_t size)
{
    char *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) {
        return false;
    }
    memcpy(copy, page, size);
    if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, page) == MAP_FAILED) {
        munmap(copy, size);
        return false;
    }
    return true;
}

/* How much is opened at once. Each opening may cost two more mappings, of which a process has 65530 as a rule; so who
 * writes to many objects gets more and more at a time. */
static size_t
opening(const stoa_guard *guard)
{
    uint64_t count = stoa__guard_tolerated();
    return count < 256 ? guard->page_size : count < 4096 ? (size_t)64 << 10 : (size_t)2 << 20;
}

/* Makes the page of `address` writable, and perhaps some around it. */
static bool
open_page(const stoa_guard *guard, uintptr_t address)
{
    uintptr_t floor = stoa__process->space.fork_floor;
    if (address < floor) {
        return make_private((char *)(address & ~(guard->page_size - 1)), guard->page_size);
    }
    size_t size = opening(guard);
    uintptr_t start = address & ~(uintptr_t)(size - 1), end = start + size;
    uintptr_t first = floor > stoa__public_base ? floor : stoa__public_base,
              last = stoa__public_base + stoa__reserved;
    start = start < first ? first : start;
    end = end > last ? last : end;
    return mprotect((void *)start, end - start, PROT_READ | PROT_WRITE) == 0;
}

static uint32_t
my_thread(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

static bool
is_refcount(const stoa_guard *guard, const void *address)
{
    uint32_t count = atomic_load_explicit(&guard->describer_count,
                                          memory_order_acquire); /* pairs with add_describer */
    for (uint32_t i = 0; i < count; i++) {
        if (guard->describers[i].is_refcount != NULL && guard->describers[i].is_refcount(address)) {
            return true;
        }
    }
    return false;
}

/* A fault inside the range: lets a tolerable write through; else writes the report and takes the handler away. Either
 * way the instruction is tried again after it. */
static void
heap_fault(stoa_guard *guard, int number, const siginfo_t *info, void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    bool in_public = stoa__in_heap(info->si_addr);
    bool is_write = stoa__fault_is_write(context);
    stoa_fault fault = {.address = info->si_addr,
                        .context = context,
                        .is_bus = number == SIGBUS,
                        .is_write = is_write,
                        .in_alias = !in_public};
    if (number == SIGSEGV && in_public && is_write) {
        fault.is_refcount = is_refcount(guard, info->si_addr);
    }
    if (fault.is_refcount && atomic_load(&guard->mode) == STOA_GUARD_TOLERATE) {
        if (open_page(guard, address)) {
            STOA_COUNT(&stoa__process->counters, guard_tolerated);
            if (atomic_exchange(&guard->warned, 1) == 0) {
                stoa__guard_warn(guard, &fault);
            }
            return;
        }
        fault.os_error = errno;
    }
    uint32_t nobody = 0;
    if (atomic_compare_exchange_strong(&guard->reporting, &nobody, my_thread())) {
        stoa__guard_report(guard, &fault);
    }
    else { /* another thread is writing its last message, and ends the process after it */
        struct timespec while_it_writes = {5, 0};
        nanosleep(&while_it_writes, NULL);
    }
    struct sigaction end = {.sa_handler = SIG_DFL};
    sigaction(number, &end, NULL);
}

/* ---- other people's faults ---------------------------------------------------------------------------------------- */

/* Was the signal raised by an instruction that will raise it again when tried again? */
static bool
comes_again(const siginfo_t *info)
{
    return info->si_code > 0 && !(info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO);
}

static void
take_default(int number, siginfo_t *info)
{
    struct sigaction end = {.sa_handler = SIG_DFL};
    sigaction(number, &end, NULL);
    if (!comes_again(info)) {
        syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)my_thread(), number, info);
    }
}

/* Calls handler number `level` of those that were there before, as the kernel would have. */
static void
call_previous(stoa_guard *guard, int number, siginfo_t *info, void *context, uint32_t depth, int saved)
{
    unsigned which = number == SIGBUS;
    uint32_t count = atomic_load_explicit(&guard->chain[which].count,
                                          memory_order_acquire); /* pairs with step_in_front */
    if (count == 0) {
        take_default(number, info);
        return;
    }
    uint32_t level = depth < count ? count - 1 - depth : 0;
    const struct sigaction *previous = &guard->chain[which].previous[level];
    uint32_t bit = 1u << level;
    if (previous->sa_handler == SIG_IGN && !comes_again(info)) { /* faults cannot be ignored */
        return;
    }
    if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN ||
        ((previous->sa_flags & (int)SA_RESETHAND) != 0 &&
         (atomic_fetch_or(&guard->chain[which].spent, bit) & bit) != 0)) {
        take_default(number, info);
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
}

/* ---- the handler -------------------------------------------------------------------------------------------------- */

/* Notes that this thread is in the handler; how often it was already. An entry may be left over from a handler that
 * was left by siglongjmp: then the interrupted code does not run below that handler's frame, on its stack. */
static uint32_t
come_in(stoa_guard *guard, const void *context, uintptr_t frame, unsigned *out_slot)
{
    uint32_t me = my_thread();
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

/* A fault of an instruction at an address in one of the two views. (SI_KERNEL: the address is none, si_addr says nothing.) */
static bool
is_ours(const siginfo_t *info)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    return info->si_code > 0 && info->si_code != SI_KERNEL &&
           (stoa__in_heap(info->si_addr) || stoa__in_heap((void *)(address - stoa__alias_delta)));
}

static void
handle(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    stoa_guard *guard = state();
    if (atomic_load(&guard->reporting) == my_thread()) {
        stoa__guard_report_failed(info->si_addr);
        take_default(number, info);
    }
    else if (is_ours(info) && atomic_load(&guard->mode) != STOA_GUARD_OFF) {
        heap_fault(guard, number, info, context);
    }
    else {
        unsigned slot;
        uint32_t depth = come_in(guard, context, (uintptr_t)__builtin_frame_address(0), &slot);
        call_previous(guard, number, info, context, depth, saved);
        go_out(guard, slot);
    }
    errno = saved;
}

/* ---- installing --------------------------------------------------------------------------------------------------- */

/* Makes our handler the first one. Under the lock. */
static stoa_err
step_in_front(stoa_guard *guard, unsigned which)
{
    struct sigaction now;
    struct sigaction ours = {.sa_sigaction = guard->handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    if (sigaction(signals[which], NULL, &now) != 0) {
        return stoa__fail_os(errno, "cannot ask for the handler of signal %d", signals[which]);
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
    if (sigaction(signals[which], &ours, NULL) != 0) {
        return stoa__fail_os(errno, "cannot install the write guard for signal %d", signals[which]);
    }
    return STOA_OK;
}

/* Under the lock. */
static stoa_err
install_handlers(stoa_guard *guard)
{
    if (guard->handler == NULL) {
        void *frame;
        (void)backtrace(&frame, 1); /* loads the unwinder now: the handler must not */
        guard->handler = handle;
    }
    stoa_err err = step_in_front(guard, 0);
    return err == STOA_OK ? step_in_front(guard, 1) : err;
}

static bool
same_describer(const stoa_guard_describer *a, const stoa_guard_describer *b)
{
    return a->is_refcount == b->is_refcount && a->describe == b->describe &&
           a->write_python_stack == b->write_python_stack;
}

/* Under the lock. */
static stoa_err
add_describer(stoa_guard *guard, const stoa_guard_describer *describer)
{
    uint32_t count = atomic_load(&guard->describer_count);
    for (uint32_t i = 0; i < count; i++) {
        if (same_describer(&guard->describers[i], describer)) {
            return STOA_OK;
        }
    }
    if (count == STOA_GUARD_DESCRIBERS) {
        return stoa__fail(STOA_ENOMEM, "the write guard asks at most %u describers", STOA_GUARD_DESCRIBERS);
    }
    guard->describers[count] = *describer;
    atomic_store_explicit(&guard->describer_count, count + 1, memory_order_release);
    return STOA_OK;
}

static stoa_err
read_mode(stoa_guard *guard)
{
    const char *word = getenv("STOA_GUARD");
    if (word == NULL || *word == 0 || strcmp(word, "tolerate") == 0) {
        atomic_store(&guard->mode, STOA_GUARD_TOLERATE);
    }
    else if (strcmp(word, "strict") == 0) {
        atomic_store(&guard->mode, STOA_GUARD_STRICT);
    }
    else if (strcmp(word, "off") == 0) {
        atomic_store(&guard->mode, STOA_GUARD_OFF);
    }
    else {
        return stoa__fail(STOA_EINVAL, "STOA_GUARD is '%.40s': it must be strict, tolerate or off", word);
    }
    atomic_store(&guard->mode_was_set, 1);
    return STOA_OK;
}

stoa_err
stoa__guard_install(const stoa_guard_describer *describer)
{
    stoa_guard *guard = state();
    stoa_err err = STOA_OK;
    stoa__lock(&guard->lock);
    if (!atomic_load(&guard->mode_was_set)) {
        err = read_mode(guard);
    }
    if (err == STOA_OK && describer != NULL) {
        err = add_describer(guard, describer);
    }
    if (err == STOA_OK) {
        atomic_store(&guard->wanted, 1);
        if (atomic_load(&guard->mode) != STOA_GUARD_OFF) {
            err = install_handlers(guard);
        }
    }
    stoa__unlock(&guard->lock);
    if (err == STOA_OK) {
        stoa__guard_thread();
    }
    return err;
}

stoa_err
stoa__guard_set_mode(stoa_guard_mode mode)
{
    stoa_guard *guard = state();
    stoa_err err = STOA_OK;
    stoa__lock(&guard->lock);
    atomic_store(&guard->mode, mode);
    atomic_store(&guard->mode_was_set, 1);
    if (mode != STOA_GUARD_OFF && atomic_load(&guard->wanted)) {
        err = install_handlers(guard);
    }
    stoa__unlock(&guard->lock);
    return err;
}

stoa_guard_mode
stoa__guard_get_mode(void)
{
    return (stoa_guard_mode)atomic_load(&state()->mode);
}

uint64_t
stoa__guard_tolerated(void)
{
    return STOA_COUNTER_READ(&stoa__process->counters, guard_tolerated);
}

void
stoa__guard_thread(void)
{
    if (atomic_load(&state()->mode) != STOA_GUARD_OFF) {
        stoa__signal_stack();
    }
}
