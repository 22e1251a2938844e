/* Saying what lies at an address of the heap: for the write guard's last message, and for people who debug.
 *
 * Objects have no index by address: they lie one behind the other in a chunk. So the nearest word pair before the address
 * that looks like an object's head (our refcount word, a type that can be shared) is taken for one, and its extent, which
 * its type tells, must cover the address. Content can imitate a head; then the text is wrong, and nothing else.
 * All functions are async-signal-safe: they read memory, and format without locale, locks or memory.
 */
#ifndef STOA_IMMORTAL_DESCRIBE_H
#define STOA_IMMORTAL_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#include "heap/guard.h"

/* Is this the refcount word of a shared object? */
bool stoa__describe_is_refcount(const void *address);

/* The object whose block holds the address; NULL: none is recognised. */
const void *stoa__describe_object(const void *address);

/* "str 'abc' at 0x7f…, offset 24: the cached hash". Cut off at `size`, zero-terminated. Returns its length. */
size_t stoa__describe(const void *address, char *buffer, size_t size);

/* The three for heap/guard.h, the Python stack with them. */
extern const stoa_guard_describer stoa__describer;

#endif
