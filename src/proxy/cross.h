/* What crosses from one interpreter to another, and as what.
 *
 * Shared: by pointer. Immutable but not shared: by value, one copy made by the receiver and freed by it. by_copy(x): deep
 * copy, mutable containers included. Anything else: refused for now with NotFreezable naming its path (proxies come).
 *
 * The sender's objects are read while the receiver's GIL is held and the sender's is not. That is sound because they are
 * exact builtin immutable types held alive by the sender's reference for the whole time, and nothing here touches
 * their reference counts; for by_copy, mutable containers are first turned into a parcel under the sender's GIL.
 *
 *   under the sender's GIL:    stoa_parcel p; if (stoa__pack(object, &p) < 0) …      // checks, holds references
 *   under the receiver's GIL:  PyObject *o = stoa__unpack(&p);                        // new reference, or NULL + exception
 *   under the sender's GIL:    stoa__parcel_clear(&p);
 */
#ifndef STOA_PROXY_CROSS_H
#define STOA_PROXY_CROSS_H

#include <Python.h>

typedef struct stoa_parcel {
    PyObject *source;    /* the sender's own object (a reference is held), or a shared one */
    unsigned kind;       /* private to cross.c */
    void *data;
} stoa_parcel;

int stoa__pack(PyObject *object, stoa_parcel *out);
PyObject *stoa__unpack(const stoa_parcel *parcel);
void stoa__parcel_clear(stoa_parcel *parcel);

#endif
