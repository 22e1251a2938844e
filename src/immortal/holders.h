/* Who holds something of a region, in words: for the message of a retirement that could not be.
 *
 * The search through memory (heap/search.h) knows addresses only. Here the interpreter's own structures are asked: containers
 * that the gc tracks and what is below them, module attributes, variables of frames, delivered objects. What they do not
 * explain is told by its address.
 */
#ifndef STOA_IMMORTAL_HOLDERS_H
#define STOA_IMMORTAL_HOLDERS_H

#include <Python.h>

#include <stdint.h>

/* Appends to `text` (of `size` bytes, ended by zero) who of the current interpreter holds something of region `id`, in a few
 * phrases separated by "; ". Returns how many phrases. Leaves no exception. GIL; runs no Python code but tp_traverse. */
size_t stoa__holders_tell(uint32_t id, char *text, size_t size);

/* What lies at an address of the heap: "tuple of 2 items at 0x…". */
void stoa__holders_name(const void *held, char *text, size_t size);

#endif
