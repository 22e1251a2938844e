/* Retiring a region: its pages go back before the process ends.
 *
 * Shared objects are not counted, so nobody knows from the objects who still uses them. What is known: who holds the region
 * as a whole (names, items of queues, open batches: `refs`), and which interpreters ever received something of it. Whether
 * those have let go of it is found by looking: heap/search.h looks through the process's memory, the host layer
 * (host/retire.h) calls it under the GIL of each of those interpreters in turn.
 *
 * Why that is enough: the memory of an interpreter stands still while its GIL is held, and what goes from one interpreter to
 * another is marked (stoa__region_mark_delivered). So if each was seen without an address of the region, and nothing was marked
 * and nothing frozen meanwhile, nobody has one. Threads outside all interpreters are seen as far as their
 * memory and stacks go; a C host does not retire what its own threads are using.
 *
 * Use:  begin -> look -> finish, or cancel. The region goes on as ever until finish.
 */
#ifndef STOA_HEAP_RETIRE_H
#define STOA_HEAP_RETIRE_H

#include "heap/region.h"

/* The region of that number; its name is for messages. STOA_EINVAL: it is the default region. STOA_EGONE: somebody else is at
 * it, or it is no more, as whoever has let go of it for a while (a waiter) may find. From here to finish or cancel nobody else
 * ends it. `*out_mark`: for finish. */
stoa_err stoa__retire_begin(uint32_t id, const char *name, uint64_t *out_mark);
/* It was in use. The caller has no more than its reference again. */
void stoa__retire_cancel(stoa_region *region);

/* How many hold the region as a whole beside the caller. */
uint32_t stoa__retire_others(const stoa_region *region);

/* Ends it: its table, its pages, what its objects held. The caller's reference is given up, and the region is no more.
 * false: somebody holds it beside the caller, or something was frozen into it or handed over since begin; nothing has changed. */
bool stoa__retire_finish(stoa_region *region, uint64_t mark);

/* The other way: nobody holds the region, and all interpreters that ever received something of it have ended, so that
 * there is nobody left to have an address. Then its pages go; the caller, who holds the lock of the regions, ends it.
 * false: that is not so. */
bool stoa__retire_deserted(stoa_region *region);

/* The region that `address` lies in was retired? (true also for one that never had an object.) */
bool stoa__is_retired(const void *address);

#endif
