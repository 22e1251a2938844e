/* The standard library's own way between interpreters (concurrent.interpreters, its queues and pools; _xxinterpchannels and
 * _interpqueues before 3.14): a private registry in the runtime from exact types to functions that make "cross-interpreter
 * data" of an object. Static builtin types are registered for the whole runtime, classes for their interpreter.
 *
 * CPython copies str, bytes and tuple each time and refuses, or pickles, what it does not know. So the entry of each builtin
 * type that can be in the shared heap is replaced by one of ours, which hands over the pointer of a shared object and leaves
 * every other one to the entry that was there. Private API: checked by tests on each version.
 */
#ifndef STOA_CPYTHON_XIDATA_H
#define STOA_CPYTHON_XIDATA_H

#include <Python.h>
#include <stdbool.h>

typedef struct stoa_xidata_hooks {
    bool (*is_shared)(const PyObject *object);
    PyObject *(*deliver)(PyObject *shared);  /* in the receiver: new reference, or NULL with an exception */
    void *(*pack)(PyObject *object);         /* in the sender: NULL with an exception */
    PyObject *(*unpack)(const void *packed); /* in the receiver, any number of times */
    void (*dispose)(void *packed);           /* any interpreter */
} stoa_xidata_hooks;

/* Once a runtime, by whoever comes first: the builtin types. GIL. -1 with an exception. */
int stoa__xidata_builtins(const stoa_xidata_hooks *hooks);
/* A class of the current interpreter whose instances are packed. After the above. GIL. -1 with an exception. */
int stoa__xidata_class(PyTypeObject *type);

#endif
