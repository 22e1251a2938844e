/* \file stoa/names.h
 * \brief Names: what one thread or interpreter publishes, all others look up.
 *
 * A name is 1 to 4096 bytes of UTF-8, NUL-terminated here. It stands for a shared object: one that a builder made
 * (stoa/build.h), that stoa_freeze returned, or that Python code published. Python sees the same names as stoa.lookup().
 * All functions: any thread, no GIL, no interpreter. Nothing is owned: shared objects are not released.
 */
#ifndef STOA_NAMES_H
#define STOA_NAMES_H

#include "stoa/value.h"

STOA_BEGIN_DECLS

/* Makes `name` stand for `object`. STOA_EEXIST: the name is in use. STOA_EINVAL: the name is empty or too long, or `object`
 * is not shared. STOA_EUTF8: the name. STOA_ENOMEM. */
STOA_API stoa_err stoa_publish(const char *name, const stoa_object *object);

/* The same, but a name that is in use gets the new value, atomically; those who hold the old one keep it. */
STOA_API stoa_err stoa_replace(const char *name, const stoa_object *object);

/* Takes the name away. STOA_ENOTFOUND. */
STOA_API stoa_err stoa_unpublish(const char *name);

/* What `name` stands for. Waits up to `timeout` seconds for it to appear (0: not at all; negative: for ever); a GIL that
 * is held is given up while waiting. STOA_ENOTFOUND (timeout 0), STOA_ETIMEDOUT. STOA_EINTERRUPTED: a signal came; call
 * again to go on. STOA_EGONE: the thread is inside an interpreter that is being closed. STOA_ESTATE: it is inside one that cannot
 * take part in Stoa, since it is being taken down. STOA_ETYPE: the name stands for an object of an interpreter:
 * stoa_handle_lookup. STOA_EINVAL: timeout is NaN. */
STOA_API stoa_err stoa_lookup(const char *name, double timeout, const stoa_object **out_object);

/* Calls `visit` for every name, in order, until it returns false. The name is followed by a NUL (it may hold others, when
 * Python published it) and valid during the call. The object is NULL where the name stands for something
 * that C has no view of. `visit` may call Stoa. STOA_ENOMEM. */
STOA_API stoa_err stoa_names_each(bool (*visit)(const char *name, size_t size, const stoa_object *object,
                                                void *arg),
                                  void *arg);

STOA_END_DECLS

#endif /* STOA_NAMES_H */
