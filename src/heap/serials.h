/* A set of serials of interpreters that only grows, and is read without a lock.
 *
 * Serials are never used twice, so a set of them is a set of interpreters, those that have ended included. A trie of bytes, most
 * significant first, whose nodes are only ever added: 32 bytes for 256 serials in a row, and adding is two atomic
 * operations at most where the nodes are there.
 */
#ifndef STOA_HEAP_SERIALS_H
#define STOA_HEAP_SERIALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct stoa_serials { /* all zero: empty */
    _Atomic(struct stoa_serials_node *) root;
} stoa_serials;

/* false: no memory. */
bool stoa__serials_add(stoa_serials *set, uint32_t serial);
bool stoa__serials_has(const stoa_serials *set, uint32_t serial);
/* Is each of them in `whole`, too; and is there one at all? */
bool stoa__serials_are_in(const stoa_serials *set, const stoa_serials *whole);
/* Nobody else uses it any more. */
void stoa__serials_free(stoa_serials *set);

#endif
