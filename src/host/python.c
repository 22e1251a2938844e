/* stoa/python.h: freezing and thawing for C code that holds the GIL. */
#include "stoa/python.h"

#include "heap/process.h"
#include "heap/region.h"
#include "heap/wipe.h"
#include "host/inside.h"
#include "immortal/canonical.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/exceptions.h"
#include "immortal/freeze.h"
#include "proxy/thread_state.h"

static int
ensure_open(void)
{
    stoa_err err = stoa__process_open();
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    return stoa__canonical_init();
}

static PyObject *
freeze(PyObject *object, stoa_region *region, unsigned flags, unsigned convert)
{
    if (object == NULL || (flags & ~STOA_NO_INTERN) != 0) {
        PyErr_Format(PyExc_SystemError, "stoa_freeze: the object is NULL, or flags 0x%x has unknown bits",
                     flags);
        return NULL;
    }
    if (ensure_open() < 0) {
        return NULL;
    }
    unsigned wanted = convert | (flags & STOA_NO_INTERN ? 0 : STOA_FREEZE_INTERN);
    if (region != NULL) { /* taking objects apart runs Python code, and with it other threads: they may retire it */
        stoa__region_ref(region);
    }
    PyObject *frozen = stoa__freeze_to_heap(object, region, wanted);
    PyObject *result = frozen == NULL ? NULL : stoa__receive(frozen);
    if (region != NULL) {
        stoa__wipe_stack(); /* one that can be retired */
    }
    stoa__region_unref(region);
    return result;
}

PyObject *
stoa_freeze(PyObject *object, stoa_region *region, unsigned flags)
{
    return stoa__inside_any("stoa_freeze") ? freeze(object, region, flags, STOA_FREEZE_CONVERT) : NULL;
}

PyObject *
stoa_share(PyObject *object, stoa_region *region, unsigned flags)
{
    return stoa__inside_any("stoa_share") ? freeze(object, region, flags, 0) : NULL;
}

PyObject *
stoa_thaw(PyObject *object)
{
    if (!stoa__inside_any("stoa_thaw")) {
        return NULL;
    }
    if (object == NULL) {
        PyErr_SetString(PyExc_SystemError, "stoa_thaw: the object is NULL");
        return NULL;
    }
    return ensure_open() < 0 ? NULL : stoa__thaw(object);
}

bool
stoa_is_shared(const PyObject *object)
{
    return object != NULL && stoa__process != NULL && stoa__is_shared(object);
}

const stoa_object *
stoa_object_from_python(const PyObject *object)
{
    if (object == NULL || stoa__process == NULL) {
        return NULL;
    }
    if (!stoa__is_shared(object)) {
        object = stoa__current_state() == NULL ? NULL : stoa__delivered_node((PyObject *)(uintptr_t)object);
    }
    if (object != NULL) {
        stoa__let_go_anywhere(object); /* C code may read it when this interpreter has ended */
    }
    return (const stoa_object *)object;
}

PyObject *
stoa_object_to_python(const stoa_object *object)
{
    if (!stoa__inside_any("stoa_object_to_python")) {
        return NULL;
    }
    if (object == NULL) {
        PyErr_SetString(PyExc_SystemError, "stoa_object_to_python: the object is NULL");
        return NULL;
    }
    return stoa__receive((PyObject *)(uintptr_t)object);
}
