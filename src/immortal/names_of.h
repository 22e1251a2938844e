/* Names of modules, classes and functions: where a thing is found, and finding it. Under a GIL. */
#ifndef STOA_IMMORTAL_NAMES_OF_H
#define STOA_IMMORTAL_NAMES_OF_H

#include "immortal/image.h"

/* An attribute of a module that has been imported: new reference; NULL without an exception: no such module or attribute. */
PyObject *stoa__import_attribute(const char *module, const char *name);
/* An attribute that is exactly a str: new reference; NULL without an exception. */
PyObject *stoa__text_attribute(PyObject *object, const char *name);
/* An interned str of this interpreter's own, for what keeps names for good (namespaces, classes the names of attributes): the
 * region of a shared one may go. `name` is exactly a str. New reference, NULL with an exception. */
PyObject *stoa__own_name(PyObject *name);
/* The module of a dotted name, imported (or waited for while another thread imports it): new reference, NULL with an
 * exception. May run Python code. */
PyObject *stoa__find_module(PyObject *name);
/* `object`.a.b.c: new reference, NULL with an exception. May run Python code. */
PyObject *stoa__follow(PyObject *object, PyObject *qualname);
/* A str as an image in the batch. NULL: batch->err is set. No Python code. */
stoa_shared *stoa__make_text_of(stoa_batch *batch, PyObject *text);

#endif
