/* What names mean in an interpreter, and what becomes of delivered objects when one gets another meaning.
 *
 * A class is shared as its name, and looked up once an interpreter: what was built with it is kept (table.h). But a class
 * statement may be run again (a notebook's cell, importlib.reload), and then the name means a new class, whose instances have
 * the same nodes. Whoever froze one would get an instance of the old class. So each time a name is seen to mean something, when
 * a class or function is frozen or looked up, that is compared with what it meant before; if it has changed, all that was built
 * with the old one is outdated: it stands for its nodes no longer, so those who receive them get new ones, while who holds it
 * may still send it.
 */
#ifndef STOA_IMMORTAL_MEANINGS_H
#define STOA_IMMORTAL_MEANINGS_H

#include <Python.h>

/* Here `module`.`qualname` means `object`. An exception that is set stays so; none is raised: without memory nothing is noted.
 * May run __del__ of what nobody else holds. GIL. */
void stoa__name_means(PyObject *module, PyObject *qualname, PyObject *object);

#endif
