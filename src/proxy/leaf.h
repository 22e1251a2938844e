/* Leaves: values that have nothing inside that could cross in another way, and for which no code runs.
 *
 * Most of what is in a big list or dict are ints, floats, short texts, None. Each of them needs no memo, no frame and no
 * search for what it might be; and since nothing can change while they are written, neither do they need the container's items
 * to be kept for it. So packing writes as many leaves as come next in one go, and only for others takes the long way.
 */
#ifndef STOA_PROXY_LEAF_H
#define STOA_PROXY_LEAF_H

#include "proxy/parcel.h"

#include <stdbool.h>

/* Text of this many bytes and more crosses once, however often it is met: it is no leaf. */
#define STOA_ALIAS_SIZE 256

/* Bytes of the characters of an exact str, or of bytes. */
static inline size_t
stoa__text_size(PyObject *text)
{
    return PyUnicode_CheckExact(text) ? (size_t)PyUnicode_GET_LENGTH(text) * (size_t)PyUnicode_KIND(text)
                                      : (size_t)PyBytes_GET_SIZE(text);
}

/* Writes an exact str or bytes of any size down. 1; -1 with MemoryError. */
int stoa__text_write(stoa_parcel *parcel, PyObject *text);

/* 1: written. 0: it is no leaf. -1 with MemoryError. `detached`: nor is what lies in the shared heap. Runs no Python code. GIL
 * of the sender. */
int stoa__leaf_write(stoa_parcel *parcel, PyObject *object, bool detached);
/* Writes the leaves that `items` begins with. How many; -1 with MemoryError. Runs no Python code. GIL of the sender. */
Py_ssize_t stoa__leaves_write(stoa_parcel *parcel, PyObject *const *items, Py_ssize_t count, bool detached);

#endif
