/* Arrays as an interpreter sees them: a read-only numpy.ndarray where NumPy is there, else a read-only memoryview.
 *
 * Both need an object that exports the memory and outlives them; that is a small object of ours, one type an interpreter
 * (`stoa.SharedBuffer`). It also speaks Arrow's C data interface. NumPy is imported on the first array that arrives in the main
 * interpreter; in others it is used only where it has been imported already: most versions refuse them, and some
 * versions of CPython run a part of such a module before they refuse.
 *
 * All functions: GIL of the interpreter they are called in; they may run Python code (NumPy's).
 */
#ifndef STOA_IMMORTAL_ARRAY_VIEW_H
#define STOA_IMMORTAL_ARRAY_VIEW_H

#include "immortal/array.h"

/* What this interpreter shows for a sealed node: new reference, NULL with an exception. A new object each time. */
PyObject *stoa__array_wrap(const stoa_array *array);

/* The exporter of a node, by itself: new reference, NULL with an exception. */
PyObject *stoa__array_exporter(const stoa_array *array);

/* The array that this object, delivered or an exporter, stands for as a whole; NULL: none. No exception. */
const stoa_array *stoa__array_of_object(PyObject *object);

/* Is it what was delivered for an array? No exception. */
bool stoa__array_is_delivered(PyObject *object);

/* Is it a memoryview that somebody has released? No exception. */
bool stoa__is_released_view(PyObject *object);

/* A private copy of a delivered array that can be changed: an ndarray, or a memoryview of a bytearray. New reference. */
PyObject *stoa__array_thaw(PyObject *object);

/* Has this interpreter NumPy? Borrowed module, or NULL: no; an exception is set only when asking failed (no memory). */
PyObject *stoa__array_numpy(void);

#endif
