/* p.append(x) in one crossing: attributes, and methods that were not asked for.
 *
 * Where p.append is known to be a function of the class of the object (proxy/shape.h), the caller makes, without asking, a
 * proxy that stands for "that function, bound to the object": unsettled. Calling it is a single request. Whatever else is
 * done with it (passing it on, asking for its attributes, hashing it) settles it first: the owner binds the function, and
 * from then on it is the one proxy of that bound method. As in Python, what was fetched is bound: it stays what it
 * was when the class changes.
 *
 * Rule: who reads the handle of a proxy other than by stoa__proxy_handle_of settles it before.
 */
#ifndef STOA_PROXY_PROXY_METHOD_H
#define STOA_PROXY_PROXY_METHOD_H

#include "proxy/proxy.h"

/* p.name: new reference, or NULL with an exception. `name`: exactly a str. GIL. */
PyObject *stoa__proxy_attribute(PyObject *self, PyObject *name);

/* private to the inline below */
int stoa__proxy_settle_method(PyObject *self);

/* Afterwards the proxy's handle is that of what it stands for. -1 with an exception. GIL. */
static inline int
stoa__proxy_settle(PyObject *self)
{
    return stoa__proxy(self)->function == NULL ? 0 : stoa__proxy_settle_method(self);
}

#endif
