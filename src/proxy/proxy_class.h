/* What a proxy says of its class, so that isinstance(p, cls) holds.
 *
 * isinstance looks at p.__class__ first, then at type(p). p.__class__ is the class itself where it is the whole process's;
 * else the class of the same name here; else, since isinstance wants a class, a stand-in that is made here, as like
 * the owner's as a class can be (python/stoa/_classes.py). type(p) is stoa.Proxy, which has every special method: the
 * abstract classes of collections.abc would take each proxy for an instance of all of them. They read the type's __mro__;
 * so the type of stoa.Proxy tells them of one that has nothing in it.
 */
#ifndef STOA_PROXY_PROXY_CLASS_H
#define STOA_PROXY_PROXY_CLASS_H

#include <Python.h>

/* p.__class__. New reference, or NULL with an exception. GIL. */
PyObject *stoa__proxy_class(PyObject *self);
/* The proxy of the owner's class, of a stand-in: borrowed. NULL, without an exception: it is none. GIL. */
PyObject *stoa__stands_for(PyObject *object);
/* The type of stoa.Proxy. New reference, or NULL with an exception. GIL. */
PyTypeObject *stoa__proxy_metatype_new(void);
/* To be called with the type once it is there: lets contextlib find how to enter a proxy. 0, or -1 with an exception. GIL. */
int stoa__proxy_metatype_show(PyTypeObject *type);

#endif
