/* The one struct of the process.
 *
 * Two copies of the library can live in one process (a wheel's beside a host's; one per dlmopen namespace). Statics
 * would give each its own heap, and objects would stop being shared. So everything process-wide hangs off one
 * `stoa_process`, made by whoever comes first and found by the others through a named private mapping in
 * /proc/self/maps; a copy of another layout version is refused with STOA_EVERSION. It holds no interpreter's object
 * except by handle. It is memory private to the process (not in the shared file), so a forked child gets its own copy.
 *
 * Code of the creator that needs its own jemalloc or its own C library's malloc is called through pointers in the struct
 * (`ops` here, heap/memory.h); all the rest is plain data behind our own futex locks (heap/lock.h), so any copy may work
 * on it. Function pointers may be kept in it: a copy that opened the process stays loaded.
 */
#ifndef STOA_HEAP_PROCESS_H
#define STOA_HEAP_PROCESS_H

#include "heap/space.h"

typedef struct stoa_process stoa_process; /* defined in process_struct.h: the parts by value, in lock-rank order */

/* The process struct, made or adopted by stoa__process_open. NULL before. Const after the first success. */
extern stoa_process *stoa__process;

/* Hot copies of constants of stoa__process->space; const after stoa__process_open. */
extern uintptr_t stoa__public_base;
extern uintptr_t stoa__alias_delta;
extern size_t stoa__reserved;

/* Makes or adopts. Idempotent, any thread, no GIL. STOA_ENOMEM, STOA_EOS, STOA_EVERSION, STOA_EINVAL (an environment
 * variable of ours makes no sense). After a failure it may be called again. */
stoa_err stoa__process_open(void);

/* Fork: the lock of this copy's stoa__process_open. prepare returns stoa__process as it is under that lock. */
stoa_process *stoa__process_fork_prepare(void);
void stoa__process_fork_parent(void);
void stoa__process_fork_child(void);

/* Is this address in the shared heap? One compare. */
static inline bool
stoa__in_heap(const void *address)
{
    return (uintptr_t)address - stoa__public_base < stoa__reserved;
}

/* The writable twin of a public address. Only for memory that the caller's batch has not sealed yet. */
static inline void *
stoa__rw(const void *address)
{
    return (void *)((uintptr_t)address + stoa__alias_delta);
}

#endif
