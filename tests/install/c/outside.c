/* An outside host in C: freezes an object through the installed library, and checks that `import stoa` in the same
 * process meets the same library and the same heap. */
#include <stoa/error.h>
#include <stoa/python.h>
#include <stoa/version.h>

#include <stdio.h>
#include <string.h>

static int
check(void)
{
    PyObject *module = PyImport_ImportModule("stoa");
    PyObject *source = Py_BuildValue("[s, i, (s, s)]", "agora", 7, "a", "b");
    if (module == NULL || source == NULL) {
        return -1;
    }
    PyObject *ours = stoa_freeze(source, NULL, 0);
    PyObject *theirs = ours ? PyObject_CallMethod(module, "freeze", "(O)", ours) : NULL;
    PyObject *known = theirs ? PyObject_CallMethod(module, "is_shared", "(O)", ours) : NULL;
    int good = known == Py_True && theirs == ours && stoa_is_shared(ours) && !stoa_is_shared(source);
    Py_XDECREF(known);
    Py_XDECREF(theirs);
    Py_XDECREF(ours);
    Py_DECREF(source);
    Py_DECREF(module);
    if (!good && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_AssertionError, "the host and the module do not share one heap");
    }
    return good ? 0 : -1;
}

int
main(void)
{
    if (strcmp(stoa_err_name(STOA_ENOMEM), "STOA_ENOMEM") != 0) {
        return 2;
    }
    Py_Initialize();
    int result = check();
    if (result < 0) {
        PyErr_Print();
    }
    if (Py_FinalizeEx() < 0 || result < 0) {
        return 1;
    }
    printf("C, Stoa %s: good\n", STOA_VERSION_STRING);
    return 0;
}
