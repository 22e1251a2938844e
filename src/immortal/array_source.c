#include "immortal/array_source.h"

#include "heap/fill.h"
#include "heap/process.h"

#include <errno.h>
#include <unistd.h>

#define LET_GO_WORTH ((size_t)256 << 10) /* bytes from which on others may run meanwhile */

/* Bytes of one item, asked of Python where we cannot tell. 0: ValueError set. */
static size_t
itemsize_of(const char *format)
{
    size_t size = stoa__format_itemsize(format);
    if (size == 0) {
        Py_ssize_t told = PyBuffer_SizeFromFormat(format);
        if (told > 0) {
            return (size_t)told;
        }
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError,
                     "format '%.100s' is none of an item with a size; see the struct module", format);
    }
    return size;
}

/* What `bytes` bytes of this format are in this shape (NULL: one dimension, which goes to *flat). false: ValueError set. */
static bool
lay_over(stoa_layout *layout, const char *format, const int64_t *shape, size_t ndim, size_t bytes, int64_t *flat)
{
    size_t itemsize = itemsize_of(format), count, wanted;
    if (itemsize == 0) {
        return false;
    }
    if (stoa__format_holds_pointers(format)) {
        PyErr_Format(PyExc_ValueError,
                     "format '%.100s' is one of Python objects or pointers, which bytes cannot be taken for",
                     format);
        return false;
    }
    *flat = (int64_t)(bytes / itemsize);
    *layout = (stoa_layout){.format = format,
                            .itemsize = itemsize,
                            .ndim = shape != NULL ? ndim : 1,
                            .shape = shape != NULL ? shape : flat};
    if (bytes % itemsize != 0) {
        PyErr_Format(PyExc_ValueError, "%zu bytes are no whole number of items of format '%s' (%zu bytes each)",
                     bytes, format, itemsize);
        return false;
    }
    if (stoa__layout_measure(layout, &count, &wanted) != STOA_OK || wanted != bytes) {
        PyErr_Format(PyExc_ValueError,
                     "the shape does not hold %zu items of format '%s', which is what there is",
                     bytes / itemsize, format);
        return false;
    }
    return true;
}

static void
copy(char *target, const stoa_layout *layout, const Py_buffer *view, bool hold)
{
    if (hold || (size_t)view->len < LET_GO_WORTH) {
        stoa__array_gather(target, layout, view->buf);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
        stoa__array_gather(target, layout, view->buf);
    Py_END_ALLOW_THREADS
}

stoa_array *
stoa__array_of_buffer(stoa_batch *batch, const Py_buffer *view, const char *format, const int64_t *shape,
                      size_t ndim, PyObject *dtype, bool hold)
{
    _Static_assert(sizeof(Py_ssize_t) == sizeof(int64_t), "a shape is an array of 64-bit numbers");
    stoa_layout source = {.format = view->format != NULL ? view->format : "B",
                          .itemsize = (size_t)view->itemsize,
                          .ndim = (size_t)view->ndim,
                          .shape = (const int64_t *)view->shape,
                          .strides = (const int64_t *)view->strides,
                          .dtype = dtype};
    stoa_layout wanted = source;
    int64_t flat;
    bool recast = format != NULL || shape != NULL;
    if (stoa__format_holds_pointers(source.format)) {
        PyErr_Format(
            PyExc_TypeError,
            "the buffer holds Python objects or pointers (format '%.100s'); freeze() a list of that instead",
            source.format);
        return NULL;
    }
    if (recast &&
        !lay_over(&wanted, format != NULL ? format : source.format, shape, ndim, (size_t)view->len, &flat)) {
        return NULL;
    }
    if (view->suboffsets == NULL && stoa__array_lies_in_heap(batch->region, &source, view->buf) &&
        (!recast || PyBuffer_IsContiguous(view, 'C'))) {
        return stoa__array_view(batch, &wanted, view->buf);
    }
    char *data;
    stoa_array *node = stoa__array_make(batch, &wanted, true, &data);
    if (node == NULL) {
        return NULL;
    }
    if (view->suboffsets != NULL) {
        return PyBuffer_ToContiguous(stoa__rw(data), view, view->len, 'C') < 0 ? NULL : node;
    }
    copy(data, &source, view, hold);
    return node;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Reads one piece. 1: whole; 0: the file ended, *got is how much there was; -1: errno. No GIL. */
static int
read_piece(int fd, char *target, size_t size, int64_t offset, size_t *got)
{
    for (*got = 0; *got < size;) {
        ssize_t n = offset < 0 ? read(fd, target + *got, size - *got)
                               : pread(fd, target + *got, size - *got, (off_t)(offset + (int64_t)*got));
        if (n <= 0) {
            return n == 0 ? 0 : -1;
        }
        *got += (size_t)n;
    }
    return 1;
}

static bool
read_all(int fd, char *data, size_t size, int64_t offset)
{
    size_t done = 0;
    while (done < size) {
        size_t piece = STOA_FILL_PIECE < size - done ? STOA_FILL_PIECE : size - done, got;
        int result, error;
        Py_BEGIN_ALLOW_THREADS
            stoa__fill_prepare(data + done, piece);
            result = read_piece(fd, stoa__rw(data + done), piece, offset < 0 ? -1 : offset + (int64_t)done,
                                &got);
            error = errno;
        Py_END_ALLOW_THREADS
        done += got;
        if (result == 0) {
            PyErr_Format(PyExc_EOFError, "the file ended after %zu bytes; %zu were asked for", done, size);
            return false;
        }
        if (result < 0 && error != EINTR) {
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
            return false;
        }
        if (PyErr_CheckSignals() < 0) {
            return false;
        }
    }
    return true;
}

stoa_array *
stoa__array_of_file(stoa_batch *batch, int fd, int64_t offset, size_t size, const char *format,
                    const int64_t *shape, size_t ndim)
{
    stoa_layout layout;
    int64_t flat;
    char *data;
    if (!lay_over(&layout, format != NULL ? format : "B", shape, ndim, size, &flat)) {
        return NULL;
    }
    stoa_array *node = stoa__array_make(batch, &layout, true, &data);
    return node != NULL && read_all(fd, data, size, offset) ? node : NULL;
}
