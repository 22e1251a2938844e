/* Values of the standard library that cannot say what they are made of.
 *
 * What a class says for pickle is taken at its word; but in one version or another that of a few classes of the library fails,
 * holds code objects, or cannot be made again. stoa/_library.py knows them, and says it in their stead, so that they are
 * the same in all versions.
 */
#ifndef STOA_IMMORTAL_LIBRARY_VALUE_H
#define STOA_IMMORTAL_LIBRARY_VALUE_H

#include <Python.h>
#include <stdbool.h>

/* Is it one of those, by its name? No exception is left. GIL. */
bool stoa__library_amends(PyTypeObject *type);

/* What is to be frozen instead of an object of such a class, as stoa__reduce gives it. May run Python code. GIL. */
PyObject *stoa__library_apart(PyObject *object, unsigned flags);

#endif
