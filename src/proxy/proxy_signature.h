/* p.__signature__: what inspect.signature(p) says.
 *
 * inspect finds the signature of a function by attributes, which are those of the object. Of a class and of a callable object it
 * asks the type, stoa.Proxy, and finds none. But before that it asks for __signature__; so this is answered by what inspect finds
 * in the owner, and an inspect.Signature of the caller's own is built of it: defaults and annotations cross by the rule.
 * Objects whose signature inspect can find from afar have no more attributes than they have.
 */
#ifndef STOA_PROXY_PROXY_SIGNATURE_H
#define STOA_PROXY_PROXY_SIGNATURE_H

#include <Python.h>

/* New reference, or NULL with an exception: the AttributeError that the object's owner would raise, for one. GIL. */
PyObject *stoa__proxy_signature(PyObject *proxy, PyObject *name);

#endif
