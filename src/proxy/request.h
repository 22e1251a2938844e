/* A request: one operation on a proxied object, done inside its owner.
 *
 * Crossing costs a swap of thread states (50 ns there and back); the general parcel would double that. So up to eight
 * operands, and the result, cross in cells: a tag and a word (or a few characters), written under one GIL and read under
 * the other. What does not fit a cell makes the whole request use a parcel. Text that names something (attributes,
 * keywords, keys) and is interned by its interpreter has a twin in the shared heap, found in a small cache, so that the
 * owner gets it by pointer with its hash: what names things in code is finite, and is needed again.
 */
#ifndef STOA_PROXY_REQUEST_H
#define STOA_PROXY_REQUEST_H

#include "proxy/parcel.h"
#include "proxy/proxy.h"

#define STOA_REQUEST_FIRST_IS_NAME 1u
#define STOA_REQUEST_LAST_ARE_NAMES 2u /* the last `extra` of them */
#define STOA_REQUEST_BAG \
    4u /* what goes as a bag (proxy/bag.h) among the operands crosses by value, its items by the rule */
#define STOA_REQUEST_COPY 8u       /* … crosses as a deep copy */
#define STOA_REQUEST_FETCH 16u     /* the result crosses as a deep copy */
#define STOA_REQUEST_BAG_OUT 32u   /* the result is a list that is only the bag */
#define STOA_REQUEST_BARE_STOP 64u /* StopIteration without a value is told by NULL without an exception */

#define STOA_REQUEST_UNSETTLED \
    128u /* about the object whose method an unsettled proxy stands for: proxy/proxy_method.h */

#define STOA_REQUEST_CALL \
    256u /* it calls the object: in served work (proxy/call.h) the caller's thread does it, if it is his */

#define STOA_REQUEST_GOES_OVER \
    512u /* the result goes over the object: where its calls have options, that one's have them, too */

typedef struct stoa_operation {
    uintptr_t extra;
    void *with; /* of the caller, who waits: for the operator's use; NULL where others may run the request */
    bool stopped; /* set by the runner: what comes back is the value of a StopIteration */
    /* Set by the operator, or NULL: the result names `made`, which belongs to whoever gets it; if nobody does (the caller has
     * left), this is called with it inside the owner. */
    void (*let_go)(void *made);
    void *made;
} stoa_operation;

/* Inside the owner: a new reference; NULL with an exception, or NULL alone, which arrives as that. */
typedef PyObject *(*stoa_operator)(PyObject *target, PyObject *const *args, Py_ssize_t count,
                                   stoa_operation *op);

/* Runs `work` inside the owner of `self`, with `args` as they arrive there. The result as it arrives here: new
 * reference; NULL with an exception (or without, if `work` did so). GIL. */
PyObject *stoa__request(PyObject *self, stoa_operator work, PyObject *const *args, Py_ssize_t count,
                        unsigned flags, uintptr_t extra);
/* The same, for a proxy without a route: `work` finds `with` in its operation. */
PyObject *stoa__request_with(PyObject *self, stoa_operator work, PyObject *const *args, Py_ssize_t count,
                             unsigned flags, uintptr_t extra, void *with);

/* Applies what others have let go of this interpreter's objects, unless an exception is on its way: every request does it
 * before it looks at its proxy, since __del__ may release or settle that. GIL. */
void stoa__request_releases(stoa_side *side);

/* A call of the object, or of a method of it, is to be done by the thread that waits for what this one does, since it is
 * inside the owner (proxy/call.h): that one, borrowed, and how long it waits. NULL: by this thread. */
struct stoa_waiter *stoa__caller_to_ask(stoa_proxy_object *proxy, stoa_deadline *out_deadline);

#endif
