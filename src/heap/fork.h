/* Fork: the child reads all that was sealed before, and never touches a page that the parent may write.
 *
 * prepare takes every lock in rank order (so none is held by a thread that the child lacks), parent and child let go.
 * The child then raises fork_floor to the frontier, backs the rest of the range by a shared file of its own (both views,
 * same addresses, so one range test stays enough), forgets the parent's open chunks and jemalloc arenas (new ones are made
 * when first needed), closes the parent's interpreters' records except the forking one, and keeps names, handles and
 * intern tables (they lie in memory private to each process). Batches of other threads that were open are lost to the
 * child; a batch of the forking thread itself fails its next allocation with STOA_EFORKED, and its commit is an abort.
 * What a commit had sealed in part when the fork came is whole in the child all the same: its bytes are in the shared
 * pages, and the parent never changes them.
 *
 * A copy of the library in another dlmopen namespace has another C library, whose fork() would not run our handlers; so
 * every copy installs them, and the first one that runs does the work.
 */
#ifndef STOA_HEAP_FORK_H
#define STOA_HEAP_FORK_H

#include "heap/lock.h"
#include "stoa/error.h"

typedef struct stoa_fork_state {
    stoa_lock lock;              /* STOA_RANK_PROCESS: held while forking */
    _Atomic uintptr_t forker;    /* thread that holds it, 0: none. Relaxed: a thread only asks "is it me" */
    uint32_t depth;              /* guarded by lock: copies of the library whose prepare has run */
    _Atomic uint64_t generation; /* relaxed: changes only in a child that has one thread */
} stoa_fork_state;

void stoa__fork_init(stoa_fork_state *state);
stoa_err stoa__fork_install(void); /* pthread_atfork, once for each copy of the library. By stoa__process_open */
uint64_t stoa__fork_generation(void); /* 0 in the first process, +1 in each child */

#endif
