/* \file stoa/handle.h
 * \brief Holding objects of interpreters, and using them, from any thread.
 *
 * An object that can change belongs to one interpreter. A host holds it by a handle: a number that keeps the object
 * alive, means nothing else, and is valid on every thread. Each function below enters the interpreter that owns the
 * object, does one thing there, and comes back with C values or further handles.
 *
 *     stoa_handle table;
 *     stoa_handle_get(worker, "__main__:table", -1, &table, NULL);
 *     stoa_data key = stoa_data_text("apple", 5), value;
 *     stoa_handle_get_item(table, &key, 0, -1, &value, NULL);              // table["apple"]
 *     stoa_handle_call(table, "clear", NULL, 0, 0, -1, NULL, NULL);       // table.clear()
 *     stoa_handle_release(table);
 *
 * An object that Python has given a home thread (stoa.proxy(x, thread="home")) is touched by that thread only: it does the work
 * when it next waits in Stoa or comes to a bytecode boundary, and the caller waits for it.
 *
 * What belongs to the process and to no interpreter (a callback, a queue, a lock) has handles, too: it is used in the
 * interpreter that the thread is in, else in the main one.
 *
 * As an argument (stoa_data_handle) a handle becomes the object itself in the interpreter that owns it, and a proxy
 * of it in every other one. As a result one is returned where STOA_CALL_HOLD_RESULT asks for it.
 *
 * Outcomes that all functions which enter share, beside their own (see stoa/call.h for the three kinds of outcome):
 *   STOA_OK         out_ arguments are written
 *   STOA_EPYTHON    it raised; *out_exception, where asked for, is an owned description
 *   STOA_EGONE      the handle was released before, or never was one, or its interpreter is closed: the message tells which
 *   STOA_ETIMEDOUT  `timeout` seconds (negative: no limit) were over; what ran there is interrupted
 *   STOA_EINVAL     NULL, an argument that is no value, an unknown flag, a timeout that is no number
 *   STOA_EUTF8      a text is no UTF-8; or the result, with no flag, is a str with lone surrogates, which has none
 *   STOA_ETYPE      the result is no C value and no flag says what to do with it; STOA_ENOTFREEZABLE with the freezing one
 *   STOA_ESTATE     calls nested so deep that the stack is nearly used up; STOA_ENOMEM
 * Threads: any, also one that Python has never seen, with or without a GIL (one that is held is given up meanwhile);
 * several at once on one handle. `flags`: 0, STOA_CALL_FREEZE_RESULT or STOA_CALL_HOLD_RESULT.
 */
#ifndef STOA_HANDLE_H
#define STOA_HANDLE_H

#include "stoa/call.h"

STOA_BEGIN_DECLS

/* ---- getting and giving up --------------------------------------------------------------------------------------- */

/* The object that "module:qualname" names in `interp`, whatever it is; "module" alone: the module. "__main__:x" is what
 * stoa_exec made. *out_handle is owned: stoa_handle_release. */
STOA_API stoa_err stoa_handle_get(stoa_interp *interp, const char *name, double timeout,
                                  stoa_handle *out_handle, stoa_exception **out_exception);

/* The object that somebody has published as a proxy under `name`. *out_handle is owned. Waits up to `timeout` seconds for
 * the name, as stoa_lookup does, with the same outcomes; STOA_ETYPE: the name stands for a shared object (stoa_lookup).
 * Enters nothing. */
STOA_API stoa_err stoa_handle_lookup(const char *name, double timeout, stoa_handle *out_handle);

/* Makes `name` stand for the object, for stoa_handle_lookup and for Python's stoa.lookup(), which gives proxies. Outcomes as
 * stoa_publish, and STOA_EGONE. The name holds the object by itself. Enters nothing. */
STOA_API stoa_err stoa_handle_publish(const char *name, stoa_handle handle);

