#include "host/invoke.h"

#include <marshal.h>
#include <string.h>

#include "heap/error.h"
#include "host/home.h"
#include "host/interp.h"
#include "host/invoke_parts.h"
#include "host/target.h"
#include "immortal/exceptions.h"
#include "proxy/cross.h"
#include "proxy/exception.h"
#include "proxy/proxy.h"

/* ---- inside the other interpreter -------------------------------------------------------------------------------- */

PyObject *
stoa__main_globals(void)
{
    PyObject *module = PyImport_AddModule(
        "__main__"); /* borrowed, as its dict: any code may put another one in its place */
    PyObject *globals = module == NULL ? NULL : Py_NewRef(PyModule_GetDict(module));
    if (globals != NULL && PyDict_GetItemString(globals, "__builtins__") == NULL) {
        PyObject *builtins = PyImport_ImportModule("builtins");
        int result = builtins == NULL ? -1 : PyDict_SetItemString(globals, "__builtins__", builtins);
        Py_XDECREF(builtins);
        if (result < 0) {
            Py_CLEAR(globals);
        }
    }
    return globals;
}

/* So that tracebacks show the lines. Best effort. */
static void
remember_source(PyObject *source, PyObject *label)
{
    PyObject *raised = PyErr_GetRaisedException(), *before = PyErr_GetHandledException();
    PyErr_SetHandledException(raised); /* so that code which is stopped is seen to be ending: proxy/interrupt.h */
    PyObject *linecache = PyImport_ImportModule("linecache");
    PyObject *cache = linecache == NULL ? NULL : PyObject_GetAttrString(linecache, "cache");
    PyObject *lines = cache == NULL ? NULL : PyUnicode_Splitlines(source, 1);
    PyObject *entry = lines == NULL
                          ? NULL
                          : Py_BuildValue("(nOOO)", PyUnicode_GET_LENGTH(source), Py_None, lines, label);
    if (entry != NULL) {
        (void)PyObject_SetItem(cache, label, entry);
    }
    Py_XDECREF(entry);
    Py_XDECREF(lines);
    Py_XDECREF(cache);
    Py_XDECREF(linecache);
    PyErr_SetHandledException(before);
    Py_XDECREF(before);
    PyErr_SetRaisedException(raised);
}

static PyObject *
compile_source(PyObject *source, PyObject *label)
{
    PyObject *builtins = PyImport_ImportModule("builtins");
    PyObject *code = builtins == NULL
                         ? NULL
                         : PyObject_CallMethod(builtins, "compile", "OOsii", source, label, "exec", 0,
                                               1 /* none of our caller's __future__ */);
    Py_XDECREF(builtins);
    return code;
}

PyObject *
stoa__run_in_main(PyObject *code, const char *label)
{
    PyObject *globals = stoa__main_globals();
    if (globals == NULL) {
        return NULL;
    }
    if (PyCode_Check(code)) {
        PyObject *outcome = PyEval_EvalCode(code, globals, globals);
        Py_DECREF(globals);
        return outcome;
    }
    PyObject *name = PyUnicode_FromString(label);
    PyObject *compiled = name == NULL ? NULL : compile_source(code, name);
    PyObject *result = compiled == NULL ? NULL : PyEval_EvalCode(compiled, globals, globals);
    if (result == NULL && name != NULL) {
        remember_source(code, name);
    }
    Py_XDECREF(compiled);
    Py_XDECREF(name);
    Py_DECREF(globals);
    return result;
}

