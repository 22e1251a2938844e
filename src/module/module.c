#include "module/module.h"

#include "host/interp.h"
#include "immortal/exceptions.h"
#include "module/async.h"
#include "module/foreign.h"
#include "module/interpreter_object.h"
#include "module/objects.h"
#include "module/region.h"
#include "module/sync.h"
#include "proxy/membership.h"
#include "stoa/version.h"

static int (*const parts[])(PyObject *module) = {
    stoa__module_add_array,      stoa__module_add_evolve, stoa__module_add_objects,
    stoa__module_add_region,     stoa__module_add_names,  stoa__module_add_interpreter,
    stoa__module_add_stats,      stoa__module_add_proxy,  stoa__module_add_proxy_list,
    stoa__module_add_build_info, stoa__module_add_future, stoa__module_add_future_await,
    stoa__module_add_pool,       stoa__module_add_sync,   stoa__module_add_async,
    stoa__module_add_foreign,    stoa__module_add_look,
};

int
stoa__module_deadline(PyObject *seconds, stoa_deadline *out)
{
    if (seconds == NULL || seconds == Py_None) {
        *out = STOA_FOREVER;
        return 0;
    }
    double value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (!stoa__deadline_in(value, out)) {
        PyErr_SetString(PyExc_ValueError, "timeout is not a number of seconds (NaN)");
        return -1;
    }
    return 0;
}

int
stoa__module_duration(PyObject *seconds, int64_t *out)
{
    stoa_deadline deadline;
    if (stoa__module_deadline(seconds, &deadline) < 0) {
        return -1;
    }
    int64_t rest = deadline == STOA_FOREVER ? -1 : deadline - stoa__now();
    *out = deadline == STOA_FOREVER ? -1 : rest < 0 ? 0 : rest;
    if (*out >= 0 && PyFloat_AsDouble(seconds) * 1e9 < 9e18) { /* exactly what was asked for */
        double asked = PyFloat_AsDouble(seconds) * 1e9;
        *out = asked < 0 ? 0 : (int64_t)asked;
    }
    return 0;
}

static int
add_exceptions(PyObject *module)
{
    for (int i = 0; i < STOA_EXC_COUNT; i++) {
        PyObject *class = stoa__exception((stoa_exc)i);
        PyObject *name = class == NULL ? NULL : PyObject_GetAttrString(class, "__name__");
        int result = name == NULL ? -1 : PyObject_SetAttr(module, name, class);
        Py_XDECREF(name);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

/* People import stoa: that is where the functions say they are from, in TypeErrors, too. */
static int
name_functions(PyObject *module)
{
    PyObject *name, *value, *package = PyUnicode_FromString("stoa");
    Py_ssize_t position = 0;
    int result = package == NULL ? -1 : 0;
    while (result == 0 && PyDict_Next(PyModule_GetDict(module), &position, &name, &value)) {
        if (PyCFunction_CheckExact(value) && PyUnicode_READ_CHAR(name, 0) != '_') {
            result = PyObject_SetAttrString(value, "__module__", package);
        }
    }
    Py_XDECREF(package);
    return result;
}

static int
exec_module(PyObject *module)
{
    stoa__host_ready();
    stoa_err err = stoa__ready();
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    stoa_interp_record *record = stoa__current_record();
    if (record == NULL) {
        return -1;
    }
    stoa__module_state(module)->record = stoa__interp_ref(record);
    if (add_exceptions(module) < 0 ||
        PyModule_AddStringConstant(module, "__version__", STOA_VERSION_STRING) < 0) {
        return -1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++) {
        if (parts[i](module) < 0) {
            return -1;
        }
    }
    return name_functions(module);
}

static int
traverse_module(PyObject *module, visitproc visit, void *arg)
{
    stoa_module_state *state = stoa__module_state(module);
    Py_VISIT(state->interpreter_type);
    Py_VISIT(state->region_type);
    Py_VISIT(state->bell_type);
    Py_VISIT(state->ticket_type);
    Py_VISIT(state->future_type);
    Py_VISIT(state->await_type);
    return 0;
}

static int
clear_module(PyObject *module)
{
    stoa_module_state *state = stoa__module_state(module);
    Py_CLEAR(state->interpreter_type);
    Py_CLEAR(state->region_type);
    Py_CLEAR(state->bell_type);
    Py_CLEAR(state->ticket_type);
    Py_CLEAR(state->future_type);
    Py_CLEAR(state->await_type);
    return 0;
}

static void
free_module(void *module)
{
    stoa_module_state *state = stoa__module_state(module);
    (void)clear_module(module);
    if (state->record != NULL) {
        stoa__interp_unref(state->record);
        state->record = NULL;
    }
    if (state->interpreter_objects != NULL) {
        stoa__interpreter_objects_unref(state->interpreter_objects);
        state->interpreter_objects = NULL;
    }
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_stoa",
    .m_doc = "What stoa is made of; import stoa instead.",
    .m_size = sizeof(stoa_module_state),
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
    .m_free = free_module,
};

PyObject *
stoa_module_init(void)
{
    return PyModuleDef_Init(&definition);
}
