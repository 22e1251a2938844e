#include "proxy/row.h"

int
stoa__row_make(stoa_row *row, PyObject *const *args, size_t count, PyObject *names)
{
    Py_ssize_t positional = PyVectorcall_NARGS(count);
    row->keywords = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    row->count = positional + 2 * row->keywords;
    row->all = row->count <= STOA_ROW_FEW ? row->few : PyMem_New(PyObject *, row->count);
    if (row->all == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < positional + row->keywords; i++) {
        row->all[i] = args[i];
    }
    for (Py_ssize_t i = 0; i < row->keywords; i++) {
        row->all[positional + row->keywords + i] = PyTuple_GET_ITEM(names, i);
    }
    return 0;
}

void
stoa__row_free(stoa_row *row)
{
    if (row->all != row->few) {
        PyMem_Free(row->all);
    }
}

PyObject *
stoa__row_names(PyObject *const *args, Py_ssize_t count, Py_ssize_t keywords)
{
    PyObject *names = PyTuple_New(keywords);
    for (Py_ssize_t i = 0; names != NULL && i < keywords; i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(args[count - keywords + i]));
    }
    return names;
}
