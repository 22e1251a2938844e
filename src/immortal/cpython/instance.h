/* Reading the attributes of an instance of a class made in Python, without making its __dict__.
 *
 * Most instances keep their attributes as an array of values beside the class's table of names. Asking for __dict__ would
 * make a dict for each instance that is read: 1 M of them cost more than everything else freezing does.
 */
#ifndef STOA_CPYTHON_INSTANCE_H
#define STOA_CPYTHON_INSTANCE_H

#include <stddef.h>

#include "immortal/cpython/cpython.h"

typedef struct stoa_instance {
    const stoa_keys *keys;   /* names, where values are kept apart; else NULL */
    PyObject *const *values; /* by index in `keys`; NULL: not set */
    const uint8_t *order;    /* index of the attribute that was set first */
    ptrdiff_t step;          /* from there to the next: 1 or -1 */
    size_t count;            /* of attributes */
    PyObject *dict;          /* where there are no keys: the dict, borrowed; NULL: no attributes */
} stoa_instance;

/* `object`: an instance of a heap type. GIL; no Python code. false: it cannot be told without making its dict. */
bool stoa__instance_look(PyObject *object, stoa_instance *out);

static inline PyObject *
stoa__instance_name(const stoa_instance *instance, size_t i)
{
    size_t at = instance->order[(ptrdiff_t)i * instance->step];
    return ((const stoa_str_entry *)stoa__keys_entries(instance->keys))[at].key;
}

static inline PyObject *
stoa__instance_value(const stoa_instance *instance, size_t i)
{
    return instance->values[instance->order[(ptrdiff_t)i * instance->step]];
}

#endif
