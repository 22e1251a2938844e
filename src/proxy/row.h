/* The arguments of a call in one row, as a request takes them: positional ones, values of keywords, names of keywords.
 *
 * A vectorcall has the names in a tuple beside the rest; what crosses is one array (proxy/request.h,
 * STOA_REQUEST_LAST_ARE_NAMES). Here is the way there, and in the owner the way back.
 */
#ifndef STOA_PROXY_ROW_H
#define STOA_PROXY_ROW_H

#include <Python.h>

#define STOA_ROW_FEW 9

typedef struct stoa_row {
    PyObject **all; /* borrowed references, as in the caller's array */
    Py_ssize_t count, keywords;
    PyObject *few[STOA_ROW_FEW];
} stoa_row;

/* `count` and `names` as a vectorcall has them. -1 with an exception; else stoa__row_free when the call is over. */
int stoa__row_make(stoa_row *row, PyObject *const *args, size_t count, PyObject *names);
void stoa__row_free(stoa_row *row);

/* The names, the last `keywords` of a row, as a tuple. New reference, or NULL with an exception. */
PyObject *stoa__row_names(PyObject *const *args, Py_ssize_t count, Py_ssize_t keywords);

#endif
