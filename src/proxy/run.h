/* Runs: numbers that stand side by side in a container cross together.
 *
 * A list of a million ints as a million opcodes costs a dispatch and a few tests an item on both sides, which is more
 * than the int itself. So where eight or more exact ints (or floats) follow each other, packing writes one opcode, their
 * number, and the bare values: ints in as few bytes as the widest of the run needs, since what is written and read costs fresh
 * pages, too. Ints in the shared heap end a run: they go by pointer, as everything there does.
 */
#ifndef STOA_PROXY_RUN_H
#define STOA_PROXY_RUN_H

#include "proxy/parcel.h"

/* Writes the run that `items` begins with (STOA_OP_INTS or STOA_OP_FLOATS). How many items it took: 0 when it is too
 * short to pay; -1 with MemoryError. GIL of the sender. */
Py_ssize_t stoa__run_write(stoa_parcel *parcel, PyObject *const *items, Py_ssize_t count);

/* Of the operand of a run: how many numbers, and how many bytes in all. */
static inline size_t
stoa__run_count(uint64_t operand)
{
    return (size_t)(operand >> 4);
}

static inline size_t
stoa__run_size(uint64_t operand)
{
    return (size_t)(operand >> 4) * (operand & 15);
}

/* Makes the numbers of a run from its bytes into out[]: new references. -1 with an exception: none is left. GIL of the
 * receiver. */
int stoa__run_read(unsigned char op, uint64_t operand, const unsigned char *bytes, PyObject **out);

#endif
