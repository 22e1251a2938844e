/* stoa/callback.h: a C function as a thing (heap/thing.h), with a callable wrapper in each interpreter that meets it. */
#include "stoa/callback.h"

#include <Python.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "heap/process.h"
#include "heap/utf8.h"
#include "host/data.h"
#include "immortal/exceptions.h"
#include "proxy/exception.h"
#include "proxy/thing.h"

#define NAME_SIZE 64

typedef struct callback {
    stoa_thing thing;
    stoa_callback_function function; /* const, as all below */
    void *data;
    void (*finalise)(void *data);
    unsigned flags;
    char name[NAME_SIZE];
} callback;

/* ---- the thing --------------------------------------------------------------------------------------------------- */

static void
end_callback(stoa_thing *thing)
{
    callback *c = (callback *)thing;
    if (c->finalise != NULL) {
        c->finalise(c->data);
    }
    free(c);
}

static const stoa_thing_class callback_class = {.name = "Callback", .end = end_callback};

/* ---- inside the C function --------------------------------------------------------------------------------------- */

stoa_err
stoa_callback_return(const stoa_callback_call *call, stoa_data value)
{
    if (call == NULL) {
        return stoa__fail(STOA_EINVAL, "call is NULL");
    }
    stoa_data copy;
    stoa_err err = stoa__data_check(&value, "the value", 0);
    if (err == STOA_OK && (err = stoa__data_copy(&value, &copy)) == STOA_OK) {
        stoa_data_clear(call->result);
        *call->result = copy;
    }
    return err;
}

stoa_err
stoa_callback_raise(const stoa_callback_call *call, const char *type, const char *format, ...)
{
    (void)call;
    char message[1000] = "";
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
    }
    stoa__exception_note(type == NULL ? "builtins.RuntimeError" : type, message);
    return stoa__fail(STOA_EPYTHON, "%s: %s", type == NULL ? "builtins.RuntimeError" : type, message);
}

/* ---- the callable ------------------------------------------------------------------------------------------------ */

/* Handles among them are owned by the call; texts are the objects'. */
static stoa_err
take_arguments(PyObject *args, stoa_data *out, size_t *taken)
{
    for (*taken = 0; *taken < (size_t)PyTuple_GET_SIZE(args); ++*taken) {
        char what[32];
        (void)snprintf(what, sizeof(what), "argument %zu", *taken + 1);
        stoa_err err = stoa__data_borrow(PyTuple_GET_ITEM(args, (Py_ssize_t)*taken), what, &out[*taken]);
        if (err != STOA_OK) {
            return err;
        }
    }
    return STOA_OK;
}

/* Calls the C function, with or without the GIL, and gives up the call's reference. It goes before the GIL is asked for again,
 * since a thread that Python's end overtakes never comes back from that, and the finaliser would not be called. */
static stoa_err
run(callback *c, const stoa_callback_call *call)
{
    stoa_err err;
    if (c->flags & STOA_CALLBACK_WITH_GIL) {
        err = c->function(call);
        PyObject *raised = PyErr_GetRaisedException(); /* it may use Python's own way of saying so */
        stoa__thing_unref(&c->thing);
        PyErr_SetRaisedException(raised);
        return raised != NULL ? STOA_EPYTHON : err;
    }
    PyThreadState *state = PyEval_SaveThread();
    err = c->function(call);
    stoa__thing_unref(&c->thing);
    PyEval_RestoreThread(state);
    return err;
}

static PyObject *
receive(stoa_err err, const stoa_data *result)
{
    PyObject *object = NULL;
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (err == STOA_OK) {
        err = stoa__data_to_python(result, "the callback's result", 0, &object);
        return err == STOA_OK || err == STOA_EPYTHON ? object : stoa__raise(err);
    }
    return err == STOA_EPYTHON ? stoa__exception_raise_noted() : stoa__raise(err);
}

#define FEW 8

static PyObject *
call_function(callback *c, stoa_interp_record *record, PyObject *args)
{
    stoa_data here[FEW], *values = here, result = stoa_data_none();
    size_t count = (size_t)PyTuple_GET_SIZE(args), taken;
    if (count > FEW && (values = PyMem_New(stoa_data, count)) == NULL) {
        return PyErr_NoMemory();
    }
    /* the call's own: while code runs, or the GIL is given up, the interpreter may take the wrapper's away */
    stoa__thing_ref(&c->thing);
    stoa_err err = take_arguments(args, values, &taken);
    PyObject *object = NULL;
    if (err == STOA_OK) {
        stoa_callback_call call = {c->data, (stoa_interp *)record, values, count, &result};
        stoa__exception_forget();
        object = receive(run(c, &call), &result);
        stoa_data_clear(&result);
    }
    else {
        stoa__raise(err);
        stoa__thing_unref(&c->thing);
    }
    while (taken > 0) {
        stoa_data_clear(&values[--taken]);
    }
    if (values != here) {
        PyMem_Free(values);
    }
    return object;
}

