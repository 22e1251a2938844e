/* Going into an interpreter for the library's own ends.
 *
 * Releases are applied, leftovers of threads taken down, interrupts delivered, futures told and regions searched by threads that
 * go into an interpreter which nobody has called: who looks from outside must not take them for calls. interrupt() says False
 * when only they are inside, and does not raise in them, where it would be lost; but the finalizers and the callbacks of futures
 * that they set off may be Python code that never ends, and that is interrupted as any other.
 *
 * Rule: a visit that is no part of a call into that interpreter is an errand. A thread that is at work in there anyhow stays so.
 */
#ifndef STOA_PROXY_ERRAND_H
#define STOA_PROXY_ERRAND_H

#include "heap/waiter.h"
#include "proxy/visit.h"

typedef struct stoa_errand { /* on the stack */
    stoa_visit visit;
    stoa_interp_record *before; /* the errand that this one came in the midst of */
} stoa_errand;

/* As stoa__visit, stoa__visit_held and stoa__visit_end. */
stoa_err stoa__errand_begin(stoa_interp_record *record, stoa_errand *errand);
stoa_err stoa__errand_begin_held(stoa_interp_record *record, stoa_errand *errand);
/* To tell futures: also while the interpreter is being closed, as long as somebody is inside: what he waits for must reach him,
 * or he never comes out. Refused without a message. */
stoa_err stoa__errand_to_tell(stoa_interp_record *record, stoa_errand *errand);
void stoa__errand_end(stoa_errand *errand);

/* For who goes in by other ways: from now on this thread's errand is in there (NULL: it is on none). What was before. */
static inline stoa_interp_record *
stoa__errand_is(stoa_waiter *self, stoa_interp_record *record)
{
    return atomic_exchange(&self->errand, record);
}

#endif
