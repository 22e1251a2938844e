/* Who still has an address of a region? A look through all of the process's writable memory.
 *
 * Problem: nobody counts who uses shared objects, and an address may lie anywhere: in a list, a frame, a C library's table.
 * So memory is read word by word, and a word that is an address of the region's objects is a holder. That errs on one side:
 * addresses also stay behind in memory that nobody uses any more. What is known to be unused is left out: blocks that malloc
 * has free, stacks below their threads' stack pointers, stacks of threads that have ended, and what the caller knows
 * (`skip`). What is read is copied out by the kernel, so that memory which goes meanwhile is no fault.
 *
 * The very first address of a chunk is nobody's object, nor is a multiple of STOA_CHUNK_STEP (heap/chunk.h): such addresses
 * stand in our own records.
 * Words that are not aligned, or that are encoded, are not seen.
 */
#ifndef STOA_HEAP_SEARCH_H
#define STOA_HEAP_SEARCH_H

#include "heap/region.h"

/* Pieces of memory; in no order while they are collected. Its own memory is none that malloc hands out. */
typedef struct stoa_pieces {
    struct stoa_piece {
        uintptr_t start, end;
    } * at;
    size_t count, room;
    bool short_of_memory; /* some are missing */
} stoa_pieces;

void stoa__pieces_add(stoa_pieces *pieces, uintptr_t start, uintptr_t end);
void stoa__pieces_sort(stoa_pieces *pieces);
void stoa__pieces_free(stoa_pieces *pieces);

/* A word at `place` points at `target`, inside the region. false: enough. */
typedef bool (*stoa_found_fn)(const void *place, const void *target, void *arg);

/* Calls `found` for each word that holds an address of the region, and is in no piece of `skip` (sorted here). `stack`: where
 * the calling thread's own stack is in use from: the frames of whoever asks are not looked at. No lock held. STOA_ENOMEM,
 * STOA_EOS: it could not be done. */
stoa_err
stoa__search(const stoa_region *region, stoa_pieces *skip, const void *stack, stoa_found_fn found, void *arg);

#endif
