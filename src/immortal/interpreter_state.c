#include "immortal/interpreter_state.h"

#include <stdio.h>

#include "heap/interp_table.h"

PyObject *
stoa__interpreter_keeps(const char *key, PyObject *(*make)(void))
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    if (dict == NULL) {
        if (make != NULL) {
            PyErr_SetString(PyExc_RuntimeError,
                            "stoa: this interpreter has no room for what Stoa keeps in it: it is being taken "
                            "down, or there is no memory");
        }
        return NULL;
    }
    PyObject *name = PyUnicode_InternFromString(key);
    PyObject *found = name == NULL ? NULL : PyDict_GetItemWithError(dict, name);
    if (found == NULL && name != NULL && make != NULL && !PyErr_Occurred()) {
        PyObject *made = make();
        found = made == NULL ? NULL : PyDict_SetDefault(dict, name, made); /* the dict keeps it */
        Py_XDECREF(made);
    }
    Py_XDECREF(name);
    return found;
}

void *
stoa__interpreter_state(const char *key, PyObject *(*make)(void))
{
    PyObject *capsule = stoa__interpreter_keeps(key, make);
    return capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, key);
}

static void
destroy_capsule(PyObject *capsule)
{
    void (*destroy)(void *) = (void (*)(void *))(uintptr_t)PyCapsule_GetContext(capsule);
    destroy(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
}

PyObject *
stoa__interpreter_state_new(const char *key, void *state, void (*destroy)(void *state))
{
    PyObject *capsule = PyCapsule_New(state, key, NULL);
    if (capsule == NULL || PyCapsule_SetContext(capsule, (void *)(uintptr_t)destroy) < 0 ||
        PyCapsule_SetDestructor(capsule, destroy_capsule) < 0) {
        Py_XDECREF(capsule);
        destroy(state);
        return NULL;
    }
    return capsule;
}

const char *
stoa__interpreter_name(char out[STOA_INTERPRETER_NAME])
{
    int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());
    stoa_interp_record *record = stoa__interp_find_python(id, 0);
    if (record != NULL) {
        snprintf(out, STOA_INTERPRETER_NAME, "%s", record->name);
        stoa__interp_unref(record);
    }
    else {
        snprintf(out, STOA_INTERPRETER_NAME, "interpreter %lld", (long long)id);
    }
    return out;
}
