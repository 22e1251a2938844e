/* Looking ahead: what an interning walk will ask the intern table, asked for before it does.
 *
 * Most of the time of interning is waiting for memory: for the table's slot of each new key. The walk knows the next objects
 * of the container that it stands in; so keys of the leaves STOA_AHEAD slots on are computed and their slots asked for, and
 * the key is kept until the walk gets there. A wrong guess costs time, nothing else.
 */
#ifndef STOA_IMMORTAL_AHEAD_H
#define STOA_IMMORTAL_AHEAD_H

#include "immortal/image.h"
#include "immortal/source.h"
#include "immortal/walk.h"

/* The key of the object in the current slot, if it was computed ahead. */
static inline const stoa_key *
stoa__known_key(const stoa_walk *walk, const PyObject *object)
{
    const stoa_ahead *ahead = &walk->ahead[walk->frames[walk->depth - 1].next % STOA_KEY_RING];
    return ahead->object == object ? &ahead->key : NULL;
}

/* Asks for what visiting the object in this slot will touch: the intern table's slot of a leaf, the inside of a
 * container. */
static inline void
stoa__look_ahead(stoa_walk *walk, size_t at)
{
    PyObject *object = walk->slots[at];
    if (stoa__memo_cached(&walk->memo, object)->source == object || stoa__in_heap(object)) {
        return;
    }
    PyTypeObject *type = Py_TYPE(object);
    stoa_ahead *ahead = &walk->ahead[at % STOA_KEY_RING];
    if (type == &PyUnicode_Type) {
        ahead->key = stoa__key_of_str((int)PyUnicode_KIND(object), PyUnicode_IS_ASCII(object),
                                      PyUnicode_DATA(object), PyUnicode_GET_LENGTH(object));
    }
    else if (type == &PyFloat_Type) {
        ahead->key = stoa__key_of_float(PyFloat_AS_DOUBLE(object));
    }
    else if (type == &PyLong_Type) {
        size_t count = stoa__int_digit_count(object);
        if (count == 0 || (count == 1 && stoa__int_digits(object)[0] <= 1024)) {
            return; /* likely one of the runtime's own */
        }
        ahead->key = stoa__key_of_int(stoa__int_is_negative(object), stoa__int_digits(object), count);
    }
    else {
        stoa__prefetch_inside(object);
        return;
    }
    ahead->object = object;
    stoa__intern_prefetch(&walk->batch, ahead->key);
}

#endif
