#include "proxy/crossinterp.h"

#include <stdlib.h>

#include "heap/process.h"
#include "heap/region.h"
#include "immortal/canonical.h"
#include "immortal/cpython/xidata.h"
#include "proxy/cross.h"
#include "proxy/proxy.h"

/* Asked when it is sent: nobody may come for it before the sender has gone. */
static bool
leaves_by_pointer(const PyObject *object)
{
    if (!stoa__is_shared(object)) {
        return false;
    }
    stoa__let_go_anywhere(object);
    return true;
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

static const stoa_xidata_hooks hooks = {leaves_by_pointer, stoa__receive, pack, unpack, dispose};

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
