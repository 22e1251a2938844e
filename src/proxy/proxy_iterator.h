/* Iterating over a list, tuple, dict, set or view of another interpreter, in chunks.
 *
 * A crossing an item would cost more than all else; items fetched ahead may be out of date when they are wanted. So a
 * chunk begins with one item and grows fourfold as long as this interpreter sends no other request between two items;
 * as soon as it does, what a list had left in the chunk is thrown away and read anew, a dict or set is asked whether its
 * size has changed (RuntimeError, as for the thing itself), and chunks are of one item from then on. What the owner's own
 * threads do meanwhile is seen with the next chunk. Other iterators (generators, files) are asked item by item.
 */
#ifndef STOA_PROXY_PROXY_ITERATOR_H
#define STOA_PROXY_PROXY_ITERATOR_H

#include <Python.h>

/* `container`: the proxy that is iterated over; `iterator`: a proxy of its iterator, or NULL to read it by index;
 * `size`: of the container now. New reference, NULL with an exception. GIL. */
PyObject *stoa__proxy_iterator_new(PyObject *container, PyObject *iterator, Py_ssize_t size);

/* len(p); -1 with an exception. */
Py_ssize_t stoa__proxy_size(PyObject *self);

#endif
