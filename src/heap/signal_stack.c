#include "heap/signal_stack.h"

#include "heap/thread_end.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM \
    ((size_t)64 << 10) /* beside what the kernel puts there: the unwinder takes 10 KiB, a chained handler more */

static _Thread_local struct {
    char *map; /* NULL: none of ours */
    size_t size;
} own;

static void
free_stack(void *unused)
{
    (void)unused;
    stack_t now, none = {.ss_flags = SS_DISABLE};
    if (own.map == NULL || sigaltstack(NULL, &now) != 0) {
        return;
    }
    /* it fails when the thread ends in a handler: then the stack is in use, and stays */
    if ((char *)now.ss_sp > own.map && (char *)now.ss_sp < own.map + own.size && sigaltstack(&none, NULL) != 0) {
        return;
    }
    munmap(own.map, own.size);
    own.map = NULL;
}

void
stoa__signal_stack(void)
{
    int saved = errno;
    stack_t now;
    if (sigaltstack(NULL, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) {
        errno = saved;
        return;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    long least = sysconf(_SC_MINSIGSTKSZ); /* grows with the processor's registers */
    size_t size = (ROOM + (least > 0 ? (size_t)least : 0) + page - 1) / page * page;
    if (own.map == NULL) { /* else somebody has disabled ours: it is used again */
        char *map = mmap(NULL, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) {
            errno = saved;
            return;
        }
        if (mprotect(map + page, size, PROT_READ | PROT_WRITE) != 0) {
            munmap(map, size + page);
            errno = saved;
            return;
        }
        own.map = map;
        own.size = size + page;
        stoa__at_thread_end(free_stack, NULL);
    }
    stack_t mine = {.ss_sp = own.map + page, .ss_size = own.size - page};
    (void)sigaltstack(&mine, NULL);
    errno = saved;
}
