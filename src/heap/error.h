/* The message behind a stoa_err.
 *
 * A code alone does not tell a user what to do, and a message cannot be returned by value without every caller
 * having to free it. So each thread keeps its last message; whoever makes a code says the message in the same breath:
 *     return stoa__fail(STOA_ENOMEM, "region '%s' is full: limit %zu bytes; raise limit=", name, limit);
 */
#ifndef STOA_HEAP_ERROR_H
#define STOA_HEAP_ERROR_H

#include "stoa/error.h"

/* Remembers "<symbol>: <formatted text>" for this thread and returns `err`. Any thread, no locks held needed. */
stoa_err stoa__fail(stoa_err err, const char *format, ...) STOA_PRINTF(2, 3);

/* The same with the text of errno value `os_error` appended; the code is STOA_EOS (STOA_ENOMEM for ENOMEM). */
stoa_err stoa__fail_os(int os_error, const char *format, ...) STOA_PRINTF(2, 3);

#endif