/* A second handle of the same object. *out_handle is owned. STOA_EGONE, STOA_ENOMEM. Enters nothing. */
STOA_API stoa_err stoa_handle_dup(stoa_handle handle, stoa_handle *out_handle);

/* Do both stand for one object? STOA_EGONE. Enters nothing. */
STOA_API stoa_err stoa_handle_same(stoa_handle a, stoa_handle b, bool *out_same);

/* The interpreter that owns the object, be it closed by now. *out_interp is owned: stoa_interp_free. STOA_EGONE: released, or
 * never a handle. STOA_ETYPE: it belongs to none. Enters nothing. */
STOA_API stoa_err stoa_handle_owner(stoa_handle handle, stoa_interp **out_interp);

/* Gives the handle up: from now on its number is an error. Its object goes when nobody else uses it, the next time somebody
 * is inside its interpreter. 0: nothing happens. STOA_EGONE: given up before, or never a handle; nothing else is harmed. Also
 * right where the interpreter is closed. Enters nothing. */
STOA_API stoa_err stoa_handle_release(stoa_handle handle);

/* ---- using ------------------------------------------------------------------------------------------------------- */

/* Calls the object (`method` NULL), or its method of that name, with `count` arguments, which are borrowed. `out_result` and
 * `out_exception` may be NULL. *out_result is owned: stoa_data_clear. */
STOA_API stoa_err stoa_handle_call(stoa_handle handle, const char *method, const stoa_data *args,
                                   size_t count, unsigned flags, double timeout, stoa_data *out_result,
                                   stoa_exception **out_exception);

/* The same with keyword arguments: the last `named` of the `count` arguments are given by the `names`, in their order.
 * STOA_EINVAL also where `named` is more than `count`, or a name is NULL. */
STOA_API stoa_err stoa_handle_call_named(stoa_handle handle, const char *method, const stoa_data *args,
                                         size_t count, const char *const *names, size_t named, unsigned flags,
                                         double timeout, stoa_data *out_result, stoa_exception **out_exception);

/* The attribute `name`: getattr(object, name). */
STOA_API stoa_err stoa_handle_get_attr(stoa_handle handle, const char *name, unsigned flags, double timeout,
                                       stoa_data *out_result, stoa_exception **out_exception);

/* Sets the attribute; `value` NULL: deletes it. */
STOA_API stoa_err stoa_handle_set_attr(stoa_handle handle, const char *name, const stoa_data *value,
                                       double timeout, stoa_exception **out_exception);

/* object[key]. */
STOA_API stoa_err stoa_handle_get_item(stoa_handle handle, const stoa_data *key, unsigned flags,
                                       double timeout, stoa_data *out_result, stoa_exception **out_exception);

/* object[key] = value; `value` NULL: del object[key]. */
STOA_API stoa_err stoa_handle_set_item(stoa_handle handle, const stoa_data *key, const stoa_data *value,
                                       double timeout, stoa_exception **out_exception);

/* len(object). */
STOA_API stoa_err stoa_handle_len(stoa_handle handle, double timeout, size_t *out_length,
                                  stoa_exception **out_exception);

/* iter(object). *out_iterator is owned: stoa_handle_release, also in the midst of it. */
STOA_API stoa_err stoa_handle_iterate(stoa_handle handle, double timeout, stoa_handle *out_iterator,
                                      stoa_exception **out_exception);

/* The next item of an iterator. *out_more false: it has ended, and *out_item is none. *out_item is owned: stoa_data_clear.
 * STOA_EPYTHON also for what is no iterator.
 *     while ((err = stoa_handle_next(iterator, 0, -1, &item, &more, NULL)) == STOA_OK && more) { …; stoa_data_clear(&item); } */
STOA_API stoa_err stoa_handle_next(stoa_handle iterator, unsigned flags, double timeout, stoa_data *out_item,
                                   bool *out_more, stoa_exception **out_exception);

STOA_END_DECLS

#endif /* STOA_HANDLE_H */