/* exec() runs a script in somebody else's program: that it wants to exit is news for the caller, not an order. */
static void
disarm_exit(void)
{
    if (!PyErr_ExceptionMatches(PyExc_SystemExit)) {
        return;
    }
    PyObject *exit = PyErr_GetRaisedException();
    PyObject *class = stoa__exception(STOA_EXC_RemoteError);
    PyObject *status = stoa__exception_text(exit);
    PyObject *message = status == NULL
                            ? NULL
                            : PyUnicode_FromFormat(
                                  "SystemExit: the code called sys.exit() or raised SystemExit (%U); stoa "
                                  "does not end the program for it",
                                  status);
    Py_XDECREF(status);
    PyObject *error = class == NULL || message == NULL ? NULL : PyObject_CallOneArg(class, message);
    PyObject *type_name = PyUnicode_FromString("builtins.SystemExit");
    if (error != NULL && type_name != NULL && PyObject_SetAttrString(error, "type_name", type_name) == 0) {
        PyObject *text = PyObject_Str(message);
        if (text != NULL) {
            (void)PyObject_SetAttrString(error, "text", text);
        }
        Py_XDECREF(text);
        PyException_SetCause(error, Py_NewRef(exit));
        PyErr_Clear();
        PyErr_SetRaisedException(Py_NewRef(error));
    }
    Py_XDECREF(type_name);
    Py_XDECREF(error);
    Py_XDECREF(message);
    Py_XDECREF(exit);
}

/* ---- exec, prepare_main ------------------------------------------------------------------------------------------ */

int
stoa__code_pack(PyObject *code, unsigned flags, stoa_parcel *out)
{
    if (PyUnicode_CheckExact(code)) {
        return stoa__pack(code, "code", flags, out);
    }
    if (!PyCode_Check(code)) {
        PyErr_Format(PyExc_TypeError, "exec() wants a str or a code object, not %.200s",
                     Py_TYPE(code)->tp_name);
        return -1;
    }
    if (PyCode_GetNumFree((PyCodeObject *)code) > 0) {
        PyErr_SetString(PyExc_TypeError,
                        "exec() of a code object with free variables: it belongs to a function");
        return -1;
    }
    PyObject *bytes = PyMarshal_WriteObjectToString(code, Py_MARSHAL_VERSION);
    int result = bytes == NULL ? -1 : stoa__pack(bytes, "code", flags, out);
    Py_XDECREF(bytes);
    return result;
}

static PyObject *
exec_inside(stoa_interp_record *record, const stoa_parcel *parcel)
{
    char label[96];
    (void)snprintf(label, sizeof(label), "<exec in %s>", record->name);
    PyObject *code = stoa__unpack(parcel);
    if (code != NULL && PyBytes_CheckExact(code)) {
        Py_SETREF(code, PyMarshal_ReadObjectFromString(PyBytes_AS_STRING(code), PyBytes_GET_SIZE(code)));
    }
    PyObject *result = code == NULL ? NULL : stoa__run_in_main(code, label);
    Py_XDECREF(code);
    return result;
}

/* Enters, runs `inside`, leaves; nothing comes back but an exception. Clears the parcel. */
static int
run_inside(stoa_interp_record *record, PyObject *(*inside)(stoa_interp_record *, const stoa_parcel *),
           stoa_parcel *parcel)
{
    stoa_visit visit;
    stoa_err err = stoa__visit(record, &visit);
    if (err != STOA_OK) {
        stoa__parcel_clear(parcel);
        stoa__enter_failed(err);
        return -1;
    }
    stoa_parcel raised;
    PyObject *result = inside(record, parcel);
    bool failed = result == NULL;
    if (failed) {
        stoa__exception_pack(&raised);
    }
    Py_XDECREF(result);
    stoa__visit_end(&visit);
    stoa__parcel_clear(parcel);
    if (failed) {
        stoa__exception_raise(&raised);
        return -1;
    }
    return 0;
}

PyObject *
stoa__exec_inside(stoa_interp_record *record, const stoa_parcel *parcel)
{
    PyObject *result = exec_inside(record, parcel);
    if (result == NULL) {
        disarm_exit();
    }
    return result;
}

int
stoa__invoke_exec(stoa_interp_record *record, PyObject *code)
{
    stoa_parcel parcel;
    return stoa__code_pack(code, 0, &parcel) < 0 ? -1 : run_inside(record, stoa__exec_inside, &parcel);
}

