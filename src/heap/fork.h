/* Fork: the child reads all that was sealed before, and never touches a page that the parent may write.
 *
 * prepare takes every lock in rank order (so none is held by a thread that the child lacks), parent and child let go.
 * The child then raises fork_floor to the frontier, backs the rest of the range by a memfd of its own (both views, same
 * addresses, so one range test stays enough), forgets the parent's open chunks and jemalloc arenas (new ones are made
 * when first needed), closes the parent's interpreters' records except the forking one, and keeps names, handles and
 * intern tables (they lie in memory private to each process). Batches of other threads that were open are lost to the
 * child; a batch of the forking thread itself fails its next allocation with STOA_EFORKED.
 */
#ifndef STOA_HEAP_FORK_H
#define STOA_HEAP_FORK_H

#include "stoa/error.h"

stoa_err stoa__fork_install(void); /* pthread_atfork, once a library copy that created the process struct */
uint64_t stoa__fork_generation(void); /* 0 in the first process, +1 in each child */

#endif
