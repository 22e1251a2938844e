/* Raising an exception in a thread that runs Python, wherever it is just then.
 *
 * PyThreadState_SetAsyncExc is the only way into code that runs. But what it sets is for a thread state: one of several that a
 * thread has, one an interpreter, and it arrives when that state runs its next bytecode, when the thread may be at something
 * else, or years later, since the thread is in another interpreter. What is meant is always a part of what the thread does:
 *
 *   interrupt()  all that it does since it entered an interpreter, and from there in others
 *   a stop       one work (proxy/call.h), whose caller has left
 *
 * So that is written down, in a list of the thread's waiter, and whoever can sees to it that the state of the interpreter in
 * which the thread is has the exception set: who wants it raised, if the thread is at rest in there, or else the thread
 * itself at the next crossing. On each crossing it takes back what has not been raised, and sets it where it arrives; when what
 * was meant is over, it is off the list. Calls pay a load for it, there and back.
 *
 *   listed  ->  sent  ->  raised: an interrupt is off the list; a stop stays
 *                     ->  listed again: the thread crossed
 * Work of others that the thread does in the midst (it waits, and serves them) is in the way, and gets none of it; nor does
 * what it does behind a shield (shield.h).
 *
 * Why nothing is lost: the thread changes `innermost` under the GIL of where it was (or, in C code that has given it up, with a
 * fence between that and the glance at `to_raise`), and exceptions are set under the GIL of `innermost`. So who finds the thread
 * in an interpreter whose GIL he has sets it before the thread leaves; who finds that it has moved on, follows.
 *
 * A stop is raised again when the code runs on: Python swallows exceptions in __del__, callbacks of weak references and the
 * like, and code may do so, too. As long as it is handled (an except or finally clause, __exit__), the code cleans up. Who
 * imports something, such as the traceback module to tell of an exception, is left time for that before the first one, too;
 * later only as long as importlib's own code runs, and not the module's. An interrupt waits for importlib's own code, for
 * some four seconds at most.
 */
#ifndef STOA_PROXY_INTERRUPT_H
#define STOA_PROXY_INTERRUPT_H

#include "proxy/call.h"

typedef struct stoa_interrupt { /* all guarded by the waiter's raise_lock */
    struct stoa_interrupt *next;
    stoa_interp_record *record; /* const: what the thread does in it, and from there. Lasts until the thread has left it */
    const stoa_kept *kept; /* const: with this state; NULL: with the interpreter's own one */
    stoa_work *work;       /* const: or this work; NULL: none. */
    PyObject *class;       /* const: exists in all interpreters; of work: NULL, it is that of stops */
    bool sent;             /* it is set in a thread state */
    bool raised;           /* of work: it was, or would come amiss, and is not to be set for now */
    bool dealt_with;       /* of work: its code does, at this very moment */
    bool hasty;            /* of work: it had time enough to import what it may be importing */
} stoa_interrupt;

/* ---- who wants it raised ----------------------------------------------------------------------------------------- */

/* In the thread of `waiter` (`thread` as Python counts), which is inside `record`, the current interpreter, with the state of
 * `kept` or the interpreter's own: `class` is raised once, or not at all if it leaves before. false: no memory. GIL. */
bool stoa__interrupt_thread(stoa_waiter *waiter, unsigned long thread, stoa_interp_record *record,
                            const stoa_kept *kept, PyObject *class);
/* On a service thread: raises in `work`, which has begun, until it is over. */
void stoa__interrupt_work(stoa_work *work);

/* ---- the thread itself ------------------------------------------------------------------------------------------- */

/* Is there anything? A glance. */
static inline bool
stoa__interrupts_wait(const stoa_waiter *self)
{
    /* relaxed: who sets one in a state did so under the GIL that we have; who has only listed it follows us */
    return __builtin_expect(atomic_load_explicit(&self->to_raise, memory_order_relaxed) != 0, 0);
}

/* Before the state is left in which one may be set: GIL of that, or none if it was given up. */
void stoa__interrupts_recall(stoa_waiter *self);
/* Then, in the new one. `lower`: none is current, and that one is the next that will be. */
void stoa__interrupts_settle(stoa_waiter *self, PyThreadState *lower);
/* Those for what is over are off the list: interrupts of interpreters that the thread is in no more. Recalled before. */
void stoa__interrupts_forget_left(stoa_waiter *self);
/* The thread, inside `record`, begins something that an earlier interrupt of it is not meant for. GIL. */
void stoa__interrupts_forget(stoa_interp_record *record);
/* Work begins (it is the waiter's innermost by now), or has ended (no more). GIL of its owner. */
void stoa__interrupts_work_changed(stoa_waiter *self);
/* Work that is to be stopped is over. The same. */
void stoa__interrupts_work_over(stoa_waiter *self, stoa_work *work);

#endif
