/* One call of the C API into an interpreter: from any thread, with or without a thread state, with or without a time limit.
 *
 * Without a limit the calling thread goes inside and does the work where it stands. With one it must be able to leave
 * while the work goes on, so the work is copied off its stack, and somebody else does it (proxy/call.h); what comes of it
 * is the caller's only if he is still there. The same where only one thread may touch the object, and it is another.
 */
#ifndef STOA_HOST_INSIDE_H
#define STOA_HOST_INSIDE_H

#include <Python.h>

#include "heap/handle.h"
#include "stoa/call.h"

typedef struct stoa_inside {
    stoa_interp_record *record; /* a reference is held by the caller */
    stoa_handle target;         /* a reference is held by the caller; 0: none */
    void *object;               /* the target's */
    struct stoa_waiter *home; /* the target's: the thread that alone may touch it; NULL: any. Borrowed from the target */
    const char *name, *label; /* source, function or attribute; NULL: none */
    const stoa_data *args;
    size_t count;
    size_t named;   /* names of keywords: the last of the args, before them their values */
    unsigned flags; /* STOA_CALL_*_RESULT */
    bool wants_result, wants_exception;    /* by the caller */
    stoa_err (*run)(struct stoa_inside *); /* inside, its GIL held; leaves no exception set */
    stoa_data result;                      /* written by `run` with STOA_OK: owned */
    stoa_exception *exception;             /* written by `run` with STOA_EPYTHON, or NULL: owned */
    bool ended;                            /* written by `run` with STOA_OK: there is no next item */
} stoa_inside;

/* What `run` returns, with result and exception in `work`; or STOA_EGONE, STOA_ESTATE, STOA_ENOMEM as stoa_interp_enter,
 * STOA_ETIMEDOUT, STOA_EDEADLOCK, STOA_EINVAL: timeout is NaN. `timeout` < 0: none. */
stoa_err stoa__inside(stoa_inside *work, double timeout);
/* The same, and gives result and exception to the caller, as far as he wants them. */
stoa_err stoa__inside_and_give(stoa_inside *work, double timeout, stoa_data *out_result,
                               stoa_exception **out_exception);
/* Inside, what a `run` ends with: takes the exception that is set (`err` is STOA_EPYTHON), or makes `object` the result, if
 * one is wanted. */
stoa_err stoa__inside_outcome(stoa_inside *work, stoa_err err, PyObject *object);
/* Inside: what "module:qualname" names. New reference; NULL with an exception. */
PyObject *stoa__find_by_name(const char *name);

/* Is the calling thread in an interpreter, so that there are objects, and somewhere to raise? false: STOA_ESTATE is left as the
 * message, with the name of the public function that was called. */
bool stoa__inside_any(const char *function);

#endif
