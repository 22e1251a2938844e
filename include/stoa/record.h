/* \file stoa/record.h
 * \brief Reading shared objects of Python classes from C, with no GIL and no interpreter.
 *
 * An instance of a dataclass, a member of an enumeration or a Decimal is built anew in each interpreter that receives it;
 * what is shared is its class by import path and what it is made of. That is what C reads here:
 *
 *     const char *module, *name;
 *     const stoa_object *x;
 *     if (stoa_object_kind(point) == STOA_KIND_RECORD && stoa_get_class(point, &module, &name) == STOA_OK &&
 *         strcmp(name, "Point") == 0 && stoa_record_get(point, "x", &x) == STOA_OK) …
 *
 * | kind | of | read by |
 * |---|---|---|
 * | STOA_KIND_RECORD | dataclasses, registered classes | stoa_get_class, stoa_get_length, stoa_record_field, stoa_record_get |
 * | STOA_KIND_NAMED_TUPLE | named tuples | stoa_get_class, stoa_get_length, stoa_tuple_item, stoa_tuple_items |
 * | STOA_KIND_MEMBER | enumerations | stoa_get_class, stoa_get_member |
 * | STOA_KIND_INSTANCE | what is rebuilt as pickle does: Decimal, UUID, exceptions … | stoa_get_class, stoa_get_arguments |
 * | STOA_KIND_GLOBAL | classes, functions, modules that an import finds | stoa_get_class |
 * | STOA_KIND_HANDLE | proxies, queues, locks | stoa_get_handle |
 * | STOA_KIND_FUNCTION | lambdas, nested functions, functions of __main__: by value | stoa_get_class says where it was written |
 *
 * Containers with such objects inside are read as any other (stoa/value.h). Rules, outcomes, threads and ownership are those
 * of stoa/value.h.
 */
#ifndef STOA_RECORD_H
#define STOA_RECORD_H

#include "stoa/handle.h"
#include "stoa/value.h"

STOA_BEGIN_DECLS

/* Where an import finds the class of an object (of STOA_KIND_GLOBAL: the class, function or module itself; of
 * STOA_KIND_FUNCTION its __module__ and __qualname__, where no import finds it): UTF-8, borrowed,
 * NUL-terminated. *out_qualname has dots for a nested class; of a module it is "". STOA_ENOTFOUND: an instance whose class
 * is not named. STOA_EUTF8: a name has lone surrogates. */
STOA_API stoa_err stoa_get_class(const stoa_object *object, const char **out_module, const char **out_qualname);

/* Attribute `index` of a record, in the order in which they were set: its name, borrowed, NUL-terminated UTF-8, and its
 * value; either may be NULL. stoa_get_length says how many there are. STOA_ENOTFOUND: no such index. */
STOA_API stoa_err stoa_record_field(const stoa_object *record, size_t index, const char **out_name,
                                    const stoa_object **out_value);

/* The attribute of that name (NUL-terminated UTF-8). STOA_ENOTFOUND: it has none, and no message is left. */
STOA_API stoa_err stoa_record_get(const stoa_object *record, const char *name, const stoa_object **out_value);

/* A member of an enumeration: its name, borrowed, NULL for a combination of flags; and its value. Either may be NULL. */
STOA_API stoa_err stoa_get_member(const stoa_object *member, const char **out_name,
                                  const stoa_object **out_value);

/* The arguments that an instance is rebuilt with, a tuple: ("1.50",) of Decimal("1.50"). What is called is the class or a
 * function of its module, as its __reduce__ says. */
STOA_API stoa_err stoa_get_arguments(const stoa_object *instance, const stoa_object **out_arguments);

/* A handle of what a proxy, a queue or a lock inside a shared object stands for. *out_handle is owned: stoa_handle_release.
 * STOA_ENOMEM. */
STOA_API stoa_err stoa_get_handle(const stoa_object *object, stoa_handle *out_handle);

STOA_END_DECLS

#endif /* STOA_RECORD_H */
