/* Reading the attributes of an instance of a class made in Python, without making its __dict__.
 *
 * Most instances keep their attributes as an array of values beside the class's table of names. Asking for __dict__ would
 * make a dict for each instance that is read: 1 M of them cost more than everything else freezing does.
 */
#ifndef STOA_CPYTHON_INSTANCE_H
#define STOA_CPYTHON_INSTANCE_H

#include <stddef.h>

#include "immortal/cpython/cpython.h"

/* One of three, or none where there are no attributes. */
typedef struct stoa_instance {
    size_t count; /* of attributes */

    const stoa_keys *keys;   /* the class's names, where values are kept apart; else NULL */
    PyObject *const *values; /* by index in `keys`; NULL: not set */
    const uint8_t *order;    /* index of the attribute that was set first */
    ptrdiff_t step;          /* from there to the next: 1 or -1 */

    const stoa_str_entry *entries; /* names and values one behind the other, in a dict without gaps; else NULL */

    PyObject *dict; /* any other dict, borrowed; else NULL */
} stoa_instance;

/* `object`: an instance of a heap type. GIL; no Python code. false: it cannot be told without making its dict, or there are
 * names that are no str. */
bool stoa__instance_look(PyObject *object, stoa_instance *out);

/* Where values are kept apart. */
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

/* Writes all values, as they were set: `count` of them. */
static inline void
stoa__instance_lay(const stoa_instance *instance, PyObject **out)
{
    if (instance->keys != NULL) {
        for (size_t i = 0; i < instance->count; i++) {
            out[i] = stoa__instance_value(instance, i);
        }
    }
    else if (instance->entries != NULL) {
        for (size_t i = 0; i < instance->count; i++) {
            out[i] = instance->entries[i].value;
        }
    }
    else if (instance->dict != NULL) {
        Py_ssize_t position = 0;
        while (PyDict_Next(instance->dict, &position, NULL, out)) {
            out++;
        }
    }
}

/* Asks for the memory that looking at `object` will touch: its values often lie right behind it. */
static inline void
stoa__instance_ask(const PyObject *object)
{
    __builtin_prefetch((const char *)object - 32);
    __builtin_prefetch((const char *)object + 32);
    __builtin_prefetch((const char *)object + 96);
}

#endif
