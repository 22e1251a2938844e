/* NumPy's values: scalars, dtypes, and arrays of its own subclasses of ndarray.
 *
 * They pickle by way of dtype objects and a private copy of their bytes, and where NumPy cannot be imported, which is every
 * sub-interpreter today, nothing could be made of that. So stoa/_numpy.py says what they are made of: a scalar's number
 * by its bytes and the builtin value that is equal to it, which arrives where there is no NumPy; an array's items as a
 * shared array. What is left there without a meaning is an error that names the class.
 */
#ifndef STOA_IMMORTAL_NUMPY_VALUE_H
#define STOA_IMMORTAL_NUMPY_VALUE_H

#include <Python.h>
#include <stdbool.h>

typedef enum stoa_numpy_kind {
    STOA_NUMPY_NOT,
    STOA_NUMPY_SCALAR, /* hashed by value, cannot be changed */
    STOA_NUMPY_DTYPE,  /* the same */
    STOA_NUMPY_RECORD, /* numpy.void, numpy.record: can be changed */
    STOA_NUMPY_ARRAY,  /* of a subclass of ndarray that is NumPy's own */
    STOA_NUMPY_FOREIGN /* of another subclass of ndarray */
} stoa_numpy_kind;

/* What objects of this type are. May run Python code. No exception is left. GIL. */
stoa_numpy_kind stoa__numpy_kind(PyTypeObject *type);

/* What is to be frozen instead, as stoa__reduce gives it. May run Python code. GIL. */
PyObject *stoa__numpy_apart(PyObject *object, unsigned flags);

/* Is there a builtin value that is equal to this scalar? So it can be sent to anybody. May run Python code. No
 * exception is left. GIL. */
bool stoa__numpy_has_builtin(PyObject *scalar);

#endif