static PyObject *
prepare_inside(stoa_interp_record *record, const stoa_parcel *parcel)
{
    (void)record;
    PyObject *globals = stoa__main_globals();
    PyObject *names = globals == NULL ? NULL : stoa__unpack(parcel);
    int result = names == NULL ? -1 : PyDict_Update(globals, names);
    Py_XDECREF(names);
    Py_XDECREF(globals);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

int
stoa__invoke_prepare(stoa_interp_record *record, PyObject *names)
{
    stoa_parcel parcel;
    return stoa__pack(names, "names", STOA_PACK_TOP, &parcel) < 0
               ? -1
               : run_inside(record, prepare_inside, &parcel);
}

/* ---- call -------------------------------------------------------------------------------------------------------- */

static void
clear_call(stoa_call_parcels *call)
{
    stoa__parcel_clear(&call->function);
    stoa__parcel_clear(&call->args);
    if (call->has_kwargs) {
        stoa__parcel_clear(&call->kwargs);
    }
}

int
stoa__call_pack(stoa_call_parcels *call, PyObject *function, PyObject *args, PyObject *kwargs, unsigned flags)
{
    call->has_kwargs = kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0;
    if (stoa__target_pack(function, flags, &call->function) < 0) {
        return -1;
    }
    if (stoa__pack(args, "args", flags, &call->args) < 0) {
        stoa__parcel_clear(&call->function);
        return -1;
    }
    if (call->has_kwargs && stoa__pack(kwargs, "kwargs", flags | STOA_PACK_TOP, &call->kwargs) < 0) {
        stoa__parcel_clear(&call->function);
        stoa__parcel_clear(&call->args);
        return -1;
    }
    return 0;
}

/* The name of a function of the module builtins that is called without keywords, else "". */
static const char *
builtin_name(PyObject *function, PyObject *kwargs)
{
    PyObject *module = PyCFunction_Check(function) ? PyCFunction_GET_SELF(function) : NULL;
    bool builtin = module != NULL && PyModule_Check(module) && PyModule_GetDict(module) == PyEval_GetBuiltins();
    return builtin && (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0)
               ? ((PyCFunctionObject *)function)->m_ml->ml_name
               : "";
}

/* Builtins that look at their caller's frame find none below a call from outside. They get to see __main__, in all versions:
 * eval() and exec() without globals run there, and globals(), locals(), vars() and dir() tell of it. New reference. */
static PyObject *
call_for_main(const char *name, PyObject *function, PyObject *args)
{
    PyObject *globals = stoa__main_globals();
    if (globals == NULL) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) == 1) {
        PyObject *result = PyObject_CallFunctionObjArgs(function, PyTuple_GET_ITEM(args, 0), globals, NULL);
        Py_DECREF(globals);
        return result;
    }
    if (strcmp(name, "dir") != 0) {
        return globals;
    }
    PyObject *names = PyDict_Keys(globals);
    Py_DECREF(globals);
    if (names != NULL && PyList_Sort(names) < 0) {
        Py_CLEAR(names);
    }
    return names;
}

