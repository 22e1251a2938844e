/* \file stoa/queue.h
 * \brief Queues between threads of the host and interpreters: Python's stoa.Queue is the same queue.
 *
 *     stoa_queue *jobs;
 *     stoa_queue_new(1000, &jobs);
 *     stoa_queue_publish("jobs", jobs);                                 // Python: stoa.lookup("jobs").get()
 *     stoa_data job = stoa_data_text("index page 7", 12), answer;
 *     stoa_queue_put(jobs, &job, 0.5);
 *     stoa_queue_get(answers, -1, 0, &answer);
 *     stoa_data_clear(&answer);
 *     stoa_queue_free(jobs);
 *
 * Values are copied in and owned when they come out; shared objects go by pointer, objects of interpreters by handle.
 * Threads: any, also ones that Python has never seen; no GIL is needed, and one that is held is given up while waiting.
 * Who waits is served in order and uses no processor. Timeouts are seconds: 0 does not wait, negative waits for ever.
 *
 * Outcomes that all functions share: STOA_EINVAL: NULL, no value, a timeout that is no number. STOA_ESTATE: the runtime was
 * never open. STOA_ENOMEM.
 */
#ifndef STOA_QUEUE_H
#define STOA_QUEUE_H

#include "stoa/call.h"

STOA_BEGIN_DECLS

typedef struct stoa_queue stoa_queue;

/* A queue of at most `maxsize` items; 0: no limit. *out_queue is owned: stoa_queue_free. */
STOA_API stoa_err stoa_queue_new(size_t maxsize, stoa_queue **out_queue);

/* Gives up this hold of it. The queue, and what is in it, lives as long as anybody holds it: other holds, names, Python's
 * wrappers, queues that it lies in. NULL: nothing happens. */
STOA_API void stoa_queue_free(stoa_queue *queue);

/* Puts a value in; it is copied (a handle: held once more). STOA_ETIMEDOUT: it was full for `timeout` seconds.
 * STOA_ECLOSED: it was shut down. STOA_EUTF8: the text. STOA_EGONE: the handle. STOA_EINTERRUPTED: a signal came; call again
 * to go on. STOA_EPYTHON: in a thread that is inside an interpreter, what ended the wait (interrupt(), a closed
 * interpreter). In all these nothing was put. */
STOA_API stoa_err stoa_queue_put(stoa_queue *queue, const stoa_data *value, double timeout);

/* Takes the oldest item out; *out_value is owned: stoa_data_clear. `flags` say what becomes of an item that is no C value (a
 * tuple, an object that Python put): 0, STOA_CALL_FREEZE_RESULT or STOA_CALL_HOLD_RESULT; it is looked at in the interpreter
 * that the thread is in, else in the main one, as are text that is not ASCII, and large ints.
 * STOA_ETIMEDOUT: it was empty for `timeout` seconds. STOA_ECLOSED: shut down and empty. STOA_ETYPE, STOA_ENOTFREEZABLE,
 * STOA_EUTF8: no C value can be made of the item; it stays where it was. STOA_EINTERRUPTED, STOA_EPYTHON as above. */
STOA_API stoa_err stoa_queue_get(stoa_queue *queue, double timeout, unsigned flags, stoa_data *out_value);

/* No more puts; gets until it is empty. Who waits is told. `immediate`: what is in it is thrown away. May be called again. */
STOA_API stoa_err stoa_queue_shutdown(stoa_queue *queue, bool immediate);

/* How many items are in it: a hint, since others put and get. NULL: 0. */
STOA_API size_t stoa_queue_size(const stoa_queue *queue);

/* A handle of it, to be passed as an argument (stoa_data_handle): Python gets the stoa.Queue. Owned: stoa_handle_release. */
STOA_API stoa_err stoa_queue_handle(stoa_queue *queue, stoa_handle *out_handle);

/* The queue that a handle stands for: a result, an item, what stoa_handle_lookup found. *out_queue is owned.
 * STOA_ETYPE: it is none. STOA_EGONE: the handle was released. */
STOA_API stoa_err stoa_queue_of(stoa_handle handle, stoa_queue **out_queue);

/* Makes `name` stand for it. Outcomes as stoa_publish. Found again by stoa_handle_lookup and stoa_queue_of. */
STOA_API stoa_err stoa_queue_publish(const char *name, stoa_queue *queue);

STOA_END_DECLS

#endif /* STOA_QUEUE_H */
