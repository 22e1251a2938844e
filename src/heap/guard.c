#include "heap/guard.h"

#include "heap/error.h"
#include "heap/fault.h"
#include "heap/guard_chain.h"
#include "heap/guard_report.h"
#include "heap/process_struct.h"
#include "heap/signal_stack.h"

#include <errno.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

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
    if (atomic_compare_exchange_strong(&guard->reporting, &nobody, stoa__guard_thread_id())) {
        stoa__guard_report(guard, &fault);
    }
    else { /* another thread is writing its last message, and ends the process after it */
        struct timespec while_it_writes = {5, 0};
        nanosleep(&while_it_writes, NULL);
    }
    struct sigaction end = {.sa_handler = SIG_DFL};
    sigaction(number, &end, NULL);
}

/* ---- the handler -------------------------------------------------------------------------------------------------- */

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
    if (atomic_load(&guard->reporting) == stoa__guard_thread_id()) {
        stoa__guard_report_failed(info->si_addr);
        stoa__guard_take_default(number, info);
    }
    else if (is_ours(info) && atomic_load(&guard->mode) != STOA_GUARD_OFF) {
        heap_fault(guard, number, info, context);
    }
    else {
        stoa__guard_call_previous(guard, number, info, context, saved);
    }
    errno = saved;
}

/* ---- installing --------------------------------------------------------------------------------------------------- */

/* Under the lock. */
static stoa_err
install_handlers(stoa_guard *guard)
{
    if (guard->handler == NULL) {
        void *frame;
        (void)backtrace(&frame, 1); /* loads the unwinder now: the handler must not */
        guard->handler = handle;
    }
    stoa_err err = stoa__guard_step_in_front(guard, SIGSEGV);
    return err == STOA_OK ? stoa__guard_step_in_front(guard, SIGBUS) : err;
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

void
stoa__guard_refresh(void)
{
    stoa_guard *guard = state();
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    int64_t now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    /* relaxed: nothing is ordered by it; two threads may both look */
    if (now < atomic_load_explicit(&guard->next_look, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&guard->next_look, now + 100000000, memory_order_relaxed);
    stoa__lock(&guard->lock);
    if (atomic_load(&guard->wanted) && atomic_load(&guard->mode) != STOA_GUARD_OFF) {
        (void)install_handlers(guard); /* what fails is tried again, and told by stoa__guard_install */
    }
    stoa__unlock(&guard->lock);
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