static bool
looks_at_caller(const char *name, Py_ssize_t count)
{
    static const char *const alone[] = {"globals", "locals", "vars", "dir"};
    if (count == 1) {
        return strcmp(name, "eval") == 0 || strcmp(name, "exec") == 0;
    }
    for (size_t i = 0; count == 0 && i < Py_ARRAY_LENGTH(alone); i++) {
        if (strcmp(name, alone[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Other extensions may do as globals() does where there is no frame: NULL without an exception. */
static PyObject *
checked(PyObject *function, PyObject *result)
{
    if (result == NULL && !PyErr_Occurred()) {
        PyErr_Format(PyExc_SystemError, "%R looks at its caller's frame: call it from a Python function",
                     function);
    }
    return result;
}

PyObject *
stoa__invoke_function(PyObject *function, PyObject *args, PyObject *kwargs)
{
    const char *name = builtin_name(function, kwargs);
    return checked(function, looks_at_caller(name, PyTuple_GET_SIZE(args))
                                 ? call_for_main(name, function, args)
                                 : PyObject_Call(function, args, kwargs));
}

PyObject *
stoa__invoke_array(PyObject *function, PyObject *const *args, size_t count)
{
    const char *name = builtin_name(function, NULL);
    if (!looks_at_caller(name, (Py_ssize_t)count)) {
        return checked(function,
                       PyObject_Vectorcall(function, args, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL));
    }
    PyObject *packed = count == 0 ? PyTuple_New(0) : PyTuple_Pack(1, args[0]);
    PyObject *result = packed == NULL ? NULL : call_for_main(name, function, packed);
    Py_XDECREF(packed);
    return result;
}

/* Inside: the result, new reference. */
static PyObject *
call_inside(stoa_interp_record *record, const stoa_call_parcels *call)
{
    stoa__home_job_reads(record);
    stoa__side_apply_releases(record);
    PyObject *function = stoa__target_unpack(&call->function);
    PyObject *args = function == NULL ? NULL : stoa__unpack(&call->args);
    PyObject *kwargs = args == NULL || !call->has_kwargs ? NULL : stoa__unpack(&call->kwargs);
    PyObject *result = NULL;
    if (args != NULL && (kwargs != NULL || !call->has_kwargs) && stoa__home_job_begins(record)) {
        result = stoa__invoke_function(function, args, kwargs);
    }
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(function);
    return result;
}

/* Inside: calls, and packs what comes of it. false: `out` is an exception. A result that holds references is left with one
 * more `inside` taken on the record, so that what it holds stays alive after the leave. */
bool
stoa__call_inside(stoa_interp_record *record, const stoa_call_parcels *call, unsigned flags, stoa_parcel *out)
{
    PyObject *result = call_inside(record, call);
    bool good = result != NULL && stoa__pack(result, "result", flags, out) == 0;
    if (good && out->held_count > 0 && stoa__interp_enter(record) != STOA_OK) { /* being closed: copy it all */
        stoa__parcel_clear(out);
        good = stoa__pack(result, "result", flags | STOA_PACK_DETACHED, out) == 0;
    }
    if (!good) {
        stoa__exception_pack(out);
    }
    Py_XDECREF(result);
    return good;
}

/* The result's references are given up where they belong. */
static void
clear_result(stoa_interp_record *record, stoa_parcel *result)
{
    stoa_entry entry;
    if (result->held_count == 0) {
        stoa__parcel_abandon(result);
    }
    else if (stoa__enter_held(record, &entry) == STOA_OK) {
        stoa__parcel_clear(result);
        stoa__leave(&entry);
    }
    else {
        stoa__parcel_abandon(result); /* no memory, no stack: they stay until the interpreter ends */
    }
}

PyObject *
stoa__invoke_call(stoa_interp_record *record, PyObject *function, PyObject *args, PyObject *kwargs)
{
    stoa_call_parcels call;
    stoa_parcel outcome;
    stoa_visit visit;
    if (stoa__call_pack(&call, function, args, kwargs, 0) < 0) {
        return NULL;
    }
    stoa_err err = stoa__visit(record, &visit);
    if (err != STOA_OK) {
        clear_call(&call);
        return stoa__enter_failed(err);
    }
    bool good = stoa__call_inside(record, &call, 0, &outcome);
    stoa__visit_end(&visit);
    clear_call(&call);
    if (!good) {
        return stoa__exception_raise(&outcome);
    }
    PyObject *result = stoa__unpack(&outcome);
    PyObject *raised = PyErr_GetRaisedException();
    clear_result(record, &outcome);
    PyErr_SetRaisedException(raised);
    return result;
}
