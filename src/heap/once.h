/* Making what a name stands for once, whoever asks first.
 *
 * A name that is being made is in a list, with the thread that makes it; who asks meanwhile sleeps as one who waits for
 * the name. The factory runs outside, with no lock, and may ask for other names. A thread that would so wait for itself
 * is told (STOA_EDEADLOCK), by following from maker to what that maker waits for. A maker that fails, or whose
 * interpreter goes, is taken off the list, and the next waiter makes.
 */
#ifndef STOA_HEAP_ONCE_H
#define STOA_HEAP_ONCE_H

#include "heap/name_shard.h"

typedef struct stoa_once_state {
    stoa_lock lock;                     /* STOA_RANK_ONCE; guards the two lists */
    struct stoa_name_making *makings;   /* names that some thread is making */
    struct stoa_name_waiting *waitings; /* who waits for such a one: lies on the waiter's stack */
    uint32_t forking_thread;            /* thread id, set by fork_prepare */
} stoa_once_state;

void stoa__once_init(stoa_once_state *once);
/* Called by those of the names. Child: makings of threads that it lacks are given up. */
void stoa__once_fork_prepare(stoa_once_state *once);
void stoa__once_fork_parent(stoa_once_state *once);
void stoa__once_fork_child(stoa_once_state *once);

typedef enum stoa_once { STOA_ONCE_HAVE, STOA_ONCE_MAKE } stoa_once;
/* HAVE: *out is the value. MAKE: this thread must now call stoa__name_once_done exactly once. Waits while another
 * thread makes. `maker` names who asks (interpreter serial << 32 | anything) for the messages and to give up. A thread
 * that would wait for itself, by whatever chain of names and threads, gets STOA_EDEADLOCK. STOA_ETIMEDOUT,
 * STOA_EINTERRUPTED, STOA_EGONE, STOA_ENOMEM; STOA_EINVAL, STOA_EUTF8: the name. */
stoa_err stoa__name_once(const char *name, size_t size, const stoa_interp_record *receiver, uint64_t maker,
                         stoa_deadline deadline, stoa_once *what, stoa_value *out);
/* value NULL: the attempt failed; the next waiter makes. STOA_EEXIST: somebody published the name meanwhile: that value
 * stays, look it up. STOA_ESTATE: this maker is not making (it was given up). Whatever it returns, the making is over. */
stoa_err stoa__name_once_done(const char *name, size_t size, uint64_t maker, const stoa_value *value);
/* All makings of a maker whose interpreter is gone are given up (serial in the upper half). stoa__interp_gone does it. */
void stoa__name_once_abandon(uint32_t serial);

#endif
