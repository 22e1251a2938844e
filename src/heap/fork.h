/* Fork: the child reads all that was sealed before, and never touches a page that the parent may write.
 *
 * prepare takes every lock in rank order (so none is held by a thread that the child lacks), parent and child let go.
 * The child then raises fork_floor to the frontier, backs the rest of the range by a shared object of its own (both
 * views, same addresses, so one range test stays enough), forgets the parent's open chunks and jemalloc arenas (new ones
 * are made when first needed), closes the parent's interpreters' records except the forking one, and keeps names, handles
 * and intern tables (they lie in memory private to each process). Batches of other threads that were open are lost to the
 * child; a batch of the forking thread itself fails its next allocation with STOA_EFORKED, and its commit is an abort.
 *
 * A copy of the library in another dlmopen namespace has another C library, whose fork() would not run our handlers; so
 * every copy installs them, and the first one that runs does the work.
 */
#ifndef STOA_HEAP_FORK_H
#define STOA_HEAP_FORK_H

#include "stoa/error.h"

#include <stdatomic.h>

typedef struct stoa_fork_state {
    _Atomic uintptr_t forker;     /* identity of the thread between prepare and the end of parent/child, else 0 */
    _Atomic uint32_t word;        /* futex lock of who forks; its own, since it is taken before all ranks */
    uint32_t depth;               /* guarded by `word`: copies of the library whose handler has run */
    _Atomic uint64_t generation;  /* 0 in the first process; +1 in each child, by its only thread */
} stoa_fork_state;

stoa_err stoa__fork_install(void);    /* pthread_atfork, once for each copy of the library; idempotent */
uint64_t stoa__fork_generation(void); /* 0 in the first process, +1 in each child */

#endif
