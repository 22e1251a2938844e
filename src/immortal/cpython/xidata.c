#define Py_BUILD_CORE 1 /* before Python.h: 3.12's internal headers want to be first */
#include <Python.h>

#if PY_MINOR_VERSION >= 13
#include <internal/pycore_crossinterp.h>
#endif

#include <stdatomic.h>

#include "immortal/cpython/minor.h"
#include "immortal/cpython/xidata.h"

#if PY_MINOR_VERSION >= 14
typedef _PyXIData_t xidata;
typedef _PyXIData_getdata_t entry;
#else
typedef _PyCrossInterpreterData xidata;
typedef struct {
    crossinterpdatafunc basic;
} entry;
#endif

#define MAX_TYPES 20

/* Written before `replaced` is 2, const after. */
static struct {
    PyTypeObject *type;
    entry before; /* all NULL: there was none */
} types[MAX_TYPES];
static int type_count;
static const stoa_xidata_hooks *hooks;
static _Atomic int replaced; /* 0 -> 1: somebody is at it -> 2 */

/* ---- the versions' names ----------------------------------------------------------------------------------------- */

static void
init_data(PyThreadState *state, xidata *data, void *content, PyObject *(*make)(xidata *),
          void (*dispose)(void *))
{
#if PY_MINOR_VERSION >= 14
    _PyXIData_Init(data, PyThreadState_GetInterpreter(state), content, NULL, make);
#else
    _PyCrossInterpreterData_Init(data, PyThreadState_GetInterpreter(state), content, NULL, make);
#endif
    data->free = dispose;
}

static entry
look_up(PyObject *object)
{
#if PY_MINOR_VERSION >= 14
    return _PyXIData_Lookup(PyThreadState_Get(), object);
#else
    return (entry){.basic = _PyCrossInterpreterData_Lookup(object)};
#endif
}

static int
set_entry(PyTypeObject *type, entry e)
{
#if PY_MINOR_VERSION >= 14
    return _PyXIData_RegisterClass(PyThreadState_Get(), type, e);
#else
    return _PyCrossInterpreterData_RegisterClass(type, e.basic);
#endif
}

static void
remove_entry(PyTypeObject *type)
{
#if PY_MINOR_VERSION >= 14
    (void)_PyXIData_UnregisterClass(PyThreadState_Get(), type);
#else
    (void)_PyCrossInterpreterData_UnregisterClass(type);
#endif
}

/* ---- shared objects ---------------------------------------------------------------------------------------------- */

static PyObject *
make_shared(xidata *data)
{
    return hooks->deliver(data->data);
}

static int
not_known(PyThreadState *state, PyObject *object)
{
#if PY_MINOR_VERSION >= 14
    _PyXIData_FormatNotShareableError(state, "%R does not support cross-interpreter data", object);
#else
    (void)state;
    PyErr_Format(PyExc_ValueError, "%R does not support cross-interpreter data; stoa.share() it first", object);
#endif
    return -1;
}

static const entry *
entry_before(const PyTypeObject *type)
{
    for (int i = 0; i < type_count; i++) {
        if (types[i].type == type) {
            return &types[i].before;
        }
    }
    return NULL;
}

#if PY_MINOR_VERSION >= 14
static int
get_builtin(PyThreadState *state, PyObject *object, xidata_fallback_t fallback, xidata *data)
{
    if (hooks->is_shared(object)) {
        init_data(state, data, object, make_shared, NULL);
        return 0;
    }
    const entry *before = entry_before(Py_TYPE(object));
    if (before != NULL && before->fallback != NULL) {
        return before->fallback(state, object, fallback, data);
    }
    return before != NULL && before->basic != NULL ? before->basic(state, object, data)
                                                   : not_known(state, object);
}
static const entry builtin_entry = {.fallback = get_builtin};
#else
static int
get_builtin(PyThreadState *state, PyObject *object, xidata *data)
{
    if (hooks->is_shared(object)) {
        init_data(state, data, object, make_shared, NULL);
        return 0;
    }
    const entry *before = entry_before(Py_TYPE(object));
    return before != NULL && before->basic != NULL ? before->basic(state, object, data)
                                                   : not_known(state, object);
}
static const entry builtin_entry = {.basic = get_builtin};
#endif

/* An instance, which is all that a lookup looks at the type of; new reference. */
static int
note_type(PyObject *instance)
{
    if (instance == NULL) {
        return -1;
    }
    types[type_count].type = Py_TYPE(instance);
    types[type_count].before = look_up(instance);
    type_count++;
    Py_DECREF(instance);
    return PyErr_Occurred() ? -1 : 0;
}

static int
note_types(void)
{
    PyObject *empty = PyDict_New();
    int result = empty == NULL ? -1 : 0;
    PyObject *zero = result == 0 ? PyLong_FromLong(0) : NULL;
    if (result < 0 || zero == NULL || note_type(PyUnicode_FromString("")) < 0 ||
        note_type(PyBytes_FromString("")) < 0 || note_type(Py_NewRef(zero)) < 0 ||
        note_type(PyFloat_FromDouble(0.5)) < 0 || note_type(PyTuple_New(0)) < 0 ||
        note_type(PyFrozenSet_New(NULL)) < 0 || note_type(PyComplex_FromDoubles(0, 1)) < 0 ||
        note_type(PySlice_New(NULL, NULL, NULL)) < 0 ||
        note_type(PyObject_CallOneArg((PyObject *)&PyRange_Type, zero)) < 0 ||
        note_type(PyDictProxy_New(empty)) < 0) {
        result = -1;
    }
#if STOA_HAS_FROZENDICT
    result = result < 0 ? -1 : note_type(PyObject_CallNoArgs((PyObject *)&PyFrozenDict_Type));
#endif
    Py_XDECREF(zero);
    Py_XDECREF(empty);
    return result;
}

int
stoa__xidata_builtins(const stoa_xidata_hooks *given)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&replaced, &none, 1)) {
        return 0;
    }
    hooks = given;
    int result = note_types();
    for (int i = 0; result == 0 && i < type_count; i++) {
        if (types[i].before.basic != NULL
#if PY_MINOR_VERSION >= 14
            || types[i].before.fallback != NULL
#endif
        ) {
            remove_entry(types[i].type);
        }
        result = set_entry(types[i].type, builtin_entry);
    }
    replaced = 2;
    return result;
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

static PyObject *
make_packed(xidata *data)
{
    return hooks->unpack(data->data);
}

static int
get_packed(PyThreadState *state, PyObject *object, xidata *data)
{
    void *packed = hooks->pack(object);
    if (packed == NULL) {
        return -1;
    }
    init_data(state, data, packed, make_packed, hooks->dispose);
    return 0;
}

int
stoa__xidata_class(PyTypeObject *type)
{
    return set_entry(type, (entry){.basic = get_packed});
}
