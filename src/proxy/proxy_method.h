/* p.append(x) in one crossing: methods of the builtin containers.
 *
 * Asking the owner for p.append makes a bound method there, a handle, a proxy here, and later a release: more than the
 * call itself. For an object of exactly the type list, dict, set or bytearray none of this is needed to know what the
 * answer is: the type cannot change, its methods cannot, and the object has no attributes of its own. So the caller looks
 * at its own copy of the type, and for a method makes a proxy that stands for "that method of the object" and has not
 * been asked for yet: unsettled. Calling it is a single request. Whatever else is done with it (passing it on, asking for its
 * attributes, hashing it) settles it first: from then on it is the one proxy of a bound method that the owner made.
 *
 * The owner tells what type an object has with the first attribute that is asked for.
 *
 * Rule: who reads the handle of a proxy other than by stoa__proxy_handle_of settles it before.
 */
#ifndef STOA_PROXY_PROXY_METHOD_H
#define STOA_PROXY_PROXY_METHOD_H

#include "proxy/proxy.h"

/* In the owner: which of the builtin containers `object` is exactly, or STOA_TARGET_OTHER. */
uint8_t stoa__kind_of(PyObject *object);

/* An unsettled proxy of a method: new reference. NULL: ask the owner; an exception may be set (no memory). GIL. */
PyObject *stoa__proxy_method(PyObject *self, PyObject *name);

/* private to the inline below */
int stoa__proxy_settle_method(PyObject *self);

/* Afterwards the proxy's handle is that of what it stands for. -1 with an exception. GIL. */
static inline int
stoa__proxy_settle(PyObject *self)
{
    return stoa__proxy(self)->name == NULL ? 0 : stoa__proxy_settle_method(self);
}

#endif
