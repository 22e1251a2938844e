/* Functions: by import path where one is found there, else by value.
 *
 * A function of __main__, a nested one, a lambda is not found by others, so it is described: its code, defaults, the cells it
 * closes over, attributes, simple annotations, and, when its module is __main__, the globals that its code names. (Of any
 * other module the receiver has its own: the function is made in that.) What is a function in there, too, is described with
 * it, by number, so functions that call each other or themselves work. A description holds values as they are; freezing
 * freezes them, a parcel sends them by the crossing rule.
 *
 * In a graph, one cell may be in several descriptions, and so may a function and the namespace that stands for
 * __main__. A FUNCTION node has an IDENTITY node for each of its: the same one in each description. What was made for
 * one by this interpreter is found by it (table.h) as long as somebody there holds it, so what shares a cell in the
 * graph shares one where it arrives.
 *
 * Where the globals are those of __main__: the frozen functions of a graph get a namespace of their own with what they
 * brought; a function that is sent to be called there (STOA_FUNCTION_HERE) gets __main__ there. Then what it brings is
 * set in it unless code there has assigned that name since, so that an initializer's globals stay; when the sender's
 * value changes, it is set again.
 */
#ifndef STOA_IMMORTAL_FUNCTION_H
#define STOA_IMMORTAL_FUNCTION_H

#include "immortal/foreign.h"

struct stoa_apart;

/* What is to be frozen instead of a function: new reference to (kind, flags, part …) of a GLOBAL or a FUNCTION, NULL with an
 * exception. May run Python code. */
PyObject *stoa__function_apart(struct stoa_apart *apart, PyObject *function);

/* The description of a plain Python function: new reference to a tuple, NULL with an exception. May run Python code. */
PyObject *stoa__function_describe(PyObject *function);

/* The function described; `main`: globals for those of __main__, NULL: a namespace of its own. New reference, NULL with an
 * exception. May run Python code. */
PyObject *stoa__function_make(PyObject *description, PyObject *main);

/* As stoa_foreign_kind.build. */
PyObject *stoa__build_function(const stoa_node *node, PyObject *const *parts);

/* The globals that a code object and the code inside it name: a new set of str. May run Python code (an import). */
PyObject *stoa__global_names(PyObject *code);

#endif
