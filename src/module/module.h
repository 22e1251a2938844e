/* What the files of the extension module share. The module is multi-phase, one per interpreter, under a GIL of its own:
 * nothing is static but method tables and type specs; all else is in its state.
 *
 * The code is part of libstoa; `_stoa` is a file that only asks it for the module, so that a host program and `import
 * stoa` inside it always meet one copy of everything.
 */
#ifndef STOA_MODULE_MODULE_H
#define STOA_MODULE_MODULE_H

#include <Python.h>

#include "heap/interp_table.h"
#include "heap/region.h"
#include "stoa/base.h"

typedef struct stoa_module_state {
    stoa_interp_record *record;                           /* of this interpreter: a reference */
    PyTypeObject *interpreter_type;                       /* stoa.Interpreter */
    struct stoa_interpreter_objects *interpreter_objects; /* module/interpreter_object.h; a reference */
    PyTypeObject *region_type;                            /* stoa.Region */
    PyTypeObject *bell_type, *ticket_type;                /* module/async.c */
    PyTypeObject *future_type, *await_type;               /* FutureBase; module/future_await.c */
} stoa_module_state;

static inline stoa_module_state *
stoa__module_state(PyObject *module)
{
    return PyModule_GetState(module);
}

/* PyInit__stoa is this. */
STOA_API PyObject *stoa_module_init(void);

/* Each adds its part of the public face. -1 with an exception. */
int stoa__module_add_names(PyObject *module);
int stoa__module_add_interpreter(PyObject *module);
int stoa__module_add_stats(PyObject *module);
int stoa__module_add_proxy(PyObject *module);
int stoa__module_add_proxy_list(PyObject *module);
int stoa__module_add_future(PyObject *module);
int stoa__module_add_future_await(PyObject *module);
int stoa__module_add_pool(PyObject *module);
int stoa__module_add_array(PyObject *module);
int stoa__module_add_evolve(PyObject *module);
int stoa__module_add_look(PyObject *module);

/* A stoa.Interpreter for `record`: new reference, NULL with an exception. */
PyObject *stoa__module_wrap_interpreter(PyObject *module, stoa_interp_record *record);
int stoa__module_add_build_info(PyObject *module);

/* Seconds from Python: None waits for ever. -1 with an exception (not a number, NaN). */
int stoa__module_deadline(PyObject *seconds, stoa_deadline *out);
/* The same as nanoseconds from whenever; -1: for ever. */
int stoa__module_duration(PyObject *seconds, int64_t *out);

#endif
