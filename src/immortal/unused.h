/* Giving up, in one interpreter, what nobody will miss: so that a search for addresses finds holders, not leftovers.
 *
 * What the library itself keeps for a next time (delivered objects that nobody else has, plans of classes), cyclic garbage,
 * free lists, the cache of type attributes; and the blocks that CPython's allocator has free are overwritten, since
 * addresses stay behind in them. There is no function for that: the allocator is told to get no new memory, and then asked for
 * blocks of each size until it has none.
 */
#ifndef STOA_IMMORTAL_UNUSED_H
#define STOA_IMMORTAL_UNUSED_H

#include <Python.h>

/* May run Python code (__del__). GIL. An exception that is set stays so; none is raised. */
void stoa__give_up_unused(void);

/* Overwrites the free blocks again. GIL; runs no Python code. */
void stoa__wipe_free_blocks(void);

#endif
