/* Hash-consing: equal frozen content becomes one object.
 *
 * Key: XXH3-128 over type tag and content (containers: over what stands for their children, immortal/content.h), its
 * halves folded into one, since an entry keeps less than that.
 * A hit is always confirmed by full comparison, so a collision costs time, never correctness. One table a region; a
 * batch of another region than the default one looks into the default region's table too (it lives longer).
 *
 * An entry is one word. Readers take no lock: they probe with acquire loads, and compare. Writers lock one of many shards.
 * Growth publishes a new slot array; the old one is freed after a grace period (heap/epoch.h).
 * What an open batch has made is in a table of its own (heap/intern_own.h); the commit enters it here, when it is sealed. So
 * nobody meets what may be withdrawn, and nothing is ever taken out. Two batches that build the same content at the same
 * time may both keep theirs: one of them wins for all later ones. That is allowed: identity of equal values is a saving,
 * not a promise.
 */
#ifndef STOA_HEAP_INTERN_H
#define STOA_HEAP_INTERN_H

#include "heap/batch.h"

typedef struct stoa_key {
    uint64_t tag; /* XXH3-128, folded */
} stoa_key;

/* Full comparison: has `candidate` (sealed, or of the own batch: then the writable twin is passed) exactly the content
 * described by `wanted`? Its address is good for reading its own bytes only. */
typedef bool (*stoa_same_fn)(const void *candidate, const void *wanted);

/* XXH3-128 of `size` bytes, `tag` (type, kind, encoding) mixed in. */
stoa_key stoa__key(uint64_t tag, const void *bytes, size_t size);

/* The object of this content, or NULL. No lock. */
const void *stoa__intern_find(stoa_batch *batch, stoa_key key, stoa_same_fn same, const void *wanted);

/* Enters an object of this batch under its key, after find said NULL. A full table that cannot grow is no error: the
 * object stays without an entry (counted in stats). */
void stoa__intern_add(stoa_batch *batch, stoa_key key, const void *object);

/* How many objects of the batch have an entry so far. */
uint64_t stoa__intern_entered(const stoa_batch *batch);

/* Containers that hold something new are new themselves: while batch->flags has STOA_BATCH_FRESH, find looks nowhere.
 *
 * Who knows that the batch has made nothing like it sets STOA_BATCH_UNMET: then find looks into the regions' tables only.
 *
 * settle enters what the batch has made, which is sealed, into the region's table; commit calls it. */
void stoa__intern_settle(stoa_batch *batch);

/* Where finds of these keys will look first: addresses to ask the processor for ahead of them, all one right after the other
 * (immortal/ahead.h says why). Returns how many; there is room for STOA_INTERN_PLACES a key. */
#define STOA_INTERN_PLACES 3u
size_t stoa__intern_places(const stoa_batch *batch, const stoa_key *keys, size_t count, const void **out);

/* When those are there: what they seem to name, to be asked for, too; NULL: nothing. Of the own batch it is the writable twin. */
void stoa__intern_hints(const stoa_batch *batch, const stoa_key *keys, size_t count, const void **out);

#endif
