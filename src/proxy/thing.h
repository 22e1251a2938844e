/* Things in Python: the small object by which an interpreter knows a process-wide thing (heap/thing.h).
 *
 * A thing has one handle, and wherever a handle goes (arguments, results, queue items, names, C) the thing goes. Arriving
 * in an interpreter it becomes that interpreter's one wrapper of it, so `is` holds as long as the wrapper lives. The
 * wrapper holds one reference of the thing; it is given up when the wrapper is freed, or when its interpreter ends.
 *
 * A wrapper type: an instance begins with STOA_THING_HEAD, its tp_dealloc is stoa__thing_dealloc (by which wrappers are
 * recognised), it has the member __weaklistoffset__, and no subclasses but at most one, made in Python. It may have gc:
 * then its tp_clear lets go of all that follows the head. The type of a kind is made once an interpreter, on first need,
 * by the function that was registered for it.
 *
 *   made here:     stoa_thing *t = …;  PyObject *w = stoa__thing_wrap_new(t);       // takes over the caller's reference
 *   used:          thing = stoa__thing_get(w);                                      // borrowed; NULL with an exception
 */
#ifndef STOA_PROXY_THING_H
#define STOA_PROXY_THING_H

#include <Python.h>

#include "heap/thing.h"
#include "proxy/proxy.h"

#define STOA_THING_HEAD                                                   \
    PyObject_HEAD                                                         \
    stoa_thing *thing; /* a reference; NULL: the interpreter is ending */ \
    stoa_side *side;   /* a reference */                                  \
    PyObject *weak_references;

typedef struct stoa_thing_object {
    STOA_THING_HEAD
} stoa_thing_object;

/* How wrappers of `kind` are made: a new heap type whose instances are basicsize bytes, all zero beyond the head. Said once
 * a process for each kind, by the layer that has the type; again is harmless. A thing that arrives before anybody said so
 * imports stoa. */
void stoa__thing_set_type(stoa_thing_kind kind, PyTypeObject *(*make)(void));

/* This interpreter's wrapper type of a kind. Borrowed; NULL with an exception. GIL of the side. */
PyTypeObject *stoa__thing_type(stoa_side *side, stoa_thing_kind kind);

/* The wrapper of a thing: the one there is, else a new one. New reference; takes over the caller's reference of the thing
 * (one of its handle, which is the same), in failure too. NULL with an exception. GIL of the side. */
PyObject *stoa__thing_wrap(stoa_side *side, stoa_thing *thing);
PyObject *stoa__thing_wrap_new(stoa_thing *thing); /* in the current interpreter */

void stoa__thing_dealloc(PyObject *self);

/* Of a wrapper type, or of the one class that Python code makes of one (an executor). A class derived from that is no
 * wrapper: its methods are its interpreter's own, so its objects go by proxy. */
static inline bool
stoa__is_thing(const PyObject *object)
{
    const PyTypeObject *type = Py_TYPE(object);
    return type->tp_dealloc == stoa__thing_dealloc ||
           (type->tp_base != NULL && type->tp_base->tp_dealloc == stoa__thing_dealloc);
}

/* Makes `self`, whose head is empty, the current interpreter's wrapper of a thing that it has just made. Takes over the
 * reference of the thing, in failure too. -1 with an exception. GIL. */
int stoa__thing_adopt(PyObject *self, stoa_thing *thing);

/* The thing of a wrapper: borrowed, until the GIL may be given up or code may run (reading an argument does): the interpreter may
 * end then, and its wrappers let go of their things while a thread that CPython does not wait for goes on. Who does such things
 * takes a reference, or asks afterwards. NULL with InterpreterGone: the interpreter is ending. */
stoa_thing *stoa__thing_get(PyObject *self);
/* A handle for another place to hold. -1 with an exception. */
int stoa__thing_handle_of(PyObject *self, stoa_handle *out);
/* "<stoa.Queue 12>" and the like: tp_repr for who has nothing to add. */
PyObject *stoa__thing_repr(PyObject *self);

/* The interpreter ends: its wrappers let go of their things. */
void stoa__things_leave(stoa_side *side);

#endif
