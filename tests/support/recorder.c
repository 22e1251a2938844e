#include "support/recorder.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define OPEN_PAGES 1024  /* pages open at a time: two with single stepping, else all that were written */
#define TRAP_FLAG 0x100  /* x86 EFLAGS.TF */
#define HANDLER_FRAMES 2 /* our handler and the kernel's trampoline, on top of each backtrace */

static struct {
    uintptr_t base;
    size_t size;
    uintptr_t page_size;
    bool active;
    struct sigaction before_segv, before_trap;
    _Atomic size_t count;
    recorder_write kept[RECORDER_KEPT];
    size_t open_count; /* recording thread */
    uintptr_t open[OPEN_PAGES];
} recorder;

static void
close_pages(void)
{
    for (size_t i = 0; i < recorder.open_count; i++) {
        mprotect((void *)recorder.open[i], recorder.page_size, PROT_READ);
    }
    recorder.open_count = 0;
}

static bool
is_write(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#else
    (void)context;
    return true; /* the range can be read, so a fault in it that is about rights is a write */
#endif
}

static void
single_step(ucontext_t *context)
{
#if defined(__x86_64__)
    context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
#else
    (void)context;
#endif
}

/* Hands a fault that is not ours to the handler that was there before: put it back and let the instruction fault again. */
static void
hand_over(int signal_number)
{
    sigaction(signal_number, signal_number == SIGSEGV ? &recorder.before_segv : &recorder.before_trap, NULL);
}

static void
note(uintptr_t address, const ucontext_t *context)
{
    size_t index = atomic_fetch_add(&recorder.count, 1);
    if (index >= RECORDER_KEPT) {
        return;
    }
    recorder_write *write = &recorder.kept[index];
    void *stack[RECORDER_DEPTH + HANDLER_FRAMES + 1];
    int depth = backtrace(stack, RECORDER_DEPTH + HANDLER_FRAMES + 1);
    int skip = 0;
#if defined(__x86_64__)
    void *instruction = (void *)context->uc_mcontext.gregs[REG_RIP];
    while (skip < depth && stack[skip] != instruction) {
        skip++;
    }
#else
    (void)context;
    skip = depth;
#endif
    if (skip == depth) { /* the unwinder lost the interrupted frame: keep what it has */
        skip = depth > HANDLER_FRAMES ? HANDLER_FRAMES : 0;
    }
    write->address = address;
    write->depth = depth - skip > RECORDER_DEPTH ? RECORDER_DEPTH : depth - skip;
    memcpy(write->stack, stack + skip, (size_t)write->depth * sizeof(void *));
}

static void
on_segv(int signal_number, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    uintptr_t page = address & ~(recorder.page_size - 1);
    if (address - recorder.base >= recorder.size || info->si_code != SEGV_ACCERR || !is_write(context) ||
        recorder.open_count == OPEN_PAGES ||
        mprotect((void *)page, recorder.page_size, PROT_READ | PROT_WRITE) != 0) {
        hand_over(signal_number);
        errno = saved;
        return;
    }
    recorder.open[recorder.open_count++] = page;
    note(address, context);
    single_step(context);
    errno = saved;
}

static void
on_trap(int signal_number, siginfo_t *info, void *context)
{
    (void)info;
    int saved = errno;
    if (recorder.open_count == 0) { /* a debugger's or somebody else's trap */
        hand_over(signal_number);
        errno = saved;
        return;
    }
#if defined(__x86_64__)
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(long long)TRAP_FLAG;
#else
    (void)context;
#endif
    close_pages();
    errno = saved;
}

int
recorder_start(uintptr_t base, size_t size)
{
    if (recorder.active) {
        return EBUSY;
    }
    void *warm[4];
    (void)backtrace(warm, 4); /* the first call loads the unwinder, which allocates: not in a handler */
    recorder.base = base;
    recorder.size = size;
    recorder.page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    recorder.open_count = 0;
    atomic_store(&recorder.count, 0);
    struct sigaction action = {0};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    action.sa_sigaction = on_trap;
    if (sigaction(SIGTRAP, &action, &recorder.before_trap) != 0) {
        return errno;
    }
    action.sa_sigaction = on_segv;
    if (sigaction(SIGSEGV, &action, &recorder.before_segv) != 0) {
        int error = errno;
        sigaction(SIGTRAP, &recorder.before_trap, NULL);
        return error;
    }
    recorder.active = true;
    return 0;
}

size_t
recorder_stop(bool *out_intact)
{
    if (!recorder.active) {
        *out_intact = false;
        return 0;
    }
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    *out_intact = (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_segv;
    close_pages();
    if (*out_intact) {
        sigaction(SIGSEGV, &recorder.before_segv, NULL);
    }
    sigaction(SIGTRAP, &recorder.before_trap, NULL);
    recorder.active = false;
    return atomic_load(&recorder.count);
}

const recorder_write *
recorder_get(size_t index)
{
    return index < RECORDER_KEPT && index < atomic_load(&recorder.count) ? &recorder.kept[index] : NULL;
}
