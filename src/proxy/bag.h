/* Bags: what is nothing but a container of its items, an exact list, dict, set or bytearray.
 *
 * Beside an operator or in a comparison one crosses as a copy: [1] + p is what it is with a local list. And so do the standard
 * library's own (deque, OrderedDict, defaultdict, Counter, SimpleNamespace): most are written in C, and know their like by the
 * exact type only.
 */
#ifndef STOA_PROXY_BAG_H
#define STOA_PROXY_BAG_H

#include <Python.h>

#include <stdbool.h>

/* Both look at what does not change while the object lives, so they can be asked from outside its owner, too, by who holds a
 * handle of it and has entered (stoa__interp_enter), or the owner may have ended. */
bool stoa__is_bag(PyObject *object);
/* A method of one: which thread calls it makes no difference. */
bool stoa__is_method_of_bag(PyObject *object);

/* Is it a bag, or one of the standard library's? In its owner; Python code may run. No exception. */
bool stoa__goes_as_bag(PyObject *object);

#endif
