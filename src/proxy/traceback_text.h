/* The traceback of an exception as text, for the other side's __cause__.
 *
 * traceback.format_exception takes 50 us: it looks for similar names, and parses source lines to underline them. A missed
 * attribute, key or index, or the end of an iteration, is an answer more often than an error (hasattr, get by try), so
 * these are told in a shorter way that takes 5: the frames with their lines, and what was raised.
 */
#ifndef STOA_PROXY_TRACEBACK_TEXT_H
#define STOA_PROXY_TRACEBACK_TEXT_H

#include <Python.h>

/* New reference; NULL with an exception. A long text has lost its middle. GIL; runs Python code. */
PyObject *stoa__traceback_text(PyObject *exception);

/* As traceback.format_exception has it. New reference; NULL with an exception. GIL; runs Python code. */
PyObject *stoa__traceback_full(PyObject *exception);

#endif
