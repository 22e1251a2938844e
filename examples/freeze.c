/* Freezing from C, in a program that initialises Python itself: a PyObject becomes shared, and is read with no GIL. */
#include <Python.h>

#include <stdio.h>

#include <stoa.h>
#include <stoa/python.h>

int
main(void)
{
    Py_Initialize();
    if (stoa_runtime_open(NULL) != STOA_OK) {
        fprintf(stderr, "freeze: %s\n", stoa_error_message());
        return 1;
    }
    PyObject *list = Py_BuildValue("[{s:i,s:s}, [i, i]]", "id", 7, "name", "Zoë", 1, 2);
    PyObject *frozen = list == NULL ? NULL : stoa_freeze(list, NULL, 0);
    Py_XDECREF(list);
    if (frozen == NULL) {
        PyErr_Print();
        return 1;
    }
    const stoa_object *records = stoa_object_from_python(frozen);

    PyThreadState *state = PyEval_SaveThread(); /* from here on without the GIL */
    const stoa_object *record, *name;
    const char *text;
    if (stoa_tuple_item(records, 0, &record) != STOA_OK ||
        stoa_mapping_get_text(record, "name", 4, &name) != STOA_OK ||
        stoa_get_text(name, &text, NULL) != STOA_OK) {
        fprintf(stderr, "freeze: %s\n", stoa_error_message());
        return 1;
    }
    printf("%s is a %s in a %s\n", text, stoa_kind_name(stoa_object_kind(name)),
           stoa_kind_name(stoa_object_kind(record)));
    PyEval_RestoreThread(state);

    PyObject *thawed = stoa_thaw(frozen);
    printf("frozen: %s, thawed: %s\n", Py_TYPE(frozen)->tp_name,
           thawed == NULL ? "-" : Py_TYPE(thawed)->tp_name);
    Py_XDECREF(thawed);
    Py_DECREF(frozen);
    PyThreadState *main_state = PyEval_SaveThread(); /* closing needs that no GIL is held */
    stoa_err err = stoa_runtime_close();
    PyEval_RestoreThread(main_state);
    return err == STOA_OK && Py_FinalizeEx() == 0 ? 0 : 1;
}
