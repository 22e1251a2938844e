/* The attribute __doc__ of proxies, for who asks object.__getattribute__ for it, as pydoc does: help(p) then has the text of
 * the object, where it would have that of stoa.Proxy, which it knows not to show. It is that text, too, of a class derived
 * from str, for who looks into the type's dict.
 */
#ifndef STOA_PROXY_PROXY_DOC_H
#define STOA_PROXY_PROXY_DOC_H

#include <Python.h>

/* Puts it into the dict of the proxies' type. -1 with an exception. GIL. */
int stoa__proxy_doc_put(PyTypeObject *type);

#endif
