/* Filling large objects: bytes into memory that a batch has laid down.
 *
 * Problem: pages that are asked for all at once are zeroed, fall out of the processor's caches, and are fetched again to be
 * written: an array of a gigabyte would be walked over twice. Page faults, one for every 4 KiB, cost even more.
 * Mechanism: a piece at a time, as large as a huge page: its pages are asked for, and it is written while they are in
 * the cache; or the kernel fills the pages as it takes them, where it offers that and it turns out cheaper. Lay the
 * object down with STOA_BATCH_BARE set, then fill it with these; what nobody fills reads as zeros.
 *
 * Any thread, no lock, no GIL; several threads may fill different parts of one object. The object is not sealed yet.
 */
#ifndef STOA_HEAP_FILL_H
#define STOA_HEAP_FILL_H

#include <stdbool.h>
#include <stddef.h>

#define STOA_FILL_PIECE ((size_t)2 << 20)

/* Copies `size` bytes to public address `target`, through the writable view. */
void stoa__fill(void *target, const void *source, size_t size);

/* Asks for the pages of [target, target + size) only: for who writes them in another way. */
void stoa__fill_prepare(void *target, size_t size);

#endif
