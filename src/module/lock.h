/* Taking and letting go of locks from Python: for Lock, RLock, and the lock of a Condition.
 *
 * `wrapper` is any wrapper of the interpreter that the thread is in; all need its GIL, which acquiring gives up while it
 * waits. -1 with an exception.
 */
#ifndef STOA_MODULE_LOCK_H
#define STOA_MODULE_LOCK_H

#include "module/sync.h"
#include "sync/mutex.h"

/* What the word of a mutex is when this thread, in this interpreter, holds it. */
int stoa__lock_owner(PyObject *wrapper, uint64_t *out);
/* 1: acquired, at `depth` if nobody had it. 0: not in time. */
int stoa__lock_acquire(PyObject *wrapper, stoa_mutex *mutex, uint64_t depth, bool wait, stoa_deadline deadline);
int stoa__lock_release(PyObject *wrapper, stoa_mutex *mutex);
/* acquire(blocking=True, timeout=-1). `get`: the wrapper's mutex, borrowed, or NULL with an exception; asked when the arguments
 * are read, which may run code. */
PyObject *stoa__lock_acquire_method(PyObject *wrapper, stoa_mutex *(*get)(PyObject *), PyObject *const *args,
                                    Py_ssize_t count, PyObject *keywords);
/* Raise BrokenLock, RuntimeError. Always -1. */
int stoa__lock_broken(stoa_mutex *mutex);
int stoa__lock_not_held(const stoa_mutex *mutex);

/* Was an exception of this class raised where a lock cannot be had, however often one asks? */
bool stoa__lock_is_lost(PyObject *raised);

/* __exit__: release(), but leaving a block does not say that what a broken lock guards was put right: BrokenLock then,
 * unless an exception is under way. Who leaves by one need not have the lock: a Condition's wait() may not have got it again;
 * then it stays with whoever has it, also a Lock, which release() would take from him. */
PyObject *stoa__lock_exit_method(PyObject *self, stoa_mutex *mutex, PyObject *const *args, Py_ssize_t count);

PyTypeObject *stoa__lock_type_new(void);
PyTypeObject *stoa__rlock_type_new(void);

#endif
