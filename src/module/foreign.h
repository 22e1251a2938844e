/* register(). */
#ifndef STOA_MODULE_FOREIGN_H
#define STOA_MODULE_FOREIGN_H

#include "module/module.h"

int stoa__module_add_foreign(PyObject *module);

#endif
