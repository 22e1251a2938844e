/* What invoke.c, invoke_submit.c and invoke_timed.c share: a call and a script on their way into another interpreter. */
#ifndef STOA_HOST_INVOKE_PARTS_H
#define STOA_HOST_INVOKE_PARTS_H

#include "proxy/call.h"
#include "proxy/parcel.h"

typedef struct stoa_call_parcels {
    stoa_parcel function, args, kwargs;
    bool has_kwargs;
} stoa_call_parcels;

/* In the caller: -1 with an exception, and nothing is packed. `flags` as for stoa__pack. */
int
stoa__call_pack(stoa_call_parcels *call, PyObject *function, PyObject *args, PyObject *kwargs, unsigned flags);
/* str or code object. The same. */
int stoa__code_pack(PyObject *code, unsigned flags, stoa_parcel *out);

/* In the other interpreter: calls, and packs what comes of it; false: `out` is an exception. */
bool
stoa__call_inside(stoa_interp_record *record, const stoa_call_parcels *call, unsigned flags, stoa_parcel *out);
/* Runs a script in __main__. New reference to nothing of interest, or NULL with an exception. */
PyObject *stoa__exec_inside(stoa_interp_record *record, const stoa_parcel *code);

#endif
