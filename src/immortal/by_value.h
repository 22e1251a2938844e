/* Which objects of a class are values, and of what they are made when they cross without being frozen.
 *
 * Decimal("1.5"), Color.RED or a frozen dataclass cannot change, so they cross as what they are, not by proxy; but they are
 * not shared, so nothing of them may stay in the heap when the receiver has dropped his. So they are taken apart as freezing
 * does (plan.h, apart.h), the parts cross by the rule, and the receiver builds the object of them as delivery does. Only
 * what is finite stays in the heap: the names of classes and of their attributes.
 *
 * A value is: a member of an enumeration; an instance of a named tuple, a struct sequence, a frozen dataclass; of the
 * classes of the standard library in the list of by_value.c; and a scalar of NumPy that is equal to a builtin value.
 * Not if others cannot import its class: one of __main__, or of a function, is another class in every interpreter, or
 * none. By by_copy also what can be changed: dataclasses, deque, OrderedDict, defaultdict, Counter, SimpleNamespace.
 */
#ifndef STOA_IMMORTAL_BY_VALUE_H
#define STOA_IMMORTAL_BY_VALUE_H

#include "immortal/foreign.h"

typedef enum stoa_crossing {
    STOA_CROSSES_NOT,   /* as a value */
    STOA_CROSSES_VALUE, /* it cannot be changed */
    STOA_CROSSES_COPY,  /* only where a copy is asked for */
    STOA_CROSSES_BAG, /* the same, of the standard library: beside an operator a copy is always asked for (proxy/bag.h) */
} stoa_crossing;

typedef struct stoa_value_parts {
    stoa_node_kind kind;
    PyObject *first; /* a node or shared object that comes before `rest`: borrowed from the heap; or NULL */
    PyObject *rest;  /* tuple: a reference */
    bool names;      /* classes and functions inside `rest` cross by name, not by proxy */
} stoa_value_parts;

/* How objects of its class cross: remembered by class. Python code may run. No exception. GIL. */
stoa_crossing stoa__value_crossing(PyObject *object);

/* Is it a class of the standard library of which it is known that its objects cannot be changed? Python code may run.
 * No exception. GIL. */
bool stoa__is_library_value(PyTypeObject *type);

/* Takes one apart, of which stoa__value_crossing has not said NOT. 1: done; 0: it is not what its class says, and goes by
 * proxy; -1 with an exception. May run Python code. GIL of the sender. */
int stoa__value_apart(PyObject *object, stoa_value_parts *out);

/* A class, a function, or a class method that an import finds: what is sent for it, borrowed from the default region,
 * which keeps it: there are finitely many. 1; 0: it is none; -1 with an exception. May run Python code. GIL. */
int stoa__value_name(PyObject *object, PyObject **out);

/* The object of its parts, `first` among them: new reference, NULL with stoa.Error that names the class, or what cannot be
 * an error of the value. May run Python code. GIL of the receiver. */
PyObject *stoa__value_build(stoa_node_kind kind, PyObject *const *parts, size_t count);

#endif
