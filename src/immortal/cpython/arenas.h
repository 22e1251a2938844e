/* Memory of CPython's object allocator: whose it is.
 *
 * An interpreter with an allocator of its own may end without giving its memory back (up to 3.13 it does so whenever one block
 * is left); what its objects held stays written there, for nobody. So who gets an arena is noted here, between the allocator
 * and where its memory comes from; an arena that is given back is forgotten, so that its addresses may come back for others.
 */
#ifndef STOA_CPYTHON_ARENAS_H
#define STOA_CPYTHON_ARENAS_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* Steps between. GIL of any interpreter. Idempotent. */
void stoa__arenas_watch(void);

/* From now on this thread's requests for arenas fail (false: no more), so that it gets only blocks that are there. */
void stoa__arenas_refuse(bool refuse);
/* Was one refused since? */
bool stoa__arenas_refused(void);

/* Calls add for each arena of an interpreter that is no more. GIL of any interpreter. */
void stoa__arenas_left_over(void (*add)(uintptr_t start, uintptr_t end, void *arg), void *arg);

#endif
