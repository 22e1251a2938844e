/* The Python object of an interpreter: stoa.Interpreter as memory.
 *
 * In each interpreter there is one object for each interpreter, as there is one module of each name: `current() is main()`
 * holds, and what people hang on an object's identity (weak dictionaries, `is`) does. So the objects are found by the serial
 * of what they stand for, in a table that does not keep them alive.
 */
#ifndef STOA_MODULE_INTERPRETER_OBJECT_H
#define STOA_MODULE_INTERPRETER_OBJECT_H

#include <Python.h>

#include "heap/interp_table.h"

/* Living objects by serial. GIL of the interpreter that they live in. It outlives the module's state: objects may. */
typedef struct stoa_interpreter_objects stoa_interpreter_objects;

typedef struct stoa_interpreter_object {
    PyObject_HEAD
    stoa_interp_record *record;        /* const after new: a reference */
    stoa_interpreter_objects *objects; /* a reference; it has this object */
    PyObject *weak_references;
} stoa_interpreter_object;

/* A reference for the caller; NULL with MemoryError. */
stoa_interpreter_objects *stoa__interpreter_objects_new(void);
void stoa__interpreter_objects_unref(stoa_interpreter_objects *objects);

/* The object for `record`: the one there is, else a new one of `type`. New reference, NULL with an exception. Takes over the
 * reference to `record`, in failure too. */
PyObject *
stoa__interpreter_object(stoa_interpreter_objects *objects, PyTypeObject *type, stoa_interp_record *record);

void stoa__interpreter_object_dealloc(PyObject *self);

/* Its class is found by the dealloc function: one in the process, however many interpreters have the class. */
static inline bool
stoa__is_interpreter_object(const PyObject *object)
{
    return Py_TYPE(object)->tp_dealloc == stoa__interpreter_object_dealloc;
}

static inline stoa_interp_record *
stoa__interpreter_object_record(PyObject *self)
{
    return ((stoa_interpreter_object *)self)->record;
}

#endif
