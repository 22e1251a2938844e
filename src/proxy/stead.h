/* Doing work in its caller's stead: with what the caller's thread keeps in the interpreters that the work comes to.
 *
 * A call with a time limit is done by a service thread (call.h), while the caller waits. The code must not notice: so in the
 * owner, and in every interpreter that it enters from there, the service thread's state has the caller's context variables and
 * threading.local (cpython/thread_values.h), where the caller's thread has been there before. In the innermost entry only: an
 * interpreter that the service thread comes back to has them already.
 */
#ifndef STOA_PROXY_STEAD_H
#define STOA_PROXY_STEAD_H

#include "immortal/cpython/thread_values.h"
#include "proxy/call.h"

typedef struct stoa_stead { /* of the service thread alone */
    const stoa_work *work;  /* whose caller it is */
    stoa_thread_values own; /* what the state had before */
} stoa_stead;

/* Served work begins, in the current interpreter, with `state`. false: the caller keeps nothing there, or has left. GIL. */
bool stoa__stead_begin(stoa_stead *stead, const stoa_work *work, PyThreadState *state);
void stoa__stead_end(stoa_stead *stead, PyThreadState *state);

/* The same where the thread, which does `work`, has entered a further interpreter. What it keeps for that is entry->stead. */
void stoa__stead_enter(stoa_entry *entry, const stoa_work *work);
void stoa__stead_leave(stoa_entry *entry);

#endif
