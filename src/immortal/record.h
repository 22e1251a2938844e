/* Making instances out of attributes, without running code of their class. `shape`: what a SHAPE node is delivered as. GIL. */
#ifndef STOA_IMMORTAL_RECORD_H
#define STOA_IMMORTAL_RECORD_H

#include "immortal/foreign.h"

/* The class: borrowed. NULL with an exception. */
PyObject *stoa__shape_class(PyObject *shape);
/* An instance without attributes: new reference, NULL with an exception. */
PyObject *stoa__record_new(PyObject *shape);
/* An instance with these attributes, as many as the shape has: as above. */
PyObject *stoa__record_of(PyObject *shape, PyObject *const *values);
/* Sets attribute number `index` of the shape. -1 with an exception. */
int stoa__record_set(PyObject *object, PyObject *shape, size_t index, PyObject *value);

#endif
