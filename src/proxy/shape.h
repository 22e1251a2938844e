/* A shape: what an interpreter knows of a class of another one, so that p.method(x) is one crossing.
 *
 * Asking the owner for p.method makes a bound method there, a handle, a proxy here, and later a release: more than the call
 * itself. A guess ("it was a method last time") would be wrong when the class or the object has changed: the
 * AttributeError, the property, the attribute of the object must be what p.method gives. So the owner tells, when it is asked
 * for a method more than once by the same proxy, what the answer depends on (immortal/cpython/method.h), and the caller looks
 * at those words again each time, from outside, without the owner's GIL; only while they are what they were does it answer
 * by itself.
 *
 * Invariants
 *  1. A shape holds a handle of its class, and one of each function: neither goes while it is known here, and no
 *     other class gets its address.
 *  2. A shape lives as long as a proxy here has it: it does not keep a class longer than the objects did.
 *  3. The words are read while the owner is held by stoa__interp_enter: it cannot be ended meanwhile.
 *
 * All under the GIL of the side.
 */
#ifndef STOA_PROXY_SHAPE_H
#define STOA_PROXY_SHAPE_H

#include "immortal/cpython/method.h"
#include "proxy/proxy.h"

/* A function of a class, of the owner's. */
typedef struct stoa_class_function {
    uint32_t refs;
    PyObject *object;   /* for use inside the owner only */
    stoa_handle handle; /* a reference */
} stoa_class_function;

/* What the owner tells of an attribute that was asked for. */
typedef struct stoa_lesson {
    stoa_method_view view;
    PyObject *function;                       /* NULL: it is no method */
    stoa_handle type_handle, function_handle; /* references */
} stoa_lesson;

/* In the owner, whose side it is: fills `lesson`, which is all zero. */
void stoa__lesson_give(PyObject *object, PyObject *name, stoa_lesson *lesson);
/* In the caller: remembers it for `proxy` and its like. Takes over the references. */
void stoa__lesson_learn(stoa_proxy_object *proxy, PyObject *name, const stoa_lesson *lesson);

/* What proxy.name is the method of, if that is known and still so: borrowed, or NULL. `name`: interned. */
stoa_class_function *stoa__shape_find(stoa_proxy_object *proxy, PyObject *name);

void stoa__class_function_unref(stoa_class_function *function);
/* The proxy goes, or stands for something else now. */
void stoa__shape_drop(stoa_proxy_object *proxy);
/* The side leaves: what its shapes hold is given up. */
void stoa__shapes_leave(stoa_side *side);

#endif
