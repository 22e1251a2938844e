/* Arrow's C data interface, in and out: capsules with two C structs that any Arrow library reads and writes.
 *
 * An array of ours is an Arrow array of fixed-width numbers without nulls; further dimensions are fixed-size lists. Out:
 * over the same memory, nothing copied. In: one copy into the heap; nulls, text and other things of varying width, and
 * extension types, have no form as an array: they become trees of buffers (arrow_tree.h).
 */
#ifndef STOA_IMMORTAL_ARROW_H
#define STOA_IMMORTAL_ARROW_H

#include "immortal/array.h"
#include "immortal/arrow_abi.h"

/* New capsule "arrow_schema"; NULL with TypeError: Arrow has no such items. GIL. */
PyObject *stoa__arrow_schema(const stoa_array *array);

/* New tuple of capsules "arrow_schema", "arrow_array"; NULL also with BufferError: items that do not lie in a row. GIL. */
PyObject *stoa__arrow_export(const stoa_array *array);

/* The node of a new array in `batch` with the content of two sound structs, which are only read. NULL with *out_other:
 * it is no array of numbers, or has nulls (see arrow_tree.h), and no exception is set; else one is set (ValueError)
 * unless batch->err is. GIL; released while much is copied. */
stoa_array *
stoa__arrow_import(stoa_batch *batch, const arrow_schema *schema, const arrow_array *array, bool *out_other);

#endif
