#include "heap/fault.h"

#include <string.h>
#include <ucontext.h>

#if defined(__x86_64__)

bool
stoa__fault_is_write(const void *context)
{
    const ucontext_t *c = context;
    return (c->uc_mcontext.gregs[REG_ERR] & 2) != 0; /* the page fault's error code: bit 1 is W/R */
}

uintptr_t
stoa__fault_pc(const void *context)
{
    const ucontext_t *c = context;
    return (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
}

uintptr_t
stoa__fault_sp(const void *context)
{
    const ucontext_t *c = context;
    return (uintptr_t)c->uc_mcontext.gregs[REG_RSP];
}

#elif defined(__aarch64__)

/* The kernel appends records {magic, size, ...} to the context, ended by a zero; that of the syndrome register says. */
#define ESR_MAGIC_NUMBER 0x45535201u

bool
stoa__fault_is_write(const void *context)
{
    const ucontext_t *c = context;
    const unsigned char *record = (const unsigned char *)c->uc_mcontext.__reserved;
    const unsigned char *end = record + sizeof c->uc_mcontext.__reserved;
    while (record + 16 <= end) {
        uint32_t head[2];
        memcpy(head, record, sizeof head);
        if (head[0] == ESR_MAGIC_NUMBER) {
            uint64_t syndrome;
            memcpy(&syndrome, record + 8, sizeof syndrome);
            return (syndrome & (1u << 6)) != 0; /* WnR */
        }
        if (head[0] == 0 || head[1] < 16) {
            break;
        }
        record += head[1];
    }
    return true;
}

uintptr_t
stoa__fault_pc(const void *context)
{
    const ucontext_t *c = context;
    return (uintptr_t)c->uc_mcontext.pc;
}

uintptr_t
stoa__fault_sp(const void *context)
{
    const ucontext_t *c = context;
    return (uintptr_t)c->uc_mcontext.sp;
}

#else
#error "say here how this processor tells reads from writes in a page fault"
#endif
