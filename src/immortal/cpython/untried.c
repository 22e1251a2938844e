#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_runtime.h>
#undef Py_BUILD_CORE

#include "immortal/cpython/minor.h"
#include "immortal/cpython/untried.h"

int
stoa__modules_untried(void)
{
#if STOA_SINGLE_MODULES
    static const char *const names[] = {"_datetime", "_decimal", "_zoneinfo"};
    PyInterpreterState *interp = PyInterpreterState_Get();
    PyObject *modules = PyImport_GetModuleDict();
    if (interp == PyInterpreterState_Main() || modules == NULL ||
        !_PyInterpreterState_HasFeature(interp, Py_RTFLAGS_MULTI_INTERP_EXTENSIONS)) {
        return 0; /* with the main interpreter's GIL and memory they load as ever */
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (!PyMapping_HasKeyString(modules, names[i]) && PyDict_SetItemString(modules, names[i], Py_None) < 0) {
            return -1;
        }
    }
#endif
    return 0;
}

void
stoa__parameter_names_keep(void)
{
#if STOA_SINGLE_MODULES
    if (Py_Version >> 8 != PY_VERSION_HEX >> 8) {
        return; /* the list may lie elsewhere in another patch release */
    }
    for (struct _PyArg_Parser *parser = _PyRuntime.getargs.static_parsers; parser != NULL;
         parser = parser->next) {
        if (parser->initialized == 1 && parser->kwtuple != NULL) {
            Py_SET_REFCNT(parser->kwtuple, _Py_IMMORTAL_REFCNT);
        }
    }
#endif
}
