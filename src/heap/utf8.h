/* Is it UTF-8? Names and messages are text for Python, so half a sequence must be refused where it comes in. */
#ifndef STOA_HEAP_UTF8_H
#define STOA_HEAP_UTF8_H

#include "stoa/base.h"

/* True when `size` bytes are UTF-8 as of RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF.
 * Else false, with the index of the first wrong byte in *out_at. Any thread. */
bool stoa__utf8_valid(const char *text, size_t size, size_t *out_at);

/* The largest length not above `size` (itself not above the text's) that does not end inside a sequence. */
size_t stoa__utf8_cut(const char *text, size_t size);

#endif
