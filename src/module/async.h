/* The awaitable methods: what `aget`, `aacquire` and the like are.
 *
 * They are coroutines of stoa/_aio.py, which awaits a future of the running loop; what rings it is C: a _Bell for each
 * loop, a _Ticket for each wait (sync/bell.h). These functions only fetch the coroutine, so that a program without asyncio
 * does not import it.
 */
#ifndef STOA_MODULE_ASYNC_H
#define STOA_MODULE_ASYNC_H

#include "module/module.h"
#include "sync/bell.h"

/* How what a ticket's `user` points to begins: what waits for the bell. */
typedef struct stoa_awaiter {
    PyObject_HEAD
    PyObject *future; /* of the loop, done when the ticket has rung; or NULL */
} stoa_awaiter;

/* The bell of a _Bell object: borrowed. */
stoa_bell *stoa__bell_of(PyObject *object);

/* stoa._aio.<function>(self, *args): new reference, NULL with an exception. */
PyObject *stoa__async_call(const char *function, PyObject *self, PyObject *const *args, Py_ssize_t count);

/* METH_NOARGS, METH_FASTCALL: aacquire/__aenter__ and __aexit__ of locks, semaphores, conditions. */
PyObject *stoa__async_acquire(PyObject *self, PyObject *unused);
PyObject *stoa__async_release(PyObject *self, PyObject *const *args, Py_ssize_t count);
extern const char stoa__async_acquire_doc[], stoa__async_enter_doc[], stoa__async_exit_doc[];

/* _Bell and _Ticket. -1 with an exception. */
int stoa__module_add_async(PyObject *module);

#endif
