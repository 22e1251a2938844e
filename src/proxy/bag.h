/* Bags: what is nothing but a container of its items, an exact list, dict, set or bytearray.
 *
 * Beside an operator or in a comparison one crosses as a copy: [1] + p is what it is with a local list. Both functions look at
 * what does not change while the object lives, so they can be asked from outside its owner, too, by who holds a handle
 * of it and has entered (stoa__interp_enter), or the owner may have ended.
 */
#ifndef STOA_PROXY_BAG_H
#define STOA_PROXY_BAG_H

#include <Python.h>

#include <stdbool.h>

bool stoa__is_bag(PyObject *object);
/* A method of one: which thread calls it makes no difference. */
bool stoa__is_method_of_bag(PyObject *object);

#endif
