/* What crosses from one interpreter to another, and as what.
 *
 * Shared: by pointer. Immutable but not shared: by value, one copy made by the receiver and freed by it: exact str, bytes,
 * int, float, complex, tuple, frozenset, range, slice, mappingproxy over a dict, frozendict, and values of a class that the
 * other side can import, as a Decimal, an enum member, a frozen dataclass (immortal/by_value.h). by_copy(x): deep copy, list,
 * dict, set, bytearray and what else it has a list of included. An Interpreter: the one of that side.
 * A memoryview: one of the same memory. An exception: as one does that is raised (proxy/exception.h).
 * Anything else stays where it is and is a proxy on the other side (proxy/proxy.h); a proxy that comes home is the object
 * itself. A container met twice is one container on the other side, too. Both directions are iterative: a million
 * levels work.
 *
 *   under the sender's GIL:    stoa_parcel p; if (stoa__pack(object, "args", 0, &p) < 0) …    // p is cleared on failure
 *   under the receiver's GIL:  PyObject *o = stoa__unpack(&p);                // new reference, or NULL with an exception
 *   afterwards:                stoa__parcel_clear(&p);                        // under the sender's GIL if p.held_count
 */
#ifndef STOA_PROXY_CROSS_H
#define STOA_PROXY_CROSS_H

#include "proxy/parcel.h"

#define STOA_PACK_DETACHED 1u  /* hold no references: the parcel may outlive the sender */
#define STOA_PACK_EXCEPTION 4u /* inside the description of an exception: others in it cross by proxy */
#define STOA_PACK_TOP \
    2u /* the outermost object, if it goes as a bag (proxy/bag.h), crosses by value, its items by the rule */
#define STOA_PACK_COPY 8u /* as if by_copy() were around it */

/* `root`: what the object is called in error messages ("args", "result", …). Initialises `out`. */
int stoa__pack(PyObject *object, const char *root, unsigned flags, stoa_parcel *out);
PyObject *stoa__unpack(const stoa_parcel *parcel);

/* Does it cross as what it is, not as a proxy? */
bool stoa__crosses_by_value(PyObject *object);

/* How objects that stand for interpreters cross: told by the layer that has their class. pack: the serial, or 0 when
 * `object` is something else; unpack: new reference, or NULL with an exception. Both under a GIL. */
void stoa__cross_set_interpreter_class(uint32_t (*pack)(PyObject *), PyObject *(*unpack)(uint32_t serial));

/* private to pack.c and unpack.c: the opcodes. Operands are 64 bits; "last n" are values on the stack. */
enum stoa_cross_op {
    STOA_OP_SHARED = 1, /* pointer */
    STOA_OP_STR,        /* length << 4 | kind << 1 | ascii; then the characters */
    STOA_OP_STR_HELD,   /* pointer to the sender's str */
    STOA_OP_BYTES,      /* size; then the bytes */
    STOA_OP_BYTES_HELD, /* pointer to the sender's bytes */
    STOA_OP_BYTEARRAY,  /* size; then the bytes */
    STOA_OP_INT,        /* value */
    STOA_OP_BIG_INT,    /* size of hexadecimal text; then the text */
    STOA_OP_FLOAT,      /* bits */
    STOA_OP_COMPLEX,    /* bits of the real part; then 8 bytes of the imaginary one */
    STOA_OP_TUPLE,      /* last n */
    STOA_OP_FROZENSET,  /* last n */
    STOA_OP_MAPPING,    /* last n: key, value, … -> mappingproxy */
    STOA_OP_FROZENDICT, /* last n */
    STOA_OP_RANGE,      /* last 3 */
    STOA_OP_SLICE,      /* last 3 */
    STOA_OP_NEW_LIST,   /* how many items it will get */
    STOA_OP_NEW_DICT,
    STOA_OP_NEW_SET,   /* an empty one */
    STOA_OP_FILL_LIST, /* last n go into the list below them; then 8 bytes: the place of the first */
    STOA_OP_FILL_DICT,
    STOA_OP_FILL_SET,    /* last n go into the one below them */
    STOA_OP_REMEMBER,    /* the last value gets the next number */
    STOA_OP_RECALL,      /* number */
    STOA_OP_INTERPRETER, /* serial */
    STOA_OP_PROXY,       /* handle */
    STOA_OP_MEMORYVIEW,  /* handle */
    STOA_OP_EXCEPTION,   /* last 1: its description */
    STOA_OP_NAME,   /* pointer to a node: a class, a function, the shape of a class, as a part of a value */
    STOA_OP_VALUE,  /* kind of node << 32 | n; last n: its parts (immortal/by_value.h) */
    STOA_OP_INTS,   /* how many, and of how many bytes each; then these: proxy/run.h */
    STOA_OP_FLOATS, /* the same */
};

extern PyObject *(*stoa__unpack_interpreter)(uint32_t serial);

#endif
