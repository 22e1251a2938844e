/* Arrow's C data interface, in and out: capsules with two C structs that any Arrow library reads and writes.
 *
 * An array of ours is an Arrow array of fixed-width numbers without nulls; further dimensions are fixed-size lists. Out:
 * over the same memory, nothing copied. In: one copy into the heap; nulls, text and other things of varying width have
 * no form as an array and are refused.
 */
#ifndef STOA_IMMORTAL_ARROW_H
#define STOA_IMMORTAL_ARROW_H

#include "immortal/array.h"

/* New capsule "arrow_schema"; NULL with TypeError: Arrow has no such items. GIL. */
PyObject *stoa__arrow_schema(const stoa_array *array);

/* New tuple of capsules "arrow_schema", "arrow_array"; NULL also with BufferError: items that do not lie in a row. GIL. */
PyObject *stoa__arrow_export(const stoa_array *array);

/* The node of a new array in `batch` with the content of the two capsules, which are only read. NULL: an exception is set
 * (TypeError, ValueError) unless batch->err is. GIL; released while much is copied. */
stoa_array *stoa__arrow_import(stoa_batch *batch, PyObject *schema_capsule, PyObject *array_capsule);

#endif
