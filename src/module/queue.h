/* stoa.Queue's methods, by what they do: queue_put.c, queue_get.c; the type and the rest in queue.c. */
#ifndef STOA_MODULE_QUEUE_H
#define STOA_MODULE_QUEUE_H

#include "module/sync.h"
#include "sync/queue_wait.h"

/* Borrowed, until code runs: arguments are read before. NULL with InterpreterGone. */
static inline stoa_queue *
stoa__queue_get_self(PyObject *self)
{
    return (stoa_queue *)stoa__thing_get(self);
}

static inline stoa_side *
stoa__queue_side(PyObject *self)
{
    return ((stoa_thing_object *)self)->side;
}

/* How long a method may wait, by its arguments `block` and `timeout`, as queue.Queue takes them. */
typedef struct stoa_queue_patience {
    bool wait; /* at all */
    stoa_deadline deadline;
} stoa_queue_patience;

/* Reads the arguments of a put or a get: (first, block=True, timeout=None), or without a first one (its name NULL). `least`: 1,
 * if there must be a first one; else *out_first stays as it is where none is given. -1 with an exception. */
int stoa__queue_args(const char *method, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                     const char *first, Py_ssize_t least, PyObject **out_first, stoa_queue_patience *out);
/* How Python's threads wait (sync/queue_wait.h). */
stoa_patience stoa__queue_waits(PyObject *self, stoa_deadline deadline);
/* Raises what it means that the end was not DONE: `nothing` (queue.Full, queue.Empty) when the time is over. An exception
 * that ended the wait is there already. Always -1. */
int stoa__queue_failed(stoa_queue_end end, const char *nothing);

PyObject *stoa__queue_put_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *stoa__queue_put_nowait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *
stoa__queue_put_many_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *stoa__queue_get_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *stoa__queue_get_nowait(PyObject *self, PyObject *unused);
PyObject *
stoa__queue_get_many_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
extern const char stoa__queue_put_doc[], stoa__queue_put_nowait_doc[], stoa__queue_put_many_doc[];
extern const char stoa__queue_get_doc[], stoa__queue_get_nowait_doc[], stoa__queue_get_many_doc[];

#endif
