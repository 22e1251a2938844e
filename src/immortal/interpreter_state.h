/* What an interpreter keeps for a part of the library: types, classes, tables.
 *
 * Nothing of an interpreter may lie in the process-wide struct, and a static variable is one for all interpreters. So each
 * keeps its own in its dict (PyInterpreterState_GetDict), under a key of the part's, made on first need. Making may run
 * Python code, and with it other threads of the interpreter: the first to enter what it made wins, the others' is dropped.
 * The interpreter's end gives it up.
 */
#ifndef STOA_IMMORTAL_INTERPRETER_STATE_H
#define STOA_IMMORTAL_INTERPRETER_STATE_H

#include <Python.h>

/* The object that this interpreter keeps under `key` ("stoa.…"): borrowed, until the interpreter ends. `make`: gives it, a
 * new reference or NULL with an exception; NULL: it is only looked for. NULL with an exception; without one when it was
 * only looked for and is not there. GIL. */
PyObject *stoa__interpreter_keeps(const char *key, PyObject *(*make)(void));

/* The same for a struct: `make` gives a capsule of the name `key`, whose destructor frees it. */
void *stoa__interpreter_state(const char *key, PyObject *(*make)(void));

/* The capsule for such a `make`: takes `state` over, in failure too, when `destroy` is called with the pointer itself.
 * NULL with MemoryError. */
PyObject *stoa__interpreter_state_new(const char *key, void *state, void (*destroy)(void *state));

#define STOA_INTERPRETER_NAME 64

/* The name of the current interpreter, for messages: as it was given, or made up. GIL. Returns `out`. */
const char *stoa__interpreter_name(char out[STOA_INTERPRETER_NAME]);

#endif
