/* What the files behind stoa/value.h share. */
#ifndef STOA_IMMORTAL_READ_H
#define STOA_IMMORTAL_READ_H

#include "stoa/value.h"

#include <Python.h>

#include "immortal/foreign.h"

/* The object, if it is of exactly that type; NULL. */
static inline const PyObject *
stoa__as_type(const stoa_object *object, const PyTypeObject *type)
{
    const PyObject *o = (const PyObject *)object;
    return o != NULL && o->ob_type == type ? o : NULL;
}

/* The node that it is, if it is one of that kind; NULL. Also a container that has objects of classes inside is a node, with
 * its parts in a row. */
static inline const stoa_node *
stoa__as_node(const stoa_object *object, stoa_kind kind)
{
    const PyObject *o = (const PyObject *)object;
    return o != NULL && stoa__is_node(o) && stoa_object_kind(object) == kind
               ? (const stoa_node *)(const void *)o
               : NULL;
}

/* STOA_EINVAL for NULL, STOA_ETYPE else, with a message. */
stoa_err stoa__wrong_kind(const char *function, const stoa_object *object, const char *wanted);
/* STOA_EINVAL. */
stoa_err stoa__null_out(const char *function);

/* What most readers check first: they were told where to write, and found the object to be what they read (NULL: not). */
static inline stoa_err
stoa__readable(const char *function, bool told_where, const void *found, const stoa_object *object,
               const char *wanted)
{
    return !told_where     ? stoa__null_out(function)
           : found == NULL ? stoa__wrong_kind(function, object, wanted)
                           : STOA_OK;
}

#endif
