#include "proxy/crossinterp.h"

#include <stdlib.h>

#include "heap/process.h"
#include "heap/region.h"
#include "immortal/canonical.h"
#include "immortal/cpython/xidata.h"
#include "proxy/cross.h"
#include "proxy/proxy.h"

static PyObject *
deliver(PyObject *shared)
{
    if (stoa__in_heap(shared)) {
        stoa_interp_record *record = stoa__current_record();
        if (record == NULL) {
            return NULL;
        }
        stoa__region_mark_delivered(shared, record->serial);
    }
    return Py_NewRef(shared);
}

static void *
pack(PyObject *object)
{
    stoa_parcel *parcel = malloc(sizeof(*parcel));
    if (parcel == NULL) {
        PyErr_NoMemory();
    }
    else if (stoa__pack(object, "object", STOA_PACK_DETACHED, parcel) < 0) {
        free(parcel);
        parcel = NULL;
    }
    return parcel;
}

static PyObject *
unpack(const void *packed)
{
    return stoa__unpack(packed);
}

static void
dispose(void *packed)
{
    stoa__parcel_abandon(packed); /* detached: nothing is held */
    free(packed);
}

static const stoa_xidata_hooks hooks = {stoa__is_shared, deliver, pack, unpack, dispose};

int
stoa__crossinterp_ready(void)
{
    stoa_side *side = stoa__side_here();
    return side == NULL || stoa__xidata_builtins(&hooks) < 0 ? -1 : stoa__crossinterp_class(side->proxy_type);
}

int
stoa__crossinterp_class(PyTypeObject *type)
{
    return stoa__xidata_class(type);
}