static PyObject *
wrapper_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    stoa_thing *thing = stoa__thing_get(self);
    stoa_interp_record *record = thing == NULL ? NULL : stoa__current_record();
    if (record == NULL) {
        return NULL;
    }
    callback *c = (callback *)thing;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        return PyErr_Format(PyExc_TypeError, "%s() is a C function, which takes no keyword arguments", c->name);
    }
    if (Py_EnterRecursiveCall(" in a callback")) {
        return NULL;
    }
    PyObject *result = call_function(c, record, args); /* `c` may be gone now */
    Py_LeaveRecursiveCall();
    return result;
}

static PyObject *
wrapper_repr(PyObject *self)
{
    stoa_thing *thing = ((stoa_thing_object *)self)->thing;
    if (thing == NULL) {
        return stoa__thing_repr(self);
    }
    return PyUnicode_FromFormat("<stoa.Callback '%s'>", ((const callback *)thing)->name);
}

static PyObject *
wrapper_name(PyObject *self, void *closure)
{
    (void)closure;
    stoa_thing *thing = stoa__thing_get(self);
    return thing == NULL ? NULL : PyUnicode_FromString(((const callback *)thing)->name);
}

static PyMemberDef members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(stoa_thing_object, weak_references), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"__name__", wrapper_name, NULL, "The name that the host gave it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(callback_doc, "A C function of the host program. Takes positional arguments only.");

static PyTypeObject *
make_type(void)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, (void *)callback_doc},
        {Py_tp_dealloc, (void *)stoa__thing_dealloc},
        {Py_tp_call, (void *)wrapper_call},
        {Py_tp_repr, (void *)wrapper_repr},
        {Py_tp_members, (void *)members},
        {Py_tp_getset, (void *)properties},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "stoa.Callback",
        .basicsize = sizeof(stoa_thing_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromSpec(&spec);
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

static stoa_err
check_options(const stoa_callback_options *options)
{
    if (options->size != sizeof(*options)) {
        return stoa__fail(STOA_EINVAL, "options->size is %zu, which is no known version", options->size);
    }
    if (options->flags & ~STOA_CALLBACK_WITH_GIL) {
        return stoa__fail(STOA_EINVAL, "options->flags is 0x%x, with unknown bits", options->flags);
    }
    size_t at;
    if (options->name != NULL && !stoa__utf8_valid(options->name, strlen(options->name), &at)) {
        return stoa__fail(STOA_EUTF8, "options->name is no UTF-8");
    }
    return STOA_OK;
}

static void
copy_name(char *to, const char *name)
{
    size_t size = strlen(name);
    if (size >= NAME_SIZE) {
        size = stoa__utf8_cut(name, NAME_SIZE - 1);
    }
    memcpy(to, name, size);
    to[size] = '\0';
}

stoa_err
stoa_callback_new(stoa_callback_function function, const stoa_callback_options *options, stoa_handle *out_handle)
{
    static const stoa_callback_options none = {.size = sizeof(none)};
    options = options == NULL ? &none : options;
    if (function == NULL || out_handle == NULL) {
        return stoa__fail(STOA_EINVAL, "function or out_handle is NULL");
    }
    stoa_err err = check_options(options);
    if (err != STOA_OK) {
        return err;
    }
    if (stoa__process == NULL) {
        return stoa__fail(STOA_ESTATE, "the runtime was never open: call stoa_runtime_open");
    }
    callback *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for a callback");
    }
    c->function = function;
    c->data = options->data;
    c->flags = options->flags;
    copy_name(c->name, options->name == NULL ? "callback" : options->name);
    stoa__thing_set_type(STOA_THING_CALLBACK, make_type); /* known before a callback can arrive anywhere */
    if ((err = stoa__thing_open(&c->thing, &callback_class, STOA_THING_CALLBACK)) != STOA_OK) {
        free(c);
        return err;
    }
    stoa_hold hold;
    if ((err = stoa__hold_new(c->thing.handle, &hold)) == STOA_OK) { /* else it has ended, without its finaliser */
        c->finalise = options->finalise;
        *out_handle = hold;
    }
    return err;
}
