/* What the Python types of queues, locks and the rest share: arguments, waiting, errors. */
#ifndef STOA_MODULE_SYNC_H
#define STOA_MODULE_SYNC_H

#include "module/module.h"
#include "proxy/thing.h"
#include "sync/node.h"

/* Takes up to `most` arguments, by place or by name (`names`: most of them, in order), at least `least`. Those not given
 * stay as they are in `out`: borrowed. -1 with TypeError. */
int stoa__sync_args(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                    const char *const *names, Py_ssize_t least, Py_ssize_t most, PyObject **out);

/* For queue and threading: `timeout` None, or a number of seconds that is not negative. -1 with an exception. */
int stoa__sync_deadline(PyObject *timeout, stoa_deadline *out);

/* Waits until the node is settled: stoa__wait_until's 0, 1, -1. The caller holds a reference of the thing. GIL. */
int stoa__sync_wait(stoa_node *node, stoa_deadline deadline, const char *what);

/* A node of this thread in the wrapper's interpreter. -1 with MemoryError. */
int stoa__sync_node(PyObject *wrapper, stoa_node *node);

/* Raises module.name(text): queue.Empty, threading.BrokenBarrierError. NULL. */
PyObject *stoa__sync_raise(const char *module, const char *name, const char *text);

/* What stats() says of the things: a list of dicts, newest first. NULL with an exception. */
PyObject *stoa__things_list(void);

/* Of all wrappers. */
PyObject *stoa__sync_reduce(PyObject *self, PyObject *unused);
extern PyMemberDef stoa__sync_members[];
extern const char stoa__sync_enter_doc[], stoa__sync_exit_doc[];

/* Registers the kinds, and adds the classes to the module. -1 with an exception. */
int stoa__module_add_sync(PyObject *module);
PyTypeObject *stoa__queue_type_new(void);
PyTypeObject *stoa__event_type_new(void);
PyTypeObject *stoa__condition_type_new(void);
PyTypeObject *stoa__semaphore_type_new(void);
PyTypeObject *stoa__bounded_semaphore_type_new(void);
PyTypeObject *stoa__barrier_type_new(void);

#endif
