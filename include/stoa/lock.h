/* \file stoa/lock.h
 * \brief Locks, events, conditions, semaphores and barriers between threads of the host and interpreters.
 *
 * They are Python's stoa.Lock, stoa.RLock, stoa.Event, stoa.Condition, stoa.Semaphore and stoa.Barrier, held by handle: made
 * here or in Python, passed as arguments (stoa_data_handle), published and looked up (stoa_handle_publish,
 * stoa_handle_lookup), put into queues, and given up by stoa_handle_release. One lives as long as anybody holds it.
 *
 *     stoa_handle lock;
 *     stoa_lock_new(false, &lock);
 *     stoa_handle_publish("index.lock", lock);                      // Python: with stoa.lookup("index.lock"): ...
 *     if (stoa_lock_acquire(lock, 0.5) == STOA_OK) {
 *         ...
 *         stoa_lock_release(lock);
 *     }
 *
 * Threads: any, also ones that Python has never seen; no GIL is needed, and one that is held is given up while waiting.
 * Who waits is served in order and uses no processor. Timeouts are seconds: 0 does not wait, negative waits for ever. What a
 * thread takes while it is inside an interpreter it holds on that interpreter's behalf: an RLock belongs to (thread,
 * interpreter), and a lock whose holder's interpreter is closed is broken.
 *
 * Outcomes that all functions share: STOA_EINVAL: NULL, a timeout that is no number. STOA_ETYPE: the handle stands for
 * something else. STOA_EGONE: it was released. STOA_ESTATE: the runtime was never open. STOA_ENOMEM.
 * Those that wait: STOA_ETIMEDOUT. STOA_EINTERRUPTED: a signal came; call again to go on. STOA_EPYTHON: in a thread that is
 * inside an interpreter, what ended the wait (interrupt(), a closed interpreter). In all these nothing was taken.
 */
#ifndef STOA_LOCK_H
#define STOA_LOCK_H

#include "stoa/handle.h"

STOA_BEGIN_DECLS

/* ---- locks ---------------------------------------------------------------------------------------------------------- */

/* A Lock, or an RLock, which its holder can take again. *out_lock is owned: stoa_handle_release. */
STOA_API stoa_err stoa_lock_new(bool recursive, stoa_handle *out_lock);

/* Takes a Lock, an RLock, or the lock of a Condition. STOA_EBROKEN: the interpreter (or process) of its holder is gone; put
 * right what it guards, then release it. STOA_EDEADLOCK: waiting for ever would never end; the message names the circle. */
STOA_API stoa_err stoa_lock_acquire(stoa_handle lock, double timeout);

/* Lets it go; the first who waits has it then. A Lock may be let go by any thread, a broken one is whole again.
 * STOA_ESTATE: it is not held, an RLock: not by this thread (in this interpreter). */
STOA_API stoa_err stoa_lock_release(stoa_handle lock);

/* ---- events --------------------------------------------------------------------------------------------------------- */

/* An Event that is not set. *out_event is owned. */
STOA_API stoa_err stoa_event_new(stoa_handle *out_event);
STOA_API stoa_err stoa_event_set(stoa_handle event); /* all who wait go on */
STOA_API stoa_err stoa_event_clear(stoa_handle event);
STOA_API stoa_err stoa_event_is_set(stoa_handle event, bool *out_set);
STOA_API stoa_err stoa_event_wait(stoa_handle event, double timeout);

/* ---- conditions ------------------------------------------------------------------------------------------------------ */

/* A Condition of `lock` (a Lock or an RLock, which several may share; 0: an RLock of its own). *out_condition is owned. Its
 * lock is taken and let go by stoa_lock_acquire and stoa_lock_release with the condition's handle. */
STOA_API stoa_err stoa_condition_new(stoa_handle lock, stoa_handle *out_condition);

/* Lets the lock go, waits to be notified, takes the lock again; with STOA_OK, STOA_ETIMEDOUT and STOA_EINTERRUPTED it is
 * held again. STOA_ESTATE: it was not held. STOA_EBROKEN, STOA_EDEADLOCK, STOA_EPYTHON: it may not be held. Who is notified
 * looks whether what he waits for is there, in a loop, as everywhere. */
STOA_API stoa_err stoa_condition_wait(stoa_handle condition, double timeout);

/* Wakes the first `count` who wait (SIZE_MAX: all). STOA_ESTATE: the lock is not held. STOA_EBROKEN. */
STOA_API stoa_err stoa_condition_notify(stoa_handle condition, size_t count);

/* ---- semaphores ------------------------------------------------------------------------------------------------------ */

/* A Semaphore of `value`; `bounded`: a BoundedSemaphore, which never exceeds it. *out_semaphore is owned.
 * STOA_EINVAL: more than 2^63 - 1. */
STOA_API stoa_err stoa_semaphore_new(uint64_t value, bool bounded, stoa_handle *out_semaphore);
STOA_API stoa_err stoa_semaphore_acquire(stoa_handle semaphore, double timeout);
/* STOA_ESTATE: it would exceed its bound; nothing was released. */
STOA_API stoa_err stoa_semaphore_release(stoa_handle semaphore, uint64_t count);

/* ---- barriers -------------------------------------------------------------------------------------------------------- */

/* A Barrier of `parties` (1 or more). *out_barrier is owned. */
STOA_API stoa_err stoa_barrier_new(size_t parties, stoa_handle *out_barrier);

/* Waits until all parties have come; *out_place (may be NULL) is this one's, 0 to parties - 1. Who leaves in another way
 * (STOA_ETIMEDOUT, STOA_EINTERRUPTED, STOA_EPYTHON) breaks it for all. STOA_EBROKEN: it is broken, or was reset meanwhile.
 * An action that Python gave it is run by the last to come, in the interpreter it is of; STOA_EPYTHON: it raised. */
STOA_API stoa_err stoa_barrier_wait(stoa_handle barrier, double timeout, size_t *out_place);
STOA_API stoa_err stoa_barrier_abort(stoa_handle barrier); /* breaks it: who waits, and who comes, gets STOA_EBROKEN */
STOA_API stoa_err stoa_barrier_reset(stoa_handle barrier); /* whole and empty again; who waits gets STOA_EBROKEN */

STOA_END_DECLS

#endif /* STOA_LOCK_H */
