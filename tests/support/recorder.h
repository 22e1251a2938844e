/* The write recorder: every write into a read-only range, listed one by one, while the program goes on.
 *
 * Problem: "CPython does not write to shared objects" must be shown for hundreds of operations, and a fault that ends the
 * process shows one write and hides all that would have followed.
 * Mechanism: a SIGSEGV handler that notes address and native stack of a write into the range, opens that page, and returns,
 * so the instruction goes on. On x86-64 it also sets the trap flag: the instruction is followed by SIGTRAP, whose handler
 * closes the page again, so that the next write into it is seen too. Elsewhere the page stays open until recorder_stop and
 * only the first write into each page is listed: "no write" is exact everywhere, the list is complete on x86-64.
 * Rule: one recorder per process; one thread works between start and stop. Writes of other threads are recorded as well,
 * but one that comes while the page is open may be missed. Faults outside the range go to the handler that was there before.
 * No Python in here.
 */
#ifndef STOA_TESTS_RECORDER_H
#define STOA_TESTS_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORDER_DEPTH 24 /* native frames kept of each write */
#define RECORDER_KEPT 256 /* writes kept; more are only counted */

typedef struct recorder_write {
    uintptr_t address; /* where the write went */
    int depth;
    void *stack[RECORDER_DEPTH]; /* innermost first: stack[0] is the writing instruction */
} recorder_write;

/* Begins to record writes into [base, base + size). 0, or an errno value (EBUSY: it is recording already). */
int recorder_start(uintptr_t base, size_t size);

/* Closes all pages, puts the earlier handlers back. Returns how many writes there were; *out_intact is false when somebody
 * replaced the recorder's handler meanwhile, so that the count means nothing. */
size_t recorder_stop(bool *out_intact);

/* Write number `index` (< the count and < RECORDER_KEPT) of the last recording; valid until the next start. */
const recorder_write *recorder_get(size_t index);

#endif
