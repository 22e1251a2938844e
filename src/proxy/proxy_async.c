/* await, async for, sending, and buffers. */
#include "heap/error.h"
#include "immortal/exceptions.h"
#include "proxy/proxy_method.h"
#include "proxy/proxy_type.h"
#include "proxy/request.h"
#include "proxy/thread_state.h"

#include <stdlib.h>

/* ---- await, async for -------------------------------------------------------------------------------------------- */

enum { AWAIT, AITER, ANEXT };

static PyObject *
do_async(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    static const char *const messages[] = {
        "object %.100s can't be used in 'await' expression",
        "'async for' requires an object with __aiter__ method, got %.100s",
        "'async for' requires an iterator with __anext__ method, got %.100s",
    };
    const PyAsyncMethods *slots = Py_TYPE(target)->tp_as_async;
    unaryfunc slot = slots == NULL        ? NULL
                     : op->extra == AWAIT ? slots->am_await
                     : op->extra == AITER ? slots->am_aiter
                                          : slots->am_anext;
    return slot != NULL ? slot(target)
                        : PyErr_Format(PyExc_TypeError, messages[op->extra], Py_TYPE(target)->tp_name);
}

static PyObject *
proxy_await(PyObject *self)
{
    return stoa__request(self, do_async, NULL, 0, STOA_REQUEST_GOES_OVER, AWAIT);
}

static PyObject *
proxy_aiter(PyObject *self)
{
    return stoa__request(self, do_async, NULL, 0, STOA_REQUEST_GOES_OVER, AITER);
}

static PyObject *
proxy_anext(PyObject *self)
{
    return stoa__request(self, do_async, NULL, 0, STOA_REQUEST_GOES_OVER, ANEXT);
}

/* As the owner sends it: a coroutine is no iterator, but what drives one here (a task of an event loop) takes whatever has
 * __next__ for one unless there is this slot. */
static PyObject *
do_send(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    (void)op;
    PyObject *result;
    switch (PyIter_Send(target, args[0], &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN: {
        PyObject *raised = PyObject_CallOneArg(PyExc_StopIteration, result);
        Py_DECREF(result);
        if (raised != NULL) {
            PyErr_SetRaisedException(raised);
        }
        return NULL;
    }
    default:
        return NULL;
    }
}

static PySendResult
proxy_send(PyObject *self, PyObject *value, PyObject **result)
{
    *result = stoa__request(self, do_send, &value, 1, 0, 0);
    if (*result != NULL) {
        return PYGEN_NEXT;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    PyObject *raised = PyErr_GetRaisedException();
    *result = PyObject_GetAttrString(raised, "value");
    Py_DECREF(raised);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

static void
let_go_of_view(void *view)
{
    PyBuffer_Release(view);
    free(view);
}

/* The owner's view, kept there as long as somebody has one here: the memory stays where it is, also when the owner ends. */
static PyObject *
do_get_buffer(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    Py_buffer *view = calloc(1, sizeof(*view));
    if (view == NULL) {
        return PyErr_NoMemory();
    }
    if (PyObject_GetBuffer(target, view, (int)op->extra) < 0) {
        free(view);
        return NULL;
    }
    stoa__let_go_anywhere(view->buf);
    op->let_go = let_go_of_view;
    op->made = view;
    return PyLong_FromLongLong((long long)(uintptr_t)view);
}

static int
proxy_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    stoa_proxy_object *proxy = stoa__proxy(self);
    view->obj = NULL;
    if (proxy->exported == UINT16_MAX) {
        PyErr_SetString(PyExc_BufferError, "more than 65535 views of the memory of one proxy");
        return -1;
    }
    if (stoa__proxy_settle(self) < 0) {
        return -1;
    }
    bool counted = !proxy->release_wanted;
    proxy->exported += counted; /* before: who releases it meanwhile is told that its memory is in use */
    PyObject *address = stoa__request(self, do_get_buffer, NULL, 0, 0, (uintptr_t)flags);
    if (address == NULL) {
        proxy->exported -= counted;
        return -1;
    }
    Py_buffer *kept = (Py_buffer *)(uintptr_t)PyLong_AsLongLong(address);
    Py_DECREF(address);
    *view = *kept;
    view->obj = Py_NewRef(self);
    view->internal = kept;
    return 0;
}

static void
proxy_release_buffer(PyObject *self, Py_buffer *view)
{
    Py_buffer *kept = view->internal;
    stoa_entry entry;
    PyObject *raised = PyErr_GetRaisedException();
    if (stoa__enter(stoa__proxy(self)->owner, &entry) == STOA_OK) {
        PyBuffer_Release(kept);
        stoa__leave(&entry);
    }
    free(kept); /* the owner is gone: its object stays, since this view was never released */
    stoa__proxy(self)->exported--;
    PyErr_SetRaisedException(raised);
}

const PyType_Slot stoa__proxy_async_slots[] = {
    {Py_am_await, (void *)proxy_await},
    {Py_am_aiter, (void *)proxy_aiter},
    {Py_am_anext, (void *)proxy_anext},
    {Py_am_send, (void *)proxy_send},
    {Py_bf_getbuffer, (void *)proxy_get_buffer},
    {Py_bf_releasebuffer, (void *)proxy_release_buffer},
    {0, NULL},
};
