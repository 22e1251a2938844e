/* Where arrays come from in Python: buffers and files. */
#ifndef STOA_IMMORTAL_ARRAY_SOURCE_H
#define STOA_IMMORTAL_ARRAY_SOURCE_H

#include "immortal/array.h"

/* The node, made in `batch`, of what `view` (PyBUF_FULL_RO) shows; the memory is copied once, unless it lies in the heap
 * already. `format`, `shape` (NULL: as they are; `shape` has `ndim` numbers): what the bytes, in C order, are to be instead.
 * `dtype`: see stoa_array; shared, or NULL. NULL: an exception is set, or batch->err and the message are. GIL; without
 * `hold` it is released while much is copied: the caller's hold on the view keeps the memory where it is. */
stoa_array *stoa__array_of_buffer(stoa_batch *batch, const Py_buffer *view, const char *format,
                                  const int64_t *shape, size_t ndim, PyObject *dtype, bool hold);

/* The node of `size` bytes of an open file, read straight into the heap: from `offset` on, or (offset -1) from where it
 * stands. format NULL: "B"; shape NULL: one dimension. NULL: as above; EOFError: the file ended before. GIL, released
 * while reading. */
stoa_array *stoa__array_of_file(stoa_batch *batch, int fd, int64_t offset, size_t size, const char *format,
                                const int64_t *shape, size_t ndim);

#endif
